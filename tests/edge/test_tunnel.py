"""WebSocket through the gateway: the handshake that leads to a tunnel, what passes, and how it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from gateway.edge import tunnel
from gateway.edge.tunnel import Tunnel
from gateway.oauth.tokens import digest_access
from tests.edge.frames import KEY, SWITCH, agree, close, echo, frame, hello, read_frame, text
from tests.edge.rig import OK, TOKEN, Client, OriginConnection, Rig, Wire, get

ROUTES: list[dict[str, Any]] = [
    {"path": "/ws/", "upstream": "a", "streams": {}, "scopes": ["ws"]},
    {"path": "/free/", "upstream": "a", "streams": {"max_per_client": 2}, "public": True},
    {"path": "/by/", "upstream": "a", "streams": {"subprotocol": True}},
    {"path": "/idle/", "upstream": "a", "public": True, "streams": {"idle": "200ms"}},
    {"path": "/none/", "upstream": "a"},
    {"path": "/public/", "upstream": "a", "public": True},
]
MIB = 2**20


@pytest.fixture
async def rig(unstarted: Rig) -> Rig:
    """Routes with streams, and the test token with the scope that one of them wants."""
    unstarted.allow("ws")
    unstarted.origin.script = echo
    return await unstarted.start(routes=ROUTES)


async def opened(rig: Rig, target: str = "/free/a") -> tuple[Client, OriginConnection]:
    """A tunnel, both ends of it."""
    client = await rig.client()
    await client.send(hello(target))
    head = await client.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 "), head
    return client, rig.origin.connections[-1]


async def gone(rig: Rig) -> None:
    """Nothing is left of any tunnel."""
    pools = [pool for group in rig.edge.groups.values() for pool in group.pools]
    await rig.eventually(lambda: rig.edge.connections == 0 and not any(pool.open for pool in pools))
    assert not any((rig.edge.streams._tokens, rig.edge.streams._counts))


# --- the handshake -------------------------------------------------------------------------------------------------


async def test_rfc6455_4_a_handshake_leads_to_a_tunnel(rig: Rig) -> None:
    """The upstream sees one like it, from a client of ours; the 101 names what it selected."""
    rig.origin.script = lambda connection: agree(connection, b"Sec-WebSocket-Protocol: chat", b"X-Theirs: 1")
    client = await rig.client()
    await client.send(hello("/ws/a?b=c", "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Extensions: permessage-deflate"))
    answer = await client.response_head()
    assert answer.first == b"HTTP/1.1 101 Switching Protocols"
    assert [answer.one(name) for name in ("upgrade", "connection", "sec-websocket-protocol", "x-theirs")] == [
        b"websocket", b"Upgrade", b"chat", b"1",
    ]  # fmt: skip
    seen = rig.origin.connections[0].read_head
    assert seen.first == b"GET /ws/a?b=c HTTP/1.1"
    for name, value in {
        "upgrade": b"websocket", "connection": b"Upgrade", "sec-websocket-key": KEY, "sec-websocket-version": b"13",
        "sec-websocket-extensions": b"permessage-deflate", "x-client-id": b"gwc_me", "authorization": None,
    }.items():  # fmt: skip
        assert seen.one(name) == value


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(hello(drop="Sec-WebSocket-Key"), id="no key"),
        pytest.param(hello("/ws/a", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), id="two keys"),
        pytest.param(hello("/ws/a", "Sec-WebSocket-Key: short", drop="Sec-WebSocket-Key"), id="a short key"),
        pytest.param(hello(drop="Sec-WebSocket-Version"), id="no version"),
        pytest.param(hello("/ws/a", "Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version"), id="version 8"),
        pytest.param(hello(drop="Connection"), id="Connection does not list it"),
        pytest.param(hello(method="POST"), id="POST"),
        pytest.param(hello("/ws/a", "Content-Length: 5"), id="a body"),
        pytest.param(hello("/ws/a", "Transfer-Encoding: chunked"), id="a chunked body"),
    ],
)
async def test_rfc6455_4_2_1_a_malformed_handshake_is_400_and_the_end(rig: Rig, request_: bytes) -> None:
    """Nothing of it goes upstream, nor of what follows."""
    client = await rig.client()
    answer = await client.ask(request_ + get("/public/smuggled"))
    assert (answer.status, answer.problem["code"]) == (400, "bad_request")
    await client.assert_closed()
    assert rig.origin.bytes_seen == b""


async def test_s24_a_route_without_streams_makes_no_tunnel(rig: Rig) -> None:
    """An ordinary request: the upstream does not even hear of the upgrade."""
    rig.origin.script = rig.origin.serve
    client = await rig.client()
    assert (await client.ask(hello("/none/a"))).status == 200
    (seen,) = rig.origin.requests
    assert seen.one("upgrade") is seen.one("connection") is None


@pytest.mark.parametrize("upgrade", ["foo", "h2c", "TLS/1.2"])
async def test_rfc9110_7_8_other_upgrades_are_ignored_on_a_route_with_streams_too(rig: Rig, upgrade: str) -> None:
    rig.origin.script = rig.origin.serve
    client = await rig.client()
    wanted = get("/free/x", f"Upgrade: {upgrade}", "Connection: Upgrade")
    await client.send(wanted + get("/public/next"))
    assert (await client.response()).status == (await client.response()).status == 200
    assert all(request.one("upgrade") is None for request in rig.origin.requests)


async def test_rfc9110_7_8_an_upgrade_in_http_1_0_is_ignored(rig: Rig) -> None:
    rig.origin.script = rig.origin.serve
    client = await rig.client()
    assert (await client.ask(hello("/free/x").replace(b"HTTP/1.1", b"HTTP/1.0"))).status == 200
    assert rig.origin.requests[0].one("upgrade") is None


async def test_the_guard_decides_first(rig: Rig) -> None:
    """No token: 401. Without the scope: 403. Neither is heard of upstream, and the connection ends (S24)."""
    rig.verdicts.warm.clear()
    for request, status in ((hello(auth=False), 401), (hello(), 401)):
        client = await rig.client()
        assert (await client.ask(request + text(b"x"))).status == status
        await client.assert_closed()
    rig.allow("other")
    client = await rig.client()
    assert (await client.ask(hello())).status == 403
    await client.assert_closed()
    assert rig.origin.bytes_seen == b""


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden", b"426 Upgrade Required", b"302 Found"])
async def test_s24_another_answer_is_an_ordinary_one_and_the_end_of_both(rig: Rig, status: bytes) -> None:
    """What the client sent behind its head, frames or a request, goes nowhere."""
    rig.origin.replies(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\nno")
    client = await rig.client()
    await client.send(hello() + get("/public/smuggled"))
    answer = await client.response()
    assert (answer.body, answer.one("connection")) == (b"no", b"close")
    await client.assert_closed()
    assert b"smuggled" not in rig.origin.bytes_seen
    assert rig.edge.streams._counts == {}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(SWITCH.replace(b"s3pP", b"AAAA"), id="another key's Accept"),
        pytest.param(SWITCH.replace(b"Sec-WebSocket-Accept", b"X"), id="no Accept"),
        pytest.param(SWITCH + SWITCH.split(b"\r\n")[-2] + b"\r\n", id="two Accepts"),
        pytest.param(SWITCH.replace(b"websocket", b"h2c"), id="to something else"),
        pytest.param(SWITCH.replace(b"Upgrade: websocket\r\n", b""), id="to nothing"),
        pytest.param(SWITCH.replace(b"Connection: Upgrade", b"Connection: close"), id="Connection does not list it"),
    ],
)
async def test_f14_a_101_that_does_not_fit_is_502(rig: Rig, answer: bytes) -> None:
    """And no tunnel: neither side's bytes pass."""
    rig.origin.replies(answer + b"\r\n" + frame(1, b"stray"))
    client = await rig.client()
    refused = await client.ask(hello() + text(b"mine"))
    assert refused.status == 502
    await client.assert_closed()
    client.close()
    assert b"mine" not in rig.origin.bytes_seen
    await gone(rig)


