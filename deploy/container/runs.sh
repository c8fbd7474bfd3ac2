#!/usr/bin/env bash
# Runs the image as a careful operator would, and holds it to what deploy/container/README.md promises.
# usage: runs.sh IMAGE        Everything it starts carries its own process id in its name and is gone when it ends.
# shellcheck disable=SC2016  # what stands in single quotes is for the shell inside a container
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=$1
me=gateway-check-$$
tmp=$(mktemp -d /var/tmp/gateway-check.XXXXXX)
hardened=(--detach --pull=never --read-only --read-only-tmpfs=false --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges
  --memory 256m --pids-limit 64)
store_pid=

fail() { echo "container-check FAILED: $*" >&2; exit 1; }
clean_up() {
  local status=$? name
  [[ $status == 0 ]] || for name in $(podman ps --all --quiet --filter "name=$me-"); do
    echo "--- $(podman inspect --format '{{.Name}}: {{.State.Status}} {{.State.ExitCode}}' "$name")" && podman logs --tail 15 "$name"
  done >&2 || true
  podman ps --all --quiet --filter "name=$me-" | xargs -r podman rm --force --volumes --time 2 >/dev/null 2>&1 || true
  podman volume rm --force "$me-data" >/dev/null 2>&1 || true
  podman network rm --force "$me-net" >/dev/null 2>&1 || true
  [[ -z $store_pid ]] || kill "$store_pid" 2>/dev/null || true
  rm -rf "$tmp"
}
trap clean_up EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# Without systemd podman can't set timers for health checks, and says so each time: heard only when something failed.
quietly() { "$@" >/dev/null 2>"$tmp/stderr" || fail "$*: $(<"$tmp/stderr")"; }
started() { quietly podman run --name "$me-$1" "${hardened[@]}" "${@:2}"; }
published() { echo "http://$(podman port "$me-$1" 8080/tcp | head -1)"; }
until_ok() { # until_ok SECONDS COMMAND…
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || fail "not within its time: $*"
    sleep 0.1
  done
}
healthy() { until_ok 20 podman healthcheck run "$me-$1"; }
inside() { podman exec "$me-$1" "${@:2}"; }
status_of() { curl --silent --max-time 20 --output /dev/null --write-out '%{http_code}' "$@"; }
with_token() { status_of -H "Authorization: Bearer $(<"$1")" "$2/v1/resource"; }

# SIGTERM to process 1 must end it with 0, and soon.
stopped() {
  local begun=$SECONDS code
  quietly podman stop --time 10 "$me-$1"
  code=$(podman inspect --format '{{.State.ExitCode}}' "$me-$1")
  [[ $code == 0 ]] || fail "$1: exit code $code after SIGTERM"
  ((SECONDS - begun < 5)) || fail "$1: $((SECONDS - begun)) s to stop"
}

confined() {
  local name=$1 status
  [[ $(inside "$name" id -u):$(inside "$name" id -g) == 10001:10001 ]] || fail "$name: not 10001:10001"
  status=$(inside "$name" cat /proc/1/status)
  grep -qE '^Uid:\s+10001\s+10001\s+10001' <<<"$status" || fail "$name: process 1 is not 10001"
  grep -qE '^CapEff:\s+0+$' <<<"$status" || fail "$name: has capabilities"
  grep -qE '^NoNewPrivs:\s+1$' <<<"$status" || fail "$name: may gain privileges"
  inside "$name" sh -c 'tr "\0" " " </proc/1/cmdline' | grep -q 'gateway serve' || fail "$name: process 1 is not gateway serve"
  for place in / /etc/gateway /opt/venv /run; do
    if inside "$name" sh -c "echo x >$place/written" 2>/dev/null; then fail "$name: $place can be written to"; fi
  done
}

# A process whose parent is gone belongs to process 1, which must not leave it a zombie.
reaps() {
  inside "$1" sh -c 'sleep 0.3 & echo $! >/tmp/orphan'
  until_ok 5 inside "$1" sh -c '! test -e "/proc/$(cat /tmp/orphan)"'
}

# What steps.sh was given in FOLDER stands nowhere it does not belong.
silent_about() {
  local name=$1 folder=$2 secret
  podman inspect "$me-$name" >"$tmp/seen"
  podman logs "$me-$name" >>"$tmp/seen" 2>&1
  inside "$name" sh -c 'cat /proc/[0-9]*/cmdline; find /data -type f -exec cat {} +' | tr '\0' '\n' >>"$tmp/seen"
  for secret in password secret kept refresh revoked; do
    if grep -qaF -f "$folder/$secret" "$tmp/seen"; then fail "$name: $secret stands in inspect, logs, argv or on /data"; fi
  done
  rm "$tmp/seen"
}

says() { printf '  %-9s%s\n' "$1" "$2"; }

quietly podman network create "$me-net"
mkdir "$tmp/a" "$tmp/b" "$tmp/c"

