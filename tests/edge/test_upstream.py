"""What an upstream may do wrong, and what a client sees of it: the F cases of hardening.md section 2.8 that concern the edge."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from gateway.edge.body import MAX_PIECES
from gateway.edge.chunks import ChunkDecoder
from gateway.edge.exchange import Exchange
from gateway.edge.upstream import Upstream
from tests.edge.rig import OK, OriginConnection, Rig, chunk, get, post

HEAD = b"HTTP/1.1 200 OK\r\n"

INVALID = [
    ("F13-te-and-cl", HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"),
    ("F13-cl-and-te", HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("F13-two-cl", HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!"),
    ("F13-same-cl", HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-cl-list", HEAD + b"Content-Length: 2, 2\r\n\r\nok"),
    ("F13-cl-plus", HEAD + b"Content-Length: +2\r\n\r\nok"),
    ("F13-cl-negative", HEAD + b"Content-Length: -2\r\n\r\nok"),
    ("F13-cl-empty", HEAD + b"Content-Length: \r\n\r\nok"),
    ("F13-cl-huge", HEAD + b"Content-Length: 99999999999999999999\r\n\r\nok"),
    ("F13-te-gzip", HEAD + b"Transfer-Encoding: gzip\r\n\r\nok"),
    ("F13-te-gzip-chunked", HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("F13-te-twice", HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("F13-te-on-1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("F13-status-020", b"HTTP/1.1 020 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-status-99", b"HTTP/1.1 99 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-status-1000", b"HTTP/1.1 1000 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-status-600", b"HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-status-word", b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-http-2", b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-http-0.9", b"ok"),
    ("F13-icy", b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-leading-crlf", b"\r\n" + OK),
    ("F13-obs-fold", HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-nul", HEAD + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-control", HEAD + b"X: a\x01b\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-cr", HEAD + b"X: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-lf", HEAD + b"X: a\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-only-lf", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    ("F13-space-before-colon", HEAD + b"Content-Length : 2\r\n\r\nok"),
    ("F13-no-colon", HEAD + b"X\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-reason-control", b"HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-reason-cr", b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok"),
    ("F13-head-too-long", HEAD + b"X: y\r\n" * 12_000 + b"\r\n"),
    ("F14-101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    ("F14-interim-flood", b"HTTP/1.1 102 Processing\r\n\r\n" * 1000 + OK),
]  # fmt: skip


@pytest.mark.parametrize("answer", [pytest.param(answer, id=name) for name, answer in INVALID])
async def test_an_invalid_answer_is_502(rig: Rig, answer: bytes) -> None:
    """The upstream's connection ends; the client's goes on."""
    rig.origin.replies(answer)
    client = await rig.client()
    got = await client.ask(get("/public/x"))
    assert (got.status, got.problem["code"]) == (502, "bad_gateway")
    assert got.all("set-cookie") == []
    assert rig.edge.groups["a"].pools[0]._idle == []
    await rig.origin.connections[0].rest()
    rig.origin.script = rig.origin.serve
    await client.assert_kept()
    await rig.assert_unharmed()


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200", HEAD, HEAD + b"Content-Length: 2\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"],
    ids=["nothing", "status-line", "status", "header", "interim"],
)
async def test_f13_an_answer_cut_in_its_head_is_502(rig: Rig, answer: bytes) -> None:
    """On a new connection, where no keep-alive can have run out."""
    rig.origin.replies(answer, close=True)
    client = await rig.client()
    assert (await client.ask(get("/public/x"))).status == 502
    assert len(rig.origin.requests) == 1
    rig.origin.script = rig.origin.serve
    await client.assert_kept()


CUT = [
    ("length", HEAD + b"Content-Length: 10\r\n\r\nhalf"),
    ("length-0-sent", HEAD + b"Content-Length: 10\r\n\r\n"),
    ("chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"whole") + b"a\r\nhalf"),
    ("between-chunks", HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"whole")),
    ("last-chunk", HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"whole") + b"0\r\n"),
    ("chunk-broken", HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"whole") + b"zz\r\n"),
    ("chunk-lf", HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\nwhole\r\n0\r\n\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("answer", [pytest.param(answer, id=name) for name, answer in CUT])
async def test_f12_a_truncated_answer_is_cut(rig: Rig, answer: bytes, ending: str) -> None:
    """Never a well-formed short answer: no last chunk, fewer bytes than announced, and the connection ends."""

    async def script(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(answer)
        await sent.wait()
        connection.close() if ending == "close" else connection.reset()

    sent = asyncio.Event()
    rig.origin.script = script
    client = await rig.client()
    await client.send(get("/public/x"))
    head = await client.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    sent.set()
    body = await client.rest()
    if b"chunked" in head:
        assert not body.endswith(b"0\r\n\r\n")
    else:
        assert len(body) < 10
    await rig.assert_unharmed()


async def test_f12_an_answer_until_close_that_is_reset_is_cut(rig: Rig) -> None:
    """An orderly end completes it, a reset does not."""

    async def script(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(HEAD + b"\r\nhalf")
        await sent.wait()
        connection.reset()

    sent = asyncio.Event()
    rig.origin.script = script
    client = await rig.client()
    await client.send(get("/public/x"))
    await client.until(b"4\r\nhalf\r\n")
    sent.set()
    assert b"0\r\n\r\n" not in await client.rest()


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("kind", ["until-close", "chunked", "http10"])
async def test_an_answer_of_unknown_length_is_framed_for_its_client(rig: Rig, kind: str, version: str) -> None:
    """Chunked for HTTP/1.1, ended by the connection for HTTP/1.0."""
    answers = {
        "until-close": HEAD + b"\r\nhello",
        "chunked": HEAD + b"Transfer-Encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-Trailer: dropped\r\n\r\n",
        "http10": b"HTTP/1.0 200 OK\r\n\r\nhello",
    }
    rig.origin.replies(answers[kind], close=kind != "chunked")
    client = await rig.client()
    await client.send(get("/public/x", "Connection: keep-alive", version=version))
    head = await client.until(b"\r\n\r\n")
    if version == "1.0":
        assert b"chunked" not in head
        assert b"Connection: close\r\n" in head
        assert await client.rest() == b"hello"
    else:
        assert (await client.chunked())[:2] == (b"hello", b"")
        assert (await client.ask(get("/public/x"))).body == b"hello"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("lines", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"], ids=["bare", "cl", "te"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_f18_answers_without_a_body_have_none(rig: Rig, status: int, lines: bytes, method: str) -> None:
    """Whatever they announce (RFC 9110 sections 15.3.5, 15.4.5); both connections go on, unless a 204 announces anything."""
    rig.origin.answer = b"HTTP/1.1 %d X\r\n%b\r\n" % (status, lines)
    client = await rig.client()
    for _ in range(2):
        answer = await client.ask(get("/public/x", method=method), method)
        assert answer.status == status
        assert answer.one("transfer-encoding") is None
        assert answer.one("content-length") == (b"5" if lines.startswith(b"Content") and status == 304 else None)
    assert len(rig.origin.connections) == (2 if status == 204 and lines else 1)


@pytest.mark.parametrize("lines", [b"Content-Length: 44\r\n", b"Transfer-Encoding: chunked\r\n"], ids=["cl", "te"])
async def test_f14_a_body_that_a_204_announces_becomes_nobody_s_answer(rig: Rig, lines: bytes) -> None:
    """It comes later, when another client's request would be on the connection."""

    async def script(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 204 No Content\r\n" + lines + b"\r\n")
        rig.origin.script = rig.origin.serve
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")

    rig.origin.script = script
    first, second = await rig.client(), await rig.client()
    assert (await first.ask(get("/public/x"))).status == 204
    assert (await second.ask(get("/public/x"))).body == b"ok"


@pytest.mark.parametrize(
    ("lines", "length"), [(b"Content-Length: 5\r\n", b"5"), (b"Transfer-Encoding: chunked\r\n", None), (b"", None)]
)
async def test_s30_an_answer_to_head_has_no_body(rig: Rig, lines: bytes, length: bytes | None) -> None:
    """Its Content-Length is what GET would have had."""
    rig.origin.answer = HEAD + lines + b"\r\n"
    client = await rig.client()
    for _ in range(2):
        answer = await client.ask(get("/public/x", method="HEAD"), "HEAD")
        assert (answer.status, answer.one("content-length")) == (200, length)
    assert len(rig.origin.connections) == 1


async def test_s30_a_body_after_an_answer_to_head_ends_the_upstreams_connection(rig: Rig) -> None:
    """It is nobody's answer."""
    rig.origin.answer = HEAD + b"Content-Length: 5\r\n\r\nhello"
    client = await rig.client()
    assert (await client.ask(get("/public/x", method="HEAD"), "HEAD")).status == 200
    await rig.origin.connections[0].rest()
    rig.origin.answer = OK
    await client.assert_kept()


STRAY = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"


@pytest.mark.parametrize(
    "answer",
    [
        OK + STRAY,
        OK + b"\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + STRAY,
        b"HTTP/1.1 204 X\r\n\r\n" + STRAY,
    ],
    ids=["length", "crlf", "chunked", "204"],
)
async def test_f14_bytes_after_an_answer_end_the_connection(rig: Rig, answer: bytes) -> None:
    """Response-queue poisoning: the next client never gets the stray answer."""
    rig.origin.answer = answer
    client = await rig.client()
    assert (await client.ask(get("/public/x"))).body in (b"ok", b"")
    await rig.origin.connections[0].rest()
    rig.origin.answer = OK
    await client.assert_kept()
    assert len(rig.origin.connections) == 2


async def test_f14_bytes_on_an_idle_connection_end_it(rig: Rig) -> None:
    """An answer before its request is none."""
    client = await rig.client()
    await client.assert_kept()
    await rig.origin.connections[0].send(STRAY)
    await rig.eventually(lambda: rig.edge.groups["a"].pools[0].open == 0)
    await client.assert_kept()


async def test_f14_an_answer_before_the_request_is_refused(rig: Rig) -> None:
    """A server that speaks first speaks no HTTP: 502 soon, not a wait for nobody."""

    async def script(connection: OriginConnection) -> None:
        await connection.send(STRAY)
        await connection.rest()

    rig.origin.script = script
    client = await rig.client()
    answer = await client.ask(get("/public/x"))
    assert (answer.status, answer.body) == (200, b"stray") or answer.status == 502


async def test_a_connection_that_is_closed_at_once_is_502(rig: Rig) -> None:
    """Accepted and gone: nobody waits for the deadline."""

    async def script(connection: OriginConnection) -> None:
        connection.reset()

    rig.origin.script = script
    client = await rig.client()
    await client.send(get("/public/x") * 3)
    assert [(await client.response()).status for _ in range(3)] == [502] * 3


@pytest.mark.parametrize("split", [1, 2, 7])
@pytest.mark.parametrize(
    "answer",
    [
        OK,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"hello") + chunk(b"world") + b"0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK,
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
    ids=["length", "chunked", "interim", "204"],
)
async def test_answers_in_small_pieces(rig: Rig, answer: bytes, split: int) -> None:
    """How an answer is cut into segments changes nothing."""
    client = await rig.client()
    await client.assert_kept()
    (up,) = rig.edge.groups["a"].pools[0]._idle
    rig.origin.answer = b""
    await client.send(get("/public/x"))
    await rig.eventually(lambda: len(rig.origin.requests) == 2)
    for at in range(0, len(answer), split):
        up.data_received(answer[at : at + split])
    got = await client.response()
    assert got.body in (b"ok", b"helloworld", b"")
    assert up in rig.edge.groups["a"].pools[0]._idle
    rig.origin.answer = OK
    await client.assert_kept()


async def test_f15_hop_by_hop_headers_of_an_answer_are_dropped(rig: Rig) -> None:
    """And whatever its Connection lists (RFC 9110 section 7.6.1)."""
    rig.origin.answer = (
        HEAD + b"Connection: X-Secret, keep-alive\r\nX-Secret: a\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n"
        b"Upgrade: h2c\r\nTrailer: X\r\nTE: trailers\r\nProxy-Connection: close\r\nX-Open: b\r\nSet-Cookie: a=b\r\n"
        b"Set-Cookie: c=d\r\nDate: then\r\nContent-Length: 2\r\n\r\nok"
    )
    client = await rig.client()
    answer = await client.ask(get("/public/x"))
    cookies = [("Set-Cookie", b"a=b"), ("Set-Cookie", b"c=d")]
    assert answer.lines == [("X-Open", b"b"), *cookies, ("Date", b"then"), ("Content-Length", b"2")]
    await client.assert_kept()


async def test_f16_redirects_and_cookies_pass_and_are_not_kept(rig: Rig) -> None:
    """Nothing is followed, and no cookie of one client reaches another."""
    rig.origin.answer = b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    client = await rig.client()
    answer = await client.ask(get("/public/x"))
    assert (answer.status, answer.one("location")) == (302, b"http://elsewhere/")
    await (await rig.client()).ask(get("/public/y"))
    assert len(rig.origin.requests) == 2
    assert b"Cookie" not in rig.origin.bytes_seen


async def test_f18_content_is_never_decoded(rig: Rig) -> None:
    """A label that lies is the client's to find out."""
    rig.origin.answer = HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain"
    client = await rig.client()
    answer = await client.ask(get("/public/x"))
    assert (answer.body, answer.one("content-encoding")) == (b"plain", b"gzip")


async def test_a_known_head_is_no_other_answers(rig: Rig) -> None:
    """Answers whose heads are the same bytes share what was read; those that differ do not."""
    bodies = iter([b"one", b"two", b"three"])

    def answer(request: object) -> bytes:
        body = next(bodies)
        return HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)

    rig.origin.answer = answer
    client = await rig.client()
    assert [(await client.ask(get("/public/x"))).body for _ in range(3)] == [b"one", b"two", b"three"]


