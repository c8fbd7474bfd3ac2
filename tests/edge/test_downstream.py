"""What a client connection does: order, bodies, expectations, endings, deadlines."""

from __future__ import annotations

import asyncio

import pytest

from gateway.edge import downstream
from gateway.edge.downstream import Downstream
from gateway.errors import StoreUnavailable
from gateway.oauth.tokens import digest_access
from tests.edge.rig import (
    AUTH,
    OK,
    TOKEN,
    Client,
    OriginConnection,
    Rig,
    a_token,
    a_verdict,
    chunk,
    get,
    parse_head,
    post,
    post_chunked,
)


def bearer(number: int) -> str:
    return f"Authorization: Bearer {a_token(number).decode()}"


# --- the hot path -------------------------------------------------------------------------------------------------------


async def test_a_cached_verdict_starts_no_task_and_awaits_nothing(rig: Rig) -> None:
    """From data_received to the upstream's write in one synchronous call, and back in another."""
    client, down = await rig.connected()
    assert (await client.ask(get("/v1/resource", auth=True))).status == 200
    loop = asyncio.get_running_loop()
    tasks: list[object] = []
    (up,) = rig.edge.groups["a"].pools[0]._idle
    written: list[bytes] = []
    transport = up.transport

    class Watched:
        def write(self, data: bytes) -> None:
            written.append(data)
            transport.write(data)


    def factory(loop: asyncio.AbstractEventLoop, coro: object, **kwargs: object) -> asyncio.Task[object]:
        task: asyncio.Task[object] = asyncio.Task(coro, loop=loop, **kwargs)  # type: ignore[arg-type]
        tasks.append(task)
        return task

    loop.set_task_factory(factory)
    up.transport = Watched()  # type: ignore[assignment]
    try:
        down.data_received(get("/v1/resource", auth=True))
        assert len(written) == 1
        assert written[0].startswith(b"GET /v1/resource HTTP/1.1\r\n")
        assert tasks == []
        answer = await client.response()
        assert tasks == []
    finally:
        up.transport = transport
        loop.set_task_factory(None)
    assert (answer.status, answer.body) == (200, b"ok")


# --- verdicts that come late, or never --------------------------------------------------------------------------------


async def test_a_cold_token_is_looked_up_once(rig: Rig) -> None:
    """The guard is asked, and the answer decides."""
    rig.verdicts.cold[digest_access(a_token(7))] = a_verdict("gwc_seven")
    client = await rig.client()
    assert (await client.ask(get("/v1/resource", bearer(7)))).status == 200
    assert rig.origin.requests[0].one("x-client-id") == b"gwc_seven"
    assert (await client.ask(get("/v1/resource", bearer(8)))).status == 401
    assert rig.verdicts.fetches == 2
    await client.assert_kept()


async def test_a_store_that_is_down_is_503_and_no_challenge(rig: Rig) -> None:
    """Neither yes nor no (G5)."""
    rig.verdicts.cold[digest_access(a_token(7))] = StoreUnavailable("down")
    client = await rig.client()
    answer = await client.ask(get("/v1/resource", bearer(7)))
    assert (answer.status, answer.one("retry-after"), answer.one("www-authenticate")) == (503, b"1", None)
    assert rig.origin.bytes_seen == b""
    await client.assert_kept()


async def test_what_arrives_while_deciding_waits_its_turn(rig: Rig) -> None:
    """Pipelined requests behind a slow verdict are answered after it, in order."""
    rig.verdicts.held = []
    rig.verdicts.cold[digest_access(a_token(7))] = a_verdict()
    client, down = await rig.connected()
    down.data_received(get("/v1/resource", bearer(7)) + get("/public/2"))
    down.data_received(get("/public/3"))
    assert rig.origin.bytes_seen == b""
    rig.verdicts.release()
    assert [(await client.response()).status for _ in range(3)] == [200, 200, 200]
    assert [r.target for r in rig.origin.requests] == [b"/v1/resource", b"/public/2", b"/public/3"]


