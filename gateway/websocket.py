"""
The rules of RFC 6455 that an intermediary has to know, pure: the opening handshake, where frames end, what a Close looks like.

Payload is neither looked at nor unmasked nor copied, so whatever two endpoints agree on (extensions, reserved bits and
opcodes, things the RFC forbids) passes as it would without us.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha1

from gateway.errors import BadRequest, MalformedCredentials

GOING_AWAY = 1001
"""RFC 6455 section 7.4.1: the gateway stops, or nothing was said for too long."""
POLICY_VIOLATION = 1008
"""RFC 6455 section 7.4.1: the token is no longer good."""
BEARER = b"bearer"
"""The subprotocol behind which a browser passes its token."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
_CLOSE = 0x8
_SMALL = 32
"""Length of a payload from which on a frame is not small."""


def _small_frames() -> re.Pattern[bytes]:
    """As many whole small frames as there are, none of them a Close; one alternative for each length, masked and not."""
    opcodes = b"".join(b"\\x%02x" % byte for byte in range(256) if byte & 0xF != _CLOSE)
    plain = [b"\\x%02x.{%d}" % (length, length) for length in range(_SMALL)]
    masked = [b"\\x%02x.{%d}" % (0x80 | length, 4 + length) for length in range(_SMALL)]
    small = b"[\\x00-\\x%02x\\x80-\\x%02x]" % (_SMALL - 1, 0x80 | _SMALL - 1)
    return re.compile(b"(?:[%b](?=%b)(?:%b))++" % (opcodes, small, b"|".join(masked + plain)), re.DOTALL)


_RUN = _small_frames()


def elements(values: Iterable[bytes]) -> list[bytes]:
    """The elements of a comma-separated list (RFC 9110 section 5.6.1) that may stand on several lines."""
    return [element for value in values for part in value.split(b",") if (element := part.strip(b" \t"))]


class Handshake:
    """
    A client's opening handshake (RFC 6455 section 4.2.1) that is in order.

    Attributes:
        accept: What the upstream's Sec-WebSocket-Accept has to be.
        by_subprotocol: Whether the token came as a subprotocol, so that one has to be selected in any case.
    """

    __slots__ = ("accept", "by_subprotocol")

    def __init__(self, method: bytes, connection: Iterable[bytes], keys: list[bytes], versions: list[bytes]) -> None:
        """
        Check a handshake whose Upgrade names websocket.

        Args:
            method: The request's.
            connection: Connection's options in lower case.
            keys, versions: All values of Sec-WebSocket-Key and Sec-WebSocket-Version.

        Raises:
            BadRequest: It is malformed, or of another version; the answer names ours (section 4.4).
        """
        if method != b"GET" or b"upgrade" not in connection:
            raise BadRequest("A WebSocket handshake is a GET with Connection: upgrade")
        if len(keys) != 1 or _KEY.fullmatch(keys[0]) is None:
            raise BadRequest("Sec-WebSocket-Key is missing or malformed")
        if versions != [b"13"]:
            raise BadRequest("Sec-WebSocket-Version has to be 13", headers=(("Sec-WebSocket-Version", "13"),))
        self.accept = accept_value(keys[0])
        self.by_subprotocol = False


def accept_value(key: bytes) -> bytes:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def take_token(offered: list[bytes]) -> tuple[bytes | None, list[bytes]]:
    """
    Part the token from the subprotocols that a client offers: ``bearer, TOKEN, chat``.

    Returns:
        The token (None when there is none) and the subprotocols that are left.

    Raises:
        MalformedCredentials: There is more than one.
    """
    if BEARER not in offered:
        return None, offered
    at = offered.index(BEARER)
    if offered.count(BEARER) > 1:
        raise MalformedCredentials
    token = offered[at + 1 : at + 2]
    return (token[0] if token else b""), offered[:at] + offered[at + 2 :]


class Frames:
    """
    Follows the frames of one direction through its bytes, however they are split (RFC 6455 section 5.2).

    Attributes:
        between: Whether what was fed so far ends with a frame's end.
        closing: Whether a Close frame has begun: nothing may follow it.
        lost: The framing can't be followed any more; `between` stays False.
    """

    __slots__ = ("_head", "_left", "between", "closing", "lost")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self.between = True
        self.closing = False
        self.lost = False

    @property
    def closed(self) -> bool:
        """Whether a whole Close frame was seen."""
        return self.closing and self.between

    def feed(self, data: bytes, *, stop: bool = False) -> int:
        """
        Follow what arrived.

        Args:
            data: Bytes behind those that were fed before.
            stop: Go no further than the first end of a frame.

        Returns:
            How many bytes were followed: all, unless it stopped.
        """
        size = len(data)
        at = 0
        while at < size and not self.lost and not self.closed:
            if self._left == 0:
                # Tens of thousands of small frames in one read would hold everybody up if each were looked at by itself.
                run = _RUN.match(data, at) if at and not stop else None
                if run is not None:
                    at = run.end()
                    continue
                at = self._begin(data, at)
            taken = min(self._left, size - at)
            self._left -= taken
            at += taken
            self.between = self._left == 0 and not self._head and not self.lost
            if stop and self.between:
                return at
        return size

    def _begin(self, data: bytes, at: int) -> int:
        """Read the frame header at a place; returns where its payload begins.  A part of one is kept for the next call."""
        known = len(self._head)
        head = self._head + data[at : at + 14 - known] if known else data[at : at + 14]
        size = _header_size(head)
        if len(head) < size:
            self._head = head
            return len(data)
        length = head[1] & 0x7F
        if length > 125:
            length = int.from_bytes(head[2:4] if length == 126 else head[2:10], "big")
        self._head = b""
        self._left = length
        self.closing = self.closing or head[0] & 0xF == _CLOSE
        self.lost = length >> 63 != 0
        return at + size - known


def _header_size(head: bytes) -> int:
    """Bytes of a frame header, as far as its beginning tells."""
    if len(head) < 2:
        return 2
    length = head[1] & 0x7F
    return 2 + (head[1] >> 5 & 4) + (0 if length < 126 else 2 if length == 126 else 8)


def close_frame(code: int, reason: bytes, mask: bytes = b"") -> bytes:
    """
    A Close frame (RFC 6455 section 5.5.1).

    Args:
        code: Status code.
        reason: UTF-8, at most 123 bytes.
        mask: Four random bytes, when it goes to a server (section 5.3); empty when it goes to a client.
    """
    payload = code.to_bytes(2, "big") + reason
    if not mask:
        return bytes((0x80 | _CLOSE, len(payload))) + payload
    masked = bytes(byte ^ mask[at & 3] for at, byte in enumerate(payload))
    return bytes((0x80 | _CLOSE, 0x80 | len(payload))) + mask + masked
