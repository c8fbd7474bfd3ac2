"""From ``issuers`` of the configuration to what verifies their tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config.address import is_loopback
from gateway.config.issuer_rules import url_fault
from gateway.config.model import Config, Introspection
from gateway.config.model import Issuer as Section
from gateway.errors import GatewayError
from gateway.guard.issuers import Checked, Claim, Issuer, Issuers, Verifier
from gateway.guard.ports import ForeignRef
from gateway.guard.refreshing import PAUSE, Refreshing
from gateway.issuers.fetching import Fetcher, FetchFailed
from gateway.issuers.introspection import Introspector
from gateway.issuers.jwts import JwtVerifier
from gateway.issuers.key_ring import KeyRing
from gateway.oauth.discovery import find_jwks_uri, metadata_urls
from gateway.oauth.foreign import Rules, claimed_issuer
from gateway.oauth.key_sets import MAX_DOCUMENT
from gateway.telemetry.metrics import Registry

_TIMEOUT = 2.5
"""Seconds for one document; two or three of them lead to the keys, and the edge waits no longer than 10."""

Load = Callable[[], Awaitable[bytes]]


class Installed:
    """The issuers of a worker, and what they hold open."""

    def __init__(self, config: Config, registry: Registry, *, pause: float = PAUSE) -> None:
        """``pause``: seconds between two fetches of an issuer's keys."""
        self._registry = registry
        self._pause = pause
        self._fetchers: list[Fetcher] = []
        self._rings: list[KeyRing] = []
        self._introspectors: list[Introspector] = []
        clock = asyncio.get_running_loop().time
        found = [self._build(name, section, clock) for name, section in config.issuers.items()]
        self.issuers = Issuers(found, {name: claim_of(section) for name, section in config.issuers.items()})

    def start(self) -> None:
        """Fetch all keys in the background: the gateway starts whether their issuers answer or not."""
        for ring in self._rings:
            ring.start(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """End all that is under way."""
        for ring in self._rings:
            await ring.close()
        for introspector in self._introspectors:
            await introspector.close()
        for fetcher in self._fetchers:
            await fetcher.close()

    def _build(self, name: str, section: Section, clock: Callable[[], float]) -> Issuer:
        def forget() -> None:
            issuer.forget()

        asked = section.introspection
        introspector = None if asked is None else self._introspect(name, section, asked)
        if asked is None or introspector is None:
            verifier: Verifier = self._verify(name, section, forget)
        else:
            verifier = introspector if asked.jwts else Either(self._verify(name, section, forget), introspector)
        issuer = Issuer(name, section.issuer, verifier, clock=clock, wall=time.time, registry=self._registry)
        return issuer

    def _verify(self, name: str, section: Section, forget: Callable[[], None]) -> JwtVerifier:
        refresh = section.refresh.total_seconds()
        ring = KeyRing(
            name, load_from(section, self._fetcher(section, _TIMEOUT)),
            Refreshing(refresh, section.max_stale.total_seconds(), pause=self._pause), on_removal=forget, registry=self._registry,
        )  # fmt: skip
        self._rings.append(ring)
        return JwtVerifier(rules_of(section), ring, refresh, wall=time.time)

    def _introspect(self, name: str, section: Section, asked: Introspection) -> Introspector:
        fetcher = self._fetcher(section, asked.timeout.total_seconds(), asked.max_concurrent)
        introspector = Introspector(name, asked, rules_of(section), fetcher, wall=time.time, registry=self._registry)
        self._introspectors.append(introspector)
        return introspector

    def _fetcher(self, section: Section, timeout: float, connections: int = 1) -> Fetcher:
        fetcher = Fetcher(section.ca_file, timeout=timeout, connections=connections)
        self._fetchers.append(fetcher)
        return fetcher


class Either:
    """An issuer whose JWTs are verified by its keys, while it is asked about its other tokens."""

    def __init__(self, jwts: Verifier, others: Verifier) -> None:
        self._jwts = jwts
        self._others = others

    def check(self, ref: ForeignRef, done: Callable[[Checked | GatewayError], None]) -> None:
        """Verify; ``done`` is called later."""
        (self._others if claimed_issuer(ref.token) is None else self._jwts).check(ref, done)


def claim_of(section: Section) -> Claim:
    """Which tokens can be its."""
    asked = section.introspection
    return Claim(section.issuer, asked is not None, (asked.prefix or "").encode("ascii") if asked is not None else b"")


def rules_of(section: Section) -> Rules:
    """What its tokens must say."""
    return Rules(
        issuer=section.issuer, audience=frozenset(section.audience), algorithms=frozenset(section.algorithms),
        types=frozenset(name.lower() for name in section.token_types), scope_claims=section.scope_claims,
        client_claim=section.client_claim, leeway=section.leeway.total_seconds(),
    )  # fmt: skip


def load_from(section: Section, fetcher: Fetcher) -> Load:
    """How its keys are found."""
    file, uri = section.jwks_file, section.jwks_uri
    if file is not None:
        return lambda: _read(file)
    if uri is not None:
        return lambda: fetcher.get(uri)
    return lambda: _discover(section.issuer, fetcher)


async def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_DOCUMENT + 1)
    except OSError as error:
        raise FetchFailed(f"jwks_file: {error.strerror}") from None


async def _discover(issuer: str, fetcher: Fetcher) -> bytes:
    """The keys, by the metadata of either kind; the first that are the issuer's count."""
    failed = ""
    for url in metadata_urls(issuer):
        try:
            uri = find_jwks_uri(await fetcher.get(url), issuer)
        except (FetchFailed, ValueError) as error:
            failed = f"metadata: {error}"
        else:
            _check_place(uri, issuer)
            return await fetcher.get(uri)
    raise FetchFailed(failed)


def _check_place(uri: str, issuer: str) -> None:
    """Metadata of an issuer elsewhere lead nowhere on this machine."""
    message = url_fault(uri)
    if message or (urlsplit(uri).scheme == "http" and not is_loopback(urlsplit(issuer).hostname or "")):
        raise FetchFailed("metadata: a jwks_uri that is not https")
