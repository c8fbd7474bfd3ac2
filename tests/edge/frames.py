"""WebSocket as bytes: a handshake to send, an upstream that agrees to it, frames to write and to read."""

from __future__ import annotations

from gateway.websocket import accept_value
from tests.edge.rig import AUTH, OriginConnection, Wire
from tests.test_websocket import KEY, frame

MASK = b"\x11\x22\x33\x44"
UPGRADE = (
    "Upgrade: websocket", "Connection: keep-alive, Upgrade", f"Sec-WebSocket-Key: {KEY.decode()}", "Sec-WebSocket-Version: 13"
)  # fmt: skip
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + accept_value(KEY) + b"\r\n"
)


def hello(target: str = "/ws/a", *lines: str, auth: bool = True, drop: str = "", method: str = "GET") -> bytes:
    """A client's handshake without the header line that begins with ``drop``."""
    kept = [line for line in UPGRADE if not drop or not line.startswith(drop)]
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: gw", *kept, *lines])
    return head.encode("latin-1") + b"\r\n" + (AUTH if auth else b"") + b"\r\n"


async def agree(connection: OriginConnection, *lines: bytes, behind: bytes = b"") -> bytes:
    """Read a handshake and say yes; gives its head."""
    head = await connection.head()
    await connection.send(SWITCH + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + behind)
    return head.raw


async def echo(connection: OriginConnection) -> None:
    """Agree, then send everything back as it came, unmasked or not, until the other side ends; then end too."""
    await agree(connection)
    while data := await connection.reader.read(65536):
        connection.received += data
        connection.writer.write(data)
        await connection.writer.drain()


async def read_frame(wire: Wire) -> tuple[int, bytes]:
    """First byte and unmasked payload of the next frame."""
    first, second = await wire.exactly(2)
    length = second & 127
    if length > 125:
        length = int.from_bytes(await wire.exactly(2 if length == 126 else 8), "big")
    mask = await wire.exactly(4) if second & 128 else b"\0\0\0\0"
    payload = await wire.exactly(length)
    return first, bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))


def text(words: bytes, *, masked: bool = True) -> bytes:
    """A text frame, as a client sends it."""
    return frame(1, words, mask=MASK if masked else b"")


def close(code: int = 1000, reason: bytes = b"", *, masked: bool = True) -> bytes:
    """A Close frame, as a client sends it."""
    return frame(8, code.to_bytes(2, "big") + reason, mask=MASK if masked else b"")