async def test_f14_a_101_that_nobody_asked_for_is_502(rig: Rig) -> None:
    rig.origin.replies(SWITCH + b"\r\n")
    client = await rig.client()
    assert (await client.ask(get("/free/x"))).status == 502


async def test_s24_bytes_behind_the_head_wait_for_the_101(rig: Rig) -> None:
    """And those behind the 101 follow it, each in order."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def script(connection: OriginConnection) -> None:
        await connection.head()
        asked.set()
        await go.wait()
        assert connection.received.endswith(b"\r\n\r\n")
        await connection.send(SWITCH + b"\r\n" + frame(1, b"first"))
        await echo_rest(connection)

    rig.origin.script = script
    client = await rig.client()
    await client.send(hello() + text(b"early "))
    await asked.wait()
    await client.send(text(b"bird"))
    for _ in range(20):
        await asyncio.sleep(0)
    go.set()
    await client.until(b"\r\n\r\n")
    assert await read_frame(client) == (0x81, b"first")
    assert await read_frame(client) == (0x81, b"early ")
    assert await read_frame(client) == (0x81, b"bird")


async def echo_rest(connection: OriginConnection) -> None:
    connection.writer.write(bytes(connection.received[connection.read_to :]))
    while data := await connection.reader.read(65536):
        connection.writer.write(data)


async def test_interim_answers_pass_before_the_101(rig: Rig) -> None:
    async def script(connection: OriginConnection) -> None:
        await connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n")
        await echo(connection)

    rig.origin.script = script
    client = await rig.client()
    await client.send(hello())
    assert (await client.response_head()).first.startswith(b"HTTP/1.1 103")
    assert (await client.response_head()).first.startswith(b"HTTP/1.1 101")


# --- the token as a subprotocol ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "upstream", "selected"),
    [
        pytest.param("bearer, {}", None, b"bearer", id="nothing else"),
        pytest.param("bearer, {}, chat", b"chat", b"bearer", id="the upstream selects none"),
        pytest.param("chat, bearer, {}, v2", b"chat, v2", b"bearer", id="in the middle"),
    ],
)
async def test_a_browser_passes_its_token_as_a_subprotocol(
    rig: Rig, offered: str, upstream: bytes | None, selected: bytes
) -> None:
    """The upstream sees the others only; a browser would fail the connection if none were selected."""
    client = await rig.client()
    await client.send(hello("/by/a", f"Sec-WebSocket-Protocol: {offered.format(TOKEN.decode())}", auth=False))
    answer = await client.response_head()
    assert answer.first.startswith(b"HTTP/1.1 101")
    assert answer.one("sec-websocket-protocol") == selected
    seen = rig.origin.connections[0].read_head
    assert seen.one("sec-websocket-protocol") == upstream
    assert TOKEN not in rig.origin.bytes_seen
    assert seen.one("x-client-id") == b"gwc_me"


async def test_what_the_upstream_selects_is_selected(rig: Rig) -> None:
    rig.origin.script = lambda connection: agree(connection, b"Sec-WebSocket-Protocol: chat")
    client = await rig.client()
    await client.send(hello("/by/a", f"Sec-WebSocket-Protocol: bearer, {TOKEN.decode()}, chat", auth=False))
    assert (await client.response_head()).one("sec-websocket-protocol") == b"chat"


@pytest.mark.parametrize(
    ("target", "offered", "auth", "status"),
    [
        pytest.param("/by/a", "bearer, wrong", False, 401, id="a wrong token"),
        pytest.param("/by/a", "bearer", False, 401, id="no token behind it"),
        pytest.param("/by/a", "chat", False, 401, id="none at all"),
        pytest.param("/by/a", "bearer, {}", True, 400, id="one in the header too"),
        pytest.param("/by/a", "bearer, {0}, bearer, {0}", False, 400, id="two"),
        pytest.param("/ws/a", "bearer, {}", False, 401, id="a route that does not opt in"),
    ],
)
async def test_a_subprotocol_is_no_way_around(rig: Rig, target: str, offered: str, auth: bool, status: int) -> None:
    client = await rig.client()
    answer = await client.ask(hello(target, f"Sec-WebSocket-Protocol: {offered.format(TOKEN.decode())}", auth=auth))
    assert answer.status == status
    assert rig.origin.bytes_seen == b""
    await client.assert_closed()


async def test_only_an_upgrade_may_pass_it_so(rig: Rig) -> None:
    client = await rig.client()
    answer = await client.ask(get("/by/a", f"Sec-WebSocket-Protocol: bearer, {TOKEN.decode()}"))
    assert answer.status == 401


async def test_the_token_is_in_no_log(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """G4: neither when it passes nor when it is refused."""
    caplog.set_level(0)
    for offered in (TOKEN.decode(), TOKEN.decode()[:-1]):
        client = await rig.client()
        await client.send(hello("/by/a", f"Sec-WebSocket-Protocol: bearer, {offered}", auth=False))
        await client.response_head()
        client.close()
    await rig.eventually(lambda: rig.edge.connections == 0)
    assert TOKEN.decode()[:-1] not in repr(rig.logged()) + caplog.text


# --- what passes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(text(b"hello"), id="text"),
        pytest.param(frame(2, bytes(range(256)) * 300, mask=b"abcd"), id="binary of 75 KiB"),
        pytest.param(text(b"not masked", masked=False), id="unmasked from a client"),
        pytest.param(frame(1, b"a", fin=False) + frame(9, b"ping") + frame(0, b"b"), id="a ping between fragments"),
        pytest.param(frame(3, b"x") + frame(15, b"y") + frame(1, b"z", rsv=7), id="reserved opcodes and bits"),
        pytest.param(frame(9, b"x" * 126), id="a ping that is too long"),
        pytest.param(b"\x82\xff" + b"\xff" * 8 + b"garbage that no scanner can follow", id="an impossible length"),
        pytest.param(close() + b"bytes after a close", id="bytes after a Close"),
    ],
)
async def test_whatever_the_ends_exchange_passes_as_it_is(rig: Rig, sent: bytes) -> None:
    """Nothing is refused here that is the ends' to refuse; in any pieces."""
    client, connection = await opened(rig)
    for pieces in ([sent], [sent[at : at + 1] for at in range(min(len(sent), 60))] + [sent[60:]]):
        await client.send(*pieces)
        assert await client.exactly(len(sent)) == sent
    await rig.eventually(lambda: connection.received.endswith(sent + sent))


