"""The wire on real servers and on misbehaving ones: own answers, in time, and nothing sent twice."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.store import wire as wire_module
from gateway.store.caller import NoScript
from gateway.store.dial import Address
from gateway.store.handshake import Login
from gateway.store.script import Script
from gateway.store.wire import Wire
from gateway.telemetry.metrics import Registry
from tests.servers import ValkeyServer
from tests.store.link_bench import PATIENT, until
from tests.store.proxy import Proxy, fake_server

TIMEOUT = 0.4
CALLS = 160_000
DEPTH = 400


@asynccontextmanager
async def a_wire(
    address: Address, login: Login | None = None, *, timeout: float = PATIENT, registry: Registry | None = None
) -> AsyncIterator[Wire]:
    wire = Wire(address, login or Login(), timeout=timeout, registry=registry or Registry())
    await wire.start()
    try:
        yield wire
    finally:
        await wire.close()


def unix(server: ValkeyServer) -> Address:
    return Address(path=str(server.socket))


async def reason(call: asyncio.Future[Any]) -> str:
    """Of a call that must fail."""
    with pytest.raises(StoreUnavailable) as caught:
        await call
    return caught.value.reason


def in_flight(wire: Wire) -> int:
    """Commands that were sent and have no answer."""
    return 0 if wire._line.connection is None else len(wire._line.connection.asks)


def dropped(wire: Wire) -> None:
    """Lose the connection, from our side."""
    assert wire._line.connection is not None
    wire._line.connection.drop("test")


@pytest.fixture(params=["valkey", "debian_redis"])
def server(request: pytest.FixtureRequest) -> ValkeyServer:
    """Both kinds of server, emptied."""
    found: ValkeyServer = request.getfixturevalue(request.param)
    return found


# --- answers -----------------------------------------------------------------------------------------------------------


async def test_replies_are_plain_values(server: ValkeyServer) -> None:
    """Over the unix socket and over TCP; commands wait until the connection stands."""
    server.call("SET", "k", "v")
    for address in (unix(server), Address("127.0.0.1", server.port)):
        async with a_wire(address) as wire:
            assert not wire.up
            assert await wire.call("GET", "k") == b"v"
            assert await wire.call("GET", b"none") is None
            assert await wire.call("MGET", "k", "none") == [b"v", None]
            assert await wire.call("EVAL", "return {1, false, ARGV[1]}", 0, 7) == [1, None, b"7"]


async def test_a_script_that_the_server_lacks(server: ValkeyServer) -> None:
    """EVALSHA says so without doing anything, `Script` sends it in full then, and by its digest the next time."""
    async with a_wire(unix(server)) as wire:
        with pytest.raises(NoScript):
            await wire.call("EVALSHA", "0" * 40, 0)
        release = Script("release_username")
        for _ in range(2):
            assert await release(wire, [b"gw:cm:{a}"], ["claim"]) == 0
        await wire.call("SCRIPT", "FLUSH")
        assert await release(wire, [b"gw:cm:{a}"], ["claim"]) == 0


async def test_f03_callers_that_go_away_shift_no_answer(valkey: ValkeyServer) -> None:
    """CVE-2023-28858, counted: of 160,000 calls 100,000 are cancelled at any moment, and every answer is its caller's own."""
    async with valkey.client() as client:
        await client.mset({f"k{number}": number for number in range(1000)})
    dice, right, cancelled = random.Random(28858), 0, 0
    async with a_wire(unix(valkey)) as wire:

        async def ask(number: int) -> None:
            nonlocal right
            assert await wire.call("GET", f"k{number}") == b"%d" % number
            right += 1

        for _ in range(CALLS // DEPTH):
            tasks = [asyncio.ensure_future(ask(dice.randrange(1000))) for _ in range(DEPTH)]
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)
            for task in dice.sample(tasks, DEPTH * 2 // 3):
                task.cancel()
            for answer in await asyncio.gather(*tasks, return_exceptions=True):
                assert answer is None or isinstance(answer, asyncio.CancelledError), repr(answer)
                cancelled += answer is not None
        assert await wire.call("ECHO", "last") == b"last"
    assert right + cancelled == CALLS // DEPTH * DEPTH
    assert cancelled >= 100_000


# --- a server that is away ---------------------------------------------------------------------------------------------


async def test_f02_a_frozen_server_costs_each_call_its_budget_at_most(valkey: ValkeyServer) -> None:
    """In time, then at once; nothing piles up; and all is well after its return."""
    registry = Registry()
    async with a_wire(unix(valkey), timeout=TIMEOUT, registry=registry) as wire:
        await until(lambda: wire.up)
        with valkey.frozen():
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert await reason(wire.call("GET", "k")) == "the store is silent"
            assert loop.time() - began > TIMEOUT / 2
            depth = in_flight(wire)
            for _ in range(1000):
                failed = wire.call("GET", "k")
                assert failed.done()
                assert await reason(failed) == "the store is silent"
            assert in_flight(wire) == depth
            await until(lambda: not wire.up)  # two seconds of silence
        await until(lambda: wire.up)
        assert await wire.call("ECHO", "back") == b"back"
    series = registry.snapshot()
    assert sum(series["gateway_store_calls_failed_total"]["series"].values()) == 1001
    assert sum(series["gateway_store_calls_total"]["series"].values()) == 1002


async def test_a_late_answer_reaches_nobody(valkey: ValkeyServer) -> None:
    """Given up, the command stays in the queue until its answer has passed."""
    valkey.call("MSET", *(word for number in range(50) for word in (f"k{number}", number)))
    async with a_wire(unix(valkey), timeout=TIMEOUT) as wire:
        await until(lambda: wire.up)
        with valkey.frozen():
            calls = [wire.call("GET", f"k{number}") for number in range(50)]
            assert {await reason(call) for call in calls} == {"the store is silent"}
        await until(lambda: in_flight(wire) == 0)
    async with a_wire(unix(valkey)) as wire:
        assert await asyncio.gather(*(wire.call("GET", f"k{number}") for number in range(50))) == [
            b"%d" % number for number in range(50)
        ]


async def test_what_may_have_been_sent_is_not_sent_again(valkey: ValkeyServer) -> None:
    """Whether a script has run is unknown then."""
    async with a_wire(unix(valkey)) as wire:
        await until(lambda: wire.up)
        with valkey.frozen():
            calls = [wire.call("INCR", "n") for _ in range(50)]
            await asyncio.sleep(0)
            dropped(wire)
            assert {await reason(call) for call in calls} == {"the connection was lost"}
        before = int(await wire.call("GET", "n") or 0)
        assert before in (0, 50)
        assert await wire.call("INCR", "n") == before + 1


async def test_what_was_not_sent_yet_is_sent_once(valkey: ValkeyServer) -> None:
    """In the tick of the loss: the next connection has it."""
    async with a_wire(unix(valkey)) as wire:
        await until(lambda: wire.up)
        calls = [wire.call("INCR", "n") for _ in range(50)]
        calls[3].cancel()
        dropped(wire)
        assert [await call for call in calls if not call.cancelled()] == list(range(1, 50))
        assert await wire.call("GET", "n") == b"49"


@pytest.mark.parametrize("how", ["CLIENT KILL", "restart", "kill -9"])
async def test_f01_a_lost_connection_comes_back(valkey: ValkeyServer, how: str) -> None:
    """Calls made meanwhile wait for it."""
    async with a_wire(unix(valkey)) as wire:
        await until(lambda: wire.up)
        first = wire._line.connection
        if how == "CLIENT KILL":
            valkey.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        elif how == "restart":
            valkey.stop()
        else:
            valkey.kill()
        await until(lambda: wire._line.connection is not first)
        waiting = wire.call("ECHO", "waited")
        if how != "CLIENT KILL":
            await asyncio.to_thread(valkey.start)
        assert await waiting == b"waited"


async def test_f01_a_server_that_was_never_there(valkey: ValkeyServer) -> None:
    """Refused in time, then at once; up without a restart when it comes."""
    valkey.stop()
    try:
        async with a_wire(unix(valkey), timeout=TIMEOUT) as wire:
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert await reason(wire.call("GET", "k")) == "the connection is down"
            await until(lambda: loop.time() - began > TIMEOUT)
            failed = wire.call("GET", "k")
            assert failed.done()
            assert await reason(failed) == "the connection is down"
            await asyncio.to_thread(valkey.start)
            await until(lambda: wire.up)
    finally:
        if not valkey.running:
            valkey.start()


async def test_a_black_hole_is_left(valkey: ValkeyServer) -> None:
    """Nothing comes, not even the end of the connection: it is given up, also when nobody calls."""
    proxy = await Proxy(valkey.socket).start()
    try:
        async with a_wire(Address("127.0.0.1", proxy.port), timeout=TIMEOUT) as wire:
            await until(lambda: wire.up)
            proxy.swallow(on=True)
            await until(lambda: not wire.up)
            proxy.swallow(on=False)
            await until(lambda: wire.up)
    finally:
        await proxy.close()


async def test_closing_fails_what_waits(valkey: ValkeyServer) -> None:
    """On its way, and not even sent."""
    async with a_wire(unix(valkey)) as wire:
        await until(lambda: wire.up)
        with valkey.frozen():
            sent = wire.call("GET", "k")
            await wire.close()
        assert await reason(sent) == "the connection was lost"
        assert await reason(wire.call("GET", "k")) == "the connection is down"
    async with a_wire(Address(path="/nowhere")) as wire:
        waits = wire.call("GET", "k")
        await wire.close()
        assert await reason(waits) == "the gateway is stopping"


async def test_commands_in_flight_are_bounded(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_module, "MAX_IN_FLIGHT", 100)
    async with a_wire(unix(valkey)) as wire:
        await until(lambda: wire.up)
        with valkey.frozen():
            calls = [wire.call("ECHO", "in") for _ in range(100)]
            assert await reason(wire.call("ECHO", "too many")) == "too many commands in flight"
        assert await asyncio.gather(*calls) == [b"in"] * 100


# --- refusals ----------------------------------------------------------------------------------------------------------


async def test_an_error_reply_is_told_by_its_code_only(server: ValkeyServer) -> None:
    """The next reply is the next caller's."""
    server.call("RPUSH", "list", "x")
    async with a_wire(unix(server)) as wire:
        wrong, unknown, right = wire.call("GET", "list"), wire.call("NONSENSE", "secret"), wire.call("ECHO", "right")
        assert await reason(wrong) == "WRONGTYPE"
        assert await reason(unknown) == "ERR"
        assert await right == b"right"
        assert await reason(wire.call("EVAL", "error('CORRUPT:token')", 0)) == "corrupt token record"


async def test_f06_out_of_memory_and_read_only(valkey: ValkeyServer) -> None:
    async with a_wire(unix(valkey)) as wire:
        try:
            valkey.call("CONFIG", "SET", "maxmemory", "1")
            assert await reason(wire.call("EVAL", "redis.call('SET', KEYS[1], 'v')", 1, "k")) == "OOM"
            valkey.call("CONFIG", "SET", "maxmemory", "0", "min-replicas-to-write", "1")
            assert await reason(wire.call("EVAL", "redis.call('SET', KEYS[1], 'v')", 1, "k")) == "NOREPLICAS"
        finally:
            valkey.call("CONFIG", "SET", "maxmemory", "0", "min-replicas-to-write", "0")
        assert await wire.call("EVAL", "return redis.call('SET', KEYS[1], 'v')", 1, "k") == b"OK"


@pytest.mark.parametrize("code", ["LOADING", "MASTERDOWN", "READONLY", "MISCONF", "NOAUTH", "NOPERM", "CLUSTERDOWN", "MOVED"])
async def test_f05_every_refusal_is_an_outage(caplog: pytest.LogCaptureFixture, code: str) -> None:
    """Whatever else the server says, it stays out of errors and log."""

    def answer(words: list[bytes]) -> bytes:
        return b"+OK\r\n" if words[0] in (b"CLIENT", b"HELLO") else f"-{code} secret\r\n".encode()

    with caplog.at_level(logging.DEBUG):
        async with fake_server(answer) as port, a_wire(Address("127.0.0.1", port)) as wire:
            assert await reason(wire.call("GET", "k")) == code
            assert wire.up
    assert "secret" not in repr([vars(record) for record in caplog.records])


async def test_a_server_out_of_step_is_left() -> None:
    """After one reply too many no later one could be trusted."""
    replies = iter([b"$1\r\na\r\n$1\r\nb\r\n"])

    def answer(words: list[bytes]) -> bytes:
        return next(replies, b"$1\r\nc\r\n") if words[0] == b"GET" else b"+OK\r\n"

    async with fake_server(answer) as port, a_wire(Address("127.0.0.1", port)) as wire:
        assert await wire.call("GET", "k") == b"a"
        await until(lambda: not wire.up)
        assert await wire.call("GET", "k") == b"c"


# --- who we are --------------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(valkey: ValkeyServer) -> ValkeyServer:
    """A server with an ACL user that may read below gw: and run scripts."""
    valkey.call("ACL", "SETUSER", "gateway", "reset", "on", ">pass-word", "~gw:*", "+get", "+evalsha", "+eval")
    return valkey


async def test_a_user_with_few_rights_is_enough(guarded: ValkeyServer) -> None:
    """Neither CLIENT nor PING is needed."""
    guarded.call("SET", "gw:k", "v")
    async with a_wire(unix(guarded), Login("gateway", "pass-word")) as wire:
        assert await wire.call("GET", "gw:k") == b"v"
        assert await reason(wire.call("GET", "other")) == "NOPERM"


async def test_a_wrong_password_is_an_outage_and_is_not_logged(guarded: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with a_wire(unix(guarded), Login("gateway", "wrong-pass-word"), timeout=TIMEOUT) as wire:
            assert await reason(wire.call("GET", "gw:k")) == "the connection is down"
    facts = [record.facts for record in caplog.records if record.message == "wire.not_connected"]  # type: ignore[attr-defined]
    assert [fact["reason"] for fact in facts] == ["WRONGPASS"]
    assert "pass-word" not in repr([vars(record) for record in caplog.records])


async def test_another_database(valkey: ValkeyServer) -> None:
    async with a_wire(unix(valkey), Login(database=3)) as wire:
        await wire.call("SET", "k", "v")
    assert valkey.call("DBSIZE") == 0
    assert valkey.call("INFO", "keyspace")["db3"]["keys"] == 1
