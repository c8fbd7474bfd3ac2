"""Parsers that are not ours, as oracles: aiohttp's Python parser, h11, and llhttp with nothing around it."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import Mock

import h11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParserPy, HttpResponseParserPy
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser


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


Stream = list[tuple[bytes, bytes, bytes]]
"""Method, target and content of the complete requests in some bytes, up to the first that is refused or unfinished."""


def llhttp_stream(data: bytes) -> Stream:
    """llhttp, whose opinion of an upgrade is left aside: its body is somebody else's to frame."""

    class Sink:
        def __init__(self) -> None:
            self.target = self.content = b""
            self.read: Stream = []

        def on_message_begin(self) -> None:
            self.target = self.content = b""

        def on_url(self, piece: bytes) -> None:
            self.target += piece

        def on_body(self, piece: bytes) -> None:
            self.content += piece

        def on_message_complete(self) -> None:
            self.read.append((parser.get_method(), self.target, self.content))

    sink = Sink()
    parser = HttpRequestParser(sink)
    try:
        parser.feed_data(data)
    except (HttpParserError, HttpParserUpgrade):
        pass
    return sink.read


def aiohttp_stream(data: bytes) -> Stream:
    """aiohttp's Python parser, fed line by line, since a fault makes it lose what came with it."""
    loop = Mock()
    parser = HttpRequestParserPy(BaseProtocol(loop), loop, 2**16, max_line_size=9000, max_field_size=9000)
    found = []
    for line in data.split(b"\n"):
        try:
            messages, _, _ = parser.feed_data(line + b"\n")
        except Exception:
            break
        found += messages
    read: Stream = []
    for message, payload in found:
        content = b""
        if hasattr(payload, "_buffer"):
            if payload.exception() is not None or not payload.is_eof():
                break
            content = b"".join(payload._buffer)
        read.append((message.method.encode(), message.path.encode("utf-8", "surrogateescape"), content))
    return read


def h11_stream(data: bytes) -> Stream:
    """h11 as a server that answers each request at once."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    read: Stream = []
    head: h11.Request | None = None
    content = b""
    try:
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                head, content = event, b""
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                read.append((head.method, head.target, content))
                server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                server.send(h11.EndOfMessage())
                if server.our_state is h11.MUST_CLOSE:
                    return read
                server.start_next_cycle()
            else:
                return read
    except h11.ProtocolError:
        return read


def llhttp_answer(head: bytes) -> int | None:
    """The status of an answer's head; None when llhttp refuses it."""
    parser = HttpResponseParser(object())
    try:
        parser.feed_data(head)
    except HttpParserUpgrade:
        pass
    except HttpParserError:
        return None
    return parser.get_status_code()


def aiohttp_answer(data: bytes) -> tuple[int, bool, int | None] | None:
    """Status, whether it is chunked, Content-Length; None when aiohttp's Python parser refuses the head."""
    loop = Mock()
    parser = HttpResponseParserPy(BaseProtocol(loop), loop, 2**16, max_line_size=9000, max_field_size=9000, read_until_eof=True)
    try:
        messages, _, _ = parser.feed_data(data[: data.index(b"\r\n\r\n") + 4])
    except Exception:
        return None
    message, _ = messages[0]
    length = message.headers.get("Content-Length")
    return message.code, bool(message.chunked), None if length is None else int(length)


def h11_answer(data: bytes) -> tuple[int, bool, int | None] | None:
    """The same by h11."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data[: data.index(b"\r\n\r\n") + 4])
    try:
        event = client.next_event()
    except h11.ProtocolError:
        return None
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        return None
    names = dict(event.headers)
    length = names.get(b"content-length")
    return event.status_code, b"transfer-encoding" in names, None if length is None else int(length)
