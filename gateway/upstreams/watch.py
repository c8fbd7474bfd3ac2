"""
Who of an upstream's addresses is out of service, and when it comes back.

Requests tell by what they meet (`Watch.failed`, `Watch.answered`); an ejected address comes back when its time is over and a
connection of the gateway's own succeeds, or when it answers somebody.  The last one in service stays there, since a failure at
once costs nobody anything and a try is the fastest way back; but when connections to it *hang*, it goes too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, cast

from gateway.config.model import Ejection, Health
from gateway.errors import UpstreamError, UpstreamTimeout
from gateway.upstreams import probes
from gateway.upstreams.breaker import Breaker, State
from gateway.upstreams.meters import Meters
from gateway.upstreams.pool import Pool
from gateway.upstreams.standing import Standing
from gateway.upstreams.thresholds import Thresholds

UNREACHABLE, HANGING, RESET, SILENT, SERVER_ERROR = "unreachable", "connect_timeout", "reset", "no_answer", "server_error"
"""Causes of a failure, as the log names them."""
PROBE_EVERY = 1.0
"""Seconds between two looks at an ejected address while no other one is in service."""
PROBE_TIMEOUT = 2.0
"""Seconds that such a look may take."""
JITTER = 0.15
"""Part of the interval by which checks vary, so that workers and gateways don't check at once."""

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Watch:
    """The standing of all addresses of one upstream."""

    def __init__(
        self, ejection: Ejection, health: Health | None, meters: Meters, spawn: Spawn, changed: Callable[[], None], rng: Random
    ) -> None:
        """
        Args:
            ejection: When failures take an address out.
            health: What checks there are.
            meters: Where it is counted and logged.
            spawn: Runs a probe in the background.
            changed: Called after an address went out or came back.
            rng: For the jitter of checks.
        """
        self._ejection = ejection
        self._health = health
        self._meters = meters
        self._spawn = spawn
        self._changed = changed
        self._rng = rng
        self._pools: Sequence[Pool] = ()

    def follow(self, pools: Sequence[Pool], now: float) -> None:
        """These are the addresses from now on; those that were known keep their standing."""
        self._pools = pools
        for pool in pools:
            if pool.standing is None:
                pool.standing = self._begin(now)
                pool.watching = self._ejection.server_errors

    def failed(self, pool: Pool, cause: str, now: float) -> None:
        """A request met a failure there."""
        standing = _of(pool)
        breaker = standing.breaker
        if breaker is None or breaker.state is State.EJECTED:
            return
        pool.watching = True
        if not breaker.fail() or not (cause == HANGING or any(other is not pool and not _of(other).out for other in self._pools)):
            return
        seconds = breaker.trip(now)
        standing.is_silent = cause == HANGING
        standing.probe_at = now + PROBE_EVERY
        self._meters.ejections.inc()
        self._meters.note("upstream.ejected", warn=True, target=pool.name, cause=cause, for_s=seconds)
        self._changed()
        failure = UpstreamTimeout if cause == HANGING else UpstreamError
        pool.evacuate(failure(f"{pool.name} was taken out of service: {cause}", sent=False))

    def answered(self, pool: Pool, status: int, now: float) -> None:
        """An answer began there, while `Pool.watching`."""
        breaker = _of(pool).breaker
        if breaker is None:
            return
        if status >= 500 and self._ejection.server_errors:
            self.failed(pool, SERVER_ERROR, now)
            return
        breaker.succeed()
        pool.watching = self._ejection.server_errors
        self._recover(pool, breaker, now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        alone = all(_of(pool).out for pool in self._pools)
        for pool in self._pools:
            standing = _of(pool)
            breaker = standing.breaker
            if breaker is not None and breaker.state is State.EJECTED and not standing.probing:
                if now >= (min(breaker.until, standing.probe_at) if alone else breaker.until):
                    standing.probing = True
                    self._spawn(self._probe(pool, standing, breaker))
            elif breaker is not None:
                breaker.share(now)  # one that has returned settles by time, asked for its share or not
            if self._health is not None and now >= standing.check_at and not standing.checking:
                standing.checking = True
                standing.check_at = now + self._rng.uniform(1 - JITTER, 1 + JITTER) * self._health.interval.total_seconds()
                self._spawn(self._check(pool, standing, self._health))

    def _begin(self, now: float) -> Standing:
        ejection, health = self._ejection, self._health
        breaker = Breaker(
            ejection.failures, shortest=ejection.shortest.total_seconds(), longest=ejection.longest.total_seconds(),
            ramp=ejection.ramp.total_seconds(),
        ) if ejection.failures else None  # fmt: skip
        if health is None:
            return Standing(breaker, None, 0.0)
        # The first checks are spread over a tenth of the interval.
        first = now + self._rng.uniform(0, health.interval.total_seconds() / 10)
        return Standing(breaker, Thresholds(healthy=health.healthy, unhealthy=health.unhealthy), first)

    def _recover(self, pool: Pool, breaker: Breaker, now: float) -> None:
        if breaker.state is State.EJECTED:
            breaker.recover(now)
            self._meters.note("upstream.returned", target=pool.name)
            self._changed()

    async def _probe(self, pool: Pool, standing: Standing, breaker: Breaker) -> None:
        reached = await probes.can_connect(pool.connect, PROBE_TIMEOUT)
        standing.probing = False
        now = asyncio.get_running_loop().time()
        standing.probe_at = now + PROBE_EVERY
        if breaker.state is not State.EJECTED:
            return
        if reached:
            self._recover(pool, breaker, now)
        elif now >= breaker.until:
            breaker.prolong(now)

    async def _check(self, pool: Pool, standing: Standing, health: Health) -> None:
        status = await probes.ask(pool.connect, pool.host, health.path, health.timeout.total_seconds())
        standing.checking = False
        thresholds = standing.thresholds
        if thresholds is not None and thresholds.take(passed=status in health.status):
            event = "upstream.healthy" if thresholds.healthy else "upstream.unhealthy"
            self._meters.note(event, warn=not thresholds.healthy, target=pool.name, status=status)
            self._changed()


def _of(pool: Pool) -> Standing:
    return cast(Standing, pool.standing)  # `Watch.follow` gave it one
