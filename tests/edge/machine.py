"""
The two ends of the gateway for the state machine: clients and an upstream that do one small thing at a time, and what must hold.

Everything that travels carries the number of its request, so that a byte in the wrong place is seen.  The ends are plain
protocols on the gateway's own loop: nothing happens between two steps but what the gateway does of it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from dataclasses import dataclass, field
from typing import cast

from tests.edge.rig import AUTH, Head, a_token, parse_head

REFUSED_BY_THE_WAY = {408, 502, 503, 504}
"""What a good request may be refused with once an upstream failed or a deadline passed."""


def content(label: str, number: int, size: int) -> bytes:
    """A body that says whose it is, in every part of it."""
    unit = b"%b%d." % (label.encode(), number)
    return (unit * (size // len(unit) + 1))[:size]


def in_chunks(body: bytes, size: int, *, dressed: bool = False) -> bytes:
    """The chunked coding of a body; dressed: with extensions and trailers."""
    extension, trailers = (b";a=b", b"X-Trailer: c\r\n") if dressed else (b"", b"")
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


@dataclass
class Message:
    """
    A request, or what looks like one.

    Attributes:
        status: What the gateway itself answers; 0 where the upstream decides.
        breaks: Its chunked body goes wrong on its way: the upstream may see a beginning of it, never the end.
        ends: The connection must end with its answer.
    """

    number: int
    method: str
    wire: bytes
    head_size: int
    body: bytes = b""
    status: int = 0
    breaks: bool = False
    ends: bool = False
    http10: bool = False
    expects: bool = False
    identified: bool = False
    sent: int = 0
    """Bytes of it that were written to the gateway."""

    @property
    def whole(self) -> bool:
        return self.sent == len(self.wire)

    @property
    def repeatable(self) -> bool:
        return self.method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE") and not self.body


def a_message(
    number: int, method: str, size: int, framing: str, *, path: str, version: str, connection: str, expect: bool, spoiled: bool
) -> Message:
    """A request as a client would write it; ``spoiled``: its chunked body breaks."""
    size = 0 if framing == "none" else size
    body = content("q", number, size)
    target = {"public": f"/public/{number}", "auth": f"/v1/resource?{number}", "cold": f"/v1/resource?{number}"}.get(path, "")
    target = target or {"nowhere": f"/nowhere/{number}", "small": f"/small/{number}", "denied": f"/v1/resource?{number}"}[path]
    chunked = framing in ("chunked", "dressed") and version == "1.1"
    lines = [f"{method} {target} HTTP/{version}", "Host: gw", f"X-Number: {number}"]
    if connection:
        lines.append(f"Connection: {connection}")
    if expect:
        lines.append("Expect: 100-continue")
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif framing != "none":
        lines.append(f"Content-Length: {size}")
    head = "\r\n".join(lines).encode() + b"\r\n"
    head += {"auth": AUTH, "cold": b"Authorization: Bearer " + a_token(7) + b"\r\n"}.get(path, b"") + b"\r\n"
    spoiled = spoiled and chunked
    coded = in_chunks(body, max(1, size // 3), dressed=framing == "dressed") if chunked else body
    if spoiled:
        coded = coded.removesuffix(b"\r\n") + (b"zz\r\n\r\n" if framing == "dressed" else b"X\r\n\r\n")
    # At /small/ a length beyond 10 bytes is refused by the head, a chunked body when it comes to that.
    status = {"nowhere": 404, "denied": 401}.get(path, 413 if path == "small" and size > 10 and not chunked else 0)
    breaks = status == 0 and (spoiled or (path == "small" and size > 10))
    ends = (
        connection == "close" or (version == "1.0" and connection != "keep-alive") or breaks
        or (status != 0 and (chunked or size > 0)) or status == 413
    )  # fmt: skip
    return Message(
        number, method, head + coded, len(head), body, status, breaks, ends, version == "1.0", expect, path in ("auth", "cold")
    )


@dataclass
class Answer:
    """What the upstream answers: the bytes, and what of it a client must come to see."""

    number: int
    wire: bytes
    status: int
    body: bytes
    good: bool = True
    ends: bool = False
    """The connection's orderly end is the answer's."""
    last: bool = False
    """It says that its connection takes no further request."""
    sent: int = 0

    @property
    def whole(self) -> bool:
        return self.sent == len(self.wire)


def an_answer(number: int, method: str, kind: str, size: int) -> Answer:
    """An answer of one of many kinds, good and bad."""
    body = content("a", number, size)
    start, mark = b"HTTP/1.1 200 OK\r\n", b"X-Number: %d\r\n" % number
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    coded = b"Transfer-Encoding: chunked\r\n\r\n"
    heads = {
        "length": start + mark + length,
        "chunked": start + mark + coded,
        "dressed": start + mark + coded,
        "until-close": start + mark + b"\r\n",
        "hints": b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + start + mark + length,
        "close": start + b"Connection: close\r\n" + mark + length,
        "http10": b"HTTP/1.0 200 OK\r\n" + mark + length,
        "http10-kept": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + mark + length,
        "204": b"HTTP/1.1 204 No Content\r\n" + mark + b"\r\n",
        "304": b"HTTP/1.1 304 Not Modified\r\n" + mark + length,
        "extra": start + mark + length,
        "garbage": b"nonsense\r\n\r\n",
        "both": start + mark + b"Transfer-Encoding: chunked\r\n" + length,
        "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\n",
        "bad-chunk": start + mark + coded,
        "short": start + mark + b"Content-Length: %d\r\n\r\n" % (len(body) + 1),
    }
    bodies = {
        "chunked": in_chunks(body, 1000), "dressed": in_chunks(body, 7, dressed=True), "204": b"", "304": b"",
        "extra": body + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray", "garbage": b"", "101": b"",
        "bad-chunk": b"%x\r\n%b\r\nzz\r\n" % (len(body), body) if body else b"zz\r\n",
    }  # fmt: skip
    bare = method == "HEAD" or kind in ("204", "304")
    wire = heads[kind] + (b"" if method == "HEAD" and kind != "extra" else bodies.get(kind, body))
    good = kind not in ("garbage", "both", "101") and (bare or kind not in ("bad-chunk", "short"))
    status = int(kind) if kind in ("204", "304") else 200
    ends = kind == "until-close" and not bare
    return Answer(number, wire, status, b"" if bare else body, good, ends, last=ends or kind in ("close", "http10"))


class End(asyncio.Protocol):
    """One end of a TCP connection, which acts only when told."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = ""
        """How the gateway ended it: ``eof``, or ``reset``."""
        self.left = ""
        """How we did."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> bool:
        self.ended = self.ended or "eof"
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = "reset" if exc is not None else self.ended or "eof"

    @property
    def alive(self) -> bool:
        return self.left in ("", "eof") and not self.transport.is_closing()

    @property
    def speaks(self) -> bool:
        """Whether it can still write."""
        return self.alive and not self.left

    def write(self, data: bytes) -> None:
        if self.speaks:
            self.transport.write(data)

    def leave(self, how: str) -> None:
        """``eof``: shut our sending side; ``close``: orderly; ``reset``: with an RST."""
        if not self.alive or self.left:
            return
        self.left = how
        if how == "eof":
            self.transport.write_eof()
        elif how == "close":
            self.transport.close()
        else:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()


@dataclass
class Got:
    """An answer as a client has it so far."""

    head: Head
    body: bytes = b""
    whole: bool = False
    interim: list[int] = field(default_factory=list)

    @property
    def status(self) -> int:
        return int(self.head.first.split(b" ")[1])

    @property
    def number(self) -> int | None:
        value = self.head.one("x-number")
        return None if value is None else int(value)

    @property
    def ends(self) -> bool:
        return self.head.one("connection") == b"close"


class ClientEnd(End):
    """A client: its requests in order, and the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.expired = False
        """A deadline of its connection has passed: it may have been refused, or cut."""
        self.port = 0
        self.deaf = False
        """It does not read for a while."""

    def send(self, size: int) -> None:
        """Write the next bytes of what was asked; who does not read does not write either, or he could lose an answer by it."""
        data = bytearray()
        if self.deaf or self.left:
            return
        for message in self.messages:
            if size > len(data) and not message.whole:
                piece = message.wire[message.sent : message.sent + size - len(data)]
                message.sent += len(piece)
                data += piece
        self.write(bytes(data))

    def answers(self) -> list[Got]:
        """Read what came, strictly."""
        data, at, answers = bytes(self.received), 0, []
        for message in self.messages:
            interim = []
            while True:
                end = data.find(b"\r\n\r\n", at) + 4
                if end == 3:
                    return answers
                got = Got(parse_head(data[at:end]), interim=interim)
                assert got.head.first.startswith(b"HTTP/1.1 ")
                at = end
                if got.status >= 200:
                    break
                interim.append(got.status)
            answers.append(got)
            at = self._body(got, message, data, at)
            if not got.whole:
                return answers
        assert data[at:] == b"", f"bytes that nobody asked for: {data[at:at + 200]!r}"
        return answers

    def _body(self, got: Got, message: Message, data: bytes, at: int) -> int:
        coding, length = got.head.one("transfer-encoding"), got.head.one("content-length")
        if message.method == "HEAD" or got.status in (204, 304):
            got.whole = True
            if got.status == 408 and got.ends:  # the method may not have been there yet
                got.body, at = data[at:], len(data)
        elif coding is not None:
            assert coding == b"chunked"
            assert length is None
            while True:
                line = re.compile(rb"([0-9a-f]+)\r\n").match(data, at)
                if line is None:
                    assert len(data) - at < 10
                    return at
                size = int(line[1], 16)
                piece = data[line.end() : line.end() + size]
                got.body += piece
                if len(data) < line.end() + size + 2:
                    return at
                assert data[line.end() + size : line.end() + size + 2] == b"\r\n"
                at = line.end() + size + 2
                if size == 0:
                    got.whole = True
                    return at
        elif length is not None:
            got.body = data[at : at + int(length)]
            got.whole = len(got.body) == int(length)
            at += len(got.body)
        else:
            assert got.ends, "an answer without an end"
            got.body = data[at:]
            got.whole = self.ended == "eof"
            at = len(data)
        return at


