"""Clients that send or read slowly: what they may hold, how long, and that nobody else waits for them (X01, X02, X03, X08)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from typing import Any

import pytest

from gateway.edge import pace
from gateway.edge.downstream import Downstream
from tests.edge.frames import echo, hello, text
from tests.edge.rig import OK, Client, OriginConnection, Rig, chunk, get, post, post_chunked

MIB = 2**20
UVLOOP_READ = 256_000
"""Most bytes that uvloop gives in one piece (UV_STREAM_RECV_BUF_SIZE)."""


def a_route(path: str = "/slow/", **more: Any) -> dict[str, Any]:
    return {"path": path, "upstream": "a", "public": True, **more}


@pytest.fixture
def little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The minimum rate counts almost at once."""
    monkeypatch.setattr(pace, "GRACE", 0.1)


async def silent(connection: OriginConnection) -> None:
    """Reads everything, says nothing."""
    await connection.rest()


@asynccontextmanager
async def trickling(client: Client, piece: bytes) -> AsyncIterator[None]:
    """Send a little again and again, while the block runs."""

    async def send() -> None:
        while True:
            await client.send(piece)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# --- heads --------------------------------------------------------------------------------------------------------------


async def test_x01_the_head_has_the_time_that_the_configuration_says(unstarted: Rig) -> None:
    """From its first byte on, however many follow."""
    rig = await unstarted.start(listen={"head_timeout": "200ms"})
    client = await rig.client()
    await client.send(b"GET /public/x HTTP/1.1\r\n")
    async with trickling(client, b"X: y\r\n"):
        answer = await client.response()
    assert (answer.status, answer.one("connection")) == (408, b"close")


async def test_x01_who_says_nothing_after_connecting_is_let_go(unstarted: Rig) -> None:
    """Without a word; keepalive is for those who were answered once, and counts anew after each answer."""
    rig = await unstarted.start(listen={"head_timeout": "100ms"})
    mute, served = await rig.client(), await rig.client()
    await served.assert_kept()
    await mute.assert_closed()
    await served.assert_kept()


async def test_an_idle_connection_has_the_time_that_the_configuration_says(unstarted: Rig) -> None:
    rig = await unstarted.start(listen={"keepalive": "100ms"})
    client = await rig.client()
    await client.assert_kept()
    await client.assert_closed()


# --- bodies -------------------------------------------------------------------------------------------------------------

BODIES = [
    pytest.param(post("/slow/x", b"a", length=100_000), b"a", id="by length"),
    pytest.param(post_chunked("/slow/x", b"a", last=False), chunk(b"a"), id="X08: chunks of one byte"),
    pytest.param(post("/slow/x", b"", length=100_000), b"", id="nothing at all"),
]  # fmt: skip


@pytest.mark.usefixtures("little_grace")
@pytest.mark.parametrize(("message", "more"), BODIES)
async def test_x02_a_body_that_comes_too_slowly_is_408(unstarted: Rig, message: bytes, more: bytes) -> None:
    """Single bytes do not keep it; what the upstream had of it is cut off."""
    rig = await unstarted.start(routes=[a_route(min_body_rate="1MiB")])
    rig.origin.script = silent
    client = await rig.client()
    await client.send(message)
    async with trickling(client, more):
        answer = await client.response()
    assert (answer.status, answer.problem["code"], answer.one("connection")) == (408, "request_timeout", b"close")
    await rig.eventually(lambda: rig.edge.groups["a"].pools[0].open == 0)


@pytest.mark.usefixtures("little_grace")
async def test_x02_a_body_that_is_fast_enough_may_take_longer_than_the_grace(unstarted: Rig) -> None:
    rig = await unstarted.start(routes=[a_route(min_body_rate="50B")])
    client = await rig.client()
    began = asyncio.get_running_loop().time()
    await client.send(post("/slow/x", b"", length=5_000))
    while asyncio.get_running_loop().time() < began + 3 * pace.GRACE:
        await client.send(b"a" * 100)
        await asyncio.sleep(0.01)
    sent = len(client.received)
    assert sent == 0
    await client.send(b"a" * 5_000)
    assert (await client.response()).status == 200


@pytest.mark.usefixtures("little_grace")
async def test_x02_a_rate_of_zero_asks_for_none(unstarted: Rig) -> None:
    rig = await unstarted.start(routes=[a_route(min_body_rate="0B")])
    client, down = await rig.connected()
    await client.send(post("/slow/x", b"", length=2))
    await rig.eventually(lambda: down._exchange is not None and down._exchange.up is not None)
    assert down.deadline > asyncio.get_running_loop().time() + 10


@pytest.mark.usefixtures("little_grace")
async def test_x02_on_a_route_with_streams_its_idle_counts_in_place_of_the_rate(unstarted: Rig) -> None:
    """A client that streams up says something now and then; silence is another thing."""
    rig = await unstarted.start(routes=[a_route(min_body_rate="1GiB", streams={"idle": "500ms"})])
    client, down = await rig.connected()
    await client.send(post("/slow/x", b"a", length=3))
    loop = asyncio.get_running_loop()
    await rig.eventually(lambda: down._exchange is not None and down._exchange.up is not None)
    assert down.deadline > loop.time() + pace.GRACE + 0.2
    answer = await client.response()
    assert (answer.status, answer.problem["code"]) == (408, "request_timeout")


