// authorization_code with PKCE by oauth4webapi, up to a refresh.  Arguments by environment: ISSUER, CLIENT_ID, CLIENT_SECRET
// (a public client has none), REDIRECT_URI, SCOPE.  Prints where a browser has to go, and reads where it came out from stdin.
import * as oauth from 'oauth4webapi'
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline/promises'

const issuer = new URL(process.env.ISSUER)
const insecure = { [oauth.allowInsecureRequests]: true }  // the test's issuer is plain loopback
const client = { client_id: process.env.CLIENT_ID }
const auth = process.env.CLIENT_SECRET ? oauth.ClientSecretBasic(process.env.CLIENT_SECRET) : oauth.None()
const redirect = process.env.REDIRECT_URI

const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
const as = await oauth.processDiscoveryResponse(issuer, discovered)
assert.ok(as.code_challenge_methods_supported.includes('S256'))
const verifier = oauth.generateRandomCodeVerifier()
const state = oauth.generateRandomState()
const url = new URL(as.authorization_endpoint)
url.search = new URLSearchParams({
  client_id: client.client_id, redirect_uri: redirect, response_type: 'code', scope: process.env.SCOPE, state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
})
console.log(JSON.stringify({ url: url.href }))

const came = new URL(await createInterface({ input: process.stdin }).question(''))
const parameters = oauth.validateAuthResponse(as, client, came, state)  // state and, by RFC 9207, iss
const granted = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, redirect, verifier, insecure)
const first = await oauth.processAuthorizationCodeResponse(as, client, granted)
const refreshed = await oauth.refreshTokenGrantRequest(as, client, auth, first.refresh_token, insecure)
const second = await oauth.processRefreshTokenResponse(as, client, refreshed)
assert.notEqual(second.access_token, first.access_token)

const resource = await oauth.protectedResourceRequest(
  second.access_token, 'GET', new URL('/v1/resource', issuer), undefined, undefined, insecure)
assert.equal(resource.status, 200)
const replayed = await oauth.authorizationCodeGrantRequest(as, client, auth, parameters, redirect, verifier, insecure)
const refusal = await oauth.processAuthorizationCodeResponse(as, client, replayed).catch((error) => error)
assert.equal(refusal.error, 'invalid_grant')

console.log(JSON.stringify({ library: 'oauth4webapi', ok: true }))
process.exit(0)
