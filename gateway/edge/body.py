"""A request's body on its way in: where it ends, how large it may be, and what goes on in its place."""

from __future__ import annotations

from gateway.edge.chunks import ChunkDecoder, ChunkError
from gateway.edge.pace import Pace
from gateway.errors import BadRequest, PayloadTooLarge

MAX_PIECES = 2_048
"""Chunks that are taken in one turn of the event loop: a body of single bytes costs time, but not everybody's (X08)."""


class InboundBody:
    """
    Takes the bytes of one body as they arrive and gives them back framed anew, extensions and trailers dropped.

    Attributes:
        received: Bytes of content so far.
        done: The body is complete.
        early: What arrived before there was a connection to send it on.
        pace: How slowly it may come.
    """

    __slots__ = ("_decoder", "_left", "_limit", "done", "early", "pace", "received")

    def __init__(self, length: int | None, limit: int, pace: Pace) -> None:
        """``length`` is Content-Length, None for the chunked coding; ``limit`` the most bytes of content, -1 for any."""
        self.pace = pace
        self._decoder = ChunkDecoder() if length is None else None
        self._left = length or 0
        self._limit = limit
        self.received = 0
        self.done = False
        self.early: list[bytes] = []

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """
        Take what arrived.

        Returns:
            What the upstream gets, and how many bytes of ``data`` were used: all, unless the body is `done` or its chunks are
            so small that the rest is better taken in another turn of the event loop.

        Raises:
            BadRequest: The chunked coding is broken (RFC 9112 section 7.1).
            PayloadTooLarge: There is more than the limit.
        """
        if self._decoder is None:
            used = min(self._left, len(data))
            self._left -= used
            self.done = self._left == 0
            content = out = data if used == len(data) else data[:used]
        else:
            try:
                pieces, used = self._decoder.feed(data, MAX_PIECES)
            except ChunkError:
                raise BadRequest("The chunked body is malformed") from None
            self.done = self._decoder.done
            content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            out = b"%x\r\n%b\r\n" % (len(content), content) if content else b""
            if self.done:
                out += b"0\r\n\r\n"
        self.received += len(content)
        if 0 <= self._limit < self.received:
            raise PayloadTooLarge
        return out, used
