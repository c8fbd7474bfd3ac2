"""Clients that go away, at every phase of a request: what they began is abandoned, others notice nothing, nothing stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.edge.rig import Client, OriginConnection, chunk
from tests.faults.arena import Arena, eventually, gone

Phase = Callable[[Arena, Client, str], Awaitable[None]]
BIG = 64 * 2**20


async def obliging(connection: OriginConnection) -> None:
    """Behave as the last word of the target says, and then wait for the gateway to end it."""
    head = await connection.head()
    match head.first.split(b" ")[1].rpartition(b"/")[2]:
        case b"generous":  # a large answer, as fast as it is taken
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
            for _ in range(BIG // 65536):
                await connection.send(b"x" * 65536)
        case b"hesitant":  # half of a chunked answer
            await connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"first"))
    await gone(connection)


async def _nothing(arena: Arena, client: Client, path: str) -> None:
    """Only the connection."""


async def _half_a_head(arena: Arena, client: Client, path: str) -> None:
    await client.send(arena.get(path)[:-10])


async def _half_a_body(arena: Arena, client: Client, path: str) -> None:
    await client.send(arena.post(path, b"x" * 70_000, length=100_000))
    await _reached(arena, 50_000)


async def _half_a_chunk(arena: Arena, client: Client, path: str) -> None:
    head = arena.get(path, "Transfer-Encoding: chunked").replace(b"GET", b"POST", 1)
    await client.send(head + chunk(b"x" * 60_000) + b"ff\r\nx")
    await _reached(arena, 50_000)


async def _waiting(arena: Arena, client: Client, path: str) -> None:
    await client.send(arena.get(path))
    await _reached(arena, 50)


async def _reading_head(arena: Arena, client: Client, path: str) -> None:
    await client.send(arena.get(path + "hesitant"))
    await client.until(b"first")


async def _not_reading(arena: Arena, client: Client, path: str) -> None:
    """The answer stands in buffers all the way back to the upstream."""
    await client.send(arena.get(path + "generous"))
    await client.until(b"\r\n\r\n")
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]


async def _pipelining(arena: Arena, client: Client, path: str) -> None:
    """Twenty requests, the first of which is not answered."""
    await client.send(arena.get(path) * 20)
    await _reached(arena, 50)


async def _waiting_for_a_connection(arena: Arena, client: Client, path: str) -> None:
    await client.send(arena.get("/deaf/x"))


async def _reached(arena: Arena, size: int) -> None:
    """So many bytes have arrived upstream on a connection that is not finished."""
    await eventually(lambda: any(len(one.received) >= size and not one.reader.at_eof() for one in arena.wild.connections))


PHASES: list[Phase] = [
    _nothing, _half_a_head, _half_a_body, _half_a_chunk, _waiting, _reading_head, _not_reading, _pipelining,
    _waiting_for_a_connection,
]  # fmt: skip


@pytest.mark.parametrize("ending", ["resets", "closes"])
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__.strip("_"))
async def test_a_client_goes_away(arena: Arena, phase: Phase, ending: str) -> None:
    """
    Eight of them, at once.

    After an RST the upstream's connection ends too.  A FIN alone may be a client that has said all it wants to say: what it
    asked goes on for as long as the route's timeouts let it.
    """

    async def one() -> None:
        client = await arena.client()
        await phase(arena, client, "/wild/" if ending == "resets" else "/hasty/")
        client.reset() if ending == "resets" else client.close()

    arena.wild.script = obliging
    async with arena.unharmed() as others:
        await asyncio.gather(*(one() for _ in range(8)))
        await others.go_on()
        if phase is _pipelining:
            await arena.clients_are_gone()
            await arena.wild.stop()  # connections that were opened for the next request in line, and are idle now
        await eventually(lambda: arena.wild.idle)


async def test_clients_that_go_away_leave_no_memory(arena: Arena) -> None:
    """All phases in turn, until many more of them cost nothing."""
    phases = [phase for phase in PHASES if phase not in (_not_reading, _pipelining, _waiting_for_a_connection)]

    async def one(number: int) -> None:
        client = await arena.client()
        await phases[number % len(phases)](arena, client, "/wild/")
        client.reset()

    async def burst() -> None:
        for number in range(4 * len(phases)):
            await one(number)

    arena.wild.script = obliging
    async with arena.unharmed():
        assert await arena.memory_settles(burst)
        await arena.wild.stop()  # what was opened for who had left already is idle now


async def test_a_client_that_only_shut_its_sending_side_is_answered(arena: Arena) -> None:
    """It has said all it had to say, and still listens."""
    asked = asyncio.Event()

    async def script(connection: OriginConnection) -> None:
        request = await connection.request()
        await asked.wait()
        await connection.send(arena.wild.answer(request))  # type: ignore[operator]
        await gone(connection)

    arena.wild.script = script
    async with arena.unharmed():
        client = await arena.client()
        await client.send(arena.get("/wild/half"))
        client.end()
        await _reached(arena, 50)
        asked.set()
        assert (await client.response()).body == b"/wild/half "
        await client.assert_closed()
        await arena.wild.stop()