@pytest.mark.usefixtures("little_grace")
async def test_x02_while_the_upstream_reads_nothing_the_time_is_not_the_client_s(unstarted: Rig) -> None:
    """It would send at once if it could; in the end the upstream is too slow."""
    rig = await unstarted.start(routes=[a_route(min_body_rate="1GiB", timeouts={"between_bytes": "500ms"})])
    ended = asyncio.Event()

    async def deaf(connection: OriginConnection) -> None:
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await ended.wait()

    rig.origin.script = deaf
    client = await rig.client()
    sending = asyncio.create_task(client.send(post("/slow/x", b"a" * 32 * MIB)))
    assert (await client.response()).status == 504
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    ended.set()


@pytest.mark.usefixtures("little_grace")
async def test_x02_once_the_answer_has_begun_a_body_may_trickle(unstarted: Rig) -> None:
    """A full-duplex exchange is bounded by silence, not by its rate."""
    rig = await unstarted.start(routes=[a_route(min_body_rate="1MiB")])

    async def echo(connection: OriginConnection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n")
        for _ in range(40):
            await connection.send(await connection.exactly(1))

    rig.origin.script = echo
    client = await rig.client()
    await client.send(post("/slow/x", b"a", length=40))
    await client.until(b"\r\n\r\na")
    for _ in range(39):
        await client.send(b"a")
        assert await client.exactly(1) == b"a"
        await asyncio.sleep(0.01)


async def test_x08_many_chunks_of_one_byte_pass_in_turns(rig: Rig) -> None:
    """They cost time, but nobody else waits for all of them: between two turns the event loop serves others."""
    content = b"a" * 50_000
    client, down = await rig.connected()
    await client.assert_kept()
    down.data_received(post_chunked("/public/x", *([b"a"] * len(content))))
    assert down._read_paused  # there is more of it than one turn takes
    other = await rig.client()
    await other.assert_kept()
    assert (await client.response()).status == 200
    assert sorted(len(request.body) for request in rig.origin.requests) == [0, 0, len(content)]
    await client.assert_kept()


async def test_x08_chunks_that_wait_for_their_turn_go_on_to_the_authority_too(rig: Rig) -> None:
    """Its bodies are whole before they are sent."""
    client = await rig.client()
    assert (await client.ask(post_chunked("/v1/oauth/token", *([b"a"] * 30_000)), "POST")).status == 200
    assert rig.authority.requests[0].body == b"a" * 30_000


# --- readers ------------------------------------------------------------------------------------------------------------


async def small_window(rig: Rig) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", rig.port))
    return sock


def large(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)


async def test_x03_a_reader_below_the_minimum_rate_is_cut(unstarted: Rig) -> None:
    """It never stops, so silence alone would never end it; the upstream is not blamed."""
    rig = await unstarted.start(routes=[a_route(min_body_rate="4MiB", timeouts={"between_bytes": "200ms"})])
    rig.origin.answer = large(24 * MIB)
    loop = asyncio.get_running_loop()
    got = 0
    with closing(await small_window(rig)) as sock, suppress(ConnectionResetError):
        await loop.sock_sendall(sock, get("/slow/x"))
        async with asyncio.timeout(5):
            while piece := await loop.sock_recv(sock, 4096):
                got += len(piece)
                await asyncio.sleep(0.02)
    assert 0 < got < 24 * MIB
    await rig.eventually(lambda: rig.edge.connections == 0)
    assert rig.logged()[-1]["refusal"] == "client_timeout"


@pytest.mark.usefixtures("little_grace")
async def test_x03_slow_readers_give_way_to_others_who_need_their_connections(unstarted: Rig) -> None:
    """They hold all there are, and would for a minute."""
    rig = await unstarted.start(routes=[a_route()], upstream={"max_connections": 3})
    rig.origin.answer = lambda request: large(24 * MIB) if request.target == b"/slow/large" else OK
    readers = [await rig.connected() for _ in range(3)]
    for client, down in readers:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(get("/slow/large"))
        await rig.eventually(lambda down=down: down.write_paused)
    assert (await (await rig.client()).ask(get("/slow/x"))).status == 200
    await rig.eventually(lambda: rig.edge.groups["a"].pools[0].open <= 3)


@pytest.mark.usefixtures("little_grace")
async def test_x03_nobody_is_hurried_without_need(unstarted: Rig) -> None:
    """A player with a full buffer goes on when it likes, and so do its deadlines."""
    rig = await unstarted.start(routes=[a_route()])
    rig.origin.answer = large(24 * MIB)
    client, down = await rig.connected()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(get("/slow/large"))
    await rig.eventually(lambda: down.write_paused)
    first = down.deadline
    await rig.eventually(lambda: down.deadline > first)
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    head = await client.until(b"\r\n\r\n")
    assert b" 200 " in head
    assert len(await client.exactly(24 * MIB)) == 24 * MIB
    await rig.eventually(lambda: down._exchange is None)


@pytest.mark.parametrize("framing", ["Content-Length: 67108864", "Transfer-Encoding: chunked"])
async def test_x03_no_more_than_256_kib_wait_for_a_client(rig: Rig, framing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apart from what the kernel holds; the rest waits where it is made."""
    piece = bytes(MIB) if "Length" in framing else chunk(bytes(MIB))
    most = 0

    async def serve(connection: OriginConnection) -> None:
        await connection.request()
        connection.writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        for _ in range(64):
            connection.writer.write(piece)
            await connection.writer.drain()
        await connection.rest()

    rig.origin.script = serve
    client, down = await rig.connected()
    write = Downstream.write_body

    def watched(connection: Downstream, *args: Any, **more: Any) -> None:
        nonlocal most
        write(connection, *args, **more)
        most = max(most, connection.transport.get_write_buffer_size())

    monkeypatch.setattr(Downstream, "write_body", watched)
    await client.send(get("/public/x"))
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await rig.eventually(lambda: down.write_paused)
    for _ in range(200):
        await asyncio.sleep(0)
    assert 0 < most <= 256 * 1024
    assert down.transport.get_write_buffer_limits()[1] + UVLOOP_READ <= 256 * 1024  # the worst that can come together


# --- all of it ----------------------------------------------------------------------------------------------------------


async def no_answer(connection: OriginConnection) -> None:
    await connection.request()
    await connection.rest()


async def half_an_answer(connection: OriginConnection) -> None:
    await connection.request()
    while True:
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf" if connection.read_to else b"")
        for _ in range(1000):
            await connection.send(b"a")
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "message", "status"),
    [
        pytest.param(no_answer, get("/slow/x"), 504, id="no answer"),
        pytest.param(silent, post("/slow/x", b"half", length=10), 408, id="the body is what is missing"),
    ],
)
async def test_the_whole_exchange_has_an_end(
    unstarted: Rig, script: Callable[[OriginConnection], Any], message: bytes, status: int
) -> None:
    """timeouts.total, though no single phase has taken too long."""
    rig = await unstarted.start(routes=[a_route(timeouts={"total": "150ms"})])
    rig.origin.script = script
    client = await rig.client()
    assert (await client.ask(message)).status == status
    await rig.eventually(lambda: not rig.edge._ends)
    assert rig.edge.groups["a"].pools[0]._idle == []


async def test_an_answer_that_is_longer_than_the_whole_is_cut(unstarted: Rig) -> None:
    """Though it never stops coming."""
    rig = await unstarted.start(routes=[a_route(timeouts={"total": "200ms"})])
    rig.origin.script = half_an_answer
    client = await rig.client()
    await client.send(get("/slow/x"))
    body = (await client.rest()).partition(b"\r\n\r\n")[2]
    assert body.startswith(b"half")
    assert len(body) < 1000
    await rig.eventually(lambda: rig.edge.connections == 0)
    assert rig.logged()[-1]["refusal"] == "gateway_timeout"


async def test_waiting_for_a_connection_counts_into_the_whole(unstarted: Rig) -> None:
    routes = [a_route(timeouts={"total": "150ms"}), a_route("/holds/")]
    rig = await unstarted.start(routes=routes, upstream={"max_connections": 1})
    rig.origin.script = no_answer
    first, second = await rig.client(), await rig.client()
    await first.send(get("/holds/x"))
    await rig.eventually(lambda: rig.edge.groups["a"].pools[0].open == 1)
    assert (await second.ask(get("/slow/x"))).status == 504


async def test_a_tunnel_is_beyond_the_whole(unstarted: Rig) -> None:
    """What ``timeouts.total`` bounds is the way to the 101."""
    rig = await unstarted.start(routes=[a_route(timeouts={"total": "150ms"}, streams={})])
    rig.origin.script = echo
    client = await rig.client()
    await client.send(hello("/slow/x"))
    assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    await rig.eventually(lambda: not rig.edge._ends)
    await client.send(text(b"still here"))
    assert await client.exactly(len(text(b"still here"))) == text(b"still here")
    rig.origin.script = no_answer
    late = await rig.client()
    await late.send(hello("/slow/x"))
    assert (await late.response()).status == 504


async def test_an_exchange_that_ends_in_time_is_forgotten(unstarted: Rig) -> None:
    """Its end is not the next request's, and nothing is kept of it."""
    rig = await unstarted.start(routes=[a_route(timeouts={"total": "1h"})])
    client = await rig.client()
    for _ in range(3):
        assert (await client.ask(get("/slow/x"))).status == 200
    assert len(rig.edge._ends) <= 3
    await rig.eventually(lambda: not rig.edge._ends)
