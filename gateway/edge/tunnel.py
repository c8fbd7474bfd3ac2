"""
A WebSocket after its 101: bytes pass both ways as they are, with back-pressure, until either end or the gateway ends it.

Both transports get a `_Side` in place of their HTTP protocols, which still hear of the connection's end and do their
bookkeeping.  Frame boundaries are followed so that a Close frame can be put between two frames; nothing else depends on them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from secrets import token_bytes
from typing import TYPE_CHECKING, cast

from gateway.edge.closing import owed
from gateway.websocket import GOING_AWAY, Frames, close_frame

if TYPE_CHECKING:
    from gateway.edge.downstream import Downstream
    from gateway.edge.exchange import Exchange
    from gateway.edge.upstream import Upstream

CLOSING = 1.0
"""
Seconds that both ends have for the closing handshake, the rest of a frame that is on its way included.  When the ends ended it
by themselves: seconds between two looks whether they have taken what is theirs, for which they have `Edge.closing_timeout`.
"""

CLOSED, BROKEN, IDLE, DRAINING = "closed", "broken", "idle", "draining"


class _Side(asyncio.Protocol):
    """What arrives from one end; it goes to the ``other`` side's transport."""

    __slots__ = ("_goodbye", "_held", "_lost", "_muted", "_tunnel", "eof", "frames", "other", "passed", "transport")

    def __init__(
        self, tunnel: Tunnel, transport: asyncio.Transport, lost: Callable[[Exception | None], None], *, held: bool
    ) -> None:
        """``lost`` is the ``connection_lost`` of the protocol that had the transport before; ``held``: reading is paused."""
        self._tunnel = tunnel
        self._lost = lost
        self.transport = transport
        self.other: _Side = self
        self.frames = Frames()
        self.passed = 0
        """Bytes that went on to the other side."""
        self.eof = False
        self._held = held
        self._goodbye = b""
        self._muted = False

    @property
    def done(self) -> bool:
        """Whether nothing more is expected from here."""
        return self.eof or self.frames.closed

    def say(self, goodbye: bytes) -> None:
        """Put a Close frame behind what came from here, at the next frame's end; what follows is dropped."""
        if self.done or self.frames.closing:  # a Close is on its way to the other side already
            return
        self._goodbye = goodbye
        if self.frames.between:
            self._take_leave()

    def hold(self, *, held: bool) -> None:
        """Read nothing while the other end is slow."""
        if held != self._held and not self.transport.is_closing():
            self._held = held
            self.transport.pause_reading() if held else self.transport.resume_reading()

    def _take_leave(self) -> None:
        self._muted = True
        if not (self.frames.closing or self.other.transport.is_closing()):
            self.other.transport.write(self._goodbye)
        self.hold(held=False)  # its Close is waited for

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._goodbye:
            self._last_words(data)
            return
        self.frames.feed(data)
        self.passed += len(data)
        self.other.transport.write(data)
        self._tunnel.moved()

    def _last_words(self, data: bytes) -> None:
        if not self._muted:
            end = self.frames.feed(data, stop=True)
            self.passed += end
            self.other.transport.write(data[:end])
            if self.frames.between:
                self._take_leave()
            data = data[end:]
        self.frames.feed(data)
        self._tunnel.settle()

    def eof_received(self) -> bool:
        """Called by the event loop: half of the connection has ended, as it will for the other end."""
        self.eof = True
        self._tunnel.half_closed(self)
        return self.transport.can_write_eof()

    def pause_writing(self) -> None:
        """This end reads slowly: so does the gateway from the other one."""
        self.other.hold(held=not self.other._muted)

    def resume_writing(self) -> None:
        """This end keeps up again."""
        self.other.hold(held=False)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._lost(exc)
        self._tunnel.lost(self, exc)


