"""
Who may send how many requests: the limits of routes and plans, taken by each request after its permit (429 beyond).

A request takes its limits in order: slots, rates, quotas.  While the leases of its worker suffice that is a few look-ups in
dicts; else the store is asked, once for all who wait for the same lease.  What was taken before a refusal is given back.

While the store does not answer, each limit decides by its ``on_store_failure``, and it is the first request of each second that
finds out whether the store is back; nobody waits for that.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import islice
from math import ceil, inf
from typing import Protocol

from gateway.config.limits import parse_quota, parse_rate
from gateway.config.model import Config
from gateway.config.model import Limit as Section
from gateway.errors import GatewayError, LimitReached, StoreUnavailable
from gateway.guard.leases import ASK, Grant, Kind, Lease, Quota, Rate, Slots
from gateway.guard.verdict import Verdict
from gateway.routing import Route
from gateway.telemetry.metrics import Registry

RETRY = 1.0
"""Seconds between two questions to a store that did not answer."""
MOST_LEASES = 50_000
"""
Subjects of one limit that a worker knows.  Beyond, those known for longest make room: what they hold is given back, and what
passed without the store is counted there; a rate begins anew for them while it is away.  Those with requests under way stay.
"""
_TRIED = 16
"""Leases that are looked at to make room for one."""
_LOOKED_AT = 500
"""Leases that one tick looks at, of each limit."""
_ORDER = (Slots, Rate, Quota)
DEFAULT_PLAN = "default"
"""Of clients without a plan, or with one that is not there any more."""

Subject = str | bytes
Told = Callable[[Grant | GatewayError], None]
"""Gets what the store said, or why it said nothing; called later, once."""


class LimitStore(Protocol):
    """Where the limits of all workers meet.  Keys are of letters, digits and ``_-``."""

    def take_rate(self, key: str, rate: Rate, count: int, done: Told) -> None:
        """Take so many permits, or as many as there are."""

    def take_quota(self, key: str, quota: Quota, count: int, owed: int, done: Told) -> None:
        """Take so many, fewer near the end; ``owed`` passed already, whether there were as many or not."""

    def return_quota(self, key: str, quota: Quota, count: int, period: int) -> None:
        """Give back what was not used in its period.  No answer."""

    def hold_slots(self, key: str, slots: Slots, count: int, done: Told) -> None:
        """Hold so many slots in all from now on, or as many as others leave."""


class Asker(Protocol):
    """Whose request it is."""

    @property
    def source(self) -> bytes:
        """Its address, or network of /64."""

    def find_header(self, name: bytes) -> bytes | None:
        """What a header says, by its lower-case name; None when it is absent, or stands twice."""

    def charged(self, charge: Charge, refused: GatewayError | None) -> None:
        """The store's answer is here: a charge that waited went through, or did not."""


class Limit:
    """One entry of ``limits``, with the leases of this worker."""

    def __init__(self, section: Section, name: str, place: str, kind: Kind) -> None:
        """``place``: the route or the plan that it stands at."""
        self.kind = kind
        self.name = name
        self.by, _, header = section.by.partition(":")
        self.header = header.lower().encode("ascii")
        self.on_store_failure = section.on_store_failure
        self.leases: OrderedDict[Subject, Lease[Charge]] = OrderedDict()
        self.away = False
        """Whether the store did not answer last time."""
        self.retry_at = 0.0
        self.field = f'"{name}"'.encode("ascii")
        """Its name in RateLimit fields."""
        self.words = f"{section.rate or section.quota or f'{section.concurrency} at once'} by {self.by}"
        self._salt = f"{place}\n{name}\n{section.by}\n".encode()
        self._look: Iterable[Subject] = iter(())

    def subject(self, verdict: Verdict | None, asker: Asker) -> Subject:
        """Whom a request counts for.  Without a client, on a route that asks no token, its address."""
        by = self.by
        if verdict is not None:
            if by == "client":
                return verdict.client_id
            if by == "credential":
                return verdict.client_key
        if by == "route":
            return ""
        if by == "header":
            return asker.find_header(self.header) or b""
        return asker.source

    def key(self, subject: Subject) -> str:
        """What it is called in the store: a digest, since a header may hold a secret."""
        said = subject.encode("utf-8", "surrogatepass") if isinstance(subject, str) else b"\0" + subject
        return blake2b(self._salt + said, digest_size=16).hexdigest()

    def next_subjects(self) -> list[Subject]:
        """The next ones to look after, all of them in turn."""
        some = list(islice(self._look, _LOOKED_AT))
        if len(some) < _LOOKED_AT:
            self._look = iter(list(self.leases))
        return some


