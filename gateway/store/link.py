"""
The verdict link: look-ups of tokens and clients, and the news that they changed, on one connection in the server's order.

The server remembers what was read here (CLIENT TRACKING) and pushes the names of records that change.  Replies and pushes
share one connection, so a record that was read before a change is always followed by the push that drops it.  Tracking on
another connection would not give that (redis #13082, #11767), nor would a pool whose connections come and go.

When the link is lost, everything read before is unconfirmed; look-ups on their way are asked again on the next connection,
each within its own time.  One coarse timer serves all time limits and the heartbeat.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.guard.ports import ClientDone, Listener, TokenDone
from gateway.oauth.tokens import AccessRef
from gateway.store.codec import decode_client, decode_token
from gateway.store.dial import Address, dial
from gateway.store.handshake import Greeting, Login, Refused
from gateway.store.keys import Keys
from gateway.store.lookup import Beat, Get
from gateway.store.resp import Connection, ConnectionGone
from gateway.telemetry.metrics import Registry

HEARTBEAT = 1.0
"""Seconds between two looks at the store's clock."""
SILENCE = 2.0
"""Seconds without a byte from the server after which the link is lost."""
MAX_PAUSE = 1.0
"""Longest pause, in seconds, between the starts of two attempts to connect."""
STANDSTILL = 0.25
"""Seconds of delay of our own timer that say: the event loop stood still, what arrived meanwhile is not read yet."""
COMPLAINT = 10.0
"""Seconds between two log lines about records of one kind that can't be read."""


