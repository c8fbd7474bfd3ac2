// The whole life of a token with openid-client.  Arguments by environment: ISSUER, CLIENT_ID, CLIENT_SECRET.
import * as client from 'openid-client'
import assert from 'node:assert/strict'

const issuer = new URL(process.env.ISSUER)
const config = await client.discovery(
  issuer, process.env.CLIENT_ID, undefined, client.ClientSecretBasic(process.env.CLIENT_SECRET),
  { algorithm: 'oauth2', execute: [client.allowInsecureRequests] })

const first = await client.clientCredentialsGrant(config)
assert.equal(first.expires_in > 0, true)
const second = await client.refreshTokenGrant(config, first.refresh_token)
assert.notEqual(second.access_token, first.access_token)

const answer = await client.fetchProtectedResource(config, second.access_token, new URL('/v1/resource', issuer), 'GET')
assert.equal(answer.status, 200)

assert.equal((await client.tokenIntrospection(config, second.access_token)).active, true)
await client.tokenRevocation(config, second.refresh_token)
// Revoking a refresh token ends the access tokens of its grant (RFC 7009 section 2.1).
assert.equal((await client.tokenIntrospection(config, second.access_token)).active, false)
const replay = await client.refreshTokenGrant(config, second.refresh_token).catch((error) => error)
assert.equal(replay.error, 'invalid_grant')

console.log(JSON.stringify({ library: 'openid-client', ok: true }))