class LimitSet:
    """The limits that a request of one route and plan takes, in order."""

    __slots__ = ("by_client", "counted", "described", "limits", "only", "policy", "slots")

    def __init__(self, limits: Iterable[Limit]) -> None:
        self.limits = tuple(sorted(limits, key=lambda limit: _ORDER.index(type(limit.kind))))
        self.counted = tuple(position for position, limit in enumerate(self.limits) if limit.kind.policy)
        """Those that RateLimit fields tell of."""
        self.slots = sum(isinstance(limit.kind, Slots) for limit in self.limits)
        """How many of them are slots; they come first."""
        policies = b", ".join(b"%b;%b" % (self.limits[at].field, self.limits[at].kind.policy) for at in self.counted)
        self.described = policies.decode("ascii")
        """The value of RateLimit-Policy."""
        self.policy = b"RateLimit-Policy: %b\r\nRateLimit: " % policies
        self.by_client = all(limit.by == "client" for limit in self.limits)
        """Whether its subject is the client, so that a request with a token has nothing to look for."""
        self.only = self.policy + self.limits[self.counted[0]].field if len(self.counted) == 1 else b""
        """Where RateLimit has one item: all that stands before its numbers."""


class Charge:
    """One request's way through its limits.  It ends with `end`."""

    __slots__ = ("_alone", "_asker", "_set", "_subjects", "_taken", "_waited", "over", "owner", "permit")

    def __init__(self, owner: Limits, chosen: LimitSet, verdict: Verdict | None, asker: Asker) -> None:
        self.owner = owner
        self._set = chosen
        self._asker = asker
        if chosen.by_client and verdict is not None:
            self._subjects: list[Subject] = [verdict.client_id] * len(chosen.limits)
        else:
            self._subjects = [limit.subject(verdict, asker) for limit in chosen.limits]
        self._taken: list[Lease[Charge]] = []
        self._alone = 0
        """A bit for each that was decided without the store."""
        self._waited = inf
        """Since when: the leases may have become others."""
        self.over = False
        self.permit: object = None
        """For the asker to remember."""

    def take(self, now: float) -> bool:
        """
        Take what is not taken yet; False when the store has to be asked first, and `Asker.charged` hears of it.

        Raises:
            LimitReached: One can't be had; the others are given back.
            StoreUnavailable: The same, while the store does not answer a limit that denies then.
        """
        limits = self._set.limits
        taken = self._taken
        while len(taken) < len(limits):
            limit, subject = limits[len(taken)], self._subjects[len(taken)]
            lease = limit.leases.get(subject) or self.owner.begin(limit, subject)
            wait = limit.kind.take(lease, now)
            if wait:
                if wait == ASK:
                    if not limit.away:
                        self._waited = min(self._waited, now)
                        self.owner.wait(limit, subject, lease, self, now)
                        return False
                    self.owner.look_for_store(limit, subject, lease, now)
                    try:
                        wait = self.owner.decide_alone(limit, lease, now)
                    except StoreUnavailable:
                        self._undo()
                        raise
                    self._alone |= 1 << len(taken)
                if wait:
                    self._refuse(limit, wait, now)
            taken.append(lease)
        return True

    def answered(self, now: float) -> None:
        """The store said something to what this waits for."""
        try:
            whole = self.take(now)
        except GatewayError as error:
            self.over = True
            self._asker.charged(self, error)
        else:
            if whole:
                self._asker.charged(self, None)

    def end(self) -> None:
        """The request has ended, wherever it was."""
        if self.over:
            return
        self.over = True
        limits = self._set.limits
        if len(self._taken) < len(limits):
            self._undo()  # it waited in vain
            return
        for position in range(self._set.slots):
            self._leave(position)

    def fields(self, now: float) -> bytes:
        """RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers), CRLF after each; empty without such a limit."""
        chosen = self._set
        if chosen.only:
            lease = self._taken[chosen.counted[0]]
            left = lease.reset_at - now
            return b"%b;r=%d;t=%d\r\n" % (chosen.only, lease.left + lease.remaining, left + 1.0 if left > 0.0 else 0)
        if not chosen.counted:
            return b""
        return b"%b%b\r\n" % (chosen.policy, b", ".join([self._item(at, now) for at in chosen.counted]))

    def _item(self, at: int, now: float) -> bytes:
        lease = self._taken[at]
        left = lease.reset_at - now
        return b"%b;r=%d;t=%d" % (self._set.limits[at].field, lease.left + lease.remaining, left + 1.0 if left > 0.0 else 0)

    def _refuse(self, limit: Limit, wait: float, now: float) -> None:
        """Give back what was taken, and say which limit was reached."""
        at = len(self._taken)
        items = [self._item(other, now) for other in self._set.counted if other < at]
        if limit.kind.policy:
            items.append(b"%b;r=0;t=%d" % (limit.field, ceil(wait)))
        self._undo()
        self.owner.count_refused(limit)
        fields = (("RateLimit-Policy", self._set.described), ("RateLimit", b", ".join(items).decode("ascii"))) if items else ()
        raise LimitReached(limit.words, retry_after=ceil(wait), reason=f"limit {limit.name}", fields=fields)

    def _undo(self) -> None:
        for position, lease in enumerate(self._taken):
            limit = self._set.limits[position]
            kind = limit.kind
            if isinstance(kind, Slots):
                self._leave(position)
            elif not self._alone >> position & 1:
                kind.undo(lease, self._waited)
            elif limit.on_store_failure == "local":
                kind.undo_alone(lease)
        self._taken.clear()

    def _leave(self, position: int) -> None:
        """A slot is free."""
        limit, lease = self._set.limits[position], self._taken[position]
        lease.in_use -= 1
        if isinstance(limit.kind, Slots) and limit.kind.has_surplus(lease):
            self.owner.give_slots_back(limit, self._subjects[position], lease)


