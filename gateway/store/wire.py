"""
The wire: all scripts and reads of one worker, multiplexed on one connection (docs/adr/0001).

Commands of one event-loop tick leave in one write, replies come back in their order.  A caller that goes away leaves its
command in the queue until the reply has passed, so no reply can reach another (CVE-2023-28858).  What may have been sent is
never sent again: whether a script has run is unknown then, and its caller is told that the store is unavailable.
"""

from __future__ import annotations

import asyncio
import logging

import hiredis

from gateway.errors import StoreUnavailable
from gateway.store.caller import refusal
from gateway.store.dial import Place, dial
from gateway.store.handshake import Login, log_in
from gateway.store.resp import Ask, Connection, Reply, Timed, Word, pack
from gateway.store.steady import Steady
from gateway.telemetry.metrics import Registry

MAX_IN_FLIGHT = 10_000
"""Commands without an answer; one more is refused."""

_PING = pack(("PING",))


class Wire:
    """One worker's connection to one store; implements `gateway.store.caller.Caller`."""

    def __init__(
        self, address: Place, login: Login, *, timeout: float, registry: Registry, log: logging.Logger | None = None
    ) -> None:
        """``timeout``: seconds after which a command fails at the latest."""
        self._address = address
        self._log = log or logging.getLogger("gateway.store")
        self._line = Steady(
            "wire", address, lambda: dial(address, lambda connection: log_in(connection, login, "gateway-wire")), self,
            timeout=timeout, log=self._log, most=MAX_IN_FLIGHT,
        )
        self._calls = registry.counter("gateway_store_calls_total", "Scripts and reads asked of the store")
        self._failed = registry.counter("gateway_store_calls_failed_total", "Scripts and reads without an answer of the store")

    async def start(self) -> None:
        """Begin to connect, and keep the connection up until `close`; returns at once, commands wait meanwhile."""
        self._loop = asyncio.get_running_loop()
        await self._line.start()

    async def close(self) -> None:
        """End the connection; commands on their way fail."""
        await self._line.close()

    @property
    def up(self) -> bool:
        """Whether the connection stands."""
        return self._line.connection is not None

    def call(self, *words: Word) -> asyncio.Future[Reply]:
        """
        Send one command.  Cancelling the future does not recall it.

        Raises (when awaited):
            NoScript: The server does not have the script of an EVALSHA.
            StoreUnavailable: No reply in time, or an error reply; also at once, when there is no hope.
        """
        self._calls.value += 1
        reply: asyncio.Future[Reply] = self._loop.create_future()
        reason = self._line.send(Asked(pack(words), reply))
        if reason:
            self._failed.value += 1
            reply.set_exception(StoreUnavailable(reason))
        return reply

    async def change(self, words: tuple[Word, ...], mark: bytes, wait_ms: int) -> Reply:
        """
        One command that writes, and wait until a replica has it: see `gateway.store.replicated`.

        Raises:
            NoScript, StoreUnavailable: As `call`; or no replica had it in ``wait_ms``.
        """
        asked = self.call(*words), self.call("SET", mark, "1", "PX", 1000), self.call("WAIT", 1, wait_ms)
        for one in asked:
            one.add_done_callback(_look_at)
        await asyncio.wait(asked)
        reply, marked, replicas = asked
        found = reply.result()
        marked.result()
        if replicas.result() < 1:
            raise StoreUnavailable("no replica has the change")
        return found

    # --- told by the connection --------------------------------------------------------------------------------------

    def took(self, connection: Connection, greeting: str) -> None:
        """The wire stands; which protocol it speaks does not matter here."""
        self._log.info("wire.connected", extra={"facts": {"address": str(self._address)}})

    def lost(self, connection: Connection, *, closing: bool) -> list[Asked]:
        """Only what was not written yet may be sent on the next connection."""
        asks = list(connection.asks)
        sent = len(asks) - connection.unsent
        gone = [ask for ask in asks[:sent] if isinstance(ask, Asked) and ask.wanted]
        self._failed.value += len(gone)
        for ask in gone:
            ask.fail(StoreUnavailable("the connection was lost"))
        return [ask for ask in asks[sent:] if isinstance(ask, Asked)]

    def beat(self, now: float) -> Ask:
        """Whatever the server says to it, it is there."""
        return Beat(_PING)

    def overdue(self, count: int) -> None:
        """Commands were given up."""
        self._failed.value += count


def _look_at(future: asyncio.Future[Reply]) -> None:
    """A caller that goes away leaves answers that nobody asks for."""
    if not future.cancelled():
        future.exception()


class Asked(Timed):
    """A command that a caller waits for."""

    __slots__ = ("reply",)

    def __init__(self, command: bytes, reply: asyncio.Future[Reply]) -> None:
        self.command = command
        self.abandoned = False
        self.reply = reply

    @property
    def wanted(self) -> bool:
        """Whether its caller is still there."""
        return not self.reply.done()

    def answer(self, reply: Reply) -> None:
        """Wake the caller, if it is still there."""
        if self.reply.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            self.reply.set_exception(refusal(str(reply)))
        else:
            self.reply.set_result(reply)

    def fail(self, error: StoreUnavailable) -> None:
        """Give up; a reply that still comes is dropped."""
        self.abandoned = True
        if not self.reply.done():
            self.reply.set_exception(error)


class Beat(Ask):
    """A heartbeat: PING."""

    __slots__ = ()

    def answer(self, reply: Reply) -> None:
        """It was heard; that is all."""
