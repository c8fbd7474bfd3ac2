"""An upstream's trouble stays that upstream's: whatever it does, others are served and nothing of it is left behind."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

import pytest

from tests.edge.rig import OriginConnection, Script, chunk
from tests.faults.arena import Arena, Outcome, eventually, eventually_async, gone

HEAD = b"HTTP/1.1 200 OK\r\n"
BY_LENGTH = HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 50_000
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 50_000)
WHOLE = HEAD + b"Content-Length: 2\r\n\r\nok"
STRAY = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


def says(*pieces: bytes, then: str = "waits") -> Script:
    """Read a request and send these bytes; then wait for the gateway to end it, ``close``, ``end`` half of it, or ``reset``."""

    async def script(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(*pieces)
        if then != "waits":
            {"closes": connection.close, "ends": connection.end, "resets": connection.reset}[then]()
        await gone(connection)

    return script


async def never_reads(connection: OriginConnection) -> None:
    """The request stays in the kernel's buffers."""
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.Event().wait()


async def drips(connection: OriginConnection) -> None:
    """A byte now and then, each well before `HASTY` is over, and no end."""
    await connection.request()
    await connection.send(HEAD + b"Content-Length: 10\r\n\r\n")
    for _ in range(5):
        await asyncio.sleep(0.05)
        await connection.send(b"x")
    await gone(connection)


@dataclass(frozen=True)
class Fault:
    """What an upstream does, and what its clients then see."""

    name: str
    script: Script
    outcome: Outcome
    path: str = "/wild/"