class Limits:
    """All limits of a worker."""

    def __init__(
        self, config: Config, routes: Iterable[Route], store: LimitStore | None, *, clock: Callable[[], float],
        registry: Registry,
    ) -> None:  # fmt: skip
        """
        Args:
            config: Plans, and how many workers there are.
            routes: Those of the router, with the limits that they have.
            store: Where they meet; None: nowhere, each decides by itself for ever.
            clock: The event loop's, in seconds.
            registry: Where it counts.
        """
        self._store = store
        self._clock = clock
        self._registry = registry
        self._routes = {route: _limits(route.limits, "", config.workers, _place(route)) for route in routes if route.limits}
        self._plans = {name: _limits(plan.limits, "plan-", config.workers, f"plan {name}") for name, plan in config.plans.items()}
        self._sets: dict[tuple[Route, str], LimitSet | None] = {}
        self._all = [limit for limits in (*self._routes.values(), *self._plans.values()) for limit in limits]
        for limit in self._all:
            limit.away = store is None
        self._calls = registry.counter("gateway_limit_store_calls_total", "Times that a limit asked the store")
        if self._all:
            registry.watch("gateway_limit_leases", "Subjects of limits that are known", self._count)

    def charge(self, route: Route, verdict: Verdict | None, asker: Asker) -> Charge | None:
        """
        Begin to charge a request; None when nothing limits it.

        Args:
            route: Its route.
            verdict: Of its token, if there is one.
            asker: Who hears of the answer, and knows address and headers.
        """
        plan = ""
        if self._plans and verdict is not None and not route.open:
            plan = verdict.plan if verdict.plan in self._plans else DEFAULT_PLAN
        try:
            chosen = self._sets[route, plan]
        except KeyError:
            limits = (*self._routes.get(route, ()), *self._plans.get(plan, ()))
            chosen = self._sets[route, plan] = LimitSet(limits) if limits else None
        return Charge(self, chosen, verdict, asker) if chosen is not None else None

    def tick(self, now: float) -> None:
        """Renew what is held and forget what is idle; to be called a few times a second."""
        for limit in self._all:
            kind = limit.kind
            for subject in limit.next_subjects():
                lease = limit.leases.get(subject)
                if lease is None or lease.asking:
                    continue
                if isinstance(kind, Slots):
                    if kind.is_due(lease, now) or (kind.has_surplus(lease) and not limit.away):
                        self._ask(limit, subject, lease, kind.kept(lease) if lease.in_use else 0)
                elif isinstance(kind, Quota):
                    self._return(limit, kind, subject, lease, kind.surplus(lease, now))
                    if lease.owed > 0 and not limit.away:
                        self._ask(limit, subject, lease, 0)
                if kind.is_idle(lease, now) and not lease.asking:
                    del limit.leases[subject]

    def close(self) -> None:
        """Give back what others could use."""
        for limit in self._all:
            for subject, lease in limit.leases.items():
                if isinstance(limit.kind, Quota):
                    self._return(limit, limit.kind, subject, lease, lease.left - (0 if lease.asking else max(0, lease.owed)))
                elif isinstance(limit.kind, Slots) and lease.left and not lease.asking:
                    self._ask(limit, subject, lease, 0)
            limit.away = True
        self._store = None  # requests that end later have nothing left to give back

    # --- asked by charges --------------------------------------------------------------------------------------------

    def begin(self, limit: Limit, subject: Subject) -> Lease[Charge]:
        """A lease of nothing, for a subject that has none."""
        leases = limit.leases
        for _ in range(_TRIED):
            if len(leases) < MOST_LEASES:
                break
            oldest, lease = leases.popitem(last=False)
            if lease.asking or lease.in_use:
                leases[oldest] = lease  # behind all others, so that these are looked at next time
            elif isinstance(limit.kind, Quota):
                self._return(limit, limit.kind, oldest, lease, lease.left - max(0, lease.owed))
        lease = leases[subject] = Lease(limit.kind.whole)
        return lease

    def wait(self, limit: Limit, subject: Subject, lease: Lease[Charge], charge: Charge, now: float) -> None:
        """Have a charge wait for the store."""
        lease.waiting.append(charge)
        if not lease.asking:
            self._ask(limit, subject, lease, limit.kind.wanted(lease, now))

    def look_for_store(self, limit: Limit, subject: Subject, lease: Lease[Charge], now: float) -> None:
        """Ask now and then whether it is back."""
        if self._store is not None and now >= limit.retry_at and not lease.asking:
            limit.retry_at = now + RETRY
            self._ask(limit, subject, lease, limit.kind.wanted(lease, now))

    def decide_alone(self, limit: Limit, lease: Lease[Charge], now: float) -> float:
        """
        Decide as ``on_store_failure`` says: 0.0, or seconds to wait.

        Raises:
            StoreUnavailable: It denies.
        """
        mode = limit.on_store_failure
        self._registry.counter(
            "gateway_limits_without_store_total", "Times that a limit decided by itself", limit=limit.name, mode=mode
        ).inc()
        if mode == "deny":
            raise StoreUnavailable(f"limit {limit.name}")
        if mode == "local":
            return limit.kind.alone(lease, now)
        if isinstance(limit.kind, Slots):
            lease.in_use += 1
        return 0.0

    def give_slots_back(self, limit: Limit, subject: Subject, lease: Lease[Charge]) -> None:
        """More lie idle than a worker keeps."""
        if not lease.asking and not limit.away and isinstance(limit.kind, Slots):
            self._ask(limit, subject, lease, limit.kind.kept(lease))

    def count_refused(self, limit: Limit) -> None:
        """A request was refused."""
        self._registry.counter("gateway_limited_total", "Requests beyond a limit", limit=limit.name).inc()

    # --- the store ---------------------------------------------------------------------------------------------------

    def _ask(self, limit: Limit, subject: Subject, lease: Lease[Charge], count: int) -> None:
        if self._store is None:
            return
        lease.asking = True
        self._calls.value += 1
        kind, key = limit.kind, limit.key(subject)
        owed, asked_at = max(0, lease.owed), self._clock()

        def told(grant: Grant | GatewayError) -> None:
            if not isinstance(grant, GatewayError):
                lease.owed -= owed
            self._told(limit, subject, lease, count, grant, asked_at)

        if isinstance(kind, Slots):
            lease.left = min(lease.left, count)  # what is given back may not be used meanwhile
            self._store.hold_slots(key, kind, count, told)
        elif isinstance(kind, Quota):
            self._store.take_quota(key, kind, count, owed, told)
        else:
            self._store.take_rate(key, kind, count, told)

    def _told(
        self, limit: Limit, subject: Subject, lease: Lease[Charge], count: int, grant: Grant | GatewayError, asked_at: float
    ) -> None:  # fmt: skip
        now = self._clock()
        lease.asking = False
        limit.away = isinstance(grant, GatewayError) or self._store is None
        if isinstance(grant, GatewayError):
            limit.retry_at = now + RETRY
        elif isinstance(limit.kind, Slots):
            limit.kind.hold(lease, grant, count, now, asked_at)
        else:
            limit.kind.grant(lease, grant, count, now)
        waiting = lease.waiting
        while waiting and not lease.asking:
            charge = waiting.popleft()
            if not charge.over:
                charge.answered(now)
        if isinstance(limit.kind, Slots) and limit.kind.has_surplus(lease) and not lease.asking and not limit.away:
            self._ask(limit, subject, lease, limit.kind.kept(lease))

    def _return(self, limit: Limit, quota: Quota, subject: Subject, lease: Lease[Charge], count: int) -> None:
        if count and self._store is not None:
            lease.left = lease.granted = 0
            self._store.return_quota(limit.key(subject), quota, count, lease.period)

    def _count(self) -> float:
        return sum(len(limit.leases) for limit in self._all)


def _place(route: Route) -> str:
    return f"route {route.path} {' '.join(sorted(route.hosts))} {' '.join(sorted(route.methods))}"


def _limits(sections: Iterable[Section], prefix: str, workers: int, place: str) -> tuple[Limit, ...]:
    found: list[Limit] = []
    for section in sections:
        word = "rate" if section.rate else "quota" if section.quota else "concurrency"
        same = sum(limit.name.removeprefix(prefix).partition("-")[0] == word for limit in found)
        name = f"{prefix}{word}-{same + 1}" if same else f"{prefix}{word}"
        found.append(Limit(section, name, place, _kind(section, workers)))
    return tuple(found)


def _kind(section: Section, workers: int) -> Kind:
    if section.rate:
        count, seconds = parse_rate(section.rate)
        return Rate(count, seconds, section.burst or count)
    if section.quota:
        return Quota(*parse_quota(section.quota))
    return Slots(section.concurrency or 1, workers)
