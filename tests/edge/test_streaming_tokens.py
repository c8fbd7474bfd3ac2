"""A stream ends when its token does, whatever it is; and until then nothing of it waits for anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.oauth.tokens import digest_access
from tests.edge.frames import close, echo, hello, read_frame, text
from tests.edge.rig import TOKEN, Client, OriginConnection, Rig, a_verdict, chunk, get, post_chunked

DIGEST = digest_access(TOKEN)
QUICK = {"connect": "1s", "first_byte": "5s", "between_bytes": "200ms"}
ROUTES: list[dict[str, Any]] = [
    {"path": "/ws/", "upstream": "a", "streams": {}, "scopes": ["ws"], "timeouts": QUICK},
    {"path": "/begin/", "upstream": "a", "streams": {"until": "close"}},
    {"path": "/brief/", "upstream": "a", "streams": {"idle": "200ms"}, "timeouts": {**QUICK, "between_bytes": "60s"}},
    {"path": "/plain/", "upstream": "a", "timeouts": QUICK},
    {"path": "/patient/", "upstream": "a", "timeouts": {**QUICK, "between_bytes": "60s"}},
    {"path": "/free/", "upstream": "a", "public": True},
]
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-store\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
async def rig(unstarted: Rig) -> Rig:
    unstarted.allow("ws")
    return await unstarted.start(routes=ROUTES)


def revoke(rig: Rig) -> None:
    """The store reports the change and knows the token no more."""
    rig.verdicts.warm.clear()
    rig.edge.streams.token_changed(DIGEST)


def expire(rig: Rig, seconds: float = 0.2) -> None:
    """A token that lives for another moment."""
    rig.verdicts.warm[DIGEST] = a_verdict(scopes=["ws"], deadline=asyncio.get_running_loop().time() + seconds)


async def tunnel(rig: Rig, target: str = "/ws/a") -> tuple[Client, OriginConnection]:
    rig.origin.script = echo
    client = await rig.client()
    await client.send(hello(target))
    assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    return client, rig.origin.connections[-1]


async def assert_closed_with(client: Client, connection: OriginConnection, reason: bytes) -> None:
    """Both ends got 1008 between two frames, the upstream's masked; and both connections end."""
    assert await read_frame(client) == (0x88, b"\x03\xf0" + reason)
    await client.send(close(1008))
    assert await client.rest() == b""
    first, payload = await read_frame(connection)
    assert (first, payload) == (0x88, b"\x03\xf0" + reason)


