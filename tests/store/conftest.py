"""The contract's three servers: an emulation, Valkey, and Debian's redis-server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.servers import ValkeyServer, fake_redis
from tests.store.stores import Stores, connected, stores_on


@pytest.fixture(params=["fakeredis", "valkey", "debian_redis"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    """Both ports, on each kind of server in turn."""
    if request.param == "fakeredis":
        redis = fake_redis()
        yield stores_on(redis)
        await redis.aclose()
    else:
        async with connected(request.getfixturevalue(request.param)) as real:
            yield real


@pytest.fixture
async def real_stores(valkey: ValkeyServer) -> AsyncIterator[Stores]:
    """Both ports on Valkey, for claims that only a real server can bear out."""
    async with connected(valkey) as real:
        yield real
