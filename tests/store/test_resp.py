"""One connection: every reply to its own ask, also when asks are given up."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.lookup import Get
from gateway.store.resp import Connection, ConnectionGone
from tests.servers import ValkeyServer
from tests.store.proxy import fake_server

CALLS = 100_000
DEPTH = 500


def read(value: bytes) -> int:
    return int(value)


def unreadable(kind: str, reason: str) -> GatewayError:
    return StoreUnavailable(reason)


async def connect(server: ValkeyServer) -> Connection:
    loop = asyncio.get_running_loop()
    connection = Connection(loop)
    await loop.create_unix_connection(lambda: connection, str(server.socket))
    return connection


async def test_f03_a_hundred_thousand_calls_given_up_at_random_deliver_nothing_to_another(valkey: ValkeyServer) -> None:
    """CVE-2023-28858: a cancelled call's answer went to the next caller.  Every answer is counted here."""
    async with valkey.client() as client:
        await client.mset({f"k{number}": number for number in range(1000)})
    connection, dice = await connect(valkey), random.Random(28858)
    own, wrong, given_up, late = 0, 0, 0, 0

    def tell(number: int, state: list[bool], answer: object) -> None:
        nonlocal own, wrong, late
        if isinstance(answer, GatewayError):
            return
        late += state[0]
        if answer == number:
            own += 1
        else:
            wrong += 1

    for _ in range(CALLS // DEPTH):
        asks = []
        for _ in range(DEPTH):
            number, state = dice.randrange(1000), [False]
            ask = Get("token", b"k%d" % number, read, lambda answer, n=number, s=state: tell(n, s, answer), unreadable)
            connection.send(ask)
            asks.append((ask, state))
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)  # some are given up unsent, some on their way
        unanswered = set(map(id, connection.asks))
        for ask, state in asks:
            if id(ask) in unanswered and dice.random() < 0.3:
                ask.fail(StoreUnavailable())
                state[0] = True
                given_up += 1
        assert await connection.call("ECHO", "fence") == b"fence"
    await connection.ended()
    assert (own + given_up, wrong, late) == (CALLS, 0, 0)
    assert given_up > CALLS / 10


async def test_a_raising_callback_costs_the_others_nothing(valkey: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next reply still reaches its own ask."""
    connection = await connect(valkey)

    def broken(answer: object) -> None:
        raise RuntimeError("bug")

    with caplog.at_level(logging.ERROR):
        connection.send(Get("token", b"none", read, broken, unreadable))
        assert await connection.call("ECHO", "next") == b"next"
    assert [record.message for record in caplog.records] == ["store.callback_failed"]
    await connection.ended()


async def test_an_invalidation_that_fails_ends_the_connection(valkey: ValkeyServer) -> None:
    """What could not be dropped must not be believed."""
    connection = await connect(valkey)

    def broken(push: object) -> None:
        raise RuntimeError("bug")

    await connection.call("HELLO", "3")
    await connection.call("CLIENT", "TRACKING", "ON")
    await connection.call("GET", "k")
    connection.on_push = broken
    valkey.call("SET", "k", "v")
    assert await asyncio.wait_for(connection.lost, 5) == "an invalidation failed"
    await connection.ended()


async def test_a_call_on_a_connection_that_ends_is_told(valkey: ValkeyServer) -> None:
    """Before and while waiting."""
    async with fake_server(lambda words: b"") as port:
        loop = asyncio.get_running_loop()
        connection = Connection(loop)
        await loop.create_connection(lambda: connection, "127.0.0.1", port)
        for _ in range(2):
            with pytest.raises(ConnectionGone):
                await connection.call("PING")


async def test_commands_of_one_tick_leave_together(valkey: ValkeyServer) -> None:
    """One write for all: that is what makes a look-up cheap."""
    written: list[bytes] = []
    connection = await connect(valkey)
    transport = connection._transport
    assert transport is not None
    send = transport.write
    transport.write = lambda data: (written.append(bytes(data)), send(data))[1]  # type: ignore[assignment]
    assert await asyncio.gather(*(connection.call("ECHO", str(number)) for number in range(10))) == [
        b"%d" % number for number in range(10)
    ]
    assert len(written) == 1
    await connection.ended()