@pytest.mark.parametrize("warm", [True, False], ids=["idle-connection", "new-connection"])
async def test_a_large_body_that_came_while_deciding_is_sent_once_and_whole(rig: Rig, warm: bool) -> None:
    """Reading pauses above MAX_BUFFER, and goes on afterwards."""
    rig.verdicts.cold[digest_access(a_token(7))] = a_verdict()
    client, down = await rig.connected()
    if warm:
        await client.assert_kept()
    rig.verdicts.held = []
    body = bytes(range(256)) * 4096
    sending = asyncio.create_task(client.send(post("/v1/resource", body, bearer(7))))
    await rig.eventually(lambda: down._read_paused)
    assert len(down._buffer) < downstream.MAX_BUFFER + 600_000  # one read, and over TLS what was decrypted before the pause
    rig.verdicts.release()
    await sending
    assert (await client.response()).status == 200
    assert rig.origin.requests[-1].body == body
    await client.assert_kept()


async def test_a_client_that_leaves_while_deciding_is_forgotten(rig: Rig) -> None:
    """The late verdict finds nobody, and nothing is forwarded."""
    rig.verdicts.held = []
    rig.verdicts.cold[digest_access(a_token(7))] = a_verdict()
    client = await rig.client()
    await client.send(get("/v1/resource", bearer(7)))
    await rig.verdicts.asked.wait()
    client.reset()
    await rig.eventually(lambda: rig.edge.connections == 0)
    rig.verdicts.release()
    await rig.assert_unharmed()
    assert all(request.target == b"/public/kept" for request in rig.origin.requests)


async def test_a_verdict_that_never_comes_is_503_and_serves_no_later_request(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection ends with the refusal: were it kept, the late verdict could be taken for another token's."""
    monkeypatch.setattr(downstream, "DECISION_TIMEOUT", 0.05)
    rig.verdicts.held = []
    rig.verdicts.cold[digest_access(a_token(7))] = a_verdict()
    client = await rig.client()
    await client.send(get("/v1/resource", bearer(7)) + get("/v1/resource", bearer(8)))
    answer = await client.response()
    assert (answer.status, answer.one("connection")) == (503, b"close")
    rig.verdicts.release()
    await client.assert_closed()
    assert rig.origin.bytes_seen == b""


async def test_a_half_closed_client_with_half_a_body_is_cut_after_deciding(rig: Rig) -> None:
    """A truncated body never becomes a whole request, however late the verdict."""
    rig.verdicts.held = []
    rig.verdicts.cold[digest_access(a_token(7))] = a_verdict()
    client, down = await rig.connected()
    await client.send(post("/v1/resource", b"half", bearer(7), length=10))
    client.end()
    await rig.eventually(lambda: down._eof)
    rig.verdicts.release()
    await client.assert_closed()
    assert rig.origin.requests == []


async def test_expiry_counts_at_the_instant_of_the_request(rig: Rig) -> None:
    """A verdict whose deadline has come is looked up again, and then refused."""
    now = asyncio.get_running_loop().time()
    rig.verdicts.warm[digest_access(a_token(7))] = a_verdict(deadline=now)
    rig.verdicts.cold[digest_access(a_token(7))] = a_verdict(deadline=now)
    client = await rig.client()
    assert (await client.ask(get("/v1/resource", bearer(7)))).status == 401
    assert rig.verdicts.fetches == 1


# --- pipelining ---------------------------------------------------------------------------------------------------------


async def test_s18_pipelined_answers_come_in_order(rig: Rig) -> None:
    """One after another, each by its own request, on one upstream connection."""
    rig.origin.answer = lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.target), request.target)
    client = await rig.client()
    targets = [b"/public/%d" % number for number in range(50)]
    await client.send(b"".join(get(target.decode()) for target in targets))
    assert [(await client.response()).body for _ in targets] == targets
    assert len(rig.origin.connections) == 1


async def test_s18_ten_thousand_pipelined_requests_stay_bounded(rig: Rig) -> None:
    """The gateway reads no further than it answers."""
    count = 10_000
    client, down = await rig.connected()
    sending = asyncio.create_task(client.send(get("/public/x") * count))
    most = 0
    for _ in range(count):
        assert (await client.response()).status == 200
        most = max(most, len(down._buffer))
    await sending
    assert len(rig.origin.requests) == count
    assert most < downstream.MAX_BUFFER + 300_000


async def test_ten_thousand_pipelined_refusals_do_not_recurse(rig: Rig) -> None:
    """404s are answered in a loop."""
    client = await rig.client()
    sending = asyncio.create_task(client.send(get("/nowhere") * 10_000))
    for _ in range(10_000):
        assert (await client.response()).status == 404
    await sending
    await client.assert_kept()


