"""
The cases of the Autobahn test suite (1 to 7, 9, 10, 12, 13) as raw bytes: what comes back is what comes back without us.

The suite itself is Python 2 only.  The upstream is aiohttp's WebSocket server, which judges what it gets as strictly as any; a
direct connection says what the right answer is, byte by byte.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from aiohttp import WSMsgType, web

from tests.edge.frames import MASK, close, frame, hello, read_frame
from tests.edge.rig import Client, Rig

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
Case = tuple[str, bytes, int]
"""A name, what the client sends, and in pieces of how many bytes (0: at once)."""


def c(opcode: int, payload: bytes = b"", **more: int) -> bytes:
    """A client's frame."""
    return frame(opcode, payload, mask=MASK, **more)  # type: ignore[arg-type]


def echo_cases() -> Iterator[Case]:
    """1: echoes of all lengths that a header writes differently."""
    for opcode in (1, 2):
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536):
            yield f"1.{opcode}-{size}", c(opcode, b"*" * size), 0
        yield f"1.{opcode}-chopped", c(opcode, b"*" * 65536), 997


def control_cases() -> Iterator[Case]:
    """2: pings and pongs."""
    for size in (0, 5, 125, 126):
        yield f"2-ping-{size}", c(9, b"\xfe" * size), 0
    yield "2.6-octets", c(9, b"\x00\xff" * 60), 1
    yield "2.7-unsolicited-pong", c(10, b"x") + c(9, b"y"), 0
    yield "2.10-ten-pings", b"".join(c(9, b"%d" % number) for number in range(10)), 0
    yield "2.11-ten-pings-octets", b"".join(c(9, b"%d" % number) for number in range(10)), 1


def reserved_cases() -> Iterator[Case]:
    """3 and 4: reserved bits and opcodes, alone and behind what is right."""
    for rsv in range(1, 8):
        for opcode in (1, 2, 8, 9, 10):
            yield f"3-rsv{rsv}-op{opcode}", c(1, b"ok") + c(opcode, b"x" * 5, rsv=rsv), 0
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for payload in (b"", b"reserved"):
            yield f"4-op{opcode}-{len(payload)}", c(1, b"ok") + c(opcode, payload) + c(9), 0


def fragment_cases() -> Iterator[Case]:
    """5: fragments, with control frames between them and in wrong orders."""
    parts = c(1, b"frag1", fin=False), c(0, b"frag2")
    yield "5.1-fragmented-ping", c(9, b"a", fin=False) + c(0, b"b"), 0
    yield "5.2-fragmented-pong", c(10, b"a", fin=False) + c(0, b"b"), 0
    for pieces in (0, 1):
        yield f"5.3-{pieces}", b"".join(parts), pieces
        yield f"5.6-{pieces}", parts[0] + c(9, b"ping") + parts[1], pieces
    yield "5.9-continuation-of-nothing", c(0, b"x") + c(1, b"y"), 0
    yield "5.12-final-continuation-of-nothing", c(0, b"x", fin=False) + c(1, b"y"), 0
    yield "5.15", b"".join(parts) + c(0, b"x", fin=False) + c(1, b"y"), 0
    yield "5.18-text-in-a-text", c(1, b"a", fin=False) + c(1, b"b"), 0
    many = [c(1, b"f1", fin=False), c(0, b"f2", fin=False), c(9, b"p1"), c(0, b"f3", fin=False), c(9, b"p2"), c(0, b"f5")]
    yield "5.19", b"".join(many), 0
    yield "5.20-octets", b"".join(many), 1


def utf8_cases() -> Iterator[Case]:
    """6: valid and invalid UTF-8, whole, in fragments and by octets."""
    good = "Hello-µ@ßöäüàá-UTF-8!! κόσμε \U0010ffff \uffff \u0000".encode()
    bad = [
        b"\xce\xba\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\x80", b"\xff", b"\xc3", b"\xf0\x90\x80",
        b"\xed\xbf\xbf", b"\xfe\xfe\xff\xff", b"\xf8\x88\x80\x80\x80",
    ]  # fmt: skip
    for pieces in (0, 1):
        yield f"6.2-{pieces}", c(1, good), pieces
    yield "6.2.3-fragments-within-a-character", b"".join(
        c(1 if not at else 0, good[at : at + 1], fin=at == len(good) - 1) for at in range(len(good))
    ), 0
    for number, wrong in enumerate(bad):
        yield f"6.3-{number}", c(1, b"before" + wrong + b"after"), 0
        yield f"6.4-{number}-fragmented", c(1, b"before" + wrong, fin=False) + c(0, b"after"), 0


def close_cases() -> Iterator[Case]:
    """7: closing handshakes, right and wrong."""
    yield "7.1.2-two", close() + close(), 0
    yield "7.1.3-ping-after", close() + c(9), 0
    yield "7.1.4-text-after", close() + c(1, b"late"), 0
    yield "7.1.5-close-in-a-message", c(1, b"a", fin=False) + close() + c(0, b"b"), 0
    yield "7.1.6-large-then-close", c(1, b"B" * 262144) + close() + c(9), 0
    normal = b"\x03\xe8"
    for payload in (b"", b"\x03", normal, normal + b"ok", normal + b"*" * 123, normal + b"*" * 124, normal + b"\xce\xba\xff"):
        yield f"7.3-{len(payload)}-{payload[2:3].hex()}", c(8, payload), 0
    valid = 1000, 1001, 1002, 1003, 1007, 1011, 3000, 3999, 4000, 4999
    for code in (*valid, 0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535):
        yield f"7.7-{code}", close(code), 0


