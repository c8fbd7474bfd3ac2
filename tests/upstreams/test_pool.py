"""Connections to upstreams: reuse, stale ones, limits, several targets."""

from __future__ import annotations

import asyncio
import random
import socket

import pytest

from gateway.upstreams import pool as pool_module
from gateway.upstreams.ports import ProtocolFactory
from tests.edge.rig import OK, Origin, OriginConnection, Rig, get, post
from tests.servers import free_port


def the_pool(rig: Rig) -> pool_module.Pool:
    return rig.edge.groups["a"].pools[0]


async def test_a_connection_is_reused(rig: Rig) -> None:
    """Over requests and clients; never by two at once."""
    for _ in range(3):
        client = await rig.client()
        await client.assert_kept()
    assert len(rig.origin.connections) == 1
    clients = [await rig.client() for _ in range(5)]
    for client in clients:
        await client.send(get("/public/x"))
    assert [(await client.response()).body for client in clients] == [b"ok"] * 5
    assert the_pool(rig).open == len(rig.origin.connections) <= 6


async def test_an_answer_that_says_close_ends_its_connection(rig: Rig) -> None:
    """HTTP/1.0 servers close unless they say keep-alive (RFC 9112 section 9.3)."""
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    client = await rig.client()
    await client.assert_kept()
    rig.origin.answer = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
    await client.assert_kept()
    rig.origin.answer = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    await client.assert_kept()
    await client.assert_kept()
    assert len(rig.origin.connections) == 3


async def _one_and_gone(connection: OriginConnection) -> None:
    """Serve one request; at the next one, end the connection without an answer."""
    await connection.request()
    await connection.send(OK)
    await connection.head()
    connection.reset()


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PUT"])
async def test_f11_an_idempotent_request_survives_a_stale_connection(rig: Rig, method: str) -> None:
    """Sent once more, on a new connection (RFC 9112 section 9.3.1)."""
    rig.origin.script = _one_and_gone
    client = await rig.client()
    await client.assert_kept()
    rig.origin.script = rig.origin.serve
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert (await client.ask(get("/public/x", method=method), method)).status == 200
    assert len(rig.origin.requests) == 1
    assert len(rig.origin.connections) == 2


@pytest.mark.parametrize(
    "message",
    [get("/public/x", method="POST"), get("/public/x", method="PATCH"), post("/public/x", b"hello"),
     get("/public/x", "Content-Length: 5", method="PUT") + b"hello"],
    ids=["POST", "PATCH", "POST-body", "PUT-body"],
)  # fmt: skip
async def test_f11_another_request_does_not(rig: Rig, message: bytes) -> None:
    """The upstream may have acted on it: 502, and it is sent once."""
    rig.origin.script = _one_and_gone
    client = await rig.client()
    await client.assert_kept()
    rig.origin.script = rig.origin.serve
    answer = await client.ask(message)
    assert answer.status == 502
    assert rig.origin.requests == []
    assert len(rig.origin.connections) == 1


async def test_f11_it_is_retried_once(rig: Rig) -> None:
    """A new connection that dies as well is the upstream's fault."""
    rig.origin.script = _one_and_gone
    client = await rig.client()
    await client.assert_kept()

    async def dies(connection: OriginConnection) -> None:
        await connection.head()
        connection.reset()

    rig.origin.script = dies
    assert (await client.ask(get("/public/x"))).status == 502
    assert len(rig.origin.connections) == 2


