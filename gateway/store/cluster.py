"""
A Redis Cluster: one wire and one verdict link for each primary, found by slot.

Who serves what is asked every second, and at once when a server points elsewhere or a connection is lost.  So is whether each
primary still takes itself for sound: one that was cut off from the others goes on answering TIME, and nothing else would tell
that its changes are made elsewhere by now.  While any primary is away or unsound nothing is cached, and tokens are looked up one
by one at those that are there; what lies at the one that is away is 503.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from gateway.errors import GatewayError, StoreUnavailable
from gateway.guard.ports import ClientDone, Listener, Nobody, TokenDone
from gateway.oauth.tokens import AccessRef, find_partition
from gateway.store.caller import Moved
from gateway.store.dial import Address, dial
from gateway.store.handshake import Login, Refused, log_in
from gateway.store.link import VerdictLink
from gateway.store.resp import ConnectionGone, Reply, Word
from gateway.store.slots import SLOTS, Range, read_layout, read_state, slot_of, slot_of_command
from gateway.store.wire import Wire
from gateway.telemetry.metrics import Registry

REFRESH = 1.0
"""Seconds between two looks at the cluster."""
SOONEST = 0.05
"""Seconds between two looks when servers point elsewhere."""
STRAGGLERS = 0.1
"""Seconds that a look waits for nodes that do not answer while others do: a primary counts as it was until its time is up."""
MOVES = 3
"""How often one command follows the cluster's changes."""

_Ask = Callable[[VerdictLink, Callable[[Any], None]], None]
_log = logging.getLogger("gateway.store")
_AGAIN = frozenset({"MOVED", "CLUSTERDOWN", "TRYAGAIN"})
"""Refusals of commands that were not run."""


class Primary:
    """One primary, as it is known at present."""

    def __init__(self, address: Address, wire: Wire, link: VerdictLink | None, waiting: Wire | None) -> None:
        self.address = address
        self.wire = wire
        self.waiting = waiting
        """Where changes wait for replicas."""
        self.link = link
        self.sound = False
        """Whether it says that the cluster is well, as of the last look."""
        self.epoch = 0
        """The newest configuration that it knew then."""
        self.asking: asyncio.Task[bool | None] | None = None
        """The question whether it is."""

    async def close(self) -> None:
        """End its connections."""
        if self.asking is not None:
            self.asking.cancel()
            await asyncio.wait((self.asking,))
        for connection in (self.wire, self.waiting, self.link):
            if connection is not None:
                await connection.close()