async def test_a_half_close_passes_and_the_other_half_goes_on(rig: Rig) -> None:
    """FIN for FIN, as without us."""
    ended = asyncio.Event()

    async def script(connection: OriginConnection) -> None:
        await agree(connection)
        await connection.rest()
        ended.set()
        await connection.send(frame(1, b"after your end"))

    rig.origin.script = script
    client, _ = await opened(rig)
    client.end()
    await ended.wait()
    assert await client.rest() == frame(1, b"after your end")
    await gone(rig)
    (line,) = [line for line in rig.logged() if line["status"] == 101]
    assert line["refusal"] == ""


async def test_an_end_before_the_101_passes_after_it(rig: Rig) -> None:
    client = await rig.client()
    await client.send(hello() + text(b"bye"))
    client.end()
    await client.until(b"\r\n\r\n")
    assert await client.rest() == text(b"bye")
    await gone(rig)


@pytest.mark.parametrize("end", ["client", "origin"])
async def test_a_reset_on_one_side_ends_the_other(rig: Rig, end: str) -> None:
    client, connection = await opened(rig)
    await client.send(text(b"x"))
    await client.exactly(7)
    one, other = (client, connection) if end == "client" else (connection, client)
    one.reset()
    if end == "client":
        await gone(rig)
    else:
        await other.rest()
        await gone(rig)
    assert rig.logged()[0]["status"] == 101


