"""
A connection to the store that is kept up: dialled again when it is lost, with a time limit on every command.

At once first, then with growing pauses.  One coarse timer serves all time limits and the heartbeat.  While the server owes an
answer for too long, new commands are refused at once; when it says nothing at all, the connection is given up.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from gateway.errors import StoreUnavailable
from gateway.store.dial import Place
from gateway.store.handshake import Refused
from gateway.store.resp import Ask, Connection, ConnectionGone, Timed

HEARTBEAT = 1.0
"""Seconds between two heartbeats."""
SILENCE = 2.0
"""Seconds without a byte from the server after which the connection is lost."""
MAX_PAUSE = 1.0
"""Longest pause, in seconds, between the starts of two attempts to connect."""
STANDSTILL = 0.25
"""Seconds of delay of our own timer that say: the event loop stood still, what arrived meanwhile is not read yet."""
COMPLAINT = 10.0
"""Seconds between two log lines about one reason not to connect."""

G = TypeVar("G")
G_contra = TypeVar("G_contra", contravariant=True)


class Owner(Protocol[G_contra]):
    """Whom the connection works for."""

    def took(self, connection: Connection, greeting: G_contra) -> None:
        """A connection stands; called before anything that waited for it is sent."""

    def lost(self, connection: Connection, *, closing: bool) -> Sequence[Timed]:
        """It is no more.  Fails its ``asks``, but for those returned, in their order: they are asked on the next one."""

    def beat(self, now: float) -> Ask:
        """A heartbeat."""

    def overdue(self, count: int) -> None:
        """So many commands were given up."""


class Steady(Generic[G]):
    """
    One worker's connection to one server, through all its losses.

    Attributes:
        connection: The one that stands at present.
        seen: Whether the server was reached at least once.
    """

    def __init__(
        self, name: str, address: Place, dial: Callable[[], Awaitable[tuple[Connection, G]]], owner: Owner[G], *,
        timeout: float, log: logging.Logger, most: int,
    ) -> None:
        """
        Nothing is connected before `start`.

        Args:
            name: What the log's events begin with.
            address: Where the server is, for the log.
            dial: Connects and greets.
            owner: Hears of gains and losses.
            timeout: Seconds after which a command fails at the latest.
            log: Hears of gains and losses too.
            most: Commands that may be without an answer.
        """
        self.connection: Connection | None = None
        self.seen = False
        self._name = name
        self._address = address
        self._dial = dial
        self._owner = owner
        self._timeout = timeout
        self._period = min(max(timeout / 8, 0.01), 0.1)
        # Overdue is seen at the next tick: one period less keeps the promise.
        self._patience = timeout - self._period
        self._log = log
        self._most = most
        self._waiting: deque[Timed] = deque()
        self._down_since = float("-inf")
        self._closing = False
        self._complained: dict[str, float] = {}

    async def start(self) -> None:
        """Begin to connect, and keep the connection up until `close`; returns at once."""
        self._loop = asyncio.get_running_loop()
        self._down_since = self._ticked = self._beaten = self._loop.time()
        self._excused = False
        self._timer = self._loop.call_later(self._period, self._tick)
        self._task = self._loop.create_task(self._stay_connected())

    async def close(self) -> None:
        """End the connection; commands on their way fail."""
        self._timer.cancel()
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self._address.close()
        self._closing, self._down_since = True, float("-inf")
        if self.connection is not None:
            await self.connection.ended()
        self._fail_waiting("the gateway is stopping", until=float("inf"))

    def send(self, ask: Timed) -> str:
        """Send a command, or let it wait while there is hope; else the reason why not, and it is not sent."""
        now = self._loop.time()
        ask.deadline = now + self._patience
        connection = self.connection
        if connection is not None:
            if connection.stalled:
                return "the store is silent"
            if len(connection.asks) >= self._most:
                return "too many commands in flight"
            connection.send(ask)
            return ""
        if now - self._down_since >= self._timeout:
            return "the connection is down"
        if len(self._waiting) >= self._most:
            return "too many commands in flight"
        self._waiting.append(ask)
        return ""

    # --- its life ----------------------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        pause = 0.0
        while True:
            began = self._loop.time()
            try:
                connection, greeting = await self._dial()
            except Exception as error:  # whatever it is, the next attempt may succeed
                self._complain(error)
            else:
                taken = self._loop.time()
                self._take(connection, greeting)
                await asyncio.wait((connection.lost,))  # a plain await would pass a cancellation on to it
                if connection.heard > taken and not connection.out_of_step:  # it served, so the next one may
                    pause = 0.0
            now = self._loop.time()
            if now - began > MAX_PAUSE:  # it stood for a while, or the attempt itself was a pause
                pause = 0.0
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  jitter is no secret
            pause = min(max(2 * pause, 0.01), MAX_PAUSE)

    def _complain(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, Refused | ConnectionGone) else type(error).__name__
        now = self._loop.time()
        if now >= self._complained.get(reason, 0.0):
            self._complained[reason] = now + COMPLAINT
            facts = {"address": str(self._address), "reason": reason}
            self._log.warning(f"{self._name}.not_connected", extra={"facts": facts})

    def _take(self, connection: Connection, greeting: G) -> None:
        if connection.lost.done():
            return
        connection.on_lost = self._lose
        self.connection = connection
        self.seen = True
        self._beaten = self._loop.time()
        self._complained.clear()
        self._owner.took(connection, greeting)
        while self._waiting:
            ask = self._waiting.popleft()
            if ask.wanted:
                connection.send(ask)

    def _lose(self) -> None:
        connection = self.connection
        assert connection is not None
        self.connection = None
        if not self._closing:
            self._down_since = self._loop.time()
            facts = {"address": str(self._address), "reason": connection.lost.result()}
            self._log.warning(f"{self._name}.lost", extra={"facts": facts})
        # Before whatever the owner asked meanwhile: deadlines stay sorted.
        self._waiting.extendleft(reversed(self._owner.lost(connection, closing=self._closing)))

    # --- time --------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._loop.time()
        stood_still = now - self._ticked > self._period + STANDSTILL
        self._ticked = now
        self._timer = self._loop.call_later(self._period, self._tick)
        self._excused = stood_still and not self._excused
        if self._excused:
            return
        self._fail_waiting("the connection is down", until=now)
        connection = self.connection
        if connection is None:
            return
        self._fail_overdue(connection, now)
        if now - connection.heard > SILENCE:
            connection.drop("silent")
        elif now - self._beaten >= HEARTBEAT:
            self._beaten = now
            if self._address.moved():
                connection.drop("the master is elsewhere")
            else:
                connection.send(self._owner.beat(now))

    def _fail_overdue(self, connection: Connection, now: float) -> None:
        overdue = []
        for ask in connection.asks:
            if isinstance(ask, Timed) and ask.wanted:
                if ask.deadline > now:
                    break
                overdue.append(ask)
        if not overdue:
            return
        connection.stalled = True
        self._owner.overdue(len(overdue))
        for ask in overdue:
            ask.fail(StoreUnavailable("the store is silent"))

    def _fail_waiting(self, reason: str, *, until: float) -> None:
        failed = 0
        while self._waiting and self._waiting[0].deadline <= until:
            failed += 1
            self._waiting.popleft().fail(StoreUnavailable(reason))
        if failed:
            self._owner.overdue(failed)