class Cluster:
    """Who serves which slots, kept up to date; implements `gateway.store.caller.Caller`."""

    def __init__(
        self, seeds: list[Address], login: Login, *, timeout: float, registry: Registry,
        make_link: Callable[[Address, dict[str, str]], VerdictLink] | None = None, log: logging.Logger | None = None,
        waits: bool = False,
    ) -> None:  # fmt: skip
        """
        Args:
            seeds: Where to ask first; all speak TLS or none.
            login: Who we are, at each of them.
            timeout: Seconds after which a command fails at the latest.
            registry: Where its wires count.
            make_link: Makes the link to a primary, with labels of its metrics; None: nobody looks verdicts up.
            log: Hears of changes.
            waits: Whether `change` is used.
        """
        self._waits = waits
        self._seeds = seeds
        self._login = login
        self._timeout = timeout
        self._registry = registry
        self._make_link = make_link
        self._log = log or _log
        self._layout: tuple[Range, ...] = ()
        self._owners: list[Primary | None] = [None] * SLOTS
        self._complete = False
        self._looking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._known = asyncio.Event()
        self._closed = False
        self.primaries: dict[tuple[str, int], Primary] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Called when slots were given to others, or a primary became unsound."""

    async def start(self) -> None:
        """Begin to find out; returns at once.  A second start does nothing."""
        if self._watching is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._looked = 0.0
        self._watching = self._loop.create_task(self._watch())

    async def close(self) -> None:
        """End all connections; a second close does nothing."""
        if self._watching is None or self._closed:
            return
        self._closed = True
        self._watching.cancel()
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.gather(self._watching, *([self._looking] if self._looking else []), return_exceptions=True)
        await asyncio.gather(*(primary.close() for primary in self.primaries.values()))
        self.primaries.clear()
        self._owners, self._complete = [None] * SLOTS, False

    @property
    def whole(self) -> bool:
        """Whether each slot has a sound primary."""
        return self._complete and all(primary.sound for primary in self.primaries.values())

    def owner(self, slot: int) -> Primary | None:
        """Who serves a slot."""
        return self._owners[slot]

    async def call(self, *words: Word) -> Reply:
        """
        One command, where its keys lie; PING is asked of all primaries.

        Raises:
            NoScript, StoreUnavailable: As `Wire.call`; also when nobody serves the slot.
        """
        if not self._known.is_set():
            await self._wait_for_layout()
        slot = slot_of_command(words)
        if slot is None:
            return await self._call_any(*words)
        return await self._route(slot, words, lambda primary: primary.wire.call(*words))

    async def change(self, words: tuple[Word, ...], mark: bytes, wait_ms: int) -> Reply:
        """
        One command that writes, and wait until a replica of its primary has it: see `gateway.store.replicated`.

        Raises:
            NoScript, StoreUnavailable: As `Wire.change`; also when nobody serves the slot.
        """
        if not self._known.is_set():
            await self._wait_for_layout()
        slot = slot_of_command(words)
        assert slot is not None

        def change(primary: Primary) -> Awaitable[Reply]:
            assert primary.waiting is not None
            return primary.waiting.change(words, mark, wait_ms)

        return await self._route(slot, words, change)

    async def _route(self, slot: int, words: tuple[Word, ...], ask: Callable[[Primary], Awaitable[Reply]]) -> Reply:
        for attempt in range(MOVES):
            primary = self._owners[slot]
            if primary is None:
                refused = StoreUnavailable("no primary for the slot")
            else:
                try:
                    return await ask(primary)
                except Moved as moved:
                    if moved.once and not self._waits:
                        return await self._ask(moved, words)
                    refused = moved
                except StoreUnavailable as error:
                    if error.reason not in _AGAIN:
                        raise
                    refused = error
            if attempt + 1 < MOVES:
                await self.look()
        raise refused

    async def look(self) -> None:
        """
        Ask who serves what, with all others who want to know; waits a moment after the last time.

        Raises:
            StoreUnavailable: It is closed.
        """
        if self._closed:
            raise StoreUnavailable("the gateway is stopping")
        if self._looking is None or self._looking.done():
            self._looking = self._loop.create_task(self._look())
        await asyncio.wait((self._looking,))
        if self._looking.cancelled():
            raise StoreUnavailable("the gateway is stopping")
        self._looking.result()

    # --- within ------------------------------------------------------------------------------------------------------

    async def _wait_for_layout(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._known.wait()
        except TimeoutError:
            raise StoreUnavailable("no node of the cluster answers") from None

    async def _call_any(self, *words: Word) -> Reply:
        primaries = list(self.primaries.values())
        if words[0] == "PING":
            replies = await asyncio.gather(*(primary.wire.call(*words) for primary in primaries))
            if not replies or not self.whole:
                raise StoreUnavailable("some slots have no primary")
            return replies[0]
        for primary in sorted(primaries, key=lambda one: not one.wire.up):
            return await primary.wire.call(*words)
        raise StoreUnavailable("no node of the cluster answers")

    async def _ask(self, moved: Moved, words: tuple[Word, ...]) -> Reply:
        """The slot is on its way to another primary, and so are these keys: ASKING and the command, one behind the other."""
        there = self.primaries.get((moved.host, moved.port))
        if there is None:
            await self.look()
            there = self.primaries.get((moved.host, moved.port))
        if there is None:
            raise StoreUnavailable("the slot is on its way")
        asking = there.wire.call("ASKING")
        answer = there.wire.call(*words)
        await asyncio.wait((asking,))
        asking.exception()
        return await answer

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # the next look may succeed; without one nothing would ever change
                self._log.exception("cluster.look_failed")
            await asyncio.sleep(REFRESH if self._known.is_set() else SOONEST)

    async def _look(self) -> None:
        pause = self._looked + SOONEST - self._loop.time()
        if pause > 0:
            await asyncio.sleep(pause)
        answered = await self._ask_states()
        best = max((primary for primary in answered if primary.sound), key=lambda primary: primary.epoch, default=None)
        layout = await (self._ask_primary(best) if best is not None else self._ask_seeds())
        self._looked = self._loop.time()
        if layout is not None and layout != self._layout:
            await self._take(layout)

    async def _ask_states(self) -> list[Primary]:
        """All primaries how they are; those that answered, the others are not waited for."""
        primaries = list(self.primaries.values())
        for primary in primaries:
            if primary.asking is None or primary.asking.done():
                primary.asking = self._loop.create_task(self._note_state(primary))
        await _first_of([primary.asking for primary in primaries if primary.asking is not None])
        return [primary for primary in primaries if primary.asking is not None and primary.asking.done()]

    async def _note_state(self, primary: Primary) -> bool | None:
        """Whether it answered; None when not."""
        was_whole = self.whole
        answered = True
        try:
            primary.sound, primary.epoch = read_state(await primary.wire.call("CLUSTER", "INFO"))
        except StoreUnavailable:
            primary.sound, primary.epoch, answered = False, 0, False
        if was_whole and not self.whole:
            self.on_change()
        return answered or None

    async def _ask_primary(self, primary: Primary) -> tuple[Range, ...] | None:
        try:
            return read_layout(await primary.wire.call("CLUSTER", "SLOTS"), primary.address.host)
        except (StoreUnavailable, ValueError):
            return None

    async def _ask_seeds(self) -> tuple[Range, ...] | None:
        """Of all seeds and known nodes, the layout of the one that knows the newest epoch."""
        places = {(seed.host, seed.port): seed for seed in self._seeds}
        places |= {place: primary.address for place, primary in self.primaries.items()}
        asking = [self._loop.create_task(self._ask_stranger(address)) for address in places.values()]
        try:
            await _first_of(asking)
        finally:
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        found = [one.result() for one in asking if not one.cancelled()]
        return max((answer for answer in found if answer is not None), default=(0, None), key=lambda answer: answer[0])[1]

    async def _ask_stranger(self, address: Address) -> tuple[int, tuple[Range, ...]] | None:
        async def greet(connection: Any) -> tuple[Reply, Reply]:
            await log_in(connection, self._login, "gateway-cluster", replica=True)
            return await connection.call("CLUSTER", "INFO"), await connection.call("CLUSTER", "SLOTS")

        try:
            connection, (info, slots) = await dial(address, greet)
            await connection.ended()
            sound, epoch = read_state(info)
            return (epoch, read_layout(slots, address.host)) if sound else None
        except (OSError, Refused, ConnectionGone, ValueError, TypeError) as error:
            facts = {"address": str(address), "reason": str(error) if isinstance(error, Refused) else type(error).__name__}
            self._log.info("cluster.node_not_asked", extra={"facts": facts})
            return None

    async def _take(self, layout: tuple[Range, ...]) -> None:
        wanted = {(one.host, one.port) for one in layout}
        for host, port in wanted - self.primaries.keys():
            self.primaries[host, port] = await self._connect(Address(host, port, tls=self._seeds[0].tls))
        gone = [self.primaries.pop(place) for place in self.primaries.keys() - wanted]
        owners: list[Primary | None] = [None] * SLOTS
        for one in layout:
            owners[one.first : one.last + 1] = [self.primaries[one.host, one.port]] * (one.last - one.first + 1)
        self._layout, self._owners, self._complete = layout, owners, None not in owners
        self._known.set()
        facts = {"primaries": sorted(f"{host}:{port}" for host, port in wanted), "slots": sum(o is not None for o in owners)}
        self._log.info("cluster.layout", extra={"facts": facts})
        self.on_change()
        await asyncio.gather(*(primary.close() for primary in gone))

    async def _connect(self, address: Address) -> Primary:
        wire = Wire(address, self._login, timeout=self._timeout, registry=self._registry, log=self._log)
        link = self._make_link(address, {"primary": str(address)}) if self._make_link is not None else None
        waiting = None
        if self._waits:
            waiting = Wire(address, self._login, timeout=self._timeout, registry=self._registry, log=self._log)
            await waiting.start()
        primary = Primary(address, wire, link, waiting)
        primary.sound = True  # it was named by one that is
        await wire.start()
        if link is not None:
            await link.start()
        return primary


class ClusterLink:
    """The verdict links to all primaries; implements `gateway.guard.ports.Facts`."""

    listener: Listener

    def __init__(
        self, seeds: list[Address], login: Login, *, prefix: str, timeout: float, registry: Registry,
        log: logging.Logger | None = None, waits: bool = False,
    ) -> None:  # fmt: skip
        """As `VerdictLink` and `Cluster`."""
        self.listener = Nobody()

        def make_link(address: Address, labels: dict[str, str]) -> VerdictLink:
            link = VerdictLink(address, login, prefix=prefix, timeout=timeout, registry=registry, log=log, labels=labels)
            link.listener = _Heard(self, link)
            return link

        self.cluster = Cluster(seeds, login, timeout=timeout, registry=registry, make_link=make_link, log=log, waits=waits)
        self.cluster.on_change = lambda: self.listener.everything_changed()
        self._moves: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to connect; returns at once."""
        self._loop = asyncio.get_running_loop()
        await self.cluster.start()

    async def close(self) -> None:
        """End the links; look-ups on their way fail."""
        await self.cluster.close()
        if self._moves:
            await asyncio.wait(self._moves)

    @property
    def caching(self) -> bool:
        """Whether invalidations arrive from all primaries: a change of what was kept may come from any."""
        return self.cluster.whole and all(link.caching for link in self._links())

    def fetch_token(self, ref: AccessRef, done: TokenDone) -> None:
        """Look an access token up by digest."""
        self._fetch(ref.partition, lambda link, told: link.fetch_token(ref, told), done, MOVES)

    def fetch_client(self, client_id: str, done: ClientDone) -> None:
        """Look a client up."""
        partition = find_partition(client_id) or ""  # the link says what is wrong with it
        self._fetch(partition, lambda link, told: link.fetch_client(client_id, told), done, MOVES)

    def monotonic(self, store_ms: int) -> float:
        """When the first of the primaries' clocks shows ``store_ms``: errs to be early, as whose token it is is not known."""
        return min((link.monotonic(store_ms) for link in self._links()), default=float("-inf"))

    async def caught_up(self) -> None:
        """Wait until all changes that the primaries have confirmed by now are known here."""
        await asyncio.gather(*(link.caught_up() for link in self._links()))

    def lost(self, link: VerdictLink) -> Callable[[str], bool]:
        """Which clients lie at a primary."""
        return lambda client_id: self._holder(find_partition(client_id) or "") is link

    def _links(self) -> Iterable[VerdictLink]:
        return [primary.link for primary in self.cluster.primaries.values() if primary.link is not None]

    def _holder(self, partition: str) -> VerdictLink | None:
        primary = self.cluster.owner(_slot(partition))
        return None if primary is None else primary.link

    def _fetch(self, partition: str, ask: _Ask, done: Callable[[Any], None], left: int) -> None:
        link = self._holder(partition)

        def told(found: Any) -> None:
            if left > 1 and isinstance(found, GatewayError) and found.reason.rpartition(" ")[2] in _AGAIN:
                self._follow(partition, ask, done, left - 1)
            else:
                done(found)

        if link is None:
            self._loop.call_soon(told, StoreUnavailable("nobody serves the slot: CLUSTERDOWN"))
        else:
            ask(link, told)

    def _follow(self, partition: str, ask: _Ask, done: Callable[[Any], None], left: int) -> None:
        async def follow() -> None:
            try:
                await self.cluster.look()
            except StoreUnavailable as error:
                done(error)
            else:
                self._fetch(partition, ask, done, left)

        task = self._loop.create_task(follow())
        self._moves.add(task)
        task.add_done_callback(self._moves.discard)


class _Heard:
    """What one primary tells, passed on."""

    def __init__(self, owner: ClusterLink, link: VerdictLink) -> None:
        self._owner = owner
        self._link = link

    def token_changed(self, digest: bytes) -> None:
        """Pass it on."""
        self._owner.listener.token_changed(digest)

    def client_changed(self, client_id: str) -> None:
        """Pass it on."""
        self._owner.listener.client_changed(client_id)

    def everything_changed(self) -> None:
        """FLUSHALL there, or a new connection."""
        self._owner.listener.everything_changed()

    def link_lost(self, lost: Callable[[str], bool] | None = None) -> None:
        """What lies there is not known any more; of the rest a fresh look-up can tell."""
        self._owner.listener.link_lost(self._owner.lost(self._link))


async def _first_of(asking: Sequence[asyncio.Task[Any]]) -> None:
    """Wait for one that has a result, and for the others a moment longer."""
    pending = set(asking)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if pending and any(not one.cancelled() and one.exception() is None and one.result() is not None for one in done):
            await asyncio.wait(pending, timeout=STRAGGLERS)
            return


@lru_cache(40_000)
def _slot(partition: str) -> int:
    return slot_of(partition.encode())
