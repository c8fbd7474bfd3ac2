#!/usr/bin/env bash
# The five steps with curl, against any gateway with open registration and a route for /v1/resource.
# usage: steps.sh BASE_URL [FOLDER]      FOLDER gets what was issued: user, password, key, secret, kept, refresh, revoked
set -euo pipefail
gateway=$1 folder=${2:-$(mktemp -d)}

fail() { echo "steps: $*" >&2; exit 1; }
field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$folder/body"; }
# ask STATUS WHAT CURL_ARGS…: the answer's body is left in $folder/body
ask() {
  local want=$1 what=$2 got
  shift 2
  got=$(curl --silent --show-error --max-time 20 --output "$folder/body" --dump-header "$folder/head" --write-out '%{http_code}' "$@") \
    || fail "$what: no answer"
  [[ $got == "$want" ]] || fail "$what: $got instead of $want: $(head -c 300 "$folder/body")"
}
no_store() { grep -qi '^cache-control:.*no-store' "$folder/head" || fail "$1: Cache-Control: no-store is missing"; }
keep() { [[ -n $2 ]] || fail "no $1 in the answer"; printf '%s' "$2" >"$folder/$1"; }

keep user "check-$$-$RANDOM@example.com"
keep password "pass-$RANDOM$RANDOM$RANDOM"
ask 201 register -X POST "$gateway/v1/register" -H 'Content-Type: application/json' \
  -d "{\"username\":\"$(<"$folder/user")\",\"password\":\"$(<"$folder/password")\"}"
[[ -n $(field client_id) ]] || fail "no client_id in the answer"
keep key "$(field client_key)"
keep secret "$(field client_secret)"
client="$(<"$folder/key"):$(<"$folder/secret")"

ask 200 token -u "$client" -d grant_type=client_credentials "$gateway/v1/oauth/token"
no_store token
grep -q '"token_type": *"Bearer"' "$folder/body" || fail "token: token_type is not Bearer"
keep kept "$(field access_token)"
keep refresh "$(field refresh_token)"

ask 200 refresh -u "$client" -d grant_type=refresh_token -d "refresh_token=$(<"$folder/refresh")" "$gateway/v1/oauth/token"
no_store refresh
keep revoked "$(field access_token)"
keep refresh "$(field refresh_token)"

ask 200 resource "$gateway/v1/resource" -H "Authorization: Bearer $(<"$folder/revoked")"
ask 401 "resource without a token" "$gateway/v1/resource"
ask 200 introspect -u "$client" -d "token=$(<"$folder/revoked")" "$gateway/v1/oauth/introspect"
grep -q '"active": *true' "$folder/body" || fail "introspect: not active"
ask 200 revoke -u "$client" -d "token=$(<"$folder/revoked")" "$gateway/v1/oauth/revoke"
ask 401 "resource after revoke" "$gateway/v1/resource" -H "Authorization: Bearer $(<"$folder/revoked")"
ask 200 "resource with the first token" "$gateway/v1/resource" -H "Authorization: Bearer $(<"$folder/kept")"
rm -f "$folder/body" "$folder/head"
