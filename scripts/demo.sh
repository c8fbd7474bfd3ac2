#!/bin/sh
# `make demo`: the five steps against a running `make run`, with the real answers.  Needs curl and sh.
set -eu
G=${G:-http://127.0.0.1:8080}

BOLD='' PLAIN=''
[ -t 1 ] && BOLD=$(printf '\033[1m') PLAIN=$(printf '\033[0m')
say() { printf '\n%s%s%s\n' "$BOLD" "$*" "$PLAIN"; }
show() { printf '$ %s\n' "$*"; }
pick() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p'; }
# Status and the headers that matter, then the body.
ask() { curl -sS -i "$@" | tr -d '\r' | grep -viE '^(date|content-length|server|via):'; echo; }

curl -sS -o /dev/null "$G" 2>/dev/null || { echo "nothing answers on $G: start the gateway with \`make run\` first (or set G)" >&2; exit 1; }

say "0. Without a token the legacy API can't be reached"
show "curl -i $G/v1/resource"
ask "$G/v1/resource"

say "1. Register: whoever wants to call the API gets an id, a key and a secret"
WHO='{"username":"demo-'$(date +%s)-$$'@example.com","password":"client-password"}'
show "curl -X POST $G/v1/register -H 'Content-Type: application/json' -d '$WHO'"
A=$(curl -sS -X POST "$G/v1/register" -H 'Content-Type: application/json' -d "$WHO")
echo "$A"
KEY=$(echo "$A" | pick client_key)
SECRET=$(echo "$A" | pick client_secret)
[ -n "$SECRET" ] || { echo "no client_secret in the answer" >&2; exit 1; }

say "2. Key and secret buy a token (RFC 6749, client_credentials)"
show "curl -u KEY:SECRET -d grant_type=client_credentials $G/v1/oauth/token"
A=$(curl -sS -u "$KEY:$SECRET" -d grant_type=client_credentials "$G/v1/oauth/token")
echo "$A"
TOKEN=$(echo "$A" | pick access_token)
REFRESH=$(echo "$A" | pick refresh_token)

say "3. The token opens the API; the upstream sees who calls (X-Client-Id), and never the token"
show "curl -i $G/v1/resource -H 'Authorization: Bearer ACCESS_TOKEN'"
ask "$G/v1/resource" -H "Authorization: Bearer $TOKEN"

say "4. The refresh token buys the next pair; each refresh token works once"
show "curl -u KEY:SECRET -d grant_type=refresh_token -d refresh_token=REFRESH_TOKEN $G/v1/oauth/token"
A=$(curl -sS -u "$KEY:$SECRET" -d grant_type=refresh_token -d "refresh_token=$REFRESH" "$G/v1/oauth/token")
echo "$A"
TOKEN=$(echo "$A" | pick access_token)

say "5. Introspect it (RFC 7662), revoke it (RFC 7009): the next use is refused, in every worker"
show "curl -u KEY:SECRET -d token=ACCESS_TOKEN $G/v1/oauth/introspect"
curl -sS -u "$KEY:$SECRET" -d "token=$TOKEN" "$G/v1/oauth/introspect"; echo
show "curl -i -u KEY:SECRET -d token=ACCESS_TOKEN $G/v1/oauth/revoke"
ask -u "$KEY:$SECRET" -d "token=$TOKEN" "$G/v1/oauth/revoke"
show "curl -i $G/v1/resource -H 'Authorization: Bearer ACCESS_TOKEN'"
ask "$G/v1/resource" -H "Authorization: Bearer $TOKEN"
