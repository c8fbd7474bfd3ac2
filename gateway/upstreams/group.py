"""All addresses of one upstream: which of them a request goes to, and where to when that one fails."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from gateway.errors import GatewayError, Overloaded, UpstreamDown, UpstreamError, UpstreamTimeout
from gateway.upstreams import watch as causes
from gateway.upstreams.balancer import Balancer
from gateway.upstreams.meters import Meters
from gateway.upstreams.pins import Pins
from gateway.upstreams.pool import MAX_WAITING, Pool
from gateway.upstreams.ports import Attempts, Connection, Exchange
from gateway.upstreams.retry_budget import RetryBudget
from gateway.upstreams.standing import BUSY, GOOD, NEVER

Balance = Callable[[Sequence[tuple[Pool, float]]], Balancer[Pool]]
KeyOf = Callable[[Exchange], bytes]

MOST_TRIES = 3
"""Addresses for which there has to be time within ``timeouts.connect``."""


class Group:
    """One upstream as the data plane sees it."""

    def __init__(
        self, meters: Meters, pins: Pins, balance: Balance, *, key_of: KeyOf | None = None, binding: bool = False,
        budget: RetryBudget | None = None, max_held: int = MAX_WAITING,
    ) -> None:  # fmt: skip
        """
        Args:
            meters: Where it is counted and logged.
            pins: Where connections wait that belong to one client.
            balance: Makes the policy over the addresses.
            key_of: Whom a request belongs to, where the policy asks.
            binding: Whether requests may log connections in, so that they come to belong to one client.
            budget: How many requests may be sent to a second address; None: none.
            max_held: Requests that may wait for the first addresses.
        """
        self.pools: list[Pool] = []
        self.patience = 1
        """Into how many parts the time to connect is divided."""
        self.watch: causes.Watch | None = None
        self.background: list[Callable[[float], None]] = []
        """Called at each tick with the event-loop time."""
        self.hasten: Callable[[Pool], None] | None = None
        """Told of an address that can't be connected to."""
        self.unresolved = ""
        """Why there are no addresses, once that is known."""
        self.meters = meters
        self._pins = pins
        self._balance = balance
        self._key_of = key_of
        self._binding = binding
        self._prune_at = 0.0
        self._budget = budget
        self._max_held = max_held
        self._balancer = balance(())
        self._only: Pool | None = None
        self._leaving: list[Pool] = []
        self._held: deque[Exchange] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- membership -----------------------------------------------------------------------------------------------

    def follow(self, weighted: Sequence[tuple[Pool, float]]) -> None:
        """These are the addresses from now on."""
        gone = [pool for pool in self.pools if all(pool is not other for other, _ in weighted)]
        self.pools = [pool for pool, _ in weighted]
        for pool in self.pools:
            pool.group = self
        self.patience = max(1, min(len(self.pools), MOST_TRIES))
        self._balancer = self._balance(weighted)
        self._leaving += gone
        if self.watch is not None:
            self.watch.follow(self.pools, asyncio.get_running_loop().time())
        self.settle()
        for pool in gone:
            pool.retire()
        self.let_go()

    def settle(self) -> None:
        """Find out whether there is anything to choose: a single address that may be tried costs no thought."""
        self._only = None
        if len(self.pools) == 1 and not self._binding:
            standing = self.pools[0].standing
            if standing is None or not (standing.ejected and standing.is_silent):
                self._only = self.pools[0]

    def let_go(self) -> None:
        """There are addresses, or it is known that there are none: nobody needs to wait for that."""
        held, self._held = self._held, deque()
        for exchange in held:
            if exchange.over:
                continue
            pool = self._candidate(exchange)
            if pool is None:
                exchange.fail(self._nowhere())
            else:
                self._send(pool, exchange)

    # --- requests -------------------------------------------------------------------------------------------------

    def lease(self, exchange: Exchange) -> None:
        """Send an exchange to the address whose turn it is."""
        only = self._only
        if only is not None:
            only.lease(exchange)
        else:
            self._choose(exchange)

    def unreachable(self, pool: Pool, exchange: Exchange, failure: GatewayError) -> None:
        """It waited for a connection there in vain.  Nothing was sent, so another address may be tried, each once."""
        attempts = self._attempts(exchange)
        attempts.pools.append(pool)
        other = self._candidate(exchange) if asyncio.get_running_loop().time() < attempts.until else None
        if other is None:
            exchange.fail(failure)
        else:
            self._send(other, exchange)

    def renew(self, pool: Pool, exchange: Exchange) -> None:
        """A reused connection ended before any byte of an answer: send it again on one that was never used."""
        self.meters.stale.inc()
        self._attempts(exchange).until = asyncio.get_running_loop().time() + exchange.match.route.connect
        if pool not in self.pools or (pool.standing is not None and pool.standing.out):
            pool = self._candidate(exchange) or pool
        exchange.pool = pool
        exchange.upstream_name = pool.name
        pool.renew(exchange)

    def resend(self, pool: Pool, exchange: Exchange) -> bool:
        """
        A new connection ended before any byte of an answer: send it to another address, once, if the budget allows.

        Only for exchanges that are ``repeatable``.  Returns whether it was sent.
        """
        now = asyncio.get_running_loop().time()
        attempts = self._attempts(exchange)
        if self._budget is None or attempts.resent:
            return False
        attempts.resent = True
        attempts.until = now + exchange.match.route.connect
        attempts.pools.append(pool)
        other = self._candidate(exchange)
        if other is None:
            return False
        if not self._budget.take(sum(each.requests for each in self.pools), now):
            self.meters.unaffordable.inc()
            return False
        self.meters.resent.inc()
        self._send(other, exchange)
        return True

    def impatience(self) -> GatewayError:
        """Why an exchange that waits for the first addresses has waited in vain."""
        return UpstreamTimeout("the name of the upstream's target was not resolved in time", sent=False)

    def _choose(self, exchange: Exchange) -> None:
        if self._binding:
            bound = self._pins.take(exchange.down, self)
            if bound is not None:
                exchange.pool = bound.pool
                exchange.upstream_name = bound.pool.name
                bound.begin(exchange)
                return
        pool = self._candidate(exchange)
        if pool is not None:
            pool.lease(exchange)
            return
        exchange.pool = self
        failure = self._nowhere() if self.pools or self.unresolved else self._hold(exchange)
        if failure is not None:
            # Later, not now: the client's side is still about to begin, and may have thousands more of these.
            asyncio.get_running_loop().call_soon(exchange.fail, failure)

    def _hold(self, exchange: Exchange) -> GatewayError | None:
        """Let it wait for the first addresses."""
        if len(self._held) >= self._max_held:
            self._held = deque(waiting for waiting in self._held if not waiting.over)
        if len(self._held) >= self._max_held:
            return Overloaded(reason=f"{len(self._held)} requests wait for an address")
        self._attempts(exchange)
        self._held.append(exchange)
        exchange.queued()
        return None

    def _nowhere(self) -> GatewayError:
        if self.pools:
            return UpstreamDown("no address of the upstream accepts connections in time")
        return UpstreamError(self.unresolved, sent=False)

    def _candidate(self, exchange: Exchange) -> Pool | None:
        """The best address that was not tried: the first one that is well and has room, else the least bad."""
        tried = exchange.attempts.pools if exchange.attempts is not None else ()
        now = asyncio.get_running_loop().time()
        first: Pool | None = None
        best, best_rank = None, NEVER
        for pool in self._balancer.candidates(b"" if self._key_of is None else self._key_of(exchange)):
            first = first or pool
            if pool in tried:
                continue
            rank = GOOD if pool.standing is None else pool.standing.rank(now)
            if rank == GOOD and pool.full:
                rank = BUSY
            if rank < best_rank:
                best, best_rank = pool, rank
            if rank == GOOD:
                break
        if best is not None and best is not first:
            self._balancer.took(best)
        return best

    def _send(self, pool: Pool, exchange: Exchange) -> None:
        pool.lease(exchange)
        if exchange.up is not None:
            exchange.leased()

    @staticmethod
    def _attempts(exchange: Exchange) -> Attempts:
        if exchange.attempts is None:
            exchange.attempts = Attempts(asyncio.get_running_loop().time() + exchange.match.route.connect)
        return exchange.attempts

    # --- what requests meet ---------------------------------------------------------------------------------------

    def failed(self, pool: Pool, cause: str) -> None:
        """A request met a failure there that may be the address's fault; causes are those of `gateway.upstreams.watch`."""
        if self.watch is not None and pool.standing is not None:
            self.watch.failed(pool, cause, asyncio.get_running_loop().time())

    def silent(self, pool: Pool, seconds: float) -> None:
        """
        A request got no answer there for so long.

        That is the request's own fault where others were answered meanwhile: or who knows a slow one could have it ejected.
        """
        if asyncio.get_running_loop().time() - pool.heard_at >= seconds:
            self.failed(pool, causes.SILENT)

    def not_connected(self, pool: Pool, failure: GatewayError) -> None:
        """A connection to it did not come about."""
        self.meters.connect_failures.inc()
        if self.hasten is not None:
            self.hasten(pool)
        self.failed(pool, causes.HANGING if isinstance(failure, UpstreamTimeout) else causes.UNREACHABLE)

    def answered(self, pool: Pool, status: int) -> None:
        """An answer began there, while `Pool.watching`."""
        if self.watch is not None and pool.standing is not None:
            self.watch.answered(pool, status, asyncio.get_running_loop().time())

    # --- connections that belong to a client ----------------------------------------------------------------------

    def bind(self, up: Connection, owner: object) -> None:
        """From now on only this client's connection may use it; it ends with that."""
        up.owner = owner
        if not self._binding:
            self._binding = True
            self.settle()

    def keep(self, up: Connection) -> None:
        """It has answered, and waits for its owner."""
        self._pins.keep(up, asyncio.get_running_loop().time())

    # --- background -----------------------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that no request waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def tick(self, now: float) -> None:
        """Do what is due; called about ten times a second."""
        for pool in (*self.pools, *self._leaving):
            pool.prune(now)
        if self._leaving:
            self._leaving = [pool for pool in self._leaving if not pool.is_empty]
        if self._binding and now >= self._prune_at:
            self._prune_at = now + 1.0
            self._pins.prune(self, now)
        for work in self.background:
            work(now)

    def close(self) -> None:
        """Cut everything."""
        for task in self._tasks:
            task.cancel()
        for pool in (*self.pools, *self._leaving):
            pool.close()

    @property
    def open(self) -> int:
        """Connections, idle ones included."""
        return sum(pool.open for pool in (*self.pools, *self._leaving))

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._held) + sum(pool.waiting for pool in self.pools)