async def test_the_closing_handshake_of_the_ends_is_theirs(rig: Rig) -> None:
    """RFC 6455 section 7: we add nothing to it."""
    client, connection = await opened(rig)
    await client.send(close(4000, b"mine"))
    assert await client.exactly(12) == close(4000, b"mine")
    connection.close()
    assert await client.rest() == b""
    client.close()
    await gone(rig)


@pytest.mark.parametrize("way", ["up", "down"])
async def test_x09_a_slow_end_holds_the_other_and_memory_is_bounded(rig: Rig, way: str) -> None:
    """64 MiB are offered as one frame; what waits here stays below 1 MiB, and all of it arrives in the end."""
    size = 64 * MIB
    head = b"\x82\x7f" + size.to_bytes(8, "big")
    total = size + len(head)

    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        for _ in range(64):
            writer.write(b"\x81" * MIB)
            await writer.drain()

    async def script(connection: OriginConnection) -> None:
        await agree(connection)
        connection.writer.transport.pause_reading() if way == "up" else await pour(connection.writer)
        await connection.hold()

    rig.origin.script = script
    client, connection = await opened(rig)
    source, sink = (client, connection) if way == "up" else (connection, client)
    sink.writer.transport.pause_reading()  # type: ignore[attr-defined]
    pouring = asyncio.create_task(pour(client.writer)) if way == "up" else None
    (down,) = rig.edge._connections
    live = down._tunnel
    assert live is not None
    side = live._client if way == "up" else live._server
    await rig.eventually(lambda: side._held)
    passed = side.passed
    assert side.other.transport.get_write_buffer_size() < MIB
    for _ in range(50):
        await asyncio.sleep(0)
    assert side.passed == passed < total
    sink.writer.transport.resume_reading()  # type: ignore[attr-defined]
    arrived = len(sink.received) - sink.read_to
    while arrived < total:
        arrived += len(await sink.reader.read(MIB))
    assert arrived == total
    if pouring is not None:
        await pouring
    assert source is not sink


