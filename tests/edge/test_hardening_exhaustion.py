"""Table X of hardening.md, against the data plane: what one stranger, or two hundred slow ones, can use up."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from gateway.edge import pace
from tests.edge.rig import OK, Client, OriginConnection, Rig, chunk, get, post
from tests.edge.test_streaming import EdgeProcess, process

__all__ = ["process"]  # a fixture

KIB, MIB = 2**10, 2**20


# --- slowhttptest's three, beside a client that behaves ---------------------------------------------------------------------

Slow = Callable[[Rig], Awaitable[None]]


async def _trickle(client: Client, piece: bytes) -> None:
    """Send a little now and then until the gateway has had enough."""
    with suppress(ConnectionError):
        while not client.writer.transport.is_closing():
            await client.send(piece)
            await asyncio.sleep(0.05)


async def _slow_sender(rig: Rig, begin: bytes, more: bytes) -> None:
    client = await rig.client()
    await client.send(begin)
    trickling = asyncio.create_task(_trickle(client, more))
    assert (await client.response()).status == 408
    with suppress(EOFError):
        await client.rest()
    client.close()
    trickling.cancel()
    await asyncio.gather(trickling, return_exceptions=True)


async def slow_head(rig: Rig) -> None:
    """-H: a header line now and then."""
    await _slow_sender(rig, b"GET /public/x HTTP/1.1\r\nHost: gw\r\n", b"X-a: b\r\n")


async def slow_body(rig: Rig) -> None:
    """-B: a byte of a large body now and then."""
    await _slow_sender(rig, post("/slow/x", b"a", length=8192), b"a")


async def slow_reader(rig: Rig) -> None:
    """-X: a large answer through a tiny window, a few bytes at a time."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock, suppress(ConnectionError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", rig.port))
        await loop.sock_sendall(sock, get("/slow/large"))
        while await loop.sock_recv(sock, 256):  # noqa: ASYNC110 - this is how slow it is
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("slow", "count"), [(slow_head, 200), (slow_body, 200), (slow_reader, 40)])
async def test_x01_x02_x03_slow_clients_are_let_go_and_disturb_nobody(
    unstarted: Rig, slow: Slow, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """slowhttptest -H, -B, -X: each of them is cut off, and all the while every request of somebody else is answered."""
    monkeypatch.setattr(pace, "GRACE", 0.5)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * MIB) + bytes(8 * MIB)

    async def serve(connection: OriginConnection) -> None:
        while True:
            head = await connection.head()
            await connection.body(head)
            await connection.send(large if b"/slow/large" in head.raw else OK)

    rig = unstarted
    rig.origin.script = serve
    impatient = {"min_body_rate": "1MiB", "timeouts": {"between_bytes": "500ms"}}
    routes = [{"path": path, "upstream": "a", "public": True, **more} for path, more in (("/slow/", impatient), ("/public/", {}))]
    await rig.start(routes=routes, listen={"head_timeout": "700ms"}, backlog=512)
    attack = [asyncio.create_task(slow(rig)) for _ in range(count)]
    good, served = await rig.client(), 0
    most = 0
    while not all(task.done() for task in attack):
        assert (await good.ask(get("/public/good"))).status == 200
        served += 1
        most = max(most, rig.edge.connections)
        await asyncio.sleep(0.002)
    await asyncio.gather(*attack)
    assert most > count // 2  # they were there together
    assert served > 20
    good.close()
    await rig.eventually(lambda: rig.edge.connections == 0)
    await rig.eventually(lambda: rig.edge.groups["a"].pools[0].open <= 2)


# --- bodies without an end ---------------------------------------------------------------------------------------------------


async def connect(rig: Rig, to: EdgeProcess) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", to.port, limit=1 << 24))
    rig._clients.append(client)
    return client


async def test_x05_ten_gibibytes_are_413_at_the_head(unstarted: Rig, process: EdgeProcess) -> None:
    """Where Content-Length tells; the upstream hears of nothing."""
    client = await connect(unstarted, process)
    answer = await client.ask(get("/limited/x", f"Content-Length: {10 * 2**30}", method="POST"))
    assert (answer.status, answer.one("connection")) == (413, b"close")
    assert unstarted.origin.bytes_seen == b""