async def test_pipelined_requests_to_an_upstream_that_refuses_are_each_502(rig: Rig) -> None:
    """F10: each has an attempt of its own, none waits for nobody."""
    await rig.origin.stop()
    client = await rig.client()
    await client.send(get("/public/x") * 5)
    assert [(await client.response()).status for _ in range(5)] == [502] * 5


async def test_x03_a_client_that_never_reads_is_paused(unstarted: Rig) -> None:
    """Its requests stay in its own socket, however many it sends."""
    rig = await unstarted.start()
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000
    client, down = await rig.connected()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    sending = asyncio.create_task(client.send(get("/public/x", "X: " + "y" * 1000) * 40_000))
    seen = -1
    while seen != len(rig.origin.requests):  # until the kernel's buffers, which grow, are full
        seen = len(rig.origin.requests)
        await rig.eventually(lambda: down.write_paused and down._read_paused)
        await asyncio.sleep(0.1)
    assert len(down._buffer) < downstream.MAX_BUFFER + 600_000  # one read, and over TLS what was decrypted before the pause
    rig.edge.keepalive_timeout = 0.0
    down.deadline = 1.0  # its patience is over
    await rig.eventually(lambda: rig.edge.connections == 0)
    assert len(rig.origin.requests) == seen
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await rig.assert_unharmed()


# --- endings --------------------------------------------------------------------------------------------------------------


async def test_a_half_closed_client_still_gets_its_answer(rig: Rig) -> None:
    """``printf … | nc`` ends its side before the answer comes."""
    client = await rig.client()
    await client.send(get("/public/x"))
    client.end()
    assert (await client.response()).body == b"ok"
    await client.assert_closed()


async def test_a_half_closed_client_gets_all_its_pipelined_answers(rig: Rig) -> None:
    """Refused and forwarded ones alike."""
    client = await rig.client()
    await client.send(get("/public/1") + get("/nowhere") + get("/public/3") + b"GET /public/4")
    client.end()
    assert [(await client.response()).status for _ in range(3)] == [200, 404, 200]
    await client.assert_closed()


@pytest.mark.parametrize("message", [get("/public/x", "Connection: close"), get("/nowhere", "Connection: close")])
async def test_connection_close_is_obeyed(rig: Rig, message: bytes) -> None:
    """And said in the answer; what is pipelined behind it is not read."""
    client = await rig.client()
    await client.send(message + get("/public/more"))
    assert (await client.response()).one("connection") == b"close"
    await client.assert_closed()
    assert all(request.target != b"/public/more" for request in rig.origin.requests)


@pytest.mark.parametrize(
    ("lines", "kept"), [((), False), (("Connection: keep-alive",), True), (("Connection: close, X",), False)]
)
@pytest.mark.parametrize("target", ["/public/x", "/nowhere"])
async def test_s20_http10_closes_unless_told_otherwise(rig: Rig, target: str, lines: tuple[str, ...], kept: bool) -> None:
    """RFC 9112 section 9.3; the status line says HTTP/1.1 all the same."""
    client = await rig.client()
    answer = await client.ask(get(target, *lines, version="1.0"))
    assert answer.one("connection") == (b"keep-alive" if kept else b"close")
    if kept:
        await client.assert_kept()
    else:
        await client.assert_closed()


async def test_http10_needs_no_host(rig: Rig) -> None:
    """RFC 9112 section 3.2 asks HTTP/1.1 clients alone; the upstream gets its own."""
    client = await rig.client()
    assert (await client.ask(b"GET /public/x HTTP/1.0\r\n\r\n")).status == 200
    (request,) = rig.origin.requests
    assert request.first == b"GET /public/x HTTP/1.1"
    assert request.one("host") == b"127.0.0.1:%d" % rig.origin.port


async def test_proxy_connection_close_does_not_harm_the_next_request(rig: Rig) -> None:
    """llhttp reads it as Connection; so the connection ends, instead of refusing what comes."""
    client = await rig.client()
    answer = await client.ask(get("/public/x", "Proxy-Connection: close"))
    assert (answer.status, answer.one("connection")) == (200, b"close")
    await client.assert_closed()