async def test_a_tunnel_counts_against_the_upstream_s_connections_until_it_ends(unstarted: Rig) -> None:
    """And is never given to anybody else."""
    unstarted.origin.script = echo
    rig = await unstarted.start(routes=ROUTES, upstream={"max_connections": 1})
    client, _ = await opened(rig)
    (pool,) = rig.edge.groups["a"].pools
    assert (pool.open, pool._idle) == (1, [])
    rig.origin.script = rig.origin.serve
    other = await rig.client()
    await other.send(get("/public/waits"))
    for _ in range(50):
        await asyncio.sleep(0)
    assert rig.origin.requests == []
    client.close()
    assert (await other.response()).status == 200
    assert len(rig.origin.connections) == 2


async def test_x09_a_client_has_so_many_and_no_more(rig: Rig) -> None:
    """429 before anything is sent upstream; one that ends makes room."""
    first, _ = await opened(rig)
    await opened(rig)
    before = len(rig.origin.connections)
    client = await rig.client()
    answer = await client.ask(hello("/free/a"))
    assert (answer.status, answer.problem["code"], answer.one("retry-after")) == (429, "too_many_requests", b"5")
    assert len(rig.origin.connections) == before
    first.close()
    await rig.eventually(lambda: sum(rig.edge.streams._counts.values()) == 1)
    await opened(rig)


async def test_behind_a_trusted_proxy_clients_count_by_the_address_it_names(unstarted: Rig) -> None:
    """A /64 is one client; the proxy itself is none."""
    unstarted.origin.script = echo
    rig = await unstarted.start(routes=ROUTES, trusted_proxies=["127.0.0.1"])
    for address, status in (
        ("192.0.2.1", 101), ("192.0.2.1", 101), ("192.0.2.1", 429), ("192.0.2.2", 101),
        ("2001:db8::1", 101), ("2001:db8::2", 101), ("2001:db8::3", 429),
    ):  # fmt: skip
        client = await rig.client()
        await client.send(hello("/free/a", f"X-Forwarded-For: {address}"))
        assert int((await client.response_head()).first.split()[1]) == status


# --- how the gateway ends it ---------------------------------------------------------------------------------------


async def test_x09_an_idle_tunnel_is_closed_with_1001(rig: Rig) -> None:
    """Both ends hear it, and answer; then the connections end."""
    client, connection = await opened(rig, "/idle/a")
    assert await read_frame(client) == (0x88, b"\x03\xe9idle")
    await client.send(close(1001))
    assert await client.rest() == b""
    await gone(rig)
    assert connection.received.endswith(await masked_close(connection))
    (line,) = [line for line in rig.logged() if line["status"] == 101]
    assert line["refusal"] == "idle"


