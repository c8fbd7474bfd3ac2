// authorization_code by simple-oauth2, up to a refresh; arguments and conversation as in oauth4webapi-code.mjs.
// It knows neither PKCE nor discovery nor iss: the challenge is made here, and what came back is checked here.
import { AuthorizationCode } from 'simple-oauth2'
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline/promises'

const { CLIENT_ID: id, CLIENT_SECRET: secret, ISSUER: issuer, REDIRECT_URI: redirect_uri, SCOPE: scope } = process.env
const server = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json()
const path = (endpoint) => new URL(endpoint).pathname
const library = new AuthorizationCode({
  client: { id, secret },
  auth: { tokenHost: issuer, tokenPath: path(server.token_endpoint), authorizePath: path(server.authorization_endpoint) },
})
const code_verifier = randomBytes(32).toString('base64url')
const state = randomBytes(16).toString('base64url')
const code_challenge = createHash('sha256').update(code_verifier).digest('base64url')
console.log(JSON.stringify({
  url: library.authorizeURL({ redirect_uri, scope, state, code_challenge, code_challenge_method: 'S256' }),
}))

const came = new URL(await createInterface({ input: process.stdin }).question('')).searchParams
assert.deepEqual([came.get('state'), came.get('iss')], [state, issuer])
const first = await library.getToken({ code: came.get('code'), redirect_uri, code_verifier })
const second = await first.refresh()
assert.notEqual(second.token.access_token, first.token.access_token)
const resource = await fetch(`${issuer}/v1/resource`, { headers: { Authorization: `Bearer ${second.token.access_token}` } })
assert.equal(resource.status, 200)

console.log(JSON.stringify({ library: 'simple-oauth2', ok: true }))
process.exit(0)