FAULTS = [
    Fault("F12-reset-in-length", says(BY_LENGTH, then="resets"), "cut"),
    Fault("F12-reset-in-chunks", says(CHUNKED, then="resets"), "cut"),
    Fault("F12-half-close-in-length", says(BY_LENGTH, then="ends"), "cut"),
    Fault("F12-half-close-in-chunks", says(CHUNKED, then="ends"), "cut"),
    Fault("F12-close-in-chunks", says(CHUNKED, then="closes"), "cut"),
    Fault("F12-reset-before-answer", says(then="resets"), 502),
    Fault("F12-half-close-before-answer", says(then="ends"), 502),
    Fault("F12-close-in-head", says(HEAD[:9], then="closes"), 502),
    Fault("F13-garbage", says(bytes(range(256)) * 300), 502),
    Fault("F13-garbage-in-chunks", says(CHUNKED, b"\r\nzz\r\n"), "cut"),
    Fault("F13-two-framings", says(HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 502),
    Fault("F13-two-lengths", says(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk"), 502),
    Fault("F13-endless-head", says(HEAD, *[b"X: y\r\n" * 1000] * 30), 502),
    Fault("F13-nul", says(HEAD + b"X: a\0b\r\nContent-Length: 2\r\n\r\nok"), 502),
    Fault("F14-stray-answer", says(WHOLE + STRAY), 200),
    Fault("F14-unsolicited-101", says(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + STRAY), 502),
    Fault("F14-interim-flood", says(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000 + WHOLE), 502),
    Fault("F10-no-answer", says(), 504, "/hasty/"),
    Fault("F10-refused", says(), 502, "/refused/"),
    Fault("F10-accepts-nothing", says(), 504, "/deaf/"),
    Fault("slow-in-head", says(HEAD[:12]), 504, "/hasty/"),
    Fault("slow-in-length", says(BY_LENGTH), "cut", "/hasty/"),
    Fault("slow-in-chunks", says(CHUNKED), "cut", "/hasty/"),
    Fault("slow-drip-that-stops", drips, "cut", "/hasty/"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_is_answered_and_stays_its_own(arena: Arena, fault: Fault) -> None:
    """Thirty requests meet it, ten at a time; then the same upstream is well again and serves."""
    arena.wild.script = fault.script
    slow = fault.outcome == 504 or fault.path == "/hasty/"
    async with arena.unharmed():
        for turn in range(1 if slow else 3):
            found = await arena.outcomes(arena.get(f"{fault.path}{turn}/{number}") for number in range(10))
            assert found == [fault.outcome] * 10
        await eventually(lambda: arena.wild.idle)
    arena.wild.script = arena.wild.serve
    again = await arena.ask(arena.get("/wild/again"))
    assert (again.status, again.body) == (200, b"/wild/again ")


async def test_f14_nobody_gets_an_answer_that_came_unasked(arena: Arena) -> None:
    """An idle connection says something: it is ended, and the next request takes another."""

    async def script(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(WHOLE)
        await connection.send(STRAY)
        await gone(connection)

    arena.wild.script = script
    async with arena.unharmed():
        for number in range(50):
            answer = await arena.ask(arena.get(f"/wild/{number}"))
            assert (answer.status, answer.body) == (200, b"ok")
    assert len(arena.wild.connections) == 50


async def test_s17_an_answer_before_the_request_is_whole(arena: Arena) -> None:
    """It is passed on, the client is read no further, and neither connection is used again."""

    async def script(connection: OriginConnection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await gone(connection)

    arena.wild.script = script
    async with arena.unharmed():
        found = await arena.outcomes(arena.post(f"/wild/{n}", b"x" * 1000, length=100_000) for n in range(20))
        assert found == [413] * 20
        await eventually(lambda: arena.wild.idle)
        assert len(arena.wild.connections) == 20


async def test_f27_an_upstream_that_never_reads_stops_its_clients_and_nothing_grows(arena: Arena) -> None:
    """Each of ten offers 64 MiB; the gateway takes what kernel buffers and its own few KiB hold, and gives up in time."""
    arena.wild.script = never_reads
    piece = b"x" * 2**20
    sent = [0] * 10

    async def offer(number: int) -> None:
        client = await arena.client()
        await client.send(arena.post(f"/hasty/{number}", b"", length=64 * 2**20))
        try:
            while sent[number] < 64 * 2**20:
                client.writer.write(piece)
                await client.writer.drain()
                sent[number] += len(piece)
        except ConnectionError:  # the answer is out, but more than 1 MiB of a refused body is not waited for
            pass

    silent = 'gateway_requests_total{route="/hasty/",code="504"}'
    answered = await asyncio.to_thread(arena.gateway.metric, silent)
    before = await asyncio.to_thread(arena.gateway.memory)
    async with arena.unharmed():
        offers = asyncio.gather(*(offer(number) for number in range(10)))
        await eventually(lambda: len(arena.wild.connections) == 10)
        await offers
        assert await asyncio.to_thread(arena.gateway.metric, silent) == answered + 10
        assert sum(sent) < 10 * 32 * 2**20
        assert await asyncio.to_thread(arena.gateway.memory) - before < 10 * 2**20


async def test_one_that_refuses_among_three_costs_no_get(arena: Arena) -> None:
    """F17: nothing was sent to it, so another one is asked."""
    async with arena.unharmed():
        found = await arena.outcomes(arena.get(f"/one-dead/{number}") for number in range(60))
        assert found == [200] * 60
    assert len(arena.second.requests) + len(arena.third.requests) == 60


@pytest.mark.parametrize("script", [says(then="resets"), says(then="closes"), says()], ids=["resets", "closes", "hangs"])
async def test_one_dead_among_three_is_left_out_and_comes_back(arena: Arena, script: Script) -> None:
    """
    It accepts and then fails: after a few requests it gets next to none, and once it is well it has its share again.

    While it is out one request now and then finds out about it; that one may fail, and no other.
    """
    arena.wild.script = script
    async with arena.unharmed():
        await eventually_async(lambda: _left_out(arena))
        tried, began = len(arena.wild.connections), time.monotonic()
        found = [await arena.outcome(arena.get(f"/three/{number}")) for number in range(30)]
        tried = len(arena.wild.connections) - tried
        assert found.count(200) >= 30 - tried
        assert tried <= 1 + (time.monotonic() - began)
        arena.wild.script = arena.wild.serve
        await eventually_async(lambda: _well_again(arena))
        await arena.wild.stop()


async def _left_out(arena: Arena) -> bool:
    """Ten requests in a row are served, and the dead one has seen none of them."""
    had = len(arena.wild.connections)
    found = [await arena.outcome(arena.get("/three/x")) for _ in range(10)]
    return found == [200] * 10 and len(arena.wild.connections) == had


async def _well_again(arena: Arena) -> bool:
    had = len(arena.wild.requests)
    found = [await arena.outcome(arena.get("/three/x")) for _ in range(9)]
    return found == [200] * 9 and len(arena.wild.requests) == had + 3


async def test_memory_stays_flat_whatever_upstreams_do(arena: Arena) -> None:
    """Faults drawn by lot: buffers may grow at first, but in the end four hundred requests more cost less than 150 KB."""
    rng = random.Random(9112)
    quick = [fault for fault in FAULTS if fault.path == "/wild/"]

    async def script(connection: OriginConnection) -> None:
        await rng.choice(quick).script(connection)

    arena.wild.script = script
    async with arena.unharmed():
        assert await arena.memory_settles(lambda: arena.outcomes(arena.get(f"/wild/{number}") for number in range(40)))