async def masked_close(connection: OriginConnection) -> bytes:
    sent = bytes(connection.received[connection.read_to :])
    assert sent[:2] == b"\x88\x86"
    assert bytes(byte ^ sent[2 + (at & 3)] for at, byte in enumerate(sent[6:])) == b"\x03\xe9idle"
    return sent


async def test_traffic_in_either_direction_keeps_a_tunnel(rig: Rig) -> None:
    client, _ = await opened(rig, "/idle/a")
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.6
    while loop.time() < end:
        await client.send(text(b"x"))
        assert await client.exactly(7) == text(b"x")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("stalled", ["client", "origin"])
async def test_a_frame_that_stalls_is_cut_off_after_a_second(rig: Rig, monkeypatch: pytest.MonkeyPatch, stalled: str) -> None:
    """The other end gets no Close into the middle of it."""
    monkeypatch.setattr(tunnel, "CLOSING", 0.2)
    rig.origin.script = lambda connection: agree_and_wait(connection, b"\x81\x05he" if stalled == "origin" else b"")
    client, connection = await opened(rig)
    if stalled == "client":
        await client.send(text(b"hello")[:-1])
    await rig.eventually(lambda: len(connection.received) - connection.read_to == (10 if stalled == "client" else 0))
    (down,) = rig.edge._connections
    down.drain()
    received = await client.rest()
    if stalled == "client":
        assert received[:2] == b"\x88\x0a"
        assert len(bytes(connection.received[connection.read_to :])) == 10
    else:
        assert received == b"\x81\x05he"
    await gone(rig)


async def agree_and_wait(connection: OriginConnection, behind: bytes) -> None:
    await agree(connection, behind=behind)
    await connection.rest()


async def test_a_close_waits_for_the_end_of_the_frame(rig: Rig) -> None:
    """The rest of the frame passes, then the Close; what follows is dropped."""
    client, connection = await opened(rig)
    await client.send(text(b"hello")[:-1])
    await rig.eventually(lambda: connection.received.endswith(text(b"hello")[:-1]))
    (down,) = rig.edge._connections
    down.drain()
    await client.send(text(b"hello")[-1:] + text(b"too late"))
    await client.send(close(1001))
    await client.rest()
    await gone(rig)
    sent = bytes(connection.received)
    at = sent.index(text(b"hello")) + len(text(b"hello"))
    assert sent[at : at + 2] == b"\x88\x8a"
    assert len(sent) == at + 16


async def test_framing_that_can_not_be_followed_is_only_ever_cut(rig: Rig) -> None:
    client, _ = await opened(rig)
    impossible = b"\x82\xff" + b"\xff" * 12
    await client.send(impossible)
    await client.exactly(len(impossible))
    (down,) = rig.edge._connections
    down.drain()
    assert await client.rest() == b""
    await gone(rig)


async def test_a_close_is_not_put_behind_the_ends_own(rig: Rig) -> None:
    """RFC 6455 section 5.5.1: no frame follows a Close."""
    client, connection = await opened(rig)
    await client.send(close(1000))
    assert await client.exactly(8) == close(1000)
    (down,) = rig.edge._connections
    down.drain()
    assert await client.rest() == b""
    await gone(rig)
    assert connection.received.endswith(close(1000))


async def test_drain_closes_tunnels_with_1001_at_once(rig: Rig) -> None:
    """Both ends hear it; the drain takes no longer than their answers."""
    client, connection = await opened(rig)
    draining = asyncio.create_task(rig.edge.drain(5))
    assert await read_frame(client) == (0x88, b"\x03\xe9draining")
    await client.send(close(1001))
    assert await client.rest() == b""
    async with asyncio.timeout(2):
        await draining
    assert b"\x88\x8a" in connection.received


async def test_a_tunnel_that_begins_while_draining_is_closed_at_once(rig: Rig) -> None:
    asked, go = asyncio.Event(), asyncio.Event()

    async def script(connection: OriginConnection) -> None:
        asked.set()
        await go.wait()
        await echo(connection)

    rig.origin.script = script
    client = await rig.client()
    await client.send(hello())
    await asked.wait()
    draining = asyncio.create_task(rig.edge.drain(5))
    await asyncio.sleep(0)
    go.set()
    await client.until(b"\r\n\r\n")
    assert await read_frame(client) == (0x88, b"\x03\xe9draining")
    client.close()
    await draining