def large_cases() -> Iterator[Case]:
    """9 and 10: large messages, whole, in fragments and chopped."""
    for opcode in (1, 2):
        for size in (65536, 1 << 20, 4 << 20):
            yield f"9.{opcode}-{size}", c(opcode, b"*" * size), 0
        for fragment in (64, 1024, 65536):
            size = min(1 << 20, fragment * 256)
            yield f"9.{opcode + 2}-{fragment}", b"".join(
                c(0 if at else opcode, b"*" * fragment, fin=at + fragment == size) for at in range(0, size, fragment)
            ), 0
        for pieces in (64, 1024):
            yield f"9.{opcode + 4}-{pieces}", c(opcode, b"*" * 65536), pieces
    yield "9.7-many-small", b"".join(c(1, b"x" * 16) for _ in range(1000)), 0
    yield "10.1", c(1, b"*" * 65536), 1300


def deflate_cases() -> Iterator[Case]:
    """12 and 13: messages that were compressed, with and without the context of the last one; and uncompressed among them."""
    texts = [b"", b"*" * 16, b'{"a": [1, 2, 3], "b": "' + b"text " * 200 + b'"}', bytes(range(128)) * 64, b"*" * (1 << 20)]
    for number, words in enumerate(texts):
        for opcode in (1, 2):
            yield f"12.{number}-op{opcode}", b"".join(c(opcode, deflated(words), rsv=4) for _ in range(5)), 0
        yield f"13.{number}-octets", c(1, deflated(words), rsv=4)[:4000], 1 if number < 4 else 0
    shared = zlib.compressobj(wbits=-15)
    yield "12-context", b"".join(c(1, deflated(texts[2], shared), rsv=4) for _ in range(20)), 0
    half = deflated(texts[2])
    yield "13-fragments", c(1, half[:20], rsv=4, fin=False) + c(9, b"p") + c(0, half[20:]), 0
    yield "13-mixed", c(1, b"plain") + c(1, half, rsv=4) + c(2, b"plain"), 0
    yield "13-garbage", c(1, b"\xff\xff\xff", rsv=4), 0
    yield "13-compressed-control", c(9, half[:20], rsv=4), 0


def deflated(words: bytes, context: zlib._Compress | None = None) -> bytes:
    """RFC 7692 section 7.2.1."""
    engine = context or zlib.compressobj(wbits=-15)
    return (engine.compress(words) + engine.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def serve(request: web.Request) -> web.WebSocketResponse:
    """An echo that speaks the protocol."""
    socket = web.WebSocketResponse(max_msg_size=0, timeout=1)
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        elif message.type == WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    return socket


@pytest.fixture
async def rig(unstarted: Rig) -> AsyncIterator[Rig]:
    """A gateway in front of that echo."""
    application = web.Application()
    application.router.add_get("/ws/a", serve)
    runner = web.AppRunner(application, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    await unstarted.start(
        routes=[{"path": "/ws/", "upstream": "a", "public": True, "streams": {}}], targets=[f"http://127.0.0.1:{port}"]
    )
    yield unstarted
    await unstarted.edge.drain(0)
    await runner.cleanup()


async def converse(client: Client, case: Case, *, compressed: bool) -> list[bytes]:
    """Say it, then goodbye unless that was said, and give the head's lines and all frames that came back."""
    _, sent, pieces = case
    await client.send(hello("/ws/a", *([DEFLATE] if compressed else []), auth=False))
    head = await client.until(b"\r\n\r\n")
    lines = [line for line in head.lower().split(b"\r\n") if not line.startswith((b"date", b"server"))]
    sending = asyncio.create_task(say(client, sent + close(), pieces or len(sent) + 8))
    found = sorted(lines)
    try:
        while True:
            first, payload = await read_frame(client)
            found.append(b"%02x %b" % (first, payload))
    except EOFError as rest:
        found.append(b"end " + rest.args[0])
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    client.close()
    return found


async def say(client: Client, sent: bytes, size: int) -> None:
    for at in range(0, len(sent), size):
        await client.send(sent[at : at + size])
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("cases", "compressed"),
    [
        pytest.param(cases, cases is deflate_cases, id=cases.__name__)
        for cases in (
            echo_cases, control_cases, reserved_cases, fragment_cases, utf8_cases, close_cases, large_cases, deflate_cases,
        )
    ],
)  # fmt: skip
async def test_every_case_is_answered_as_without_us(rig: Rig, cases: Callable[[], Iterator[Case]], compressed: bool) -> None:
    """The 101 apart from Date and Server, then each frame in order, then the end."""
    port = int(rig.config.upstreams["a"].targets[0].rpartition(":")[2])
    todo = list(cases())
    assert len(todo) > 7
    for case in todo:
        direct = Client(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 24))
        expected = await converse(direct, case, compressed=compressed)
        assert await converse(await rig.client(), case, compressed=compressed) == expected, case[0]
        assert any(line.startswith(b"88") for line in expected), case[0]  # the server said how it ended
        assert any(b"permessage-deflate" in line for line in expected) == compressed
