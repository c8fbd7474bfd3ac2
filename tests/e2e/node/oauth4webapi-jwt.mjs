// A resource server with oauth4webapi: verifies JWT access tokens (RFC 9068) by issuer, key set, type and audience.
// Arguments by environment: ISSUER, RESOURCE, TOKEN.  Prints one JSON line; any failure is a non-zero exit.
import * as oauth from 'oauth4webapi'
import assert from 'node:assert/strict'

const issuer = new URL(process.env.ISSUER)
const insecure = { [oauth.allowInsecureRequests]: true }  // the test's issuer is plain loopback
const as = await oauth.processDiscoveryResponse(
  issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }))

const validate = (token, audience) => oauth.validateJwtAccessToken(
  as, new Request(process.env.RESOURCE, { headers: { authorization: `Bearer ${token}` } }), audience,
  { signingAlgorithms: ['ES256'], ...insecure })

const claims = await validate(process.env.TOKEN, process.env.RESOURCE)
assert.equal(claims.iss, process.env.ISSUER)
await assert.rejects(validate(process.env.TOKEN, 'https://elsewhere.example'))
const [head, payload, signature] = process.env.TOKEN.split('.')
const wider = Buffer.from(JSON.stringify({ ...claims, scope: 'admin' })).toString('base64url')
await assert.rejects(validate(`${head}.${wider}.${signature}`, process.env.RESOURCE))

console.log(JSON.stringify({ library: 'oauth4webapi', ok: true, client_id: claims.client_id }))