LAST_WORDS = frame(2, bytes(range(256)) * 64 * 1024)
"""More than the kernel takes for an end that does not read."""


async def left_behind(rig: Rig, monkeypatch: pytest.MonkeyPatch, slow: str) -> tuple[Wire, list[float]]:
    """The end of a tunnel that does not read what the other one said before it went; and when the gateway looked since."""
    monkeypatch.setattr(tunnel, "CLOSING", 0.02)
    looks: list[float] = []
    look_later = Tunnel._look_later

    def looked(self: Tunnel) -> None:
        looks.append(rig.edge.loop.time())
        look_later(self)

    monkeypatch.setattr(Tunnel, "_look_later", looked)
    rig.origin.script = agree_and_hold
    client, connection = await opened(rig)
    (down,) = rig.edge._connections
    sides = cast(Tunnel, down._tunnel)
    to, from_ = (sides._client, sides._server) if slow == "client" else (sides._server, sides._client)
    end, other = (client, connection) if slow == "client" else (connection, client)
    end.writer.transport.pause_reading()  # type: ignore[attr-defined]
    to.transport.set_write_buffer_limits(high=2 * len(LAST_WORDS))  # or what is behind them would not be read
    other.writer.write(LAST_WORDS)
    await rig.eventually(lambda: from_.passed == len(LAST_WORDS))
    other.reset()
    await rig.eventually(lambda: looks)
    return end, looks


async def agree_and_hold(connection: OriginConnection) -> None:
    await agree(connection)
    await connection.hold()


@pytest.mark.parametrize("slow", ["client", "origin"])
async def test_what_one_end_said_last_reaches_a_slow_other_one(rig: Rig, monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
    """It has as long as for the last bytes of an answer; CLOSING is for ends that owe a Close."""
    end, looks = await left_behind(rig, monkeypatch, slow)
    await rig.eventually(lambda: len(looks) > 3)
    end.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert (await end.rest()).endswith(LAST_WORDS)
    await gone(rig)


@pytest.mark.parametrize("slow", ["client", "origin"])
async def test_what_is_never_taken_is_given_up(rig: Rig, monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
    """However few looks a busy machine has left for in that time: the last one is in it, and what waited is dropped."""
    rig.edge.closing_timeout = 0.3
    end, looks = await left_behind(rig, monkeypatch, slow)
    await gone(rig)
    assert looks[-1] - looks[0] <= 0.3
    end.writer.transport.resume_reading()  # type: ignore[attr-defined]
    with suppress(ConnectionError):
        assert len(await end.rest()) < len(LAST_WORDS)


async def test_it_is_logged_and_counted_with_its_bytes(rig: Rig) -> None:
    client, _ = await opened(rig, "/ws/a")
    assert rig.registry.snapshot()["gateway_streams"]["series"] == {'kind="websocket"': 1}
    await client.send(text(b"hello"))
    await client.exactly(11)
    client.close()
    await gone(rig)
    (line,) = rig.logged()
    assert (line["status"], line["bytes_in"], line["bytes_out"], line["client_id"]) == (101, 11, 11, "gwc_me")
    assert line["duration_ms"] > 0
    snapshot = rig.registry.snapshot()
    assert snapshot["gateway_streams"]["series"] == {'kind="websocket"': 0}
    assert snapshot["gateway_streams_ended_total"]["series"] == {'reason="closed"': 1}
    assert snapshot["gateway_requests_total"]["series"] == {'route="/ws/",code="101"': 1}
    # How long somebody wanted to talk is nobody's latency.
    assert not any(snapshot["gateway_request_duration_seconds"]["series"]['route="/ws/"'])


async def test_others_are_untouched(rig: Rig) -> None:
    """A stray request behind a tunnel's end reaches a fresh connection."""
    client, connection = await opened(rig)
    connection.reset()
    await client.rest()
    rig.origin.script, rig.origin.answer = rig.origin.serve, OK
    await rig.assert_unharmed()
    assert digest_access(TOKEN) in rig.verdicts.warm
