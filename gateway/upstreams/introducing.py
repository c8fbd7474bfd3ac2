"""Joins routes, credentials and their sources."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable

from gateway.config.model import Config, Credential
from gateway.config.reach import shown_names
from gateway.routing import Route
from gateway.telemetry.metrics import Registry
from gateway.upstreams.introduction import Assertions, Introduction, Shown
from gateway.upstreams.token_endpoint import TokenEndpoint
from gateway.upstreams.token_source import TokenSource


def introductions(
    config: Config, routes: Iterable[Route], registry: Registry, assertions: Assertions | None = None
) -> dict[Route, Introduction]:
    """Those of all routes that have one; ``routes`` are those of the configuration, in its order."""
    used = {name for section in config.routes for name in shown_names(section)}
    credentials = {name: _shown(name, config.credentials[name], registry) for name in sorted(used)}
    made: dict[tuple[str, str], Introduction] = {}
    found = {}
    for route, section in zip(routes, config.routes, strict=True):
        if route.introduces:
            # Routes that say the same share what is remembered, and signed, of their callers.  Only names stand in these texts.
            key = (
                section.credential.model_dump_json() if section.credential is not None else "",
                section.identity.model_dump_json() if section.identity is not None else "",
            )
            if key not in made:
                made[key] = Introduction(section, credentials, assertions)
            found[route] = made[key]
    return found


def _shown(name: str, credential: Credential, registry: Registry) -> Shown:
    if credential.oauth is None:
        return line_of(credential)
    endpoint = TokenEndpoint(credential.oauth)
    return TokenSource(name, endpoint.fetch, credential.oauth.timeout.total_seconds(), registry)


def line_of(credential: Credential) -> bytes:
    """The header line of a credential that never changes, CRLF included."""
    if credential.basic is not None:
        pair = f"{credential.basic.username}:{credential.basic.password.get_secret_value()}".encode()
        return b"Authorization: Basic %b\r\n" % b64encode(pair)
    assert credential.header is not None, "the configuration has one of them"
    return f"{credential.header.name}: {credential.header.value.get_secret_value()}\r\n".encode("latin-1")