async def test_f11_not_after_a_byte_of_an_answer(rig: Rig) -> None:
    """An interim answer is one, too."""

    async def script(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.head()
        await connection.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        connection.close()

    rig.origin.script = script
    client = await rig.client()
    await client.assert_kept()
    rig.origin.script = rig.origin.serve
    assert (await client.ask(get("/public/x"))).status == 502
    assert rig.origin.requests == []


async def test_f11_no_get_fails_while_the_upstream_churns(rig: Rig) -> None:
    """Every connection serves two requests and is closed without a word."""

    async def twice(connection: OriginConnection) -> None:
        for _ in range(2):
            rig.origin.requests.append(await connection.request())
            await connection.send(OK)
        connection.close()

    rig.origin.script = twice

    async def ask(count: int) -> list[int]:
        client = await rig.client()
        return [(await client.ask(get("/public/x"))).status for _ in range(count)]

    assert await asyncio.gather(*(ask(25) for _ in range(8))) == [[200] * 25] * 8
    assert len(rig.origin.requests) == 200


async def test_f11_no_get_fails_whenever_the_upstream_closes(rig: Rig) -> None:
    """After one to three answers, at once or in the moment when the next request arrives: 2,000 GETs, not one 502."""
    rng = random.Random(11)

    async def moody(connection: OriginConnection) -> None:
        for _ in range(rng.randrange(1, 4)):
            rig.origin.requests.append(await connection.request())
            await connection.send(OK)
        for _ in range(rng.choice([0, 0, 1, 2, 5, 20])):
            await asyncio.sleep(0)
        if rng.random() < 0.3:  # read what has come and say nothing
            await connection.until(b"\r\n\r\n")
        connection.close() if rng.random() < 0.5 else connection.reset()

    rig.origin.script = moody

    async def ask(count: int) -> list[int]:
        client = await rig.client()
        return [(await client.ask(get("/public/x"))).status for _ in range(count)]

    statuses = await asyncio.gather(*(ask(100) for _ in range(20)))
    assert [set(each) for each in statuses] == [{200}] * 20
    assert rig.registry.snapshot()["gateway_upstream_retries_total"]["series"]['upstream="a",kind="stale_connection"'] > 100


async def test_f11_a_connection_that_was_opened_in_vain_may_be_stale(unstarted: Rig) -> None:
    """The request it was opened for found another one: it was never used, but keep-alive may have run out for it, too."""

    async def dies_at_the_first(connection: OriginConnection) -> None:
        if connection is rig.origin.connections[0]:
            await rig.origin.serve(connection)
        await connection.head()
        connection.reset()

    rig = await unstarted.start()
    rig.origin.script = dies_at_the_first
    rig.origin.answer = b""
    first, second = await rig.client(), await rig.client()
    await first.send(get("/public/x"))
    await rig.eventually(lambda: rig.origin.requests)
    pool, gate = the_pool(rig), asyncio.Event()
    connect = pool.connect

    async def later(factory: ProtocolFactory) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        await gate.wait()
        return await connect(factory)

    pool.connect = later
    await second.send(get("/public/x"))
    await rig.eventually(lambda: pool.waiting == 1)
    rig.origin.answer = OK
    await rig.origin.connections[0].send(OK)
    assert [(await client.response()).status for client in (first, second)] == [200, 200]
    gate.set()
    await rig.eventually(lambda: len(pool._idle) == 2)
    assert pool._idle[-1].used == 0
    rig.origin.script = rig.origin.serve
    assert (await first.ask(get("/public/x"))).status == 200
    assert len(rig.origin.connections) == 3


async def test_an_idle_connection_that_ends_is_forgotten(rig: Rig) -> None:
    """The next request goes to a new one, without a retry."""
    client = await rig.client()
    await client.assert_kept()
    rig.origin.connections[0].close()
    await rig.eventually(lambda: the_pool(rig).open == 0)
    assert (await client.ask(get("/public/x", method="POST"))).status == 200


async def test_an_ended_connection_is_not_leased_before_it_is_lost(rig: Rig) -> None:
    """Between EOF and connection_lost the loop may run others."""
    client = await rig.client()
    await client.assert_kept()
    (up,) = the_pool(rig)._idle
    assert up.eof_received() is False
    assert (await client.ask(get("/public/x", method="POST"))).status == 200
    assert len(rig.origin.connections) == 2
    up.transport.close()


async def test_idle_connections_are_pruned(rig: Rig) -> None:
    """The oldest first, after ``keepalive``."""
    client = await rig.client()
    await client.assert_kept()
    (up,) = the_pool(rig)._idle
    the_pool(rig).prune(up.idle_since + 60)
    assert the_pool(rig).open == 1
    the_pool(rig).prune(up.idle_since + 60.1)
    await rig.eventually(lambda: the_pool(rig).open == 0)
    await client.assert_kept()


async def test_above_the_limit_requests_wait_and_are_served_in_turn(unstarted: Rig) -> None:
    """One connection, five clients with bodies."""
    rig = await unstarted.start(upstream={"max_connections": 1})
    rig.origin.answer = lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.body), request.body)
    clients = [await rig.client() for _ in range(5)]
    for number, client in enumerate(clients):
        await client.send(post("/public/x", b"%d" % number * 100_000))
    assert [(await client.response()).body[:2] for client in clients] == [b"00", b"11", b"22", b"33", b"44"]
    assert len(rig.origin.connections) == 1


async def test_x10_the_queue_has_a_deadline(unstarted: Rig) -> None:
    """All connections busy for longer than timeouts.connect: 503 and Retry-After, and the busy one is left alone."""
    rig = await unstarted.start(upstream={"max_connections": 1})
    rig.origin.answer = b""
    busy, waiting = await rig.client(), await rig.client()
    await busy.send(get("/public/x"))
    await rig.eventually(lambda: len(rig.origin.requests) == 1)
    answer = await waiting.ask(get("/quick/x"))
    assert (answer.status, answer.one("retry-after")) == (503, b"1")
    await rig.origin.connections[0].send(OK)
    assert (await busy.response()).status == 200
    rig.origin.answer = OK
    await waiting.assert_kept()
    assert [r.target for r in rig.origin.requests] == [b"/public/x", b"/public/kept"]


