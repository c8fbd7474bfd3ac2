#!/usr/bin/env bash
# Builds the image with buildah and runs it with podman, no Docker engine needed: with the embedded store, with a Redis-compatible
# server beside it, and as compose.yaml puts it together.  Ends with 0 and one line "SKIPPED: why" where that can't be done.
# usage: check.sh            environment: WORK, a folder that keeps base and layers for the next time; INSTALL=0, to install nothing
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${WORK:-/var/tmp/gateway-container-check}
image=localhost/gateway:check
tools=(buildah podman runc conmon netavark aardvark-dns iptables catatonit mmdebstrap skopeo curl)

skip() { echo "container-check SKIPPED: $*"; exit 0; }
seconds() { printf '%d.%01d s' $((($(date +%s%N) - $1) / 1000000000)) $((($(date +%s%N) - $1) / 100000000 % 10)); }

[[ $(id -u) == 0 ]] || skip "needs root, for overlay mounts and networks"
grep -qs '^ID=debian' /etc/os-release || skip "made for Debian; elsewhere: docker build -t gateway . (deploy/container/README.md)"
missing=
for tool in buildah podman runc skopeo mmdebstrap catatonit curl; do command -v "$tool" >/dev/null || missing+=" $tool"; done
if [[ -n $missing ]]; then
  [[ ${INSTALL:-1} == 1 ]] || skip "not installed:$missing (apt-get install ${tools[*]})"
  echo "installing with apt: ${tools[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${tools[@]}"; } >/dev/null 2>&1 \
    || skip "apt-get install ${tools[*]} failed: no package mirror in reach?"
fi

mkdir -p "$work"
exec 9>"$work/lock"
flock --nonblock 9 || skip "another container-check is at work in $work"
export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
cat >"$CONTAINERS_CONF" <<C
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_backend = "netavark"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[engine.runtimes]
runc = ["$(command -v runc)"]
C
cat >"$CONTAINERS_STORAGE_CONF" <<C
[storage]
driver = "overlay"
graphroot = "$work/store"
runroot = "$work/run"
C

base=$(sed -n 's/^ARG BASE=//p' "$root/Dockerfile")
begun=$(date +%s%N)
why=$("$here/base.sh" "$base" "$work") || { status=$?; [[ $status == 3 ]] && skip "$why"; exit "$status"; }
echo "base    $(seconds "$begun")  $base"
begun=$(date +%s%N)
buildah bud --isolation chroot --pull-never --layers --format docker --tag "$image" \
  --build-arg REVISION="$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)" "$root" >"$work/build.log" 2>&1 \
  || {
    grep -qE 'Failed to establish a new connection|NameResolutionError|Connection to .* timed out' "$work/build.log" \
      && skip "no package index in reach to build from ($work/build.log)"
    tail -30 "$work/build.log" >&2
    exit 1
  }
echo "build   $(seconds "$begun")  $image, $(($(podman image inspect --format '{{.Size}}' "$image") / 1000000)) MB unpacked"

begun=$(date +%s%N)
"$here/runs.sh" "$image"
echo "runs    $(seconds "$begun")"
rm -rf "$work/pushed"
podman push --quiet --compress "$image" "dir:$work/pushed" 2>/dev/null
echo "size    $(($(cat "$work"/pushed/* | wc -c) / 1000000)) MB compressed, as a registry would hold it"
rm -rf "$work/pushed"
echo "container-check passed"
