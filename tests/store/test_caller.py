"""Over redis-py: the same errors as over the wire, and nothing of what a server says beyond a code."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.caller import NoScript, RedisCaller, refusal
from gateway.store.connect import MAX_CONNECTIONS
from tests.servers import ValkeyServer
from tests.store.stores import pooled, register


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        ("READONLY You can't write against a read only replica.", "READONLY"),
        ("ERR user_script:12: CORRUPT:client script: 0123, on @user_script:12.", "corrupt client record"),
        ("ERR unknown command 'X', with args beginning with: 'secret'", "ERR"),
        ("secret", "unexpected reply"),
        ("", "unexpected reply"),
    ],
)
def test_only_the_code_of_an_error_is_told(text: str, reason: str) -> None:
    assert refusal(text).reason == reason


def test_a_missing_script_is_told_apart() -> None:
    assert isinstance(refusal("NOSCRIPT No matching script."), NoScript)


async def test_f09_errors_over_redis_py(valkey: ValkeyServer) -> None:
    valkey.call("RPUSH", "list", "x")
    async with valkey.client() as redis:
        caller = RedisCaller(redis)
        with pytest.raises(NoScript):
            await caller.call("EVALSHA", "0" * 40, 0)
        with pytest.raises(StoreUnavailable) as caught:
            await caller.call("GET", "list")
        assert caught.value.reason == "WRONGTYPE"
        with pytest.raises(StoreUnavailable) as caught:
            await caller.call("EVAL", "error('CORRUPT:token')", 0)
        assert caught.value.reason == "corrupt token record"


async def test_a_burst_waits_for_a_connection(valkey: ValkeyServer) -> None:
    async with pooled(valkey, timeout="30s") as stores:
        client = await register(stores)
        found = await asyncio.gather(*(stores.clients.find_client(client.id) for _ in range(300)))
        assert {one.client_id for one in found if one} == {client.id}
        assert valkey.call("INFO", "clients")["connected_clients"] <= MAX_CONNECTIONS + 1
        assert await stores.clients.now_ms() > 0