async def test_a_known_head_does_not_leak_connection_options(rig: Rig) -> None:
    """The same head for a client that closes, one of HTTP/1.0, HEAD and GET: each gets its own ending."""
    for _ in range(2):
        client = await rig.client()
        assert (await client.ask(get("/public/x"))).one("connection") is None
        assert (await client.ask(get("/public/x", "Connection: keep-alive", version="1.0"))).one("connection") == b"keep-alive"
        assert (await client.ask(get("/public/x", "Connection: close"))).one("connection") == b"close"
        await client.assert_closed()


async def test_a_body_the_upstream_has_not_read_keeps_its_connection_out_of_the_pool(rig: Rig) -> None:
    """It answered early and kept the connection; what still waits in our buffer would be the next request's beginning."""

    async def hasty(connection: OriginConnection) -> None:
        await connection.head()
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await full.wait()
        await connection.send(OK)
        await done.wait()

    full, done = asyncio.Event(), asyncio.Event()
    rig.origin.script = hasty
    client, down = await rig.connected()
    body = b"a" * 20_000_000
    await client.send(post("/public/x", b"", length=len(body)))
    await rig.eventually(lambda: down._exchange is not None and down._exchange.up is not None)
    up = down._exchange.up  # type: ignore[union-attr]
    assert up is not None
    up.transport.set_write_buffer_limits(high=32_000_000)
    sending = asyncio.create_task(client.send(body))
    await rig.eventually(lambda: down._exchange is not None and down._exchange.sent_all)
    assert up.transport.get_write_buffer_size() > 0
    full.set()
    assert (await client.response()).status == 200
    assert up not in rig.edge.groups["a"].pools[0]._idle
    await sending
    done.set()
    await rig.assert_unharmed()


