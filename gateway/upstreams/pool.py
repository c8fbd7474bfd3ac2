"""
Connections to one address of a target: kept alive, bounded, handed out one exchange at a time.

Connecting is the one thing here that needs a task; a request that finds an idle connection starts none.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import TYPE_CHECKING, cast

from gateway.errors import GatewayError, Overloaded, UpstreamError, UpstreamTimeout
from gateway.upstreams.connecting import EXHAUSTED
from gateway.upstreams.ports import Attempts, Connect, Connection, Exchange, Speaker

if TYPE_CHECKING:  # each holds the other by design
    from gateway.upstreams.group import Group
    from gateway.upstreams.standing import Standing

MAX_WAITING = 1_000
"""Requests that may wait for a connection, unless the configuration says otherwise."""


class Pool:
    """The connections of one worker to one address."""

    group: Group
    standing: Standing | None = None
    """How it stands with the requests' failures and the gateway's own checks; None: nobody watches it."""
    binding = False
    """Whether requests may log a connection in (NTLM, Negotiate), which then belongs to their client."""
    watching = False
    """Whether answers matter to its standing just now."""

    def __init__(
        self, name: str, host: bytes, connect: Connect, speak: Speaker, *, limit: int, keepalive: float,
        max_waiting: int = MAX_WAITING,
    ) -> None:  # fmt: skip
        self.name = name
        """The target as configured, and its address where the target is a name: for logs."""
        self.host = host
        """The Host that its requests name."""
        self.head = b" HTTP/1.1\r\nHost: " + host + b"\r\n"
        """What stands between a request's target and its other header lines."""
        self.speak = speak
        self.connect = connect
        self._limit = limit
        self.keepalive = keepalive
        """Seconds that an idle connection is kept."""
        self._max_waiting = max_waiting
        self.heard_at = float("-inf")
        """When it completed an answer last, event-loop seconds."""
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._waiting: deque[Exchange] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended_requests = 0

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
        if len(self._waiting) >= self._max_waiting:
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.over)
        # A connection that may be opened for it at once makes it no queue.
        if len(self._waiting) >= self._max_waiting + max(0, self._limit - len(self._open)):
            # Later, not now: the client's side is still about to begin, and may have thousands more of these.
            refusal = Overloaded(reason=f"{len(self._waiting)} requests wait for {self.name}")
            asyncio.get_running_loop().call_soon(exchange.fail, refusal)
            return
        self._waiting.append(exchange)
        if exchange.attempts is None:
            exchange.attempts = Attempts(asyncio.get_running_loop().time() + exchange.match.route.connect)
        exchange.queued()
        self._grow()

    def release(self, up: Connection) -> None:
        """Take a connection back after a complete answer."""
        now = asyncio.get_running_loop().time()
        if up.used:
            self.heard_at = now
        if up.owner is not None:
            self.group.keep(up)
            return
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
        up.idle_since = now
        self._idle.append(up)

    def lost(self, up: Connection) -> None:
        """Forget a connection that has ended."""
        self._ended_requests += up.used
        self._open.discard(up)
        if up in self._idle:
            self._idle.remove(up)
        self._grow()

    def prune(self, now: float) -> None:
        """Close connections that were idle for longer than ``keepalive``; the oldest stand first."""
        while self._idle and now - self._idle[0].idle_since > self.keepalive:
            up = self._idle.pop(0)
            up.closed = True
            up.transport.close()

    def retire(self) -> None:
        """The address is none of the target's any more: idle connections go, busy ones after their answers."""
        self.keepalive = -1.0
        self.prune(asyncio.get_running_loop().time())
        self.evacuate(UpstreamError(f"{self.name} is no address of its target any more", sent=False))

    def evacuate(self, failure: GatewayError) -> None:
        """Send those that wait elsewhere."""
        waiting, self._waiting = self._waiting, deque()
        for exchange in waiting:
            if not exchange.over:
                self.group.unreachable(self, exchange, failure)

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

    @property
    def is_empty(self) -> bool:
        """Whether there is no connection, and none is coming."""
        return not self._open and not self._tasks

    @property
    def load(self) -> int:
        """Requests that are under way or wait."""
        return len(self._open) - len(self._idle) + len(self._waiting)

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether a further request would have to wait for another one's end."""
        return not self._idle and len(self._open) >= self._limit

    @property
    def requests(self) -> int:
        """Requests that were sent, ever."""
        return self._ended_requests + sum(up.used for up in self._open)

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
            timeout = self._waiting[0].match.route.connect / self.group.patience
            task = asyncio.get_running_loop().create_task(self._open_one(timeout))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open_one(self, timeout: float) -> None:
        failure: GatewayError | None = None
        protocol: asyncio.BaseProtocol | None = None
        try:
            async with asyncio.timeout(timeout):
                _, protocol = await self.connect(lambda: self.speak(self))
        except TimeoutError:
            failure = UpstreamTimeout(f"{self.name} did not accept a connection in time", sent=False)
        except (OSError, ssl.SSLError, ValueError) as error:  # ValueError: a name that is no host
            if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno in EXHAUSTED:
                failure = Overloaded(reason=f"no descriptor or memory is left to connect to {self.name}")
            else:
                failure = UpstreamError(f"{self.name} can't be reached: {explain(error)}", sent=False)
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
            if exchange.over:
                continue
            if isinstance(failure, Overloaded):  # no other address would help
                exchange.fail(failure)
            else:
                self.group.unreachable(self, exchange, failure)
            break
        if not isinstance(failure, Overloaded):  # the address did nothing wrong
            self.group.not_connected(self, failure)
        self._grow()


def explain(error: Exception) -> str:
    """What went wrong with a connection, without what the other side said."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return type(error).__name__
