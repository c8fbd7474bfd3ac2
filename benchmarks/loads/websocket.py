"""Small WebSocket messages of fixed size (RFC 6455): what both ends of the tunnel under test send, and the opening handshake."""

from __future__ import annotations

import base64
import hashlib

SIZE = 32
"""Bytes of a message's payload."""
_PAYLOAD = bytes(range(SIZE))
_MASK = b"\x12\x34\x56\x78"
QUESTION = b"\x82" + bytes((0x80 | SIZE,)) + _MASK + bytes(byte ^ _MASK[at % 4] for at, byte in enumerate(_PAYLOAD))
"""A binary message as a client sends it, masked."""
ANSWER = b"\x82" + bytes((SIZE,)) + _PAYLOAD
"""The same as a server sends it."""
_KEY = base64.b64encode(bytes(16))
ACCEPT = base64.b64encode(hashlib.sha1(_KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + ACCEPT
SWITCHED += b"\r\n\r\n"


def handshake(path: str, token: str) -> bytes:
    """The opening request (RFC 6455 section 4.1)."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {_KEY.decode()}\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()
