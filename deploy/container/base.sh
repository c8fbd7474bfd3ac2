#!/usr/bin/env bash
# Makes sure that the base image of the Dockerfile is in buildah's storage: from a registry, or, where none can be reached, a
# stand-in of the same name: Debian's packages around a CPython 3.12 of this machine.
# usage: base.sh IMAGE WORK_DIR          exit 3: it can't be had (the reason on stdout)
set -euo pipefail
image=$1 work=$2/base

buildah inspect --type image "$image" >/dev/null 2>&1 && exit 0
if timeout 20 skopeo inspect --raw "docker://$image" >/dev/null 2>&1; then
  buildah pull --quiet "$image" >/dev/null
  exit 0
fi

prefix=${PYTHON_PREFIX:-}
if [[ -z $prefix ]] && command -v pyenv >/dev/null; then
  version=$(pyenv versions --bare | grep -E '^3\.12\.[0-9]+$' | tail -1 || true)
  [[ -z $version ]] || prefix=$(PYENV_VERSION=$version pyenv prefix)
fi
if [[ ! -x $prefix/bin/python3.12 ]]; then
  echo "no registry has $image in reach, and no CPython 3.12 stands here to make a stand-in of (PYTHON_PREFIX=/its/prefix)"
  exit 3
fi

echo "no registry in reach: making a stand-in for $image of Debian bookworm and $prefix" >&2
rm -rf "$work" && mkdir -p "$work"
mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
  --include=ca-certificates,libssl3,libffi8,libsqlite3-0,libreadline8,libbz2-1.0,liblzma5,zlib1g,netbase,tzdata \
  bookworm "$work/os.tar" >&2
# Like the official image: no tests, no bytecode.
(cd "$prefix" && tar --exclude='*/site-packages/*' --exclude=__pycache__ --exclude='*/test/*' --exclude='*.a' \
  -cf "$work/python.tar" bin lib/python3.12 lib/libpython3*)
cp /etc/ssl/certs/ca-certificates.crt "$work/ca.crt"
cat >"$work/Dockerfile" <<'D'
FROM scratch
ADD os.tar /
ADD python.tar /usr/local/
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
RUN printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >/etc/pip.conf && ldconfig \
    && ln -sf python3.12 /usr/local/bin/python3 && ln -sf python3.12 /usr/local/bin/python \
    && rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /usr/share/doc /usr/share/man /usr/share/locale \
    && python3 -c 'import ssl, sqlite3, ctypes, zlib, lzma, bz2'
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
CMD ["python3"]
D
buildah bud --quiet --isolation chroot --squash --tag "$image" "$work" >/dev/null
rm -rf "$work"
