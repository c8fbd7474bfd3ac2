"""
Tokens of other authorization servers: which of them a token can be from, and the verdicts on those that were verified.

A token goes to the one issuer that it can be from among those that its route trusts, and nowhere else: a JWT by its ``iss``,
another one by its prefix.  Our own never leave.  A verdict is found only for a route that trusts its issuer, and
`gateway.guard.permit` looks at that once more.

Verdicts are kept by digest, so many of each issuer, no longer than their verifier says and never past the token's end.  Nothing
negative is kept.  This file knows no event loop, no key and no HTTP; the `Verifier`s do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

from gateway.errors import GatewayError, InvalidToken
from gateway.guard.ports import ForeignRef, Listener, Ref
from gateway.guard.verdict import ForeignVerdict, Verdict
from gateway.oauth.access import find_access
from gateway.oauth.foreign import Holder, claimed_issuer
from gateway.oauth.tokens import AccessRef, digest_access
from gateway.telemetry.metrics import Registry

MAX_KEPT = 20_000
"""Verdicts that are kept of one issuer; one takes 0.7 kilobytes."""
_log = logging.getLogger("gateway.guard")
_OURS = (b"gwa_", b"gwi_", b"gwm_", b"gwr_", b"gws_")

VerdictDone = Callable[[Verdict | GatewayError], None]


class Checked(NamedTuple):
    """A token that is good."""

    holder: Holder
    keep: float
    """Seconds for which that may be believed."""


class Verifier(Protocol):
    """Says whether one issuer's tokens are good."""

    def check(self, ref: ForeignRef, done: Callable[[Checked | GatewayError], None]) -> None:
        """Verify; ``done`` is called exactly once, later, with `InvalidToken` or `IssuerUnavailable` when it is not."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Which tokens can be an issuer's."""

    iss: str
    """What its JWTs say."""
    takes_opaque: bool = False
    """Whether tokens that are no JWTs can be its."""
    prefix: bytes = b""
    """How those begin; empty: in any way that is nobody else's."""


