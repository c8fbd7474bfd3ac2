"""
Connections to the targets of an upstream: kept alive, bounded, handed out one exchange at a time.

Connecting is the one thing here that needs a task; a request that finds an idle connection starts none.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import urlsplit

from gateway.config.model import Upstream as UpstreamSection
from gateway.edge.balancer import RoundRobin
from gateway.edge.exchange import Exchange
from gateway.edge.head import ResponseReader
from gateway.edge.upstream import Upstream
from gateway.errors import GatewayError, Overloaded, UpstreamError, UpstreamTimeout

ProtocolFactory = Callable[[], asyncio.Protocol]
Connect = Callable[[ProtocolFactory], Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]]]

MAX_KNOWN_HEADS = 64
"""Heads of answers that are remembered, of one target."""
MAX_KNOWN_HEAD = 1024
"""Longest of them, bytes."""
MAX_WAITING = 1_000
"""Requests that may wait for a connection to one target."""


class Pool:
    """The connections of one worker to one target."""

    def __init__(self, name: str, host: bytes, connect: Connect, *, limit: int, keepalive: float) -> None:
        self.name = name
        """The target as configured, for logs."""
        self.head = b" HTTP/1.1\r\nHost: " + host + b"\r\n"
        """What stands between a request's target and its other header lines."""
        self.group: Group
        self._connect = connect
        self._limit = limit
        self._keepalive = keepalive
        self._idle: list[Upstream] = []
        self._open: set[Upstream] = set()
        self._waiting: deque[Exchange] = deque()
        self._heads: dict[bytes, ResponseReader] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def lease(self, exchange: Exchange) -> None:
        """Send an exchange on an idle connection, or as soon as there is a new one; its ``down`` hears of failures."""
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
            asyncio.get_running_loop().call_soon(exchange.down.fail, exchange, refusal)
            return
        self._waiting.append(exchange)
        exchange.down.queued(exchange)
        self._grow()

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

    def release(self, up: Upstream) -> None:
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
                exchange.down.leased(exchange)
                return
        up.idle_since = asyncio.get_running_loop().time()
        self._idle.append(up)

    def lost(self, up: Upstream) -> None:
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

    def _next_for(self, up: Upstream) -> Exchange | None:
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
                _, protocol = await self._connect(lambda: Upstream(self))
        except TimeoutError:
            failure = UpstreamTimeout(f"{self.name} did not accept a connection in time", sent=False)
        except (OSError, ssl.SSLError) as error:
            failure = UpstreamError(f"{self.name} can't be reached: {type(error).__name__}", sent=False)
        # Before anybody hears of it: a next request may come of that, and has to have a task of its own.
        self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        up = cast("Upstream | None", protocol)
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


class Group:
    """All targets of one upstream."""

    def __init__(self, pools: list[Pool]) -> None:
        self.pools = pools
        self._balancer = RoundRobin(pools)
        for pool in pools:
            pool.group = self

    def lease(self, exchange: Exchange) -> None:
        """Send an exchange to the target whose turn it is."""
        self._balancer.first().lease(exchange)

    def unreachable(self, pool: Pool, exchange: Exchange, failure: GatewayError) -> None:
        """Nothing was sent, so another target may be tried, each once."""
        exchange.targets_tried += 1
        if exchange.targets_tried < len(self.pools):
            self._balancer.after(pool).lease(exchange)
            if exchange.up is not None:
                exchange.down.leased(exchange)
        else:
            exchange.down.fail(exchange, failure)


def group_of(section: UpstreamSection) -> Group:
    """Build the pools of a configured upstream."""
    return Group([
        Pool(target, *_connector(target), limit=section.max_connections, keepalive=section.keepalive.total_seconds())
        for target in section.targets
    ])  # fmt: skip


def _connector(target: str) -> tuple[bytes, Connect]:
    """The Host value of a target and how to connect to it."""
    if target.startswith("unix:"):
        path = target.removeprefix("unix:")
        return b"localhost", lambda factory: asyncio.get_running_loop().create_unix_connection(factory, path)
    url = urlsplit(target)
    host = cast(str, url.hostname)
    context = ssl.create_default_context() if url.scheme == "https" else None
    port = url.port or (443 if context else 80)
    return url.netloc.encode("ascii"), lambda factory: asyncio.get_running_loop().create_connection(
        factory, host, port, ssl=context
    )
