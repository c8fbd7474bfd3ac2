"""
How a request is introduced to its upstream: who calls, in the words that the upstream knows, and by which credential.

Pure.  What a route says is written once for each caller and remembered: a request costs a look-up.  What is secret stands in
lines of bytes, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from gateway.config.model import Route as RouteSection
from gateway.errors import GatewayError, NoUpstreamCredential
from gateway.guard.permit import Permit

MAX_KNOWN = 10_000
"""Callers of a route whose lines are remembered."""

_FOR_EVER = float("inf")
_CLAIMS = {
    "client_id": b"X-Client-Id", "scope": b"X-Client-Scopes", "subject": b"X-Token-Subject", "issuer": b"X-Token-Issuer",
}  # fmt: skip

Done = Callable[[GatewayError | None], None]
"""Told once when what was waited for is there, or why it is not."""


class Source(Protocol):
    """A credential that has to be fetched, and changes."""

    watchers: list[Callable[[], None]]
    """Called when lines that were given before are no longer to be shown."""

    def line(self, now: float) -> tuple[bytes, float]:
        """The header line to show and until when; empty: `wait`.  Raises a GatewayError when there is none to be had."""

    def wait(self, done: Done) -> None:
        """Have it fetched; ``done`` is called later, once."""

    def refused(self, head: bytes, now: float) -> None:
        """The upstream said 401 to a request with this head."""

    def close(self) -> None:
        """Give up what is under way."""


class Assertions(Protocol):
    """Who can sign who calls; `gateway.authority.identity_assertions` does."""

    def write(self, audience: str, claims: Mapping[str, bytes], now: float) -> tuple[bytes, float]:
        """A JWT and until when it may be shown; empty: `wait`.  Raises a GatewayError when none is to be had."""

    def wait(self, done: Done) -> None:
        """Have what is missing fetched; ``done`` is called later, once."""

    def close(self) -> None:
        """Give up what is under way."""


Shown = bytes | Source
"""A credential: its header line, or where that comes from."""


class Introduction:
    """What the requests of one route say beside the client's own lines."""

    __slots__ = ("_assertions", "_asserts", "_by_client", "_default", "_headers", "_known", "_shows", "_sources")

    def __init__(
        self, section: RouteSection, credentials: Mapping[str, Shown], assertions: Assertions | None = None
    ) -> None:
        """``credentials`` are those that the routes show, by name; ``assertions`` are needed where a route asserts."""
        credential = section.credential
        self._shows = credential is not None
        self._default = credentials[credential.default] if credential is not None and credential.default else None
        self._by_client = {} if credential is None else {
            client: credentials[name] for client, name in credential.by_client.items()
        }  # fmt: skip
        self._sources = [shown for shown in {self._default, *self._by_client.values()} if not isinstance(shown, bytes | None)]
        for source in self._sources:
            source.watchers.append(self._forget)
        headers = section.identity.headers if section.identity is not None else None
        self._headers = None if headers is None else [(f"{name}: ".encode("ascii"), claim) for name, claim in headers.items()]
        asserted = section.identity.assertion if section.identity is not None else None
        self._asserts = None if asserted is None else (asserted.header.encode("ascii"), asserted.audience)
        assert asserted is None or assertions is not None, "somebody has to sign"
        self._assertions = assertions
        self._known: dict[bytes, tuple[float, bytes]] = {}

    def lines(self, granted: Permit, now: float) -> bytes | None:
        """
        The header lines that tell the upstream who calls, CRLF after each; the same object as long as they are the same.

        Args:
            granted: Whose request it is.
            now: Event-loop seconds.

        Returns:
            None when something has to be fetched first: `wait` for it, then ask again.

        Raises:
            NoUpstreamCredential: There is none for this client.
            UpstreamCredentialFailed, UpstreamCredentialTimeout: It could not be fetched just now.
            StoreUnavailable: There is no key to sign with.
        """
        # Whatever tells one caller from another stands in its identity: a key that has its hash already.
        known = self._known.get(granted.identity)
        if known is not None and now < known[0]:
            return known[1]
        credential, until = self._show(granted.client_id, now)
        if credential is None:
            return None
        assertion, its_until = self._assert(granted.identity, now)
        if assertion is None:
            return None
        until = min(until, its_until)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        lines = self._tell(granted.identity) + assertion + credential
        if known is not None and known[1] == lines:
            lines = known[1]
        self._known[granted.identity] = (until, lines)
        return lines

    def told(self, granted: Permit, now: float) -> bytes | None:
        """
        What another proxy may pass on to its upstream: as `lines`, without any credential.

        Returns:
            None when the key to sign with has to be fetched first: `wait_to_tell`, then ask again.

        Raises:
            StoreUnavailable: There is none.
        """
        assertion, _ = self._assert(granted.identity, now)
        return None if assertion is None else self._tell(granted.identity) + assertion

    def wait_to_tell(self, done: Done) -> None:
        """Have fetched what `told` misses; ``done`` is called later, once."""
        assert self._assertions is not None, "nothing else is waited for"
        self._assertions.wait(done)

    def wait(self, granted: Permit, now: float, done: Done) -> None:
        """Have the first thing that is missing for this caller fetched; ``done`` is called later, once."""
        source = self._of(granted.client_id) if self._shows else b""
        if not isinstance(source, bytes) and not source.line(now)[0]:
            source.wait(done)
        else:
            assert self._assertions is not None, "nothing else is waited for"
            self._assertions.wait(done)

    def refused(self, head: bytes, now: float) -> None:
        """The upstream said 401 to a request with this head: a token that was in it is not shown again."""
        for source in self._sources:
            source.refused(head, now)

    def close(self) -> None:
        """Give up what is under way."""
        for source in self._sources:
            source.close()
        if self._assertions is not None:
            self._assertions.close()

    def _forget(self) -> None:
        self._known.clear()

    def _tell(self, identity: bytes) -> bytes:
        if self._headers is None:
            return identity
        claims = claims_of(identity)
        return b"".join(b"%b%b\r\n" % (name, claims[claim]) for name, claim in self._headers if claim in claims)

    def _assert(self, identity: bytes, now: float) -> tuple[bytes | None, float]:
        """The line of the assertion and until when; None while it can't be signed yet."""
        if self._asserts is None or not identity or self._assertions is None:
            return b"", _FOR_EVER
        header, audience = self._asserts
        token, until = self._assertions.write(audience, claims_of(identity), now)
        return b"%b: %b\r\n" % (header, token) if token else None, until

    def _show(self, client_id: str, now: float) -> tuple[bytes | None, float]:
        """The line of the credential and until when; None while it has to be fetched."""
        if not self._shows:
            return b"", _FOR_EVER
        shown = self._of(client_id)
        if isinstance(shown, bytes):
            return shown, _FOR_EVER
        line, until = shown.line(now)
        return line or None, until

    def _of(self, client_id: str) -> Shown:
        shown = self._by_client.get(client_id, self._default)
        if shown is None:
            raise NoUpstreamCredential(reason=f"{client_id} is not among by_client")
        return shown


def claims_of(identity: bytes) -> dict[str, bytes]:
    """What a `Verdict`'s identity lines say, by the names that ``identity.headers`` has for it; empty without a token."""
    said = dict(line.split(b": ", 1) for line in identity.split(b"\r\n") if line)
    claims = {claim: said[name] for claim, name in _CLAIMS.items() if name in said}
    who = claims.get("subject") or claims.get("client_id")
    return claims if who is None else {**claims, "sub": who}