@pytest.mark.parametrize("answer", [OK, HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 204 X\r\n\r\n"])
async def test_rfc9110_6_6_1_an_answer_without_a_date_gets_one(rig: Rig, answer: bytes) -> None:
    """A recipient with a clock appends it, once; one that is there passes as it is, right or wrong."""
    client = await rig.client()
    for message in (get("/public/x"), get("/public/x"), get("/public/x", "Connection: close")):
        rig.origin.answer = answer
        date = (await client.ask(message)).one("date")
        assert date is not None
        assert abs((parsedate_to_datetime(date.decode()) - datetime.now(UTC)).total_seconds()) < 2
        client = await rig.client()
        rig.origin.answer = answer.replace(b"\r\n", b"\r\ndate: theirs\r\n", 1)
        assert (await client.ask(message)).one("date") == b"theirs"
        client = await rig.client()


TINY = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("close", [False, True], ids=["kept", "closed"])
async def test_x08_an_answer_of_single_bytes_gives_way_to_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, close: bool
) -> None:
    """However many chunks come at once: so many a turn of the event loop, all of them in order, and the connection is kept."""
    turns: list[int] = []
    feed = ChunkDecoder.feed

    def counted(self: ChunkDecoder, data: bytes, most: int) -> tuple[list[bytes], int]:
        pieces, used = feed(self, data, most)
        turns.append(len(pieces))
        return pieces, used

    monkeypatch.setattr(ChunkDecoder, "feed", counted)
    content = bytes(range(256)) * 80
    body = b"".join(b"1\r\n%c\r\n" % byte for byte in content) + b"0\r\n\r\n"
    rig.origin.replies(TINY + body, close=close)
    client = await rig.client()
    for _ in range(2):
        answer = await client.ask(get("/public/x"))
        assert (answer.status, answer.body) == (200, content)
    assert max(turns) <= MAX_PIECES
    assert sum(turns) == 2 * len(content)
    assert len(rig.origin.connections) == 1 + close


async def test_x03_a_reader_that_stops_and_goes_has_no_more_read_than_waits_already(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While chunks wait for their turn nothing is read, whatever the client's pace says: else 256 KB came with each stop."""
    seen: list[int] = []
    go_on = Upstream._go_on

    def watched(self: Upstream, exchange: Exchange) -> None:
        before = len(self._buffer)
        exchange.down.pause_writing()
        exchange.down.resume_writing()
        assert not self.transport.is_reading()
        go_on(self, exchange)
        assert len(self._buffer) < before
        seen.append(before)

    monkeypatch.setattr(Upstream, "_go_on", watched)
    content = b"x" * 10 * MAX_PIECES
    rig.origin.replies(TINY + b"1\r\nx\r\n" * len(content) + b"0\r\n\r\n")
    client = await rig.client()
    for _ in range(2):
        assert (await client.ask(get("/public/x"))).body == content
    assert len(seen) > 10
    assert rig.faults == []


async def test_x08_what_goes_wrong_later_is_noticed_then(rig: Rig) -> None:
    """Chunks that wait for their turn: a fault after them cuts the client off, and nothing after it is served."""
    rig.origin.replies(TINY + b"1\r\nx\r\n" * 3 * MAX_PIECES + b"zz\r\n")
    client = await rig.client()
    await client.send(get("/public/x"))
    got = await client.rest()
    assert got.count(b"x") >= 2 * MAX_PIECES
    assert not got.endswith(b"0\r\n\r\n")


async def test_x08_a_client_that_leaves_meanwhile_ends_it(rig: Rig) -> None:
    """The connection to the upstream is cut, since what it still holds is nobody's."""
    cut = asyncio.Event()

    async def script(connection: OriginConnection) -> None:
        await connection.request()
        with contextlib.suppress(ConnectionError):
            await connection.send(TINY + b"1\r\nx\r\n" * 40_000)
        await connection.rest()
        cut.set()

    rig.origin.script = script
    client = await rig.client()
    await client.send(get("/public/x"))
    await client.response_head()
    client.close()
    async with asyncio.timeout(5):
        await cut.wait()
