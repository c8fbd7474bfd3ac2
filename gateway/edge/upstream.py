"""
A connection to an upstream: sends one request at a time and frames what comes back.

The answer's head is parsed by llhttp and written anew; its body is framed here (length, chunked, until close) and streamed.
What can't be framed for certain is a 502, or a cut connection once the answer has begun.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, cast

from gateway.edge.body import MAX_PIECES
from gateway.edge.chunks import ChunkDecoder, ChunkError
from gateway.edge.exchange import WRITE_AHEAD, Exchange
from gateway.edge.head import MAX_RESPONSE_HEAD, BadResponse, ResponseReader
from gateway.edge.streaming import is_agreed
from gateway.errors import UpstreamError
from gateway.upstreams.pins import is_login
from gateway.upstreams.watch import RESET

if TYPE_CHECKING:
    from gateway.upstreams.pool import Pool

MAX_INTERIM = 16
"""Most 1xx answers before the final one."""

MAX_KNOWN_HEADS = 64
"""Heads of answers that are remembered, of one target."""
MAX_KNOWN_HEAD = 1024
"""Longest of them, bytes."""

_IDLE, _HEAD, _LENGTH, _CHUNKED, _UNTIL_CLOSE = range(5)


class Speaker:
    """Makes the connections to one target; they share what was read of its answers lately."""

    def __init__(self) -> None:
        self._heads: dict[bytes, ResponseReader] = {}

    def __call__(self, pool: Pool) -> Upstream:
        """A connection's protocol."""
        return Upstream(pool, self)

    def read_head(self, head: bytes) -> ResponseReader:
        """
        Read an answer's head; one that was read lately, to the byte, says the same again.

        Raises:
            BadResponse: It is malformed or ambiguous.
        """
        answer = self._heads.get(head)
        if answer is None:
            answer = ResponseReader(head)
            if len(head) <= MAX_KNOWN_HEAD and not answer.personal:
                if len(self._heads) >= MAX_KNOWN_HEADS:
                    self._heads.clear()
                self._heads[head] = answer
        return answer