@pytest.mark.parametrize("message", [get("/public/x"), post("/public/x", b"hell", length=5)], ids=["waiting", "in-the-body"])
async def test_a_client_that_disconnects_takes_its_exchange_along(rig: Rig, message: bytes) -> None:
    """The upstream's connection is cut: nobody wants the answer, and half a body is no body."""
    rig.origin.script = _silent
    client = await rig.client()
    await client.send(message)
    await rig.eventually(lambda: rig.origin.bytes_seen.endswith(message[-4:]))
    client.reset()
    await rig.eventually(lambda: rig.origin.connections[0].reader.at_eof() or rig.origin.connections[0].reader.exception())
    await rig.eventually(lambda: rig.edge.groups["a"].pools[0].open == 0)
    await rig.assert_unharmed()
    assert rig.logged()[0]["refusal"] == "client_closed"


async def _silent(connection: OriginConnection) -> None:
    await connection.rest()


# --- expectations -------------------------------------------------------------------------------------------------------


async def test_s14_continue_is_said_after_the_permit_and_before_the_body(rig: Rig) -> None:
    """RFC 9110 section 10.1.1: by the gateway itself; the upstream never hears of the expectation."""
    client = await rig.client()
    await client.send(get("/v1/resource", "Expect: 100-continue", "Content-Length: 5", auth=True, method="POST"))
    assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    answer = await client.ask(b"hello")
    assert (answer.status, answer.interim) == (200, [])
    (request,) = rig.origin.requests
    assert (request.body, request.one("expect")) == (b"hello", None)
    await client.assert_kept()


@pytest.mark.parametrize(
    ("target", "length", "status"),
    [("/v1/resource", 5, 401), ("/nowhere", 5, 404), ("/small/x", 11, 413), ("/v1/orders/x", 5, 401)],
)
async def test_s14_a_refusal_comes_instead_of_continue(rig: Rig, target: str, length: int, status: int) -> None:
    """The body is not asked for, and if it is sent all the same, it is no request."""
    client = await rig.client()
    await client.send(get(target, "Expect: 100-continue", f"Content-Length: {length}", method="POST"))
    answer = await client.response()
    assert (answer.status, answer.interim, answer.one("connection")) == (status, [], b"close")
    await client.send(get("/public/smuggled"))
    await client.assert_closed()
    assert rig.origin.bytes_seen == b""


async def test_s14_no_continue_for_a_body_that_is_here_or_a_client_of_http10(rig: Rig) -> None:
    """RFC 9110 section 10.1.1: it may be left out; HTTP/1.0 does not know it."""
    client = await rig.client()
    assert (await client.ask(post("/public/x", b"hello", "Expect: 100-continue"))).interim == []
    await client.send(get("/public/x", "Expect: 100-continue", "Content-Length: 5", method="POST", version="1.0"))
    assert (await client.ask(b"hello")).interim == []


async def test_an_error_after_continue_ends_the_connection(rig: Rig) -> None:
    """A final answer still comes, and the rest of the body is not a request."""
    client = await rig.client()
    await client.send(get("/public/x", "Expect: 100-continue", "Transfer-Encoding: chunked", method="POST"))
    assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await client.ask(b"zz\r\n" + get("/public/smuggled"))).status == 400
    await client.assert_closed()
    assert b"smuggled" not in rig.origin.bytes_seen


# --- bodies ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 10, 65_536, 300_000])
async def test_bodies_arrive_whole_both_ways(rig: Rig, size: int) -> None:
    """By length and in chunks."""
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    rig.origin.answer = lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.body), request.body)
    client = await rig.client()
    assert (await client.ask(post("/public/x", body))).body == body
    pieces = [body[at : at + 1000] for at in range(0, size, 1000)]
    assert (await client.ask(post_chunked("/public/x", *pieces))).body == body
    assert [request.body for request in rig.origin.requests] == [body, body]


@pytest.mark.parametrize(
    "message",
    [post("/small/x", b"a" * 11), post_chunked("/small/x", b"a" * 6, b"a" * 5)],
)
async def test_x05_a_body_over_the_limit_is_413(rig: Rig, message: bytes) -> None:
    """At the head when its length is known, else when it comes to that; the upstream never sees its end."""
    client = await rig.client()
    await client.send(message + get("/public/smuggled"))
    answer = await client.response()
    assert (answer.status, answer.one("connection")) == (413, b"close")
    await client.assert_closed()
    assert rig.origin.requests == []


