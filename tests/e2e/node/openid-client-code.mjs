// authorization_code with PKCE by openid-client, up to a refresh; arguments and conversation as in oauth4webapi-code.mjs.
import * as client from 'openid-client'
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline/promises'

const issuer = new URL(process.env.ISSUER)
const config = await client.discovery(
  issuer, process.env.CLIENT_ID, undefined, client.ClientSecretBasic(process.env.CLIENT_SECRET),
  { algorithm: 'oauth2', execute: [client.allowInsecureRequests] })
const pkceCodeVerifier = client.randomPKCECodeVerifier()
const expectedState = client.randomState()
const url = client.buildAuthorizationUrl(config, {
  redirect_uri: process.env.REDIRECT_URI, scope: process.env.SCOPE, state: expectedState,
  code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256',
})
console.log(JSON.stringify({ url: url.href }))

const came = new URL(await createInterface({ input: process.stdin }).question(''))
const first = await client.authorizationCodeGrant(config, came, { pkceCodeVerifier, expectedState })
const second = await client.refreshTokenGrant(config, first.refresh_token)
assert.notEqual(second.access_token, first.access_token)
const answer = await client.fetchProtectedResource(config, second.access_token, new URL('/v1/resource', issuer), 'GET')
assert.equal(answer.status, 200)

console.log(JSON.stringify({ library: 'openid-client', ok: true }))
process.exit(0)