async def test_x05_a_chunked_body_is_413_at_the_limit_and_costs_no_memory(unstarted: Rig, process: EdgeProcess) -> None:
    """However much the client goes on to send; the upstream sees no end of it, and its connection ends."""
    ended = asyncio.Event()
    seen = 0

    async def drain(connection: OriginConnection) -> None:
        nonlocal seen
        while data := await connection.reader.read(MIB):
            seen += len(data)
        ended.set()

    unstarted.origin.script = drain
    client = await connect(unstarted, process)
    before = process.memory("VmRSS")
    piece = chunk(bytes(64 * KIB))
    await client.send(get("/limited/x", "Transfer-Encoding: chunked", method="POST"))
    await client.send(*[piece] * (MIB // (64 * KIB) + 1))
    assert (await client.response()).status == 413
    sent = 0
    with suppress(ConnectionError):
        while sent < 64 * MIB:
            await client.send(piece)
            sent += len(piece)
    await asyncio.wait_for(ended.wait(), 5)
    assert seen <= MIB + 64 * KIB
    assert sent < 64 * MIB
    assert process.memory("VmHWM") - before < 4 * MIB


# --- queries of death --------------------------------------------------------------------------------------------------------

CLIENTS = 30
SMALL = b"GET /public/x HTTP/1.1\r\nHost: g\r\n\r\n"
QUERIES = {
    "unfinished, a long target": b"GET /public/" + b"a" * 7900 + b" HTTP/1.1\r\nHost: gw\r\nX: " + b"b" * 2200,
    "unfinished, many lines": b"GET /public/x HTTP/1.1\r\nHost: gw\r\n" + b"X: y\r\n" * 98 + b"Z: " + b"z" * 8000,
    "95 header lines": get("/public/x", *[f"X-{n}: {'v' * 90}" for n in range(95)]),
    "a long query": get("/public/x?" + "&".join(["a=%41"] * 1300)),
    "many segments": get("/public/" + "/".join(["a%C3%A9"] * 900)),
    "a long path to nowhere": get("/nowhere/" + "%C3%A9" * 1300),
    "300 pipelined": (SMALL * 300)[: 10 * KIB],
    "280 pipelined refusals": SMALL.replace(b"public", b"nowhere") * 280,
    "1,600 chunks": get("/public/x", "Transfer-Encoding: chunked", method="POST") + chunk(b"a") * 1600,
    "extensions": get("/public/x", "Transfer-Encoding: chunked", method="POST") + b"1;" + b"a" * 1000 + b"\r\na\r\n",
    "a petabyte announced": post("/public/x", b"a" * 10 * KIB, length=2**50),
    "1,200 names in Connection": get("/public/x", "Connection: " + ", ".join(f"x{n}" for n in range(1200))),
    "800 proxies": get("/public/x", "X-Forwarded-For: " + "1.1.1.1, " * 800 + "1.1.1.1"),
    "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00" + bytes(10 * KIB),
    "nothing but line ends": b"\r\n" * 5000,
    "NULs": b"\0" * 10 * KIB,
}  # fmt: skip


async def test_x13_ten_kibibytes_cost_less_than_a_mebibyte_and_end_no_worker(unstarted: Rig, process: EdgeProcess) -> None:
    """A hundredfold at most, from clients that read nothing and stay; and the next one is served."""
    unstarted.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000
    good = await connect(unstarted, process)
    for name, query in QUERIES.items():
        for _ in range(20):
            assert (await good.ask(get("/public/x"))).status == 200
        process.forget_peak()
        before = process.memory("VmRSS")
        clients = [await connect(unstarted, process) for _ in range(CLIENTS)]
        for client in clients:
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            with suppress(ConnectionError):
                await client.send(query)
        for _ in range(20):
            assert (await good.ask(get("/public/x"))).status == 200, name
        grown = (process.memory("VmHWM") - before) / CLIENTS
        assert grown < MIB, name
        assert process.is_running, name
        print(f"{name}: {grown / KIB:.0f} KiB")
        for client in clients:
            client.reset()


# --- descriptors ---------------------------------------------------------------------------------------------------------------


async def test_f26_without_a_descriptor_for_the_upstream_a_request_is_503_at_once(unstarted: Rig, process: EdgeProcess) -> None:
    """Nothing waits or spins for one, the target is not blamed, and with descriptors again all is well."""
    client = await connect(unstarted, process)
    assert (await client.ask(get("/nowhere"))).status == 404
    limit = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    taken = set(os.listdir(f"/proc/{process.pid}/fd"))
    lowest = next(number for number in range(len(taken) + 1) if str(number) not in taken)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (lowest, limit[1]))
    try:
        for _ in range(30):
            answer = await client.ask(get("/public/x"))
            assert (answer.status, answer.problem["code"], answer.one("retry-after")) == (503, "overloaded", b"1")
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, limit)
    assert (await client.ask(get("/public/x"))).status == 200


# --- logs ----------------------------------------------------------------------------------------------------------------------

NASTY: list[tuple[bytes, int]] = [
    (get("/public/x", "User-Agent: " + "u" * 2**20), 431),
    (get("/public/x", "User-Agent: a\x1b[2J\x07"), 400),
    (get("/public/x%0a%7B%22event%22%3A%22request%22%7D"), 400),
    (get("/public/x\x1b[2J"), 400),
    (get("/public/" + "a" * 8000), 200),
    (get("/nowhere/" + "a" * 8000), 404),
    (get("/public/%E2%80%A8%C2%9B2J%22%7D"), 200),
    (b"P\xffST /public/x HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
]


async def test_x14_whatever_was_asked_is_one_short_line_of_json(rig: Rig) -> None:
    """No header is logged, a path is cut, and nothing of it is a control character."""
    for message, status in NASTY:
        client = await rig.client()
        with suppress(ConnectionError):
            await client.send(message)
        answer = await client.response()
        assert answer.status == status, message[:60]
        client.close()
    await rig.eventually(lambda: rig.edge.connections == 0)
    rig.logged()
    written: bytes = os.pread(rig.log.fileno(), 1 << 20, 0)
    lines: list[Any] = [json.loads(line) for line in written.splitlines()]
    assert [line["status"] for line in lines] == [status for _, status in NASTY]
    assert max(map(len, written.splitlines())) < 1024
    assert not any(byte < 0x20 and byte != 0x0A for byte in written)
    assert b"uuuu" not in written
