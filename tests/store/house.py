"""A worker's end of a store: the verdict link with its cache, and the rest of the connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.config.model import Store
from gateway.errors import GatewayError
from gateway.guard.verdict import Verdict
from gateway.guard.verdicts import Verdicts
from gateway.oauth.ports import NewTokens
from gateway.store.cluster import ClusterLink
from gateway.store.facts import reach_store
from gateway.store.link import VerdictLink
from gateway.telemetry.metrics import Registry
from tests.store.link_bench import once, until
from tests.store.stores import Stores, stores_on


@dataclass
class House:
    """What a worker has."""

    link: VerdictLink | ClusterLink
    verdicts: Verdicts
    stores: Stores

    def find(self, pair: NewTokens) -> Verdict | None:
        """What the cache has."""
        return self.verdicts.find(pair.access.digest, asyncio.get_running_loop().time())

    async def fetch(self, pair: NewTokens) -> Verdict | GatewayError:
        """What the store says."""
        found: Verdict | GatewayError = await once(self.verdicts.fetch, pair.access)
        return found


@asynccontextmanager
async def a_house(url: str, *, keeps_stale: bool = False, durability: str = "local") -> AsyncIterator[House]:
    """Connected as a worker connects, and caching."""
    registry = Registry()
    reached = reach_store(Store.model_validate({"url": url, "durability": durability}), socket_path=None, registry=registry)
    verdicts = Verdicts(reached.link, clock=asyncio.get_running_loop().time, registry=registry, keeps_stale=keeps_stale)
    connections = [one for one in (reached.link, reached.wire, reached.waiting) if one is not None]
    for one in connections:
        await one.start()
    try:
        await until(lambda: reached.link.caching)
        yield House(reached.link, verdicts, stores_on(None, reached.changes))  # type: ignore[arg-type]
    finally:
        for one in connections:
            await one.close()
