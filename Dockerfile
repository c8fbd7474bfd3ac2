# The gateway with its embedded store, for linux/amd64 and linux/arm64.  How to run it: deploy/container/README.md.
# A release pins the base by digest: --build-arg BASE=docker.io/library/python:3.12-slim-bookworm@sha256:…
ARG BASE=docker.io/library/python:3.12-slim-bookworm

FROM ${BASE} AS build
WORKDIR /src
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The lock first: a change of our own code reuses this layer.
COPY requirements/run.lock requirements/
RUN pip install --require-hashes --only-binary=:all: -r requirements/run.lock
COPY LICENSE README.md pyproject.toml ./
COPY gateway gateway
# What only builds goes again; `pip check` proves that nothing is missed.
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes --quiet hatchling editables pathspec pluggy trove-classifiers \
    && pip check \
    && pip uninstall --yes --quiet pip

FROM ${BASE}
# The base holds no bytecode of the standard library, and a read-only root could not keep it: compile it once, here.
RUN python -m compileall -q -x '/(test|tests|idlelib|lib2to3|tkinter|turtledemo|ensurepip|pydoc_data|site-packages)/' /usr/local/lib/python3.12 \
    && groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway \
    && install -d -o 10001 -g 10001 -m 0700 /data
COPY deploy/container/config.yaml /etc/gateway/config.yaml
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 GATEWAY_CONFIG=/etc/gateway/config.yaml
# Numeric, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]
CMD ["serve"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="OAuth2 gateway" \
      org.opencontainers.image.description="A reverse-proxy gateway that enforces OAuth2 in front of legacy APIs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