class VerdictLink:
    """One worker's link to one store; implements `gateway.guard.ports.Facts`."""

    listener: Listener

    def __init__(
        self, address: Address, login: Login, *, prefix: str, timeout: float, registry: Registry,
        log: logging.Logger | None = None,
    ) -> None:
        """``timeout``: seconds after which a look-up fails at the latest."""
        self.listener = _Nobody()
        self._address = address
        self._login = login
        self._keys = Keys(prefix)
        self._timeout = timeout
        self._period = min(max(timeout / 8, 0.01), 0.1)
        self._log = log or logging.getLogger("gateway.store")
        self._connection: Connection | None = None
        self._caching = False
        self._offset = float("-inf")
        self._waiting: deque[Get] = deque()
        self._down_since = float("-inf")
        self._seen = False
        self._closing = False
        self._complained: dict[tuple[str, str], float] = {}
        self._bind(registry)

    def _bind(self, registry: Registry) -> None:
        self._up = registry.gauge("gateway_store_link_up", "Verdict links that stand")
        self._tracked = registry.gauge("gateway_store_link_caching", "Verdict links whose server reports changes")
        self._lost = registry.counter("gateway_store_link_lost_total", "Verdict links lost")
        self._tokens = registry.counter("gateway_store_lookups_total", "Records looked up", record="token")
        self._clients = registry.counter("gateway_store_lookups_total", "Records looked up", record="client")
        self._failed = registry.counter("gateway_store_lookups_failed_total", "Look-ups without an answer of the store")

    async def start(self) -> None:
        """Begin to connect, and keep the link up until `close`; returns at once."""
        self._loop = asyncio.get_running_loop()
        self._down_since = self._ticked = self._beaten = self._loop.time()
        self._excused = False
        self._timer = self._loop.call_later(self._period, self._tick)
        self._task = self._loop.create_task(self._stay_connected())

    async def close(self) -> None:
        """End the link; look-ups on their way fail."""
        self._timer.cancel()
        self._task.cancel()
        await asyncio.wait((self._task,))
        self._closing, self._down_since = True, float("-inf")
        if self._connection is not None:
            await self._connection.ended()
        self._fail_waiting("the gateway is stopping", until=float("inf"))

    # --- Facts -------------------------------------------------------------------------------------------------------

    @property
    def caching(self) -> bool:
        """Whether invalidations arrive at present."""
        return self._caching

    @property
    def up(self) -> bool:
        """Whether the link stands."""
        return self._connection is not None

    @property
    def seen(self) -> bool:
        """Whether the store was reached at least once."""
        return self._seen

    def fetch_token(self, ref: AccessRef, done: TokenDone) -> None:
        """Look an access token up by digest."""
        self._tokens.value += 1
        self._ask("token", self._keys.token(ref), decode_token, done)

    def fetch_client(self, client_id: str, done: ClientDone) -> None:
        """Look a client up."""
        self._clients.value += 1
        try:
            key = self._keys.client(client_id)
        except ValueError:  # a token's record that names something else
            self._loop.call_soon(done, self.unreadable("token", "corrupt record"))
            return
        self._ask("client", key, decode_client, done)

    def monotonic(self, store_ms: int) -> float:
        """When the store's clock shows ``store_ms``, in event-loop seconds; early by up to one round trip, never late."""
        return store_ms / 1000 + self._offset

    def _ask(self, kind: str, key: bytes, decode: Callable[[bytes], Any], done: Callable[[Any], None]) -> None:
        now = self._loop.time()
        # Overdue is seen at the next tick: one period less keeps the promise.
        ask = Get(kind, key, decode, done, self.unreadable, now + self._timeout - self._period)
        connection = self._connection
        if connection is not None and not connection.stalled:
            connection.send(ask)
        elif connection is None and now - self._down_since < self._timeout:
            self._waiting.append(ask)
        else:
            self._failed.value += 1
            reason = "the link is down" if connection is None else "the store is silent"
            self._loop.call_soon(ask.fail, StoreUnavailable(reason))

    # --- told by asks ------------------------------------------------------------------------------------------------

    def unreadable(self, kind: str, reason: str) -> StoreUnavailable:
        """Count and log (not too often) a record that the store or we can't read, by its kind only."""
        self._failed.value += 1
        now = self._loop.time()
        if now >= self._complained.get((kind, reason), 0.0):
            self._complained[kind, reason] = now + COMPLAINT
            self._log.warning("record.unreadable", extra={"facts": {"kind": kind, "reason": reason}})
        return StoreUnavailable(f"{kind}: {reason}")

    def set_clock(self, asked: float, store: float) -> None:
        """
        Map the store's clock to ours: it showed ``store`` not before we asked, so the map errs to be early.

        When the store's clock leapt ahead of ours (it was set, or our machine slept), kept deadlines are too late.
        """
        offset = asked - store - 2e-6  # TIME is cut to microseconds
        leapt = self._offset - offset > HEARTBEAT
        self._offset = offset
        if leapt:
            self.listener.everything_changed()

    # --- the connection's life ---------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        pause = 0.0
        while True:
            began = self._loop.time()
            try:
                connection, greeting = await dial(self._address, self._login)
            except Exception as error:  # whatever it is, the next attempt may succeed
                self._complain_of_dial(error)
            else:
                self._take(connection, greeting)
                await asyncio.wait((connection.lost,))  # a plain await would pass a cancellation on to it
            now = self._loop.time()
            if now - began > MAX_PAUSE:  # it stood for a while, or the attempt itself was a pause
                pause = 0.0
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  jitter is no secret
            pause = min(max(2 * pause, 0.01), MAX_PAUSE)

    def _complain_of_dial(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, Refused | ConnectionGone) else type(error).__name__
        now = self._loop.time()
        if now >= self._complained.get(("dial", reason), 0.0):
            self._complained["dial", reason] = now + COMPLAINT
            facts = {"address": str(self._address), "reason": reason}
            self._log.warning("link.not_connected", extra={"facts": facts})

    def _take(self, connection: Connection, greeting: Greeting) -> None:
        if connection.lost.done():
            return
        connection.on_push = self._hear
        connection.on_lost = self._lose
        self._connection = connection
        self._seen = True
        self._beaten = greeting.asked
        self._offset = float("-inf")
        self.set_clock(greeting.asked, greeting.store)
        self._caching = not greeting.uncached
        self._up.value = 1
        self._tracked.value = int(self._caching)
        self._complained.clear()
        facts = {"address": str(self._address), "caching": self._caching}
        self._log.info("link.connected", extra={"facts": facts})
        if greeting.uncached:
            self._log.warning("link.caching_refused", extra={"facts": {**facts, "reason": greeting.uncached}})
        self.listener.everything_changed()
        while self._waiting:
            connection.send(self._waiting.popleft())

    def _lose(self) -> None:
        connection = self._connection
        assert connection is not None
        self._connection = None
        self._caching = False
        self._up.value = self._tracked.value = 0
        if not self._closing:
            self._lost.value += 1
            self._down_since = self._loop.time()
            facts = {"address": str(self._address), "reason": connection.lost.result()}
            self._log.warning("link.lost", extra={"facts": facts})
        # In their order, so that deadlines stay sorted.
        self._waiting.extend(ask for ask in connection.asks if isinstance(ask, Get) and not ask.abandoned)
        self.listener.everything_changed()

    def _hear(self, push: list[Any]) -> None:
        if push[0] != b"invalidate":
            return
        if push[1] is None:
            self.listener.everything_changed()
            return
        for key in push[1]:
            name = self._keys.parse(key)
            if name is None:
                continue
            if name[0] == "token":
                self.listener.token_changed(name[1])
            else:
                self.listener.client_changed(name[1])

    # --- time --------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._loop.time()
        stood_still = now - self._ticked > self._period + STANDSTILL
        self._ticked = now
        self._timer = self._loop.call_later(self._period, self._tick)
        self._excused = stood_still and not self._excused
        if self._excused:
            return
        self._fail_waiting("the link is down", until=now)
        connection = self._connection
        if connection is None:
            return
        self._fail_overdue(connection, now)
        if now - connection.heard > SILENCE:
            connection.drop("silent")
        elif now - self._beaten >= HEARTBEAT:
            self._beaten = now
            connection.send(Beat(now, self.set_clock, self.unreadable))

    def _fail_overdue(self, connection: Connection, now: float) -> None:
        overdue = []
        for ask in connection.asks:
            if isinstance(ask, Get) and not ask.abandoned:
                if ask.deadline > now:
                    break
                overdue.append(ask)
        connection.stalled = connection.stalled or bool(overdue)
        self._failed.value += len(overdue)
        for ask in overdue:
            ask.fail(StoreUnavailable("the store is silent"))

    def _fail_waiting(self, reason: str, *, until: float) -> None:
        while self._waiting and self._waiting[0].deadline <= until:
            self._failed.value += 1
            self._waiting.popleft().fail(StoreUnavailable(reason))


class _Nobody:
    """Hears for a link that nobody listens to yet: nothing was read either."""

    def token_changed(self, digest: bytes) -> None:
        pass

    def client_changed(self, client_id: str) -> None:
        pass

    def everything_changed(self) -> None:
        pass