async def test_a_body_of_exactly_the_limit_passes(rig: Rig) -> None:
    """10 bytes of 10, both framings."""
    client = await rig.client()
    assert (await client.ask(post("/small/x", b"a" * 10))).status == 200
    assert (await client.ask(post_chunked("/small/x", b"a" * 5, b"a" * 5))).status == 200


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (post("/v1/resource", get("/public/smuggled")), 401),
        (post("/v1/orders/x", get("/public/smuggled"), auth=True), 403),
        (post("/nowhere", get("/public/smuggled")), 404),
        (post_chunked("/nowhere", b"x", get("/public/smuggled")), 404),
        (get("/v1/orders/x", "Content-Length: 3", method="PUT") + b"abc", 405),
    ],
)
async def test_s16_a_refused_body_never_becomes_a_request(rig: Rig, message: bytes, status: int) -> None:
    """An early refusal ends the connection; the answer arrives although the body is still coming."""
    client = await rig.client()
    await client.send(message)
    answer = await client.response()
    assert (answer.status, answer.one("connection")) == (status, b"close")
    await client.assert_closed()
    assert rig.origin.bytes_seen == b""


async def test_s16_a_refusal_survives_a_large_body(rig: Rig) -> None:
    """The socket is read on for a while, or the reset would swallow the answer."""
    client = await rig.client()
    await client.send(post("/v1/resource", b"a" * 500_000, length=900_000))
    assert (await client.response()).status == 401


async def test_lingering_ends(rig: Rig) -> None:
    """After MAX_LINGER bytes, or after a while."""
    client, down = await rig.connected()
    await client.send(post("/v1/resource", b"", length=10))
    assert (await client.response()).status == 401
    down.data_received(b"a" * downstream.MAX_LINGER)
    down.data_received(b"a")
    await rig.eventually(lambda: rig.edge.connections == 0)
    rig.edge.linger_timeout = 0.01
    other = await rig.client()
    await other.send(post("/v1/resource", b"", length=10))
    assert (await other.response()).status == 401
    await rig.eventually(lambda: rig.edge.connections == 0)


@pytest.mark.parametrize("method", ["HEAD"])
@pytest.mark.parametrize(("target", "status"), [("/nowhere", 404), ("/v1/resource", 401)])
async def test_a_refusal_of_head_has_no_body(rig: Rig, method: str, target: str, status: int) -> None:
    """RFC 9110 section 9.3.2."""
    client = await rig.client()
    await client.send(get(target, method=method))
    assert (await client.response("HEAD")).status == status
    await client.assert_kept()


# --- deadlines ----------------------------------------------------------------------------------------------------------


async def test_x01_a_head_that_takes_too_long_is_408(unstarted: Rig) -> None:
    """Single bytes do not prolong it."""
    rig = await unstarted.start()
    rig.edge.head_timeout = 0.3
    client, down = await rig.connected()
    down.data_received(b"GET /pub")
    due = down.deadline
    down.data_received(b"lic")
    assert down.deadline == due
    answer = await client.response()
    assert (answer.status, answer.one("connection")) == (408, b"close")
    await client.assert_closed()


async def test_an_idle_connection_is_closed_without_a_word(rig: Rig) -> None:
    """Nobody asked anything."""
    rig.edge.keepalive_timeout = 0.05
    client = await rig.client()
    assert (await client.ask(get("/public/x"))).status == 200
    await client.assert_closed()


async def test_f10_an_upstream_that_stays_silent_is_504(rig: Rig) -> None:
    """Within timeouts.first_byte; its connection is cut, the client's kept."""
    rig.origin.script = _silent
    client = await rig.client()
    answer = await client.ask(get("/quick/x"))
    assert (answer.status, answer.problem["code"]) == (504, "gateway_timeout")
    assert rig.edge.groups["a"].pools[0]._idle == []
    rig.origin.script = rig.origin.serve
    await client.assert_kept()