class Issuer:
    """One entry of ``issuers`` at work."""

    def __init__(
        self, name: str, url: str, verifier: Verifier, *, clock: Callable[[], float], wall: Callable[[], float],
        registry: Registry, limit: int = MAX_KEPT,
    ) -> None:  # fmt: skip
        """
        Args:
            name: Its key in ``issuers``.
            url: Its identifier, which the upstream is told.
            verifier: Who knows.
            clock: The event loop's, in seconds.
            wall: Seconds since 1970.
            registry: Where it counts.
            limit: Verdicts that are kept.
        """
        self.name = name
        self._url = url
        self._verifier = verifier
        self._clock = clock
        self._wall = wall
        self._limit = limit
        self._kept: dict[bytes, ForeignVerdict] = {}
        self._asking: dict[bytes, list[VerdictDone]] = {}
        count = partial(registry.counter, "gateway_issuer_tokens_total", "Foreign tokens that were verified", issuer=name)
        self._accepted, self._refused, self._unknown = (count(outcome=o) for o in ("accepted", "refused", "unavailable"))
        self._joined = count(outcome="joined")
        registry.watch("gateway_issuer_cache_entries", "Verdicts kept", lambda: len(self._kept), issuer=name)

    def find(self, digest: bytes, now: float) -> ForeignVerdict | None:
        """The kept verdict, if it may be believed at ``now`` (event-loop seconds)."""
        verdict = self._kept.get(digest)
        return verdict if verdict is not None and now < verdict.kept_until else None

    def fetch(self, ref: ForeignRef, done: VerdictDone) -> None:
        """Verify; those who ask of one token at a time get one answer."""
        waiting = self._asking.get(ref.digest)
        if waiting is not None:
            self._joined.value += 1
            waiting.append(done)
            return
        self._asking[ref.digest] = [done]
        self._verifier.check(ref, partial(self._checked, ref.digest))

    def forget(self) -> None:
        """What was verified must be verified again: a key is gone, perhaps."""
        self._kept.clear()

    def _checked(self, digest: bytes, found: Checked | GatewayError) -> None:
        answer: Verdict | GatewayError
        if isinstance(found, GatewayError):
            (self._refused if isinstance(found, InvalidToken) else self._unknown).value += 1
            found.reason = f"issuer {self.name}: {found.reason}"
            answer = found
        else:
            self._accepted.value += 1
            answer = self._keep(digest, found)
        for done in self._asking.pop(digest):
            try:
                done(answer)
            except Exception:  # one caller's bug may not leave the others without an answer
                _log.exception("verdict.callback_failed")

    def _keep(self, digest: bytes, found: Checked) -> ForeignVerdict:
        now = self._clock()
        deadline = now + found.holder.expires_at - self._wall()
        verdict = ForeignVerdict(self.name, self._url, found.holder, deadline, min(deadline, now + found.keep))
        if len(self._kept) >= self._limit and digest not in self._kept:
            for old in list(islice(self._kept, max(1, self._limit // 100))):
                del self._kept[old]
        self._kept.pop(digest, None)  # to the end of the line
        self._kept[digest] = verdict
        return verdict


class Issuers:
    """All of them, and whose a token can be."""

    def __init__(self, issuers: Iterable[Issuer], claims: Mapping[str, Claim]) -> None:
        """``claims`` by issuer name."""
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self.names = tuple(self._issuers)
        self._claims = claims
        self._prefixes = tuple(claim.prefix for claim in claims.values() if claim.prefix)

    def find(self, trusted: Iterable[str], digest: bytes, now: float) -> Verdict | None:
        """The kept verdict on a token, by one of the issuers that a route trusts."""
        for name in trusted:
            verdict = self._issuers[name].find(digest, now)
            if verdict is not None:
                return verdict
        return None

    def find_ref(self, own: bool, trusted: Iterable[str], token: bytes) -> Ref | None:
        """
        Who can say what a token is: the store, the one issuer that it can be from, or nobody.

        Args:
            own: Whether the route takes the gateway's own tokens.
            trusted: Names of the other issuers that it trusts.
            token: As it was sent.
        """
        iss = claimed_issuer(token)
        name = self._of_jwt(trusted, iss) if iss is not None else self._of_opaque(trusted, token)
        if name:
            return ForeignRef(name, digest_access(token), token)
        return find_access(token) if own else None

    def fetch(self, ref: ForeignRef, done: VerdictDone) -> None:
        """Ask the issuer of a token; ``done`` is called later, once."""
        self._issuers[ref.issuer].fetch(ref, done)

    def _of_jwt(self, trusted: Iterable[str], iss: str) -> str:
        return next((name for name in trusted if self._claims[name].iss == iss), "")

    def _of_opaque(self, trusted: Iterable[str], token: bytes) -> str:
        if token.startswith(_OURS):
            return ""
        for prefix in self._prefixes:
            if token.startswith(prefix):
                return next((name for name in trusted if self._claims[name].prefix == prefix), "")
        return next((name for name in trusted if self._claims[name].takes_opaque and not self._claims[name].prefix), "")


class Store(Protocol):
    """What is asked of `gateway.guard.verdicts`."""

    watcher: Listener

    def find(self, digest: bytes, now: float) -> Verdict | None:
        """A confirmed verdict that is here already."""

    def fetch(self, ref: AccessRef, done: VerdictDone) -> None:
        """Ask the store; ``done`` is called later, once."""


class Lookups:
    """The gateway's own tokens and all others, for whoever has the ref of one."""

    def __init__(self, store: Store, issuers: Issuers | None) -> None:
        self._store = store
        self._issuers = issuers

    @property
    def watcher(self) -> Listener:
        """Who hears of changes in the store; what others change, nobody tells."""
        return self._store.watcher

    @watcher.setter
    def watcher(self, listener: Listener) -> None:
        self._store.watcher = listener

    def find(self, digest: bytes, now: float) -> Verdict | None:
        """A confirmed verdict that is here already."""
        found = self._store.find(digest, now)
        return found if found is not None or self._issuers is None else self._issuers.find(self._issuers.names, digest, now)

    def fetch(self, ref: Ref, done: VerdictDone) -> None:
        """Ask whoever knows; ``done`` is called later, once."""
        if isinstance(ref, AccessRef):
            self._store.fetch(ref, done)
        elif self._issuers is not None:
            self._issuers.fetch(ref, done)