class Tunnel:
    """Both sides of one WebSocket; its client's `Downstream` brings it the time."""

    def __init__(self, down: Downstream, exchange: Exchange, over: Callable[[Exchange, str], None]) -> None:
        """``over`` is called once, when both connections have ended, with the reason."""
        up = cast("Upstream", exchange.up)
        self._down = down
        self._exchange = exchange
        self._over = over
        self._idle = exchange.match.route.between_bytes
        self._reason = ""
        self._until = 0.0
        """Event-loop seconds until which the ends may take what is left, once they ended it."""
        self._client = _Side(self, down.transport, down.connection_lost, held=False)
        self._server = _Side(self, up.transport, up.connection_lost, held=down.write_paused)
        self._open = [self._client, self._server]
        self._client.other, self._server.other = self._server, self._client

    def start(self, early: bytes, behind: bytes, *, eof: bool) -> None:
        """
        Take the connections over.

        Args:
            early: What the client sent behind its head.
            behind: What the upstream sent behind its own.
            eof: Whether the client ended its side of the connection meanwhile.
        """
        for side in (self._client, self._server):
            side.transport.set_protocol(side)
        self._client.transport.resume_reading()  # its buffer may have been full
        self.moved()
        if behind:
            self._server.data_received(behind)
        if early:
            self._client.data_received(early)
        if eof:
            self._client.eof_received()

    def close(self, code: int, reason: str) -> None:
        """End it with a Close frame both ways, and by force when that takes longer than `CLOSING`."""
        if self._reason:
            return
        self._reason = reason
        self._down.deadline = self._down.edge.loop.time() + CLOSING
        if self._client.frames.lost or self._server.frames.lost:
            self.cut()
            return
        words = reason.replace("_", " ").encode("ascii")
        self._client.say(close_frame(code, words, token_bytes(4)))
        self._server.say(close_frame(code, words))
        self.settle()

    def expire(self) -> None:
        """Nothing came for too long, or the end takes too long."""
        if not self._reason:
            self.close(GOING_AWAY, IDLE)
        elif self._is_patient() and any(owed(side.transport) for side in self._open):
            self._look_later()
        else:
            self.cut()

    def cut(self) -> None:
        """End both connections at once."""
        for side in list(self._open):
            side.transport.abort()

    # --- told by the sides ----------------------------------------------------------------------------------------

    def moved(self) -> None:
        """Something went through."""
        if self._reason:
            self.settle()
        else:
            down = self._down
            down.deadline = down.edge.loop.time() + self._idle

    def settle(self) -> None:
        """End the connections once both ends have said their Close, or can't any more."""
        if self._client.done and self._server.done:
            self._finish()

    def half_closed(self, side: _Side) -> None:
        """One end sends no more; the other one may go on, unless it has ended too or TLS, which has no half, is between."""
        if self._reason:
            self.settle()
        elif side.other.eof or not side.other.transport.can_write_eof() or not side.transport.can_write_eof():
            self._finish()
        elif not side.other.transport.is_closing():
            side.other.transport.write_eof()

    def lost(self, side: _Side, exc: Exception | None) -> None:
        """A connection has ended; the other one gets what waits for it, for a while."""
        self._open.remove(side)
        if not self._open:
            self._exchange.received += self._client.passed
            self._exchange.sent += self._server.passed
            self._over(self._exchange, self._reason)
            return
        self._finish(BROKEN if exc is not None else CLOSED)

    def _finish(self, reason: str = CLOSED) -> None:
        """No end has more to say: each gets what waits for it, and as much time for that as for an answer's last bytes."""
        if not self._reason:
            self._reason = reason
            self._until = self._down.edge.loop.time() + self._down.edge.closing_timeout
        self._look_later()
        for side in list(self._open):
            side.transport.close()

    def _is_patient(self) -> bool:
        edge = self._down.edge
        # Of a gateway that stops, what `Edge.drain` waits for is clients.
        return edge.loop.time() < self._until and (self._client in self._open or not edge.draining)

    def _look_later(self) -> None:
        loop = self._down.edge.loop
        if self._client in self._open:
            self._down.deadline = loop.time() + CLOSING
        else:  # the deadline has gone with it
            loop.call_later(CLOSING, self.expire)
