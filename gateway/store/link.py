"""
The verdict link: look-ups of tokens and clients, and the news that they changed, on one connection in the server's order.

The server remembers what was read here (CLIENT TRACKING) and pushes the names of records that change.  Replies and pushes
share one connection, so a record that was read before a change is always followed by the push that drops it.  Tracking on
another connection would not give that (redis #13082, #11767), nor would a pool whose connections come and go.

When the link is lost, everything read before is unconfirmed; look-ups on their way are asked again on the next connection,
each within its own time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.guard.ports import ClientDone, Listener, Nobody, TokenDone
from gateway.oauth.tokens import AccessRef
from gateway.store.codec import decode_client, decode_token
from gateway.store.dial import Place, dial
from gateway.store.handshake import Greeting, Login, greet
from gateway.store.keys import Keys
from gateway.store.lookup import Beat, Get, Mark
from gateway.store.resp import Connection
from gateway.store.steady import HEARTBEAT, Steady
from gateway.telemetry.metrics import Registry

MAX_IN_FLIGHT = 100_000
"""Look-ups without an answer; one more fails."""
COMPLAINT = 10.0
"""Seconds between two log lines about records of one kind that can't be read."""


class VerdictLink:
    """One worker's link to one store; implements `gateway.guard.ports.Facts`."""

    listener: Listener

    def __init__(
        self, address: Place, login: Login, *, prefix: str, timeout: float, registry: Registry,
        log: logging.Logger | None = None, labels: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """``timeout``: seconds after which a look-up fails at the latest; ``labels`` tell it from others of this worker."""
        self.listener = Nobody()  # nothing was read either
        self._address = address
        self._keys = Keys(prefix)
        self._log = log or logging.getLogger("gateway.store")
        self._line = Steady(
            "link", address, lambda: dial(address, lambda connection: greet(connection, login)), self,
            timeout=timeout, log=self._log, most=MAX_IN_FLIGHT,
        )
        self._caching = False
        self._offset = float("-inf")
        self._complained: dict[tuple[str, str], float] = {}
        self._bind(registry, labels or {})

    def _bind(self, registry: Registry, labels: Mapping[str, str]) -> None:
        self._up = registry.gauge("gateway_store_link_up", "Verdict links that stand", **labels)
        self._tracked = registry.gauge("gateway_store_link_caching", "Verdict links whose server reports changes", **labels)
        self._lost = registry.counter("gateway_store_link_lost_total", "Verdict links lost")
        self._tokens = registry.counter("gateway_store_lookups_total", "Records looked up", record="token")
        self._clients = registry.counter("gateway_store_lookups_total", "Records looked up", record="client")
        self._failed = registry.counter("gateway_store_lookups_failed_total", "Look-ups without an answer of the store")

    async def start(self) -> None:
        """Begin to connect, and keep the link up until `close`; returns at once."""
        self._loop = asyncio.get_running_loop()
        await self._line.start()

    async def close(self) -> None:
        """End the link; look-ups on their way fail."""
        await self._line.close()

    # --- Facts -------------------------------------------------------------------------------------------------------

    @property
    def caching(self) -> bool:
        """Whether invalidations arrive at present."""
        return self._caching

    @property
    def up(self) -> bool:
        """Whether the link stands."""
        return self._line.connection is not None

    @property
    def seen(self) -> bool:
        """Whether the store was reached at least once."""
        return self._line.seen

    def fetch_token(self, ref: AccessRef, done: TokenDone) -> None:
        """Look an access token up by digest."""
        self._tokens.value += 1
        self._ask("token", self._keys.token(ref), partial(decode_token, partition=ref.partition), done)

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

    async def caught_up(self) -> None:
        """
        Wait until all changes that the store has confirmed by now are known here.

        Its confirmation and its push come on two connections, so the first may be here before the second.  Without a link
        there is nothing to wait for: what was read is forgotten.  One that is silent is waited for as for a look-up.
        """
        if self._line.connection is None:
            self.listener.everything_changed()  # also what routes with on_store_failure: cached would go on with
            return
        reached: asyncio.Future[None] = self._loop.create_future()
        if not self._line.send(Mark(lambda: None if reached.done() else reached.set_result(None))):
            await reached

    def _ask(self, kind: str, key: bytes, decode: Callable[[bytes], Any], done: Callable[[Any], None]) -> None:
        ask = Get(kind, key, decode, done, self.unreadable)
        reason = self._line.send(ask)
        if reason:
            self._failed.value += 1
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

    # --- told by the connection --------------------------------------------------------------------------------------

    def took(self, connection: Connection, greeting: Greeting) -> None:
        """The link stands."""
        connection.on_push = self._hear
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

    def lost(self, connection: Connection, *, closing: bool) -> list[Get]:
        """The link is lost: look-ups may be asked again."""
        self._caching = False
        self._up.value = self._tracked.value = 0
        self._lost.value += not closing
        self.listener.link_lost()
        for ask in connection.asks:
            if isinstance(ask, Mark):
                ask.done()  # everything has been dropped
        return [ask for ask in connection.asks if isinstance(ask, Get) and not ask.abandoned]

    def beat(self, now: float) -> Beat:
        """A look at the store's clock."""
        return Beat(now, self.set_clock, self.unreadable)

    def overdue(self, count: int) -> None:
        """Look-ups were given up."""
        self._failed.value += count

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
