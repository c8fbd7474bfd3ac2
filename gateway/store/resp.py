"""
One raw connection to a Redis-compatible server: commands in, replies and pushes out, strictly in the server's order.

Commands of one event-loop tick leave in one write.  Who asked waits in a queue; a reply always belongs to its head.  An ask
that nobody waits for any more stays in the queue as abandoned until its reply has passed: so no reply can reach another
(CVE-2023-28858 was an answer read by the next caller).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

from gateway.errors import StoreUnavailable

_NOTHING = object()
_log = logging.getLogger("gateway.store")

Reply = Any
"""What hiredis makes of a reply: bytes, int, list, dict, None, or a `hiredis.ReplyError` as a value."""


Word = bytes | str | int
"""Of a command."""

pack = cast("Callable[[tuple[Word, ...]], bytes]", hiredis.pack_command)  # hiredis' stub knows only 1-tuples
"""Write one command."""


class ConnectionGone(Exception):
    """The connection ended before the reply came."""


class Ask:
    """One command on its way."""

    __slots__ = ("abandoned", "command")

    def __init__(self, command: bytes) -> None:
        self.command = command
        self.abandoned = False

    def answer(self, reply: Reply) -> None:
        """Take the reply; not called once abandoned."""
        raise NotImplementedError


class Timed(Ask):
    """A command that is given up after a while."""

    __slots__ = ("deadline",)

    deadline: float
    """Event-loop seconds; set when it is sent."""

    @property
    def wanted(self) -> bool:
        """Whether anybody still waits for its reply."""
        return not self.abandoned

    def fail(self, error: StoreUnavailable) -> None:
        """Give up; a reply that still comes is dropped."""
        raise NotImplementedError


class Call(Ask):
    """A command that a coroutine waits for: the handshake's."""

    __slots__ = ("reply",)

    def __init__(self, command: bytes, reply: asyncio.Future[Reply]) -> None:
        super().__init__(command)
        self.reply = reply

    def answer(self, reply: Reply) -> None:
        """Wake the coroutine."""
        if not self.reply.done():
            self.reply.set_result(reply)


class Connection(asyncio.Protocol):
    """
    A protocol instance is one connection's life.

    Attributes:
        asks: Sent, or about to be in this tick, and not answered yet; in the order of their replies.
        heard: Event-loop seconds at which the server last sent something.
        stalled: Set by the owner when the server is silent for too long; anything it sends ends that.
        lost: Done, with the reason, when the connection is no more.
        out_of_step: It was dropped because what came on it can't be trusted.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self.asks: deque[Ask] = deque()
        self.heard = loop.time()
        self.stalled = False
        self.out_of_step = False
        self.lost: asyncio.Future[str] = loop.create_future()
        self._ended = asyncio.Event()
        self.on_push: Callable[[list[Any]], None] = _ignore
        self.on_lost: Callable[[], None] = _nothing

    def send(self, ask: Ask) -> None:
        """Queue a command; all of one tick are written together."""
        self.asks.append(ask)
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(ask.command)

    async def call(self, *words: Word) -> Reply:
        """
        Send one command and wait for its reply; an error reply is returned, not raised.

        Raises:
            ConnectionGone: If the connection ends before.
        """
        if self.lost.done():
            raise ConnectionGone(self.lost.result())
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self.send(Call(pack(words), reply))
        await asyncio.wait((reply, self.lost), return_when=asyncio.FIRST_COMPLETED)
        if not reply.done():
            raise ConnectionGone(self.lost.result())
        return reply.result()

    @property
    def unsent(self) -> int:
        """How many of ``asks``, at the end of the queue, were not written yet: the server can't have seen them."""
        return len(self._out)

    def drop(self, reason: str) -> None:
        """End the connection now; its owner has been told when this returns."""
        if self.lost.done():
            return
        self.lost.set_result(reason)
        if self._transport is not None:
            self._transport.abort()
        self.on_lost()

    async def ended(self) -> None:
        """Drop the connection and wait until its socket is closed."""
        self.drop("closed")
        if self._transport is not None:
            await self._ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        if self.lost.done():
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Hand each reply to the ask at the head of the queue and each push to the owner."""
        self.heard = self._loop.time()
        self.stalled = False
        try:
            self._reader.feed(data)
            self._read()
        except hiredis.ProtocolError:
            self._distrust("protocol error")

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        self._ended.set()
        self.drop("closed by the server" if exc is None else type(exc).__name__)

    def _read(self) -> None:
        gets, asks, lost = self._reader.gets, self.asks, self.lost
        while not lost.done():
            reply = gets()
            if reply is _NOTHING:
                return
            if type(reply) is hiredis.PushNotification:
                self._push(reply)
                continue
            if not asks:
                self._distrust("a reply that nobody asked for")
                return
            ask = asks.popleft()
            if ask.abandoned:
                continue
            try:
                ask.answer(reply)
            except Exception:  # one caller's bug may not cost the others their answers
                _log.exception("store.callback_failed")

    def _distrust(self, reason: str) -> None:
        self.out_of_step = True
        self.drop(reason)

    def _push(self, push: list[Any]) -> None:
        try:
            self.on_push(push)
        except Exception:  # an invalidation that was not carried out: nothing kept can be believed
            _log.exception("store.invalidation_failed")
            self._distrust("an invalidation failed")

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and not self.lost.done():
            self._transport.write(b"".join(out))


def _ignore(push: list[Any]) -> None:
    """Pushes before the link stands concern nothing that was read."""


def _nothing() -> None:
    """Nobody owns the connection yet."""