class Upstream(asyncio.Protocol):
    """One upstream connection, leased to one exchange at a time by its `Pool`."""

    __slots__ = (
        "_buffer", "_chunked_out", "_decoder", "_interim", "_keep_alive", "_left", "_state", "closed", "exchange",
        "idle_since", "owner", "paused", "pool", "speaker", "transport", "used",
    )  # fmt: skip

    def __init__(self, pool: Pool, speaker: Speaker) -> None:
        self.pool = pool
        self.speaker = speaker
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.exchange: Exchange | None = None
        self.used = 0
        """Requests that were sent on it; only a connection that was used before may die of keep-alive."""
        self.closed = False
        self.idle_since = 0.0
        self.owner: object | None = None
        self._state = _IDLE
        self._buffer = b""
        self._left = 0
        self._decoder: ChunkDecoder | None = None
        self._chunked_out = False
        self._keep_alive = False
        self._interim = 0
        self.paused = False
        """Whether what was written last still waits here, because the upstream reads slowly."""

    # --- the exchange's side --------------------------------------------------------------------------------------

    def begin(self, exchange: Exchange) -> None:
        """Send an exchange's head."""
        self.exchange = exchange
        exchange.up = self
        self.used += 1
        self._state = _HEAD
        self._interim = 0
        self.transport.write(exchange.start + (exchange.host or self.pool.head) + exchange.tail)
        if self.paused:
            exchange.down.pause_body()

    @property
    def is_sized(self) -> bool:
        """Whether an answer is under way whose length is known."""
        return self._state == _LENGTH

    def resume_reading(self) -> None:
        """The client keeps up again; but what was read already comes first, so that no more than one read waits here (X03)."""
        if not (self._state == _CHUNKED and self._buffer):
            self.transport.resume_reading()

    def abort(self) -> None:
        """Cut the connection at once; whatever was under way on it is over."""
        self.exchange = None
        self.closed = True
        self.transport.abort()

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_AHEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop; tells the pool, and the exchange if there is one."""
        self.closed = True
        if self._state == _CHUNKED and self._buffer and self.exchange is not None:
            rest, self._buffer = self._buffer, b""
            self._chunks(self.exchange, rest, sys.maxsize)
        exchange = self.exchange
        self.exchange = None
        self.pool.lost(self)
        if exchange is not None and not exchange.over:
            self._broken(exchange, "the upstream closed the connection")

    def eof_received(self) -> bool:
        """Called by the event loop: an answer framed by the connection's end is complete now."""
        self.closed = True  # connection_lost comes later: nobody may lease it meanwhile
        if self.exchange is not None and self._state == _UNTIL_CLOSE:
            self._finish(exact=True)
        return False

    def pause_writing(self) -> None:
        """The upstream reads the request's body slowly: the client has to wait."""
        self.paused = True
        if self.exchange is not None:
            self.exchange.down.pause_body()

    def resume_writing(self) -> None:
        """The upstream keeps up again."""
        self.paused = False
        if self.exchange is not None:
            self.exchange.down.resume_body()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop; bytes that nobody asked for end the connection (response-queue poisoning)."""
        exchange = self.exchange
        if exchange is None:
            self.abort()
            return
        state = self._state
        if state == _LENGTH:
            self._length(exchange, data)
        elif state == _CHUNKED:
            if self._buffer:  # some wait for their turn; TLS gives what it has decrypted, paused or not
                self._buffer += data
                self.transport.pause_reading()
            else:
                self._chunks(exchange, data)
        elif state == _UNTIL_CLOSE:
            exchange.down.write_body(exchange, data, chunked=self._chunked_out)
        else:
            self._heads(exchange, self._buffer + data if self._buffer else data)

    # --- the answer -----------------------------------------------------------------------------------------------

    def _heads(self, exchange: Exchange, data: bytes) -> None:
        """Read heads until the final one; keep what is unfinished."""
        while True:
            end = data.find(b"\r\n\r\n", 0, MAX_RESPONSE_HEAD)
            if end < 0:
                self._buffer = data
                if len(data) > MAX_RESPONSE_HEAD or b"\n\n" in data or not b"HTTP/1.".startswith(data[:7]):
                    self._broken(exchange, "the answer's head is too long or malformed")
                return
            end += 4
            head = data if end == len(data) else data[:end]
            try:
                answer = self.speaker.read_head(head)
            except BadResponse as error:
                self._broken(exchange, f"the answer's {error} is malformed")
                return
            data = data[end:]
            if self.pool.watching:
                self.pool.group.answered(self.pool, answer.status)
            if answer.status >= 200:
                self._buffer = b""
                self._final(exchange, answer, data)
                return
            self._interim += 1
            if answer.status == 101 and exchange.handshake is not None and is_agreed(exchange.handshake, answer):
                self._buffer = b""
                self.exchange = None
                self.closed = True  # nobody may lease it, ever; it counts until it ends
                exchange.down.upgraded(exchange, answer, data)
                return
            if answer.status == 101 or self._interim > MAX_INTERIM:
                self._broken(exchange, "101 that was not asked for so, or too many interim answers")
                return
            # 100 and 102 answer what the gateway asked or nobody did; others are the client's (RFC 9110 section 15.2).
            if answer.status > 102 and not exchange.http10:
                exchange.down.write_interim(answer)
            if not data:
                self._buffer = b""
                return

    def _final(self, exchange: Exchange, answer: ResponseReader, data: bytes) -> None:
        self._keep_alive = answer.keep_alive
        if answer.binds or (self.pool.binding and is_login(exchange.tail)):
            self.pool.group.bind(self, exchange.down)
        if answer.addressed or exchange.match.route.response_headers is not None:
            answer = exchange.down.outward(exchange, answer)
        status = answer.status
        if status == 401 and exchange.match.route.introduces:
            exchange.down.edge.introductions[exchange.match.route].refused(exchange.tail, exchange.down.edge.loop.time())
        if exchange.head_only or status in (204, 304):
            length = None if status == 204 else answer.content_length
            if status == 204 and (answer.chunked or answer.content_length):
                self._keep_alive = False  # no 204 may say so (RFC 9110 section 8.6): what it announced may come yet
            exchange.down.write_head(exchange, answer, length=length, chunked=False, delimited=True)
            self._finish(exact=not data)
            return
        if answer.chunked:
            self._state = _CHUNKED
            self._decoder = ChunkDecoder()
        elif answer.content_length is not None:
            self._length_head(exchange, answer, answer.content_length, data)
            return
        else:
            self._state = _UNTIL_CLOSE
            self._keep_alive = False
        self._chunked_out = not exchange.http10
        exchange.down.write_head(exchange, answer, length=None, chunked=self._chunked_out, delimited=self._chunked_out)
        if data and not exchange.over:
            self.data_received(data)

    def _length_head(self, exchange: Exchange, answer: ResponseReader, length: int, data: bytes) -> None:
        """The common answer: head and body in one write where both are here."""
        if len(data) >= length:
            exact = len(data) == length
            exchange.down.write_head(exchange, answer, length=length, body=data if exact else data[:length])
            self._finish(exact=exact)
            return
        self._state = _LENGTH
        self._left = length - len(data)
        exchange.down.write_head(exchange, answer, length=length, body=data)

    def _length(self, exchange: Exchange, data: bytes) -> None:
        size = len(data)
        if size < self._left:
            self._left -= size
            exchange.down.write_body(exchange, data, chunked=False)
        else:
            exact = size == self._left
            exchange.down.write_body(exchange, data if exact else data[: self._left], chunked=False)
            self._finish(exact=exact)

    def _chunks(self, exchange: Exchange, data: bytes, most: int = MAX_PIECES) -> None:
        decoder = cast(ChunkDecoder, self._decoder)
        try:
            pieces, used = decoder.feed(data, most)
        except ChunkError as error:
            self._broken(exchange, f"the answer's chunked body is malformed: {error}")
            return
        if pieces:
            content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            exchange.down.write_body(exchange, content, chunked=self._chunked_out)
        if exchange.over:
            return
        if decoder.done:
            self._finish(exact=used == len(data))
        elif used < len(data):  # so many chunks that the rest is better taken in another turn of the event loop
            self._buffer = data[used:]
            if not self.closed:
                self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._go_on, exchange)

    def _go_on(self, exchange: Exchange) -> None:
        """Another turn for the chunks that arrived together; unless the exchange is over by now."""
        rest = self._buffer
        if self.exchange is not exchange or not rest:
            return
        self._buffer = b""
        self._chunks(exchange, rest)
        later = self.exchange  # perhaps another one by now
        if not (self._buffer or self.closed or (later is not None and later.down.write_paused)):
            self.transport.resume_reading()

    def _finish(self, *, exact: bool) -> None:
        """The answer is complete; ``exact`` says that nothing followed it."""
        exchange = cast(Exchange, self.exchange)
        self.exchange = None
        self._decoder = None
        chunked = self._chunked_out and self._state in (_CHUNKED, _UNTIL_CLOSE)
        self._state = _IDLE
        if exact and self._keep_alive and exchange.sent_all and not self.closed and (
            # The answer came after the whole body was sent, and not while some of it still waits here.
            exchange.received == 0 or self.transport.get_write_buffer_size() == 0
        ):
            if exchange.down.write_paused:
                self.transport.resume_reading()  # the next exchange has another client
            self.pool.release(self)
        else:
            self.closed = True
            self.pool.heard_at = asyncio.get_running_loop().time()
            self.transport.abort() if not exchange.sent_all else self.transport.close()
        exchange.down.finish(exchange, chunked=chunked)

    def _broken(self, exchange: Exchange, reason: str) -> None:
        """The connection is of no more use; retry, answer 502, or cut the client off, whichever is still possible."""
        silent = self.closed and not self._buffer and self._interim == 0 and not exchange.answered
        # Only a connection that had nothing to do for a moment may die of keep-alive, used or not.
        stale = silent and (self.used > 1 or self.idle_since > 0.0)
        pool = self.pool
        self.exchange = None
        if not self.closed:
            self.abort()
        if silent and not stale:
            pool.group.failed(pool, RESET)
        if silent and exchange.repeatable:
            exchange.up = None
            if stale and not exchange.renewed:
                exchange.renewed = True
                pool.group.renew(pool, exchange)
                return
            if not stale and pool.group.resend(pool, exchange):
                return
        exchange.down.fail(exchange, UpstreamError(reason, sent=True))
