"""
Reading the chunked coding (RFC 9112 section 7.1), strictly, and with the exact end of the message.

llhttp decodes chunks too, but has no callback for extensions and trailers' end and loses its offset when stopped; the tests
hold both decoders against each other.  Extensions and trailers are bounded and dropped (RFC 9110 section 6.5.1).
"""

from __future__ import annotations

import re
import sys

MAX_EXTENSION = 1024
"""Longest chunk-size line with its extensions, bytes."""
MAX_EXTENSIONS = 16 * 1024
"""All extensions of a message together, bytes."""
MAX_TRAILERS = 8 * 1024
"""The trailer section, bytes."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t \x21-\x7e\x80-\xff])*"'
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})((?:;%b(?:=(?:%b|%b))?)*)" % (_TOKEN, _TOKEN, _QUOTED))
_TRAILER_LINE = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*")

_SMALL = {form % size: size for form in (b"%x", b"%X") for size in range(1, 256)}
"""The usual size lines of small chunks."""

_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkError(Exception):
    """The coding is broken: where the message ends can't be known any more."""


class ChunkDecoder:
    """Takes the bytes of one chunked body as they arrive and gives its content."""

    __slots__ = ("_extensions", "_left", "_line", "_state", "_trailers")

    def __init__(self) -> None:
        self._state = _SIZE
        self._left = 0
        self._line = b""
        self._extensions = 0
        self._trailers = 0

    @property
    def done(self) -> bool:
        """Whether the last chunk and the trailers were seen."""
        return self._state == _DONE

    def feed(self, data: bytes, most: int = sys.maxsize) -> tuple[list[bytes], int]:
        """
        Decode what arrived, ``most`` chunks of it.

        Returns:
            The content in pieces, and how many bytes of ``data`` were used: all, unless it is `done` or there are more chunks.

        Raises:
            ChunkError: The coding is malformed, or extensions or trailers exceed their bounds.
        """
        pieces: list[bytes] = []
        at = 0
        end = len(data)
        while at < end and self._state != _DONE:
            state = self._state
            if state == _DATA:
                if len(pieces) == most:
                    break
                taken = min(self._left, end - at)
                pieces.append(data[at : at + taken] if taken < end else data)
                at += taken
                self._left -= taken
                if self._left == 0:
                    self._state = _DATA_END
                continue
            if state == _DATA_END and not self._line and data[at : at + 2] == b"\r\n":
                self._state = _SIZE
                at += 2
                continue
            if state == _SIZE and not self._line:
                stop = data.find(b"\r\n", at, at + 4)
                size = _SMALL.get(data[at:stop]) if stop > at else None
                if size is not None:
                    self._left = size
                    self._state = _DATA
                    at = stop + 2
                    continue
            at = self._feed_line(data, at)
        return pieces, at

    def _feed_line(self, data: bytes, at: int) -> int:
        """Take bytes up to the next CRLF; keep an unfinished line for the next call."""
        end = data.find(b"\n", at)
        if end < 0:
            self._line += data[at:]
            if len(self._line) > MAX_TRAILERS or (self._state == _SIZE and len(self._line) > MAX_EXTENSION):
                raise ChunkError("line too long")
            if b"\r" in self._line[:-1]:
                raise ChunkError("bare CR")
            if self._state == _DATA_END and self._line != b"\r":
                raise ChunkError("data longer than its chunk")
            return len(data)
        line = self._line + data[at:end] if self._line else data[at:end]
        self._line = b""
        if not line.endswith(b"\r"):
            raise ChunkError("bare LF")
        self._take_line(line[:-1])
        return end + 1

    def _take_line(self, line: bytes) -> None:
        if self._state == _SIZE:
            self._take_size(line)
        elif self._state == _DATA_END:
            if line:
                raise ChunkError("data longer than its chunk")
            self._state = _SIZE
        elif line:
            self._trailers += len(line) + 2
            if self._trailers > MAX_TRAILERS or _TRAILER_LINE.fullmatch(line) is None:
                raise ChunkError("trailers too long or malformed")
        else:
            self._state = _DONE

    def _take_size(self, line: bytes) -> None:
        found = _SIZE_LINE.fullmatch(line)
        if found is None or len(line) > MAX_EXTENSION:
            raise ChunkError("malformed chunk size")
        self._extensions += len(found[2])
        if self._extensions > MAX_EXTENSIONS:
            raise ChunkError("extensions too long")
        self._left = int(found[1], 16)
        self._state = _DATA if self._left else _TRAILERS
