"""What a mode does beside serving: look at the store before, and after it meanwhile."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import AsyncIterator
from typing import cast

import pytest
from redis.asyncio import Redis

from gateway import modes
from gateway.config.model import Config, Store
from gateway.errors import Unavailable
from gateway.store.embedded import EmbeddedStore
from tests.servers import ValkeyServer


@pytest.fixture
async def redis(valkey: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of a server of the test's own settings."""
    client = Redis(unix_socket_path=str(valkey.socket))
    yield client
    await client.config_set("maxmemory-policy", "noeviction")
    await client.config_set("maxmemory", "0")
    await client.aclose()


EVICTING = ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"]


@pytest.mark.parametrize("policy", EVICTING)
async def test_f07_a_store_that_evicts_is_refused(redis: Redis, policy: str) -> None:
    """It could end clients, which nobody can register again with the same secrets; whether its memory is bounded yet or not."""
    await redis.config_set("maxmemory-policy", policy)
    with pytest.raises(Unavailable) as caught:
        await modes.reach(Config(store=Store(url="redis://u:secret@h")), redis)
    said = str(caught.value)
    assert policy in said
    assert "set maxmemory-policy noeviction there, or store.allow_eviction: true" in said
    assert "secret" not in said


async def test_f07_who_says_so_may_use_a_store_that_evicts(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    """With one warning."""
    await redis.config_set("maxmemory-policy", "volatile-ttl")
    with caplog.at_level(logging.WARNING, "gateway.app"):
        assert await modes.reach(Config(store=Store(url="redis://h", allow_eviction=True)), redis)
    assert [record.msg for record in caplog.records] == ["store.evicts"]


async def test_f07_noeviction_passes_without_a_word(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    await redis.config_set("maxmemory", "100mb")
    with caplog.at_level(logging.WARNING, "gateway.app"):
        assert await modes.reach(Config(store=Store(url="redis://h")), redis)
    assert not caplog.records


class Dead:
    """An embedded store that can't be started at first."""

    running = False
    pid = 7

    def __init__(self, faults: int) -> None:
        self._faults = faults

    def start_begin(self) -> None:
        self._faults -= 1
        if self._faults >= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.running = True


async def test_f24_whatever_keeps_the_store_down_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not end the watch over it."""
    monkeypatch.setattr(modes, "_WATCH", 0.01)
    monkeypatch.setattr(modes, "_MAX_PAUSE", 0.01)
    store = Dead(2)
    watch = asyncio.create_task(modes._keep_running(cast(EmbeddedStore, store)))
    try:
        async with asyncio.timeout(5):
            while not store.running:
                await asyncio.sleep(0.005)
                assert not watch.done()
    finally:
        watch.cancel()
