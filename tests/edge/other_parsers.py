"""Two parsers that are not ours, as oracles: aiohttp's Python parser and llhttp with nothing around it."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import Mock

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParserPy
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser


@dataclass(frozen=True)
class Reading:
    """What a parser makes of the first request in some bytes."""

    method: bytes
    target: bytes
    chunked: bool
    length: int
    content: bytes
    done: bool


def aiohttp_reads(data: bytes) -> Reading | None:
    """aiohttp's Python parser; None when it refuses."""
    loop = Mock()
    parser = HttpRequestParserPy(BaseProtocol(loop), loop, 2**16, max_line_size=9000, max_field_size=9000)
    try:
        messages, _, _ = parser.feed_data(data)
    except Exception:
        return None
    if not messages:
        return None
    message, payload = messages[0]
    content, done = b"", True
    if hasattr(payload, "_buffer") and hasattr(payload, "exception"):
        if payload.exception() is not None:
            return None
        content, done = b"".join(payload._buffer), payload.is_eof()
    length = int(message.headers.get("Content-Length", "0") or "0")
    target = message.path.encode("utf-8", "surrogateescape")
    return Reading(message.method.encode(), target, bool(message.chunked), length, content, done)


def llhttp_reads(data: bytes) -> Reading | None:
    """llhttp; None when it refuses before the first request is complete."""

    class Sink:
        content = b""
        target = b""
        done = False

        def on_url(self, piece: bytes) -> None:
            if not self.done:
                self.target += piece

        def on_body(self, piece: bytes) -> None:
            if not self.done:
                self.content += piece

        def on_message_complete(self) -> None:
            self.done = True

    sink = Sink()
    parser = HttpRequestParser(sink)
    try:
        parser.feed_data(data)
    except HttpParserUpgrade:
        pass
    except HttpParserError:
        if not sink.done:
            return None
    return Reading(parser.get_method(), sink.target, False, 0, sink.content, sink.done)