async def test_x02_a_body_that_stalls_is_408(rig: Rig) -> None:
    """And the upstream's connection is cut."""
    rig.origin.script = _silent
    client = await rig.client()
    answer = await client.ask(post("/quick/x", b"half", length=10))
    assert (answer.status, answer.one("connection")) == (408, b"close")
    await client.assert_closed()
    await rig.eventually(lambda: rig.edge.groups["a"].pools[0].open == 0)


async def test_f27_an_upstream_that_reads_no_body_pauses_the_client(rig: Rig) -> None:
    """Memory stays flat; in the end it is the upstream that is too slow, not the client."""

    async def deaf(connection: OriginConnection) -> None:
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await ended.wait()

    ended = asyncio.Event()
    rig.origin.script = deaf
    client, down = await rig.connected()
    sending = asyncio.create_task(client.send(post("/quick/x", b"a" * 64 * 2**20)))
    await rig.eventually(lambda: down._read_paused and down._exchange is not None and down._exchange.up is not None)
    up = down._exchange.up  # type: ignore[union-attr]
    assert up is not None
    assert up.transport.get_write_buffer_size() <= 256 * 1024
    assert (await client.response()).status == 504
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    ended.set()


async def test_a_stalled_answer_is_cut(rig: Rig) -> None:
    """timeouts.between_bytes; the client sees a truncated body."""

    async def stall(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await connection.rest()

    rig.origin.script = stall
    client = await rig.client()
    await client.send(get("/quick/x"))
    assert (await client.rest()).endswith(b"\r\n\r\nhalf")


async def test_a_slow_reader_of_the_last_answer_is_not_kept_for_ever(rig: Rig) -> None:
    """transport.close() waits for a client that never reads; the deadline does not."""
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n" + b"a" * 8_000_000
    client, down = await rig.connected()
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    down.transport.set_write_buffer_limits(high=16_000_000)
    rig.edge.linger_timeout, rig.edge.closing_timeout = 0.1, 0.3
    await client.send(get("/public/x", "Connection: close"))
    await rig.eventually(lambda: down._state == downstream._CLOSED)
    assert rig.edge.connections == 1
    await rig.eventually(lambda: rig.edge.connections == 0)


# --- the pooled connection behind it -----------------------------------------------------------------------------------


async def test_a_slow_client_leaves_no_paused_connection_in_the_pool(rig: Rig) -> None:
    """pause_writing during the last piece of an answer must not stop the next client's."""
    client, down = await rig.connected()
    await client.assert_kept()
    (up,) = rig.edge.groups["a"].pools[0]._idle
    rig.origin.answer = b""
    down.data_received(get("/public/x"))
    await rig.eventually(lambda: len(rig.origin.requests) == 2)
    rig.origin.answer = OK
    down.pause_writing()  # as the transport says it while the last piece is written
    up.data_received(OK)
    down.resume_writing()
    assert up in rig.edge.groups["a"].pools[0]._idle
    await client.response()
    other = await rig.client()
    await other.assert_kept()
    await rig.eventually(lambda: up.used >= 3)


async def test_s17_an_early_answer_passes_and_both_connections_end(rig: Rig) -> None:
    """The upstream answers while the body is coming: its half-written connection is not used again."""

    async def early(connection: OriginConnection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await connection.rest()

    client = await rig.client()
    await client.assert_kept()
    rig.origin.script = early
    await rig.origin.connections[0].writer.drain()
    rig.origin.connections[0].close()
    await rig.eventually(lambda: rig.edge.groups["a"].pools[0].open == 0)
    await client.send(post("/public/x", b"half", length=100))
    answer = await client.response()
    assert (answer.status, answer.body, answer.one("connection")) == (403, b"no", b"close")
    await client.send(get("/public/smuggled"))
    await client.assert_closed()
    await rig.eventually(lambda: rig.edge.groups["a"].pools[0].open == 0)
    assert b"smuggled" not in rig.origin.bytes_seen


async def test_interim_answers_pass_and_100_does_not(rig: Rig) -> None:
    """RFC 9110 section 15.2: 103 is the client's, 100 answers nobody's expectation; HTTP/1.0 gets neither."""
    rig.origin.replies(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X\r\nX: y\r\n\r\n", OK
    )
    client = await rig.client()
    answer = await client.ask(get("/public/x"))
    assert [(head.first, head.lines) for head in answer.interim] == [(b"HTTP/1.1 103 Early Hints", [("Link", b"</a>")])]
    assert answer.body == b"ok"
    assert (await client.ask(get("/public/x", version="1.0"))).interim == []


async def test_the_gateways_own_paths_go_to_the_authority(rig: Rig) -> None:
    """With the caller's Authorization and Cookie, and X-Gateway-* that no client can set."""
    client = await rig.client()
    message = get("/v1/oauth/token", "Cookie: a=b", "X-Gateway-Peer: evil", "X_Gateway_Peer: evil", "Authorization: Basic eA==")
    assert (await client.ask(message)).status == 200
    (request,) = rig.authority.requests
    assert request.one("x-gateway-peer") == b"127.0.0.1"
    assert request.one("x-gateway-scheme") == b"http"
    assert request.one("x-gateway-request-id")
    assert request.one("x-request-id") is None
    assert (request.one("authorization"), request.one("cookie")) == (b"Basic eA==", b"a=b")
    assert b"evil" not in request.raw
    assert rig.origin.bytes_seen == b""

async def test_h05_behind_a_trusted_proxy_the_authority_is_told_whose_request_it_is(unstarted: Rig) -> None:
    """O11 counts by it: from a trusted proxy alone, the rightmost that is none, and nothing where it can't be known."""
    rig = await unstarted.start(trusted_proxies=["127.0.0.1", "10.0.0.0/8"])
    proxy = await rig.client()
    stranger = Client(*await asyncio.open_connection("127.0.0.1", rig.port, local_addr=("127.0.0.2", 0)))
    for client, lines in (
        (proxy, ["X-Forwarded-For: 203.0.113.5, 192.0.2.1, 10.0.0.9", "X-Gateway-Client: 192.0.2.66"]),
        (proxy, ["X-Forwarded-For: 2001:DB8::1"]),
        (proxy, ["X-Forwarded-For: unknown"]),
        (proxy, []),
        (stranger, ["X-Forwarded-For: 192.0.2.1", "X-Gateway-Client: 192.0.2.66", "X_Gateway_Client: 192.0.2.66"]),
    ):
        assert (await client.ask(get("/v1/oauth/token", *lines))).status == 200
    stranger.close()
    seen = [(request.one("x-gateway-peer"), request.one("x-gateway-client")) for request in rig.authority.requests]
    here = b"127.0.0.1"
    assert seen == [(here, b"192.0.2.1"), (here, b"2001:db8::1"), (here, None), (here, here), (b"127.0.0.2", None)]


def _early(down: Downstream) -> list[bytes]:
    return down._inbound.early if down._inbound is not None else []


async def test_x02_slow_senders_do_not_occupy_the_authority(unstarted: Rig) -> None:
    """It gets whole requests only, in the order in which they are complete, and a body has as long as a head."""
    rig = await unstarted.start()
    slow = [await rig.client() for _ in range(3)]
    for client in slow:
        await client.send(post("/v1/oauth/token", b"a=", length=4))
    chunked = await rig.client()
    await chunked.send(post_chunked("/v1/oauth/token", b"a=", last=False))
    await rig.eventually(lambda: sum(bool(_early(down)) for down in rig.edge._connections) == 4)
    assert (await (await rig.client()).ask(post("/v1/oauth/token", b"a=bc"), "POST")).status == 200
    assert len(rig.authority.connections) == 1
    await slow[0].send(b"bc")
    assert (await slow[0].response("POST")).status == 200
    await chunked.send(chunk(b"b") + chunk(b"c") + b"0\r\n\r\n" + post("/v1/oauth/token", b"x=1"))
    assert (await chunked.response("POST")).status == 200
    assert (await chunked.response("POST")).status == 200
    assert [request.body for request in rig.authority.requests] == [b"a=bc", b"a=bc", b"a=bc", b"x=1"]
    for down in rig.edge._connections:
        if _early(down):
            down.deadline = 0.001  # as if ten seconds had passed
    assert (await slow[1].response("POST")).status == 408
    assert (await slow[2].response("POST")).status == 408
    assert len(rig.authority.requests) == 4


def test_the_rig_reads_heads_strictly() -> None:
    """The tests' own eyes: a head with a bare LF is none."""
    with pytest.raises(AssertionError):
        parse_head(b"HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n")
    assert chunk(b"ab") == b"2\r\nab\r\n"
    assert TOKEN in AUTH
