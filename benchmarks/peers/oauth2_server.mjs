// @node-oauth/oauth2-server with a model of plain Maps behind node:http, no framework: client_credentials and refresh_token.
import { createServer } from 'node:http';
import OAuth2Server from '@node-oauth/oauth2-server';

const client = { id: 'bench', secret: 'bench-secret-bench-secret-bench', grants: ['client_credentials', 'refresh_token'] };
const access = new Map();
const refresh = new Map();

const server = new OAuth2Server({
  model: {
    async getClient(id, secret) { return id === client.id && secret === client.secret ? client : undefined; },
    async getUserFromClient() { return client; },
    async getAccessToken(token) { return access.get(token); },
    async getRefreshToken(token) { return refresh.get(token); },
    async revokeToken(token) { return refresh.delete(token.refreshToken); },
    async saveToken(token, owner, user) {
      const kept = { ...token, client: owner, user };
      access.set(token.accessToken, kept);
      if (token.refreshToken) refresh.set(token.refreshToken, kept);
      return kept;
    },
  },
});

function seed(count) {
  const tokens = [];
  for (let number = 0; number < count; number += 1) {
    const refreshToken = `seed-${number}-${process.hrtime.bigint()}`;
    const refreshTokenExpiresAt = new Date(Date.now() + 86_400_000);
    refresh.set(refreshToken, { refreshToken, refreshTokenExpiresAt, client, user: client });
    tokens.push(refreshToken);
  }
  return tokens;
}

async function token(incoming, outgoing, body) {
  const parameters = Object.fromEntries(new URLSearchParams(body));
  const request = new OAuth2Server.Request({ method: incoming.method, headers: incoming.headers, query: {}, body: parameters });
  const response = new OAuth2Server.Response();
  try {
    await server.token(request, response);
  } catch {
    // the answer says it
  }
  const answer = JSON.stringify(response.body);
  outgoing.writeHead(response.status, {
    ...response.headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer),
  });
  outgoing.end(answer);
}

createServer((incoming, outgoing) => {
  if (incoming.url.startsWith('/seed?')) return outgoing.end(seed(Number(incoming.url.slice(6))).join('\n'));
  let body = '';
  incoming.setEncoding('utf8');
  incoming.on('data', (piece) => { body += piece; });
  incoming.on('end', () => token(incoming, outgoing, body));
  return undefined;
}).listen(Number(process.argv[2]), '127.0.0.1');
