"""
How long a revocation takes to be heard, measured by the worker itself: a token of nobody is issued, looked up, and revoked.

The client is provisional and of a random partition, so that whatever is left when a worker dies in the middle ends by itself, and
in a cluster all primaries have their turn.  The time counts from when the revocation is sent to the store until the verdict of
the token is dropped here: longer than what anybody else's request could use it after the store's answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from os import urandom

from gateway.errors import GatewayError, StoreUnavailable
from gateway.guard.verdict import Verdict
from gateway.guard.verdicts import Verdicts
from gateway.oauth.pairs import FIRST_ENTROPY, mint_first
from gateway.oauth.ports import ClientStore, TokenStore
from gateway.oauth.records import Client, Credential
from gateway.oauth.tokens import AccessRef, mint_client_id, mint_client_key, mint_partition
from gateway.telemetry.metrics import Registry

BOUND = 5.0
"""Seconds after which a canary that nobody heard of is lost."""
LIFE_MS = 60_000
"""Life of its token."""
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

_log = logging.getLogger("gateway.canary")


class Canary:
    """One worker's."""

    def __init__(
        self, clients: ClientStore, tokens: TokenStore, verdicts: Verdicts, *, registry: Registry, clock: Callable[[], float],
        timer: Callable[[], float],
    ) -> None:  # fmt: skip
        """``clock``: the event loop's, in seconds; ``timer``: a finer one, as uvloop's counts milliseconds."""
        self._timer = timer
        self._clients = clients
        self._tokens = tokens
        self._verdicts = verdicts
        self._clock = clock
        self._lag = registry.histogram(
            "gateway_revocation_lag_seconds", "From a revocation's way to the store until it was heard of here", bounds=BOUNDS
        )
        outcome = "gateway_revocation_canaries_total"
        self._heard = registry.counter(outcome, "Tokens that were issued to be revoked", outcome="heard")
        self._lost = registry.counter(outcome, "Tokens that were issued to be revoked", outcome="lost")
        self._skipped = registry.counter(outcome, "Tokens that were issued to be revoked", outcome="skipped")

    async def run(self, interval: float) -> None:
        """A round each interval (seconds), for ever."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.fly()
            except Exception:  # the next round may find out more
                _log.exception("canary.failed")

    async def fly(self) -> float | None:
        """
        One round: the lag in seconds; None when it can't be told, because nothing is cached now or the store is away.

        One that is not heard of within `BOUND` is counted as lost: its verdict would still be believed.
        """
        partition = mint_partition(urandom(2))
        client_id = mint_client_id(partition, urandom(16))
        key = mint_client_key(partition, urandom(16))
        client = Client(client_id, "", keys=(key,))
        try:
            await self._clients.create_client(client, Credential(key, client_id, urandom(32)), provisional=True)
            try:
                return await self._measure(client, key, partition)
            finally:
                await self._clients.delete_client(client_id)
        except StoreUnavailable:
            self._skipped.value += 1
            return None

    async def _measure(self, client: Client, key: str, partition: str) -> float | None:
        _, made = mint_first(partition, urandom(FIRST_ENTROPY), refresh=False)
        await self._tokens.issue(
            client, key, made, frozenset(), access_ttl_ms=LIFE_MS, refresh_ttl_ms=LIFE_MS, max_live_chains=1
        )
        await self._look_up(made.access)
        if self._verdicts.find(made.access.digest, self._clock()) is None:
            self._skipped.value += 1  # nothing is cached at present
            return None
        heard = asyncio.Event()
        self._verdicts.expect(made.access.digest, heard.set)
        began = self._timer()
        try:
            await self._tokens.revoke_access(client.client_id, made.access)
            async with asyncio.timeout(BOUND):
                await heard.wait()
        except TimeoutError:
            self._lost.value += 1
            _log.error("canary.lost", extra={"facts": {"waited_s": BOUND}})
            return None
        finally:
            self._verdicts.expect(made.access.digest, None)
        lag = self._timer() - began
        self._heard.value += 1
        self._lag.observe(lag)
        return lag

    async def _look_up(self, ref: AccessRef) -> None:
        found: asyncio.Future[Verdict | GatewayError] = asyncio.get_running_loop().create_future()
        self._verdicts.fetch(ref, found.set_result)
        answer = await found
        if isinstance(answer, StoreUnavailable):
            raise answer
