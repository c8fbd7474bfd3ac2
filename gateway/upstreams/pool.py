"""
Connections to one target: kept alive, bounded, handed out one exchange at a time.

Connecting is the one thing here that needs a task; a request that finds an idle connection starts none.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import TYPE_CHECKING, cast

from gateway.errors import GatewayError, Overloaded, UpstreamError, UpstreamTimeout
from gateway.upstreams.ports import Connect, Connection, Exchange, Speaker

if TYPE_CHECKING:  # each holds the other by design
    from gateway.upstreams.group import Group

MAX_WAITING = 1_000
"""Requests that may wait for a connection to one target."""


class Pool:
    """The connections of one worker to one target."""

    def __init__(self, name: str, host: bytes, connect: Connect, speak: Speaker, *, limit: int, keepalive: float) -> None:
        self.name = name
        """The target as configured, for logs."""
        self.head = b" HTTP/1.1\r\nHost: " + host + b"\r\n"
        """What stands between a request's target and its other header lines."""
        self.group: Group
        self.speak = speak
        self._connect = connect
        self._limit = limit
        self._keepalive = keepalive
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._waiting: deque[Exchange] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def lease(self, exchange: Exchange) -> None:
        """Send an exchange on an idle connection, or as soon as there is a new one; it hears of failures."""
        exchange.pool = self
        exchange.upstream_name = self.name
        idle = self._idle
        while idle:
            up = idle.pop()
            if not up.closed:
                up.begin(exchange)
                return
        self.renew(exchange)

    def renew(self, exchange: Exchange) -> None:
        """The same on a connection that was never used."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.over)
        if len(self._waiting) >= MAX_WAITING:
            # Later, not now: the client's side is still about to begin, and may have thousands more of these.
            refusal = Overloaded(reason=f"{len(self._waiting)} requests wait for {self.name}")
            asyncio.get_running_loop().call_soon(exchange.fail, refusal)
            return
        self._waiting.append(exchange)
        exchange.queued()
        self._grow()

    def release(self, up: Connection) -> None:
        """Take a connection back after a complete answer."""
        while self._waiting:
            exchange = self._next_for(up)
            if exchange is None:
                if len(self._open) < self._limit:
                    break  # who waits has a connection of its own coming
                up.closed = True
                up.transport.close()
                return
            if not exchange.over:
                up.begin(exchange)
                exchange.leased()
                return
        up.idle_since = asyncio.get_running_loop().time()
        self._idle.append(up)

    def lost(self, up: Connection) -> None:
        """Forget a connection that has ended."""
        self._open.discard(up)
        if up in self._idle:
            self._idle.remove(up)
        self._grow()

    def prune(self, now: float) -> None:
        """Close connections that were idle for longer than ``keepalive``; the oldest stand first."""
        while self._idle and now - self._idle[0].idle_since > self._keepalive:
            up = self._idle.pop(0)
            up.closed = True
            up.transport.close()

    def close(self) -> None:
        """Cut everything."""
        for task in self._tasks:
            task.cancel()
        for up in list(self._open):
            up.abort()

    def impatience(self) -> GatewayError:
        """Why an exchange has waited in vain."""
        if len(self._open) >= self._limit:
            return Overloaded(reason=f"all {self._limit} connections to {self.name} are busy")
        return UpstreamTimeout(f"{self.name} did not accept a connection in time", sent=False)

    @property
    def open(self) -> int:
        """Connections, idle ones included."""
        return len(self._open)

    def _next_for(self, up: Connection) -> Exchange | None:
        """Who has waited longest; but an exchange that met a stale connection once gets none that was used."""
        waiting = self._waiting
        if up.used == 0 or not waiting[0].renewed:
            return waiting.popleft()
        for exchange in waiting:
            if not exchange.renewed or exchange.over:
                waiting.remove(exchange)
                return exchange
        return None

    def _grow(self) -> None:
        """Connect once for each waiting exchange, as far as the limit allows."""
        while self._waiting and self._waiting[0].over:
            self._waiting.popleft()
        wanted = min(len(self._waiting), self._limit - len(self._open))
        while len(self._tasks) < wanted:
            task = asyncio.get_running_loop().create_task(self._open_one(self._waiting[0].match.route.connect))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open_one(self, timeout: float) -> None:
        failure: GatewayError | None = None
        protocol: asyncio.BaseProtocol | None = None
        try:
            async with asyncio.timeout(timeout):
                _, protocol = await self._connect(lambda: self.speak(self))
        except TimeoutError:
            failure = UpstreamTimeout(f"{self.name} did not accept a connection in time", sent=False)
        except (OSError, ssl.SSLError) as error:
            failure = UpstreamError(f"{self.name} can't be reached: {type(error).__name__}", sent=False)
        # Before anybody hears of it: a next request may come of that, and has to have a task of its own.
        self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        up = cast("Connection | None", protocol)
        if up is None or up.closed:
            self._refuse_one(failure or UpstreamError(f"{self.name} closed a connection at once", sent=False))
        else:
            self._open.add(up)
            self.release(up)

    def _refuse_one(self, failure: GatewayError) -> None:
        while self._waiting:
            exchange = self._waiting.popleft()
            if not exchange.over:
                self.group.unreachable(self, exchange, failure)
                break
        self._grow()
