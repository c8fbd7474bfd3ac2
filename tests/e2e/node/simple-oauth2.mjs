// The whole life of a token with simple-oauth2.  Arguments by environment: ISSUER, CLIENT_ID, CLIENT_SECRET.
// It has no discovery and no introspection: both are plain fetch.
import { ClientCredentials } from 'simple-oauth2'
import assert from 'node:assert/strict'

const issuer = process.env.ISSUER
const { CLIENT_ID: id, CLIENT_SECRET: secret } = process.env
const server = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json()
assert.equal(server.issuer, issuer)

const path = (endpoint) => new URL(endpoint).pathname
const library = new ClientCredentials({
  client: { id, secret },
  auth: { tokenHost: issuer, tokenPath: path(server.token_endpoint), revokePath: path(server.revocation_endpoint) },
})

const first = await library.getToken({})
assert.equal(first.expired(), false)
const second = await first.refresh()
assert.notEqual(second.token.access_token, first.token.access_token)
assert.notEqual(second.token.refresh_token, first.token.refresh_token)

const resource = () => fetch(`${issuer}/v1/resource`, { headers: { Authorization: `Bearer ${second.token.access_token}` } })
assert.equal((await resource()).status, 200)

const introspect = async (token) => (await fetch(server.introspection_endpoint, {
  method: 'POST',
  headers: { Authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` },
  body: new URLSearchParams({ token }),
})).json()
assert.equal((await introspect(second.token.access_token)).active, true)

await second.revokeAll()
assert.deepEqual(await introspect(second.token.access_token), { active: false })
assert.deepEqual(await introspect(second.token.refresh_token), { active: false })
assert.equal((await resource()).status, 401)
const replay = await second.refresh().catch((error) => error)
assert.equal(replay.data.payload.error, 'invalid_grant')

console.log(JSON.stringify({ library: 'simple-oauth2', ok: true }))
