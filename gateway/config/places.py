"""From what was written to what is used: absolute paths, an issuer that follows the listener, no password in a URL."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import SecretStr

from gateway.config.address import is_loopback
from gateway.config.model import Config, Credential, Issuer, Store, Upstream


def anchor(config: Config, directory: Path) -> Config:
    """Paths relative to ``directory`` become absolute."""
    store = config.store
    url = store.url
    if url.startswith("embedded:") and len(url) > len("embedded:"):
        url = f"embedded:{_absolute(directory, url.removeprefix('embedded:'))}"
    ca_file = store.ca_file and Path(_absolute(directory, store.ca_file))
    upstreams = {name: _anchor_upstream(upstream, directory) for name, upstream in config.upstreams.items()}
    issuers = {name: _anchor_issuer(issuer, directory) for name, issuer in config.issuers.items()}
    listen = config.listen
    tls = tuple(
        pair.model_copy(update={key: Path(_absolute(directory, getattr(pair, key))) for key in ("cert_file", "key_file")})
        for pair in listen.tls
    )
    client_ca_file = listen.client_ca_file and Path(_absolute(directory, listen.client_ca_file))
    listen = listen.model_copy(update={"tls": tls, "client_ca_file": client_ca_file})
    credentials = {name: _anchor_credential(credential, directory) for name, credential in config.credentials.items()}
    return config.model_copy(
        update={
            "listen": listen, "store": store.model_copy(update={"url": url, "ca_file": ca_file}), "upstreams": upstreams,
            "credentials": credentials,
            "issuers": issuers,
        }
    )


def _anchor_credential(credential: Credential, directory: Path) -> Credential:
    oauth = credential.oauth
    if oauth is None or oauth.ca_file is None:
        return credential
    oauth = oauth.model_copy(update={"ca_file": Path(_absolute(directory, oauth.ca_file))})
    return credential.model_copy(update={"oauth": oauth})


def _anchor_upstream(upstream: Upstream, directory: Path) -> Upstream:
    targets = tuple(_anchor_target(target, directory) for target in upstream.targets)
    tls = upstream.tls
    if tls is not None:
        files = {"ca_file": tls.ca_file, "cert_file": tls.cert_file, "key_file": tls.key_file}
        tls = tls.model_copy(update={key: path and Path(_absolute(directory, path)) for key, path in files.items()})
    return upstream.model_copy(update={"targets": targets, "tls": tls})


def _anchor_issuer(issuer: Issuer, directory: Path) -> Issuer:
    files = {"jwks_file": issuer.jwks_file, "ca_file": issuer.ca_file}
    return issuer.model_copy(update={key: path and Path(_absolute(directory, path)) for key, path in files.items()})


def _anchor_target(target: str, directory: Path) -> str:
    path = target.removeprefix("unix:")
    if path == target or not path or path.startswith("//") or path.endswith("/"):
        return target
    return f"unix:{_absolute(directory, path)}"


def _absolute(directory: Path, path: str | Path) -> str:
    return os.path.normpath(directory / path)


def follow_listener(config: Config) -> Config:
    """An issuer that nobody wrote is the listener's own address, where only this machine can reach it."""
    listen = config.listen
    scheme = "https" if listen.tls else "http"
    if is_loopback(listen.host) and listen.port:
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        issuer = f"{scheme}://{host}:{listen.port}"
    else:
        issuer = config.oauth.issuer.replace("http://", f"{scheme}://", 1)
    return config.model_copy(update={"oauth": config.oauth.model_copy(update={"issuer": issuer})})


def lift_credentials(config: Config) -> Config:
    """``redis://user:password@host`` keeps nothing secret in its URL, which logs may show."""
    store: Store = config.store
    if "@" not in store.url or store.url.startswith(("embedded:", "unix:")):
        return config
    parts = urlsplit(store.url)
    update = {
        "url": urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])),
        "username": unquote(parts.username) if parts.username else store.username,
        "password": SecretStr(unquote(parts.password)) if parts.password else store.password,
    }
    return config.model_copy(update={"store": store.model_copy(update=update)})