@dataclass
class Seen:
    """A request as the upstream saw it."""

    number: int
    head: Head
    on: OriginEnd
    body: bytes = b""
    whole: bool = False
    answer: Answer | None = None


class OriginEnd(End):
    """A connection of the upstream; reads strictly and answers when told."""

    def __init__(self, opened: list[OriginEnd]) -> None:
        super().__init__()
        self.seen: list[Seen] = []
        self._at = 0
        self.strayed = False
        """Bytes that belong to no answer were sent on it."""
        opened.append(self)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        while self._read():
            pass

    def _read(self) -> bool:
        data = bytes(self.received)
        if not self.seen or self.seen[-1].whole:
            end = data.find(b"\r\n\r\n", self._at) + 4
            if end == 3:
                return False
            head = parse_head(data[self._at : end])
            before = self.seen[-1].answer if self.seen else None
            assert before is None or not before.last, "a request after the connection's last answer"
            number = head.one("x-number")
            assert number is not None, f"a request that nobody made: {head.raw!r}"
            self.seen.append(Seen(int(number), head, self))
            self._at = end
            return True
        seen = self.seen[-1]
        length = seen.head.one("content-length")
        if seen.head.one("transfer-encoding") is None:
            seen.body = data[self._at : self._at + int(length or 0)]
            seen.whole = len(seen.body) == int(length or 0)
            self._at += len(seen.body) if seen.whole else 0
            return seen.whole and len(data) > self._at
        line = re.compile(rb"([0-9a-f]+)\r\n").match(data, self._at)
        if line is None:
            assert len(data) - self._at < 10
            return False
        size = int(line[1], 16)
        if len(data) < line.end() + size + 2:
            return False
        assert data[line.end() + size : line.end() + size + 2] == b"\r\n"
        seen.body += data[line.end() : line.end() + size]
        self._at = line.end() + size + 2
        seen.whole = size == 0
        return len(data) > self._at

    @property
    def current(self) -> Seen | None:
        """The request that has no complete answer yet."""
        seen = self.seen[-1] if self.seen else None
        return None if seen is None or (seen.answer is not None and seen.answer.whole) else seen

    def send(self, size: int) -> None:
        """Write the next bytes of the answer; end the connection where that is the answer's end."""
        seen = self.current
        answer = seen.answer if seen is not None else None
        if answer is not None:
            piece = answer.wire[answer.sent : answer.sent + size]
            answer.sent += len(piece)
            self.write(piece)
            if answer.whole and answer.ends:
                self.leave("close")