async def events(rig: Rig, head: bytes = EVENTS + CHUNKED, first: bytes = chunk(b"data: 1\n\n")) -> Any:
    """An upstream whose answer has begun and goes on as the test says: put bytes into the queue, None to end."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def script(connection: OriginConnection) -> None:
        await connection.head()
        await connection.send(head, first)
        while (piece := await queue.get()) is not None:
            await connection.send(piece)
        connection.close()

    rig.origin.script = script
    return queue


async def begun(rig: Rig, request: bytes, first: bytes = b"data: 1\n\n") -> Client:
    """A client that has seen the first event."""
    client = await rig.client()
    await client.send(request)
    await client.until(first)
    return client


async def ended(rig: Rig) -> None:
    """Both connections are gone."""
    (pool,) = rig.edge.groups["a"].pools
    await rig.eventually(lambda: rig.edge.connections == 0 and pool.open == 0)
    assert not any((rig.edge.streams._tokens, rig.edge.streams._counts))


# --- WebSocket -----------------------------------------------------------------------------------------------------


async def test_a_revoked_token_ends_its_tunnel_with_1008(rig: Rig) -> None:
    client, connection = await tunnel(rig)
    await client.send(text(b"x"))
    await client.exactly(7)
    await connection.exactly(7)
    revoke(rig)
    await assert_closed_with(client, connection, b"token revoked")
    await ended(rig)
    (line,) = rig.logged()
    assert (line["status"], line["refusal"]) == (101, "token_revoked")
    assert rig.registry.snapshot()["gateway_streams_ended_total"]["series"] == {'reason="token_revoked"': 1}


async def test_an_expired_token_ends_its_tunnel_with_1008(rig: Rig) -> None:
    """By the clock alone: nothing is asked."""
    expire(rig)
    client, connection = await tunnel(rig)
    await assert_closed_with(client, connection, b"token expired")
    assert rig.verdicts.fetches == 0


async def test_a_scope_that_is_taken_away_ends_the_tunnel_that_needs_it(rig: Rig) -> None:
    client, connection = await tunnel(rig)
    rig.verdicts.warm.clear()
    rig.verdicts.cold[DIGEST] = a_verdict(scopes=["other"])
    rig.edge.streams.client_changed("gwc_me")
    await assert_closed_with(client, connection, b"scope lost")


async def test_while_the_store_is_away_a_tunnel_goes_on_to_its_hour(rig: Rig) -> None:
    expire(rig, 1.0)  # a busy machine shall have begun it by then
    client, connection = await tunnel(rig)
    rig.verdicts.warm.clear()
    rig.verdicts.cold[DIGEST] = StoreUnavailable("down")
    rig.edge.streams.everything_changed()
    await rig.eventually(lambda: rig.verdicts.fetches)
    await client.send(text(b"x"))
    assert await client.exactly(7) == text(b"x")
    await connection.exactly(7)
    await assert_closed_with(client, connection, b"token expired")


async def test_until_close_outlives_its_token(rig: Rig) -> None:
    expire(rig)
    client, _ = await tunnel(rig, "/begin/a")
    revoke(rig)
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.5
    while loop.time() < end:
        await client.send(text(b"x"))
        assert await client.exactly(7) == text(b"x")
        await asyncio.sleep(0.05)


async def test_a_tunnel_whose_verdict_came_late_is_watched_too(rig: Rig) -> None:
    """The cache had nothing: the store was asked first, and is again."""
    rig.verdicts.cold[DIGEST] = rig.verdicts.warm.pop(DIGEST)
    client, connection = await tunnel(rig)
    rig.verdicts.cold.clear()
    rig.edge.streams.token_changed(DIGEST)
    await assert_closed_with(client, connection, b"token revoked")


# --- events and other answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/ws/a", "/plain/a"])
async def test_a_revoked_token_cuts_its_events_on_any_route(rig: Rig, target: str) -> None:
    """What came is no whole answer: the last chunk is missing."""
    await events(rig)
    client = await begun(rig, get(target, auth=True))
    revoke(rig)
    assert b"0\r\n\r\n" not in await client.rest()
    await ended(rig)
    (line,) = rig.logged()
    assert (line["status"], line["refusal"]) == (200, "token_revoked")  # as for a tunnel


async def test_an_expired_token_cuts_its_events(rig: Rig) -> None:
    expire(rig)
    await events(rig)
    client = await begun(rig, get("/patient/a", auth=True))
    assert b"0\r\n\r\n" not in await client.rest()
    await ended(rig)
    (line,) = rig.logged()
    assert line["refusal"] == "token_expired"


async def test_a_token_that_died_while_the_answer_was_made_cuts_it(rig: Rig) -> None:
    """Elsewhere than on routes with streams nobody watched the token until the answer turned out to be events."""
    go = asyncio.Event()

    async def script(connection: OriginConnection) -> None:
        await connection.head()
        await go.wait()
        await connection.send(EVENTS, CHUNKED, chunk(b"data: 1\n\n"))
        await connection.rest()

    rig.origin.script = script
    client = await rig.client()
    await client.send(get("/plain/a", auth=True))
    await rig.origin.connected.wait()
    revoke(rig)
    assert rig.verdicts.fetches == 0
    go.set()
    assert b"0\r\n\r\n" not in await client.rest()
    await ended(rig)


async def test_events_to_an_http_1_0_client_end_in_a_reset(rig: Rig) -> None:
    """Its answer ends with the connection, so an orderly end would look complete (F12)."""
    await events(rig)
    client = await begun(rig, get("/plain/a", auth=True, version="1.0"))
    revoke(rig)
    with pytest.raises(ConnectionResetError):
        await client.reader.read(65536)


@pytest.mark.parametrize("head", [CHUNKED, b"Connection: close\r\n\r\n"], ids=["chunked", "until close"])
async def test_on_routes_with_streams_every_answer_without_a_length_is_one(rig: Rig, head: bytes) -> None:
    framed: Callable[[bytes], bytes] = chunk if head is CHUNKED else bytes
    await events(rig, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + head, framed(b"data: 1\n\n"))
    client = await begun(rig, get("/ws/a", auth=True))
    assert rig.registry.snapshot()["gateway_streams"]["series"] == {'kind="body"': 1}
    revoke(rig)
    assert b"0\r\n\r\n" not in await client.rest()
    await ended(rig)


@pytest.mark.parametrize(
    ("target", "head", "rest"),
    [
        pytest.param("/plain/a", b"HTTP/1.1 200 OK\r\n" + CHUNKED, b"4\r\nrest\r\n0\r\n\r\n", id="chunked elsewhere"),
        pytest.param("/ws/a", b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n", b"rest", id="a length"),
        pytest.param("/begin/a", EVENTS + CHUNKED, b"4\r\nrest\r\n0\r\n\r\n", id="until close"),
    ],
)
async def test_what_is_no_stream_is_answered_to_the_end(rig: Rig, target: str, head: bytes, rest: bytes) -> None:
    """It was authorized when it began, and has an end."""
    first = b"data: 1\n\n" if b"Length" not in head else b"data: 1\n\n12345"
    queue = await events(rig, head, first if b"Length" in head else chunk(first))
    client = await begun(rig, get(target, auth=True), first)
    revoke(rig)
    for _ in range(20):
        await asyncio.sleep(0)
    queue.put_nowait(rest)
    await client.until(rest)


async def test_a_long_poll_whose_token_ends_is_401(rig: Rig) -> None:
    """Nothing of the answer was sent: it can still be refused."""

    async def script(connection: OriginConnection) -> None:
        await connection.head()
        await connection.rest()

    rig.origin.script = script
    client = await rig.client()
    await client.send(get("/ws/a", auth=True))
    await rig.origin.connected.wait()
    revoke(rig)
    answer = await client.response()
    assert (answer.status, answer.problem["code"]) == (401, "invalid_token")
    (pool,) = rig.edge.groups["a"].pools
    await rig.eventually(lambda: pool.open == 0)


async def test_a_body_that_streams_up_is_cut_too(rig: Rig) -> None:
    """Full duplex: both directions end, and the upstream sees no last chunk."""
    rig.origin.script = echo_chunks
    client = await rig.client()
    await client.send(post_chunked("/ws/a", b"one", auth=True, last=False))
    await client.until(b"one\r\n")
    revoke(rig)
    assert b"0\r\n\r\n" not in await client.rest()
    await ended(rig)
    assert not rig.origin.bytes_seen.endswith(b"0\r\n\r\n")


# --- unbuffered ----------------------------------------------------------------------------------------------------


async def echo_chunks(connection: OriginConnection) -> None:
    """Answer at once, and send each chunk back as it comes."""
    await connection.head()
    await connection.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED)
    while size := int(await connection.until(b"\r\n"), 16):
        await connection.send(chunk((await connection.exactly(size + 2))[:-2]))
    await connection.until(b"\r\n")
    await connection.send(b"0\r\n\r\n")


@pytest.mark.parametrize("head", [CHUNKED, b"Connection: close\r\n\r\n"], ids=["chunked", "until close"])
async def test_each_event_arrives_before_the_next_is_sent(rig: Rig, head: bytes) -> None:
    framed: Callable[[bytes], bytes] = chunk if head is CHUNKED else bytes
    queue = await events(rig, EVENTS + head, framed(b"data: 1\n\n"))
    client = await begun(rig, get("/free/a"))
    for number in range(2, 12):
        event = b"data: %d\n\n" % number
        queue.put_nowait(framed(event))
        await client.until(event)


async def test_half_a_chunk_waits_for_nothing(rig: Rig) -> None:
    """Content passes as it comes, not chunk by chunk."""
    queue = await events(rig, EVENTS + CHUNKED, b"20\r\ndata: 1\n\n")
    client = await begun(rig, get("/free/a"))
    queue.put_nowait(b"data: 2\n\n")
    await client.until(b"data: 2\n\n")


@pytest.mark.parametrize("target", ["/ws/a", "/plain/a"])
async def test_full_duplex_bodies_flow_both_ways_at_once_and_complete(rig: Rig, target: str) -> None:
    """The answer begins while the request's body still comes; neither waits for the other's end."""
    rig.origin.script = echo_chunks
    client = await rig.client()
    await client.send(post_chunked(target, b"zero", auth=True, last=False))
    head = await client.response_head()
    assert head.first == b"HTTP/1.1 200 OK"
    await client.until(b"zero\r\n")
    for number in range(20):
        piece = b"piece %d" % number
        await client.send(chunk(piece))
        await client.until(piece + b"\r\n")
    await client.send(b"0\r\n\r\n")
    assert await client.until(b"0\r\n\r\n") == b"0\r\n\r\n"
    (line,) = rig.logged()
    assert line["refusal"] == ""
    assert line["bytes_in"] == line["bytes_out"] > 100


async def test_large_bodies_both_ways_at_once_neither_block_nor_grow(rig: Rig) -> None:
    """16 MiB each way through an echo that reads no faster than it writes."""
    piece, count = b"x" * 65536, 256

    async def script(connection: OriginConnection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * count))
        left = len(piece) * count - (len(connection.received) - connection.read_to)
        connection.writer.write(bytes(connection.received[connection.read_to :]))
        while left:
            data = await connection.reader.read(65536)
            left -= len(data)
            connection.writer.write(data)
            await connection.writer.drain()
        await connection.rest()

    rig.origin.script = script
    client = await rig.client()
    await client.send(get("/free/a", f"Content-Length: {len(piece) * count}", method="POST"))

    async def send() -> None:
        for _ in range(count):
            client.writer.write(piece)
            await client.writer.drain()

    sending = asyncio.create_task(send())
    await client.until(b"\r\n\r\n")
    arrived = len(client.received) - client.read_to
    while arrived < len(piece) * count:
        arrived += len(await client.reader.read(1 << 20))
    await sending
    assert arrived == len(piece) * count


# --- silence -------------------------------------------------------------------------------------------------------


async def test_on_a_route_with_streams_between_bytes_cuts_no_quiet_events(rig: Rig) -> None:
    """`between_bytes` is 200 ms there, `idle` five minutes: that is when the gateway looks next."""
    queue = await events(rig)
    client = await begun(rig, get("/ws/a", auth=True))
    (down,) = rig.edge._connections
    assert 299.0 < down.deadline - rig.edge.loop.time() < 300.001  # sums of fractions are not exact
    queue.put_nowait(chunk(b"data: late\n\n"))
    await client.until(b"data: late\n\n")


@pytest.mark.parametrize("open_", [tunnel, None], ids=["tunnel", "events"])
async def test_idle_ends_what_is_silent(rig: Rig, open_: Callable[..., Awaitable[Any]] | None) -> None:
    if open_ is not None:
        client, _ = await open_(rig, "/brief/a")
        assert await read_frame(client) == (0x88, b"\x03\xe9idle")
        client.close()
    else:
        await events(rig)
        client = await begun(rig, get("/brief/a", auth=True))
        assert b"0\r\n\r\n" not in await client.rest()
    await ended(rig)