# --- the embedded store on a volume, the image's own config.yaml
started demo --network "$me-net" --network-alias demo --no-healthcheck "$image" demo-upstream --host 0.0.0.0
embedded=(--network "$me-net" -p 127.0.0.1::8080 -v "$me-data:/data" -e UPSTREAM_URL=http://demo:9000)
started a "${embedded[@]}" -e GATEWAY_OAUTH__REGISTRATION=open "$image"
healthy a
"$here/steps.sh" "$(published a)" "$tmp/a"
confined a
reaps a
silent_about a "$tmp/a"
stopped a
quietly podman rm "$me-a"
started a "${embedded[@]}" "$image"
healthy a
at=$(published a)
[[ $(with_token "$tmp/a/kept" "$at") == 200 ]] || fail "embedded: the token is lost after a restart"
[[ $(with_token "$tmp/a/revoked" "$at") == 401 ]] || fail "embedded: a revoked token lives again after a restart"
[[ $(status_of -X POST -H 'Content-Type: application/json' -d '{"username":"a-stranger","password":"pass-word-1"}' "$at/v1/register") == 4?? ]] \
  || fail "registration is open by default"
issued=$(inside a gateway clients add)
client=$(sed -E 's/.*"client_key": *"([^"]+)".*/\1/' <<<"$issued"):$(sed -E 's/.*"client_secret": *"([^"]+)".*/\1/' <<<"$issued")
[[ $(status_of -u "$client" -d grant_type=client_credentials "$at/v1/oauth/token") == 200 ]] || fail "clients add: no token"
stopped a
says embedded "five steps, uid 10001, read-only, no secret to be seen, orphans reaped, SIGTERM: 0, tokens live on in /data"

# --- redis:// on the host's loopback, a config.yaml of one's own, two workers
binary=$(command -v valkey-server || command -v redis-server || true)
if [[ -z $binary ]]; then # the image's own Valkey, outside of it
  mounted=$(podman image mount "$image")
  cp "$(find "$mounted/opt/venv" -name valkey-server -type f | head -1)" "$tmp/valkey-server"
  podman image unmount "$image" >/dev/null
  binary=$tmp/valkey-server
fi
store=$(free_port) demo=$(free_port) port=$(free_port) admin=$(free_port)
printf 'pw-%s%s%s' "$RANDOM" "$RANDOM" "$RANDOM" >"$tmp/store_password"
"$binary" - >"$tmp/store.log" 2>&1 <<<"bind 127.0.0.1
port $store
save \"\"
dir $tmp
requirepass $(<"$tmp/store_password")" &
store_pid=$!
cat >"$tmp/config.yaml" <<C
listen: {host: 0.0.0.0, port: $port}
admin: {host: 127.0.0.1, port: $admin}
workers: 2
store: {url: "redis://127.0.0.1:$store/0", password: "\${file:/run/secrets/store_password}"}
oauth: {issuer: "http://127.0.0.1:$port", registration: open}
upstreams: {legacy: {targets: ["http://127.0.0.1:$demo"]}}
routes: [{path: /v1/resource, upstream: legacy}]
C
chmod 0444 "$tmp/config.yaml" "$tmp/store_password"
quietly podman rm --force --volumes --time 2 "$me-demo"
started host-demo --network host --no-healthcheck "$image" demo-upstream --port "$demo"
until_ok 10 curl --silent --fail "http://127.0.0.1:$demo/v1/resource"
redis=(--network host -v "$tmp/config.yaml:/etc/gateway/config.yaml:ro" -v "$tmp/store_password:/run/secrets/store_password:ro")
started b "${redis[@]}" "$image"
healthy b
"$here/steps.sh" "http://127.0.0.1:$port" "$tmp/b"
confined b
cp "$tmp/store_password" "$tmp/b/password.store"
silent_about b "$tmp/b"
stopped b
quietly podman start "$me-b"
healthy b
[[ $(with_token "$tmp/b/kept" "http://127.0.0.1:$port") == 200 ]] || fail "redis: the token is lost after a restart"
[[ $(with_token "$tmp/b/revoked" "http://127.0.0.1:$port") == 401 ]] || fail "redis: a revoked token lives again after a restart"
stopped b
says redis "five steps with two workers on $(basename "$binary"), own config.yaml, password from a file, SIGTERM: 0"

# --- what compose.yaml puts together: its config.yaml, its names
started store --network "$me-net" --network-alias store --no-healthcheck --entrypoint sh "$image" \
  -c 'exec "$(find /opt/venv -name valkey-server -type f)" --appendonly yes --save "" --dir /data --protected-mode no'
started compose-demo --network "$me-net" --network-alias demo --no-healthcheck "$image" demo-upstream --host 0.0.0.0 --port 9000
started c --network "$me-net" -p 127.0.0.1::8080 -v "$here/../compose-config.yaml:/etc/gateway/config.yaml:ro" "$image"
healthy c
"$here/steps.sh" "$(published c)" "$tmp/c"
stopped c
says compose "five steps with compose-config.yaml and the names of compose.yaml"
