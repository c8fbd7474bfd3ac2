"""
How a request is introduced to its upstream: who calls, in the words that the upstream knows, and by which credential.

Pure.  What a route says is written once for each caller and remembered: a request costs a look-up.  What is secret stands in
lines of bytes from the start of the process on, and nowhere else.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping

from gateway.config.model import Config, Credential
from gateway.config.model import Route as RouteSection
from gateway.errors import NoUpstreamCredential
from gateway.guard.permit import Permit
from gateway.routing import Route

MAX_KNOWN = 4_096
"""Callers of a route whose lines are remembered."""

_CLAIMS = {"client_id": b"X-Client-Id", "scope": b"X-Client-Scopes", "subject": b"X-Token-Subject"}


class Introduction:
    """What the requests of one route say beside the client's own lines."""

    __slots__ = ("_by_client", "_default", "_headers", "_known", "_shows")

    def __init__(self, section: RouteSection, lines: Mapping[str, bytes]) -> None:
        """``lines`` are the header lines of credentials by name, CRLF after each."""
        credential = section.credential
        self._shows = credential is not None
        self._default = lines[credential.default] if credential is not None and credential.default else None
        self._by_client = {} if credential is None else {client: lines[name] for client, name in credential.by_client.items()}
        headers = section.identity.headers if section.identity is not None else None
        self._headers = None if headers is None else [(f"{name}: ".encode("ascii"), claim) for name, claim in headers.items()]
        self._known: dict[bytes, bytes] = {}

    def lines(self, granted: Permit) -> bytes:
        """
        The header lines that tell the upstream who calls, CRLF after each; the same object as long as they are the same.

        Raises:
            NoUpstreamCredential: There is none for this client.
        """
        # Whatever tells one caller from another stands in its identity: a key that has its hash already.
        known = self._known.get(granted.identity)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[granted.identity] = self._tell(granted.identity) + self._show(granted.client_id)
        return known

    def _tell(self, identity: bytes) -> bytes:
        if self._headers is None:
            return identity
        claims = claims_of(identity)
        return b"".join(b"%b%b\r\n" % (name, claims[claim]) for name, claim in self._headers if claim in claims)

    def _show(self, client_id: str) -> bytes:
        if not self._shows:
            return b""
        line = self._by_client.get(client_id, self._default)
        if line is None:
            raise NoUpstreamCredential(reason=f"{client_id} is not among by_client")
        return line


def claims_of(identity: bytes) -> dict[str, bytes]:
    """What a `Verdict`'s identity lines say, by the names that ``identity.headers`` has for it; empty without a token."""
    said = dict(line.split(b": ", 1) for line in identity.split(b"\r\n") if line)
    claims = {claim: said[name] for claim, name in _CLAIMS.items() if name in said}
    who = claims.get("subject") or claims.get("client_id")
    return claims if who is None else {**claims, "sub": who}


def line_of(credential: Credential) -> bytes:
    """The header line of a credential that never changes, CRLF included."""
    if credential.basic is not None:
        pair = f"{credential.basic.username}:{credential.basic.password.get_secret_value()}".encode()
        return b"Authorization: Basic %b\r\n" % b64encode(pair)
    assert credential.header is not None, "the configuration has one of both"
    return f"{credential.header.name}: {credential.header.value.get_secret_value()}\r\n".encode("latin-1")


def introductions(config: Config, routes: Iterable[Route]) -> dict[Route, Introduction]:
    """Those of all routes that have one; ``routes`` are those of the configuration, in its order."""
    lines = {name: line_of(credential) for name, credential in config.credentials.items()}
    return {
        route: Introduction(section, lines)
        for route, section in zip(routes, config.routes, strict=True) if route.introduces
    }  # fmt: skip
