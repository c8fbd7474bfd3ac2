// The whole life of a token with oauth4webapi: discovery, token, refresh, resource, introspection, revocation.
// Arguments by environment: ISSUER, CLIENT_ID, CLIENT_SECRET.  Prints one JSON line; any failure is a non-zero exit.
import * as oauth from 'oauth4webapi'
import assert from 'node:assert/strict'

const issuer = new URL(process.env.ISSUER)
const insecure = { [oauth.allowInsecureRequests]: true }  // the test's issuer is plain loopback
const client = { client_id: process.env.CLIENT_ID }
const auth = oauth.ClientSecretBasic(process.env.CLIENT_SECRET)

const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
const as = await oauth.processDiscoveryResponse(issuer, discovered)
assert.ok(as.grant_types_supported.includes('client_credentials'))

const granted = await oauth.clientCredentialsGrantRequest(as, client, auth, new URLSearchParams(), insecure)
const first = await oauth.processClientCredentialsResponse(as, client, granted)
assert.equal(first.token_type, 'bearer')

const refreshed = await oauth.refreshTokenGrantRequest(as, client, auth, first.refresh_token, insecure)
const second = await oauth.processRefreshTokenResponse(as, client, refreshed)
assert.notEqual(second.access_token, first.access_token)
assert.notEqual(second.refresh_token, first.refresh_token)

const resource = await oauth.protectedResourceRequest(
  second.access_token, 'GET', new URL('/v1/resource', issuer), undefined, undefined, insecure)
assert.equal(resource.status, 200)

const introspect = async (token) => oauth.processIntrospectionResponse(
  as, client, await oauth.introspectionRequest(as, client, auth, token, insecure))
assert.equal((await introspect(second.access_token)).active, true)

await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, second.access_token, insecure))
assert.deepEqual(await introspect(second.access_token), { active: false })

// The library turns the 401 and its WWW-Authenticate into an error of its own: both must be as RFC 6750 says.
const refusal = await oauth.protectedResourceRequest(
  second.access_token, 'GET', new URL('/v1/resource', issuer), undefined, undefined, insecure).catch((error) => error)
assert.ok(refusal instanceof oauth.WWWAuthenticateChallengeError)
assert.equal(refusal.status, 401)
assert.equal(refusal.cause[0].parameters.error, 'invalid_token')

console.log(JSON.stringify({ library: 'oauth4webapi', ok: true }))
