// oidc-provider with opaque tokens and one client: client_credentials, refresh_token with rotation, introspection.
// What it stores is in plain Maps: its own in-memory adapter keeps a thousand objects and walks through a grant's tokens.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const stored = new Map();
const ofGrant = new Map();

class Memory {
  constructor(name) { this.name = name; }
  async upsert(id, payload) {
    stored.set(this.name + id, payload);
    if (payload.grantId) {
      if (!ofGrant.has(payload.grantId)) ofGrant.set(payload.grantId, []);
      ofGrant.get(payload.grantId).push(this.name + id);
    }
  }
  async find(id) { return stored.get(this.name + id); }
  async consume(id) { stored.get(this.name + id).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { stored.delete(this.name + id); }
  async revokeByGrantId(id) {
    for (const key of ofGrant.get(id) ?? []) stored.delete(key);
    ofGrant.delete(id);
  }
}

const port = Number(process.argv[2]);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: Memory,
  clients: [{
    client_id: 'bench',
    client_secret: 'bench-secret-bench-secret-bench',
    grant_types: ['client_credentials', 'authorization_code', 'refresh_token'],
    redirect_uris: ['https://client.example/callback'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  features: { clientCredentials: { enabled: true }, introspection: { enabled: true }, devInteractions: { enabled: false } },
  findAccount: (_context, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  rotateRefreshToken: true,
});

async function seed(count) {
  const client = await provider.Client.find('bench');
  const tokens = [];
  for (let number = 0; number < count; number += 1) {
    const owner = { accountId: `account-${number}`, clientId: 'bench' };
    const grant = new provider.Grant(owner);
    grant.addOIDCScope('offline_access');
    const grantId = await grant.save();
    const token = new provider.RefreshToken({ ...owner, client, grantId, gty: 'authorization_code', scope: 'offline_access' });
    tokens.push(await token.save());
  }
  return tokens;
}

const handle = provider.callback();
createServer((request, response) => {
  if (!request.url.startsWith('/seed?')) return handle(request, response);
  return seed(Number(request.url.slice(6))).then((tokens) => response.end(tokens.join('\n')));
}).listen(port, '127.0.0.1');
