"""
The keys of one issuer: fetched before they are old, and once more when a token names one that is not there.

One fetch at a time, for all who wait, and never more often than `gateway.guard.refreshing` allows: random key ids are no way to
have us flood the issuer.  While fetches fail, the keys that are here go on, for ``max_stale``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import ceil

from gateway.errors import GatewayError, InvalidToken, IssuerUnavailable
from gateway.guard.refreshing import Refreshing
from gateway.issuers.fetching import FetchFailed
from gateway.oauth.key_sets import Key, KeySet, read_key_set
from gateway.telemetry.metrics import Registry

MAX_WAITING = 1_000
"""Tokens that wait for one fetch: their clients may have gone, and others come."""

_log = logging.getLogger("gateway.issuers")


class KeyRing:
    """The keys of one issuer."""

    def __init__(
        self, name: str, load: Callable[[], Awaitable[bytes]], times: Refreshing, *, on_removal: Callable[[], None],
        registry: Registry,
    ) -> None:  # fmt: skip
        """
        Args:
            name: The issuer's.
            load: Gives the JWK set; raises `FetchFailed` or ValueError.
            times: When it is fetched.
            on_removal: Called when a key is no longer there.
            registry: Where it counts.
        """
        self._name = name
        self._load = load
        self._times = times
        self._on_removal = on_removal
        self._keys: KeySet | None = None
        self._waiting: list[Callable[[], None]] = []
        self._fetching: asyncio.Task[None] | None = None
        help_text = "Fetches of an issuer's keys, by outcome"
        self._fetched = registry.counter("gateway_issuer_key_fetches_total", help_text, issuer=name, outcome="ok")
        self._failed = registry.counter("gateway_issuer_key_fetches_total", help_text, issuer=name, outcome="failed")
        registry.watch("gateway_issuer_keys", "Keys that verify its tokens", lambda: len(self._keys or ()), issuer=name)

    def start(self, now: float) -> None:
        """Fetch the keys in the background, so that the first token finds them; ``now`` in event-loop seconds."""
        self._fetch(now)

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def find(self, kid: str | None, algorithm: str, now: float) -> Key | None:
        """The key that a token names, if it is here; keys that are old are fetched anew meanwhile."""
        if self._times.is_due(now):
            self._fetch(now)
        if self._keys is None or not self._times.is_good(now):
            return None
        return self._keys.find(kid, algorithm)

    def wait(self, done: Callable[[], None], now: float) -> bool:
        """Have ``done`` called once the keys were fetched, well or not; False when they just were, or too many wait."""
        if len(self._waiting) >= MAX_WAITING or (self._fetching is None and not self._times.may_fetch(now)):
            return False
        self._waiting.append(done)
        self._fetch(now)
        return True

    def refusal(self, now: float) -> GatewayError:
        """Why there is no such key: it is none of the issuer's, or nobody can know."""
        if self._times.is_good(now) and not self._times.is_failing and self._fetching is None:
            return InvalidToken(reason="kid")
        return IssuerUnavailable("keys", retry_after=max(1, ceil(self._times.wait(now))))

    def _fetch(self, now: float) -> None:
        if self._fetching is None:
            self._times.began(now)
            self._fetching = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        try:
            keys = read_key_set(await self._load())
            if not len(keys):
                raise ValueError("no key that verifies signatures")
        except Exception as error:  # whatever it is, who waits gets an answer, and it is tried again
            known = isinstance(error, FetchFailed | ValueError)
            facts = {"issuer": self._name, "reason": str(error) if known else type(error).__name__}
            self._failed.value += 1
            self._times.failed()
            _log.warning("issuer.keys_failed", exc_info=None if known else error, extra={"facts": facts})
        else:
            self._take(keys)
        finally:
            self._fetching = None
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done()

    def _take(self, keys: KeySet) -> None:
        self._fetched.value += 1
        self._times.succeeded(asyncio.get_running_loop().time())
        before, self._keys = self._keys, keys
        if before is None or before.named != keys.named:
            _log.info("issuer.keys_changed", extra={"facts": {"issuer": self._name, "keys": len(keys)}})
        if before is not None and not before.named <= keys.named:
            self._on_removal()
