"""The bound of a revocation, measured by the gateway itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter

import pytest

from gateway.guard.verdicts import Verdicts
from gateway.ops import canary as canary_module
from gateway.ops.canary import Canary
from gateway.store.dial import Address
from gateway.store.handshake import Login
from gateway.store.link import VerdictLink
from gateway.telemetry.metrics import Registry
from tests.ops.running import CONFIG, Gateway
from tests.servers import ValkeyServer, wait_for
from tests.store.link_bench import until
from tests.store.stores import connected

Make = Callable[..., Gateway]


@asynccontextmanager
async def a_canary(server: ValkeyServer) -> AsyncIterator[tuple[Canary, VerdictLink, Registry]]:
    registry = Registry()
    link = VerdictLink(Address(path=str(server.socket)), Login(), prefix="gw", timeout=5.0, registry=registry)
    verdicts = Verdicts(link, clock=asyncio.get_running_loop().time, registry=registry)
    await link.start()
    try:
        async with connected(server) as stores:
            await until(lambda: link.caching)
            yield (
                Canary(
                    stores.clients, stores.tokens, verdicts, registry=registry, clock=asyncio.get_running_loop().time,
                    timer=perf_counter,
                ), link, registry,
            )  # fmt: skip
    finally:
        await link.close()


def outcomes(registry: Registry) -> dict[str, float]:
    series = registry.snapshot()["gateway_revocation_canaries_total"]["series"]
    return {label.split('"')[1]: value for label, value in series.items() if value}


async def test_a_round_tells_the_lag_and_leaves_nothing_behind(valkey: ValkeyServer) -> None:
    """No key, no list, no count."""
    async with a_canary(valkey) as (canary, _, registry):
        before = set(valkey.call("KEYS", "*"))
        lags = [await canary.fly() for _ in range(5)]
        assert all(lag is not None and 0 < lag < canary_module.BOUND for lag in lags)
        assert outcomes(registry) == {"heard": 5}
        assert sum(next(iter(registry.snapshot()["gateway_revocation_lag_seconds"]["series"].values()))[:-1]) == 5
        left = set(valkey.call("KEYS", "*")) - before
        assert all(0 < valkey.call("PTTL", key) <= 120_000 for key in left), left
        assert valkey.call("EXISTS", "gw:rs") == 0


async def test_what_was_not_heard_is_lost(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that stands and tells nothing is what nothing else would show."""
    monkeypatch.setattr(canary_module, "BOUND", 0.05)
    async with a_canary(valkey) as (canary, link, registry):
        monkeypatch.setattr(link, "_hear", lambda push: None)
        connection = link._line.connection
        assert connection is not None
        connection.on_push = lambda push: None
        assert await canary.fly() is None
        assert outcomes(registry) == {"lost": 1}


async def test_without_a_cache_or_a_store_there_is_nothing_to_tell(valkey: ValkeyServer) -> None:
    async with a_canary(valkey) as (canary, link, registry):
        link._caching = False
        assert await canary.fly() is None
        with valkey.frozen():
            flying = asyncio.create_task(canary.fly())
            await asyncio.wait((flying,), timeout=0.01)
            flying.cancel()
            await asyncio.gather(flying, return_exceptions=True)
        assert outcomes(registry) == {"skipped": 1}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_each_worker_has_one(gateway: Make, folder: Path, workers: str) -> None:
    (folder / "config.yaml").write_text(CONFIG)
    running = gateway(GATEWAY_WORKERS=workers, GATEWAY_STORE__CANARY="100ms").start()
    wait_for(lambda: running.metric('gateway_revocation_canaries_total{outcome="heard"}') >= 5)
    assert running.metric('gateway_revocation_canaries_total{outcome="lost"}') == 0
    assert running.metric("gateway_revocation_lag_seconds_count") >= 5
    assert running.events("canary.failed") == []
    assert running.end() == 0


def test_none_flies_where_it_is_off(gateway: Make, folder: Path) -> None:
    (folder / "config.yaml").write_text(CONFIG)
    running = gateway(GATEWAY_STORE__CANARY="0s").start()
    assert running.metric("gateway_revocation_lag_seconds_count") == 0
    assert running.end() == 0