async def test_the_queue_is_bounded_by_the_living(unstarted: Rig) -> None:
    """Who gave up takes no place; pipelined refusals do not recurse."""
    rig = await unstarted.start(upstream={"max_connections": 1, "max_queue": 2})
    rig.origin.answer = b""
    busy = await rig.client()
    await busy.send(get("/public/x"))
    await rig.eventually(lambda: len(rig.origin.requests) == 1)
    gone = [await rig.client() for _ in range(2)]
    for client in gone:
        await client.send(get("/public/gone"))
    await rig.eventually(lambda: len(the_pool(rig)._waiting) == 2)
    crowd = await rig.client()
    await crowd.send(get("/public/crowd") * 1500)
    assert {(await crowd.response()).status for _ in range(1500)} == {503}
    for client in gone:
        client.reset()
    await rig.eventually(lambda: rig.edge.connections == 2)
    rig.origin.answer = OK
    await crowd.send(get("/public/late"))
    await rig.eventually(lambda: len(the_pool(rig)._waiting) == 1)
    await rig.origin.connections[0].send(OK)
    assert (await crowd.response()).status == 200
    assert [r.target for r in rig.origin.requests] == [b"/public/x", b"/public/late"]


async def test_a_client_that_leaves_the_queue_sends_nothing(unstarted: Rig) -> None:
    """Its exchange is over when its turn comes."""
    rig = await unstarted.start(upstream={"max_connections": 1})
    rig.origin.answer = b""
    busy, gone = await rig.client(), await rig.client()
    await busy.send(get("/public/x"))
    await rig.eventually(lambda: len(rig.origin.requests) == 1)
    await gone.send(post("/public/gone", b"hello"))
    await rig.eventually(lambda: len(the_pool(rig)._waiting) == 1)
    gone.reset()
    await rig.eventually(lambda: rig.edge.connections == 1)
    rig.origin.answer = OK
    await rig.origin.connections[0].send(OK)
    assert (await busy.response()).status == 200
    await busy.assert_kept()
    assert b"gone" not in rig.origin.bytes_seen


async def test_a_body_that_came_before_its_connection_is_sent_once(rig: Rig) -> None:
    """Early bytes follow the head; reading pauses meanwhile."""
    client, down = await rig.connected()
    down.data_received(post("/public/x", b"one", length=9))
    down.data_received(b"two")
    assert down._read_paused
    await rig.eventually(lambda: b"onetwo" in rig.origin.bytes_seen)
    down.data_received(b"end")
    assert (await client.response()).status == 200
    assert rig.origin.requests[0].body == b"onetwoend"
    await client.assert_kept()


async def test_f10_a_refused_connection_is_502(unstarted: Rig) -> None:
    """At once, with nothing of the reason."""
    port = free_port()
    rig = await unstarted.start(targets=[f"http://127.0.0.1:{port}"])
    client = await rig.client()
    answer = await client.ask(get("/public/x"))
    assert (answer.status, answer.problem["code"]) == (502, "bad_gateway")
    assert str(port).encode() not in answer.body
    assert (await client.ask(get("/public/x"))).status == 502


async def test_f10_a_name_that_does_not_resolve_is_502(unstarted: Rig) -> None:
    """NXDOMAIN; `.invalid` is reserved for it (RFC 2606)."""
    rig = await unstarted.start(targets=["http://nowhere.invalid"])
    client = await rig.client()
    assert (await client.ask(get("/public/x"))).status in (502, 504)


async def test_f10_a_target_that_accepts_nothing_is_504(unstarted: Rig) -> None:
    """After timeouts.connect: its backlog is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        rig = await unstarted.start(targets=[f"http://127.0.0.1:{port}"])
        client = await rig.client()
        answer = await client.ask(get("/quick/x"))
        assert (answer.status, answer.problem["code"]) == (504, "gateway_timeout")
        for filler in fillers:
            filler.close()


async def test_another_target_takes_over_with_the_early_body(unstarted: Rig) -> None:
    """Nothing was sent to the first: the second gets everything, once, also on an idle connection."""
    dead = free_port()
    second = Origin()
    await second.start()
    rig = await unstarted.start(targets=[f"http://127.0.0.1:{dead}", f"http://127.0.0.1:{second.port}"])
    try:
        client, down = await rig.connected()
        for _ in range(4):
            down.data_received(post("/public/x", b"one", length=9))
            down.data_received(b"two")
            await rig.eventually(lambda: second.bytes_seen.endswith(b"onetwo"))
            down.data_received(b"end")
            assert (await client.response()).status == 200
        assert [request.body for request in second.requests] == [b"onetwoend"] * 4
        assert len(second.connections) == 1
    finally:
        await second.stop()


async def test_requests_are_spread_over_targets(unstarted: Rig) -> None:
    """Round robin."""
    second = Origin()
    await second.start()
    first = free_port()
    rig = unstarted
    await rig.origin.start(first)
    started = rig.origin.start
    rig.origin.start = lambda: asyncio.sleep(0)  # type: ignore[method-assign,assignment,return-value]
    try:
        await rig.start(targets=[f"http://127.0.0.1:{first}", f"http://127.0.0.1:{second.port}"])
        client = await rig.client()
        for _ in range(6):
            await client.assert_kept()
        assert len(rig.origin.requests) == len(second.requests) == 3
    finally:
        rig.origin.start = started  # type: ignore[method-assign]
        await second.stop()
