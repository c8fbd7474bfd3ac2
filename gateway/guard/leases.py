"""
What one worker holds of each limit: leases of permits that the store granted, used without asking it again.

A worker asks for one permit at first, and for twice as many as it used while it uses them up: whoever calls seldom is counted one
by one, whoever calls often costs a look-up once in a while.  So a limit is never granted twice, and these are the bounds, for W
workers on one store (tests/guard/test_leases.py proves them on random schedules):

- **Rate** (GCRA): within T seconds no more than ``burst + rate * (T + LIFE)`` pass, nor more than ``W * most`` beyond the exact
  ``burst + rate * T``.  Permits that are not used within `LIFE` are lost: at most ``most`` a worker and `LIFE`, and never more
  than twice what it let pass, and one.  ``most`` is an eighth of the burst, or one second's worth if that is less.
- **Quota**: never more than its amount; up to ``most`` a worker, a hundredth and 1,000 at most, may lie unused for `QUOTA_LIFE`
  before they are given back.  Near its end permits are granted one by one.
- **Slots** (concurrency): never more at once than the limit, as long as workers renew what they hold every few seconds; up to
  ``spare`` slots of each worker may lie idle, an eighth of the limit for all workers of a gateway.

Pure: event-loop seconds are an argument.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Generic, NamedTuple, TypeVar

LIFE = 1.0
"""Seconds for which a permit of a rate may be used."""
QUOTA_LIFE = 10.0
"""Seconds after which permits of a quota are given back unused."""
SLOT_LIFE = 10.0
"""Seconds after which the store forgets slots that are not renewed."""
SLOTS_SAFE = 7.0
"""Seconds for which a worker takes the slots that it holds for its own."""
RENEW = 3.0
"""Seconds after which it renews them."""
SHORT = 0.05
"""Seconds for which no slot can be had once the store said so."""
ASK = -1.0
"""No answer: the store has to be asked."""

Waiter = TypeVar("Waiter")


class Grant(NamedTuple):
    """What the store said."""

    granted: int
    """Permits; of slots, how many may be held in all."""
    wait: float
    """Seconds until there could be one more; counts when less was granted than asked for."""
    remaining: int
    """What is left in the store."""
    reset: float
    """Seconds until the limit is whole again."""
    period: int = 0
    """Of a quota: which day or month, in a number."""


class Lease(Generic[Waiter]):
    """What a worker has of one limit for one subject."""

    __slots__ = (
        "asking", "began", "granted", "in_use", "left", "owed", "period", "refused_until", "remaining", "reset_at", "tat",
        "until", "waiting",
    )  # fmt: skip

    def __init__(self, whole: int) -> None:
        self.left = 0
        """Permits that are not used yet; of slots, how many are held."""
        self.granted = 0
        """What ``left`` was."""
        self.until = 0.0
        """When they are lost, or given back."""
        self.refused_until = 0.0
        self.remaining = whole
        """What the store had left."""
        self.reset_at = 0.0
        self.in_use = 0
        """Slots that requests occupy."""
        self.tat = 0.0
        """The theoretical arrival time of what passed without the store."""
        self.owed = 0
        """What passed without the store and is to be counted there."""
        self.period = 0
        self.began = 0.0
        """Since when what is left is not that of an earlier time, which was lost."""
        self.asking = False
        self.waiting: deque[Waiter] = deque()


class Rate:
    """So many per so many seconds, and ``burst`` at once (GCRA)."""

    def __init__(self, count: int, seconds: int, burst: int) -> None:
        self.interval = seconds / count
        """Seconds from one permit to the next."""
        self.burst = burst
        self.most = max(1, min(burst // 8, int(count / seconds)))
        """Permits of one lease."""
        self.whole = burst
        self.policy = b"q=%d;w=%d" % (burst, max(1, ceil(burst * self.interval)))

    def take(self, lease: Lease[Waiter], now: float) -> float:
        """0.0: a permit was taken; more: seconds until there may be one; `ASK`."""
        if lease.left and now < lease.until:
            lease.left -= 1
            return 0.0
        return lease.refused_until - now if now < lease.refused_until else ASK

    def wanted(self, lease: Lease[Waiter], now: float) -> int:
        """How many to ask for."""
        used = lease.granted - lease.left
        return min(max(min(2 * used if now < lease.until else used, self.most), len(lease.waiting), 1), self.burst)

    def grant(self, lease: Lease[Waiter], grant: Grant, asked: int, now: float) -> None:
        """Note what the store said to so many."""
        if now >= lease.until:
            lease.left, lease.began = 0, now
        lease.left += grant.granted
        lease.granted = lease.left
        lease.until = now + LIFE
        lease.remaining = grant.remaining
        lease.reset_at = now + grant.reset
        lease.refused_until = now + max(grant.wait, 0.001) if grant.granted < asked else 0.0

    def undo(self, lease: Lease[Waiter], taken: float) -> None:
        """A permit that was taken at ``taken`` or later was not used; one that would be lost by now is."""
        if lease.began <= taken:
            lease.left += 1

    def undo_alone(self, lease: Lease[Waiter]) -> None:
        """What `alone` let pass did not."""
        lease.tat -= self.interval

    def alone(self, lease: Lease[Waiter], now: float) -> float:
        """Decide without the store: 0.0, or seconds to wait."""
        ahead = max(lease.tat, now) - now - (self.burst - 1) * self.interval
        if ahead > 1e-9:  # sums of fractions are not exact
            return ahead
        lease.tat = max(lease.tat, now) + self.interval
        return 0.0

    def is_idle(self, lease: Lease[Waiter], now: float) -> bool:
        """Whether nothing would be lost with it."""
        return now >= max(lease.refused_until, lease.tat) and (not lease.left or now >= lease.until)


class Quota(Rate):
    """So many in a day or a month of the calendar, UTC."""

    def __init__(self, amount: int, period: str) -> None:
        self.amount = amount
        self.by_month = period == "month"
        self.most = max(1, min(amount // 100, 1000))
        self.burst = amount
        self.whole = amount
        self.policy = b"q=%d" % amount if self.by_month else b"q=%d;w=86400" % amount

    def take(self, lease: Lease[Waiter], now: float) -> float:
        """As of a rate; what is held counts as long as its period lasts."""
        if lease.left and now < lease.reset_at:
            lease.left -= 1
            return 0.0
        return lease.reset_at - now if now < min(lease.refused_until, lease.reset_at) else ASK

    def grant(self, lease: Lease[Waiter], grant: Grant, asked: int, now: float) -> None:
        """Note what the store said to so many."""
        if grant.period != lease.period:
            lease.left, lease.began = 0, now
        lease.left += grant.granted
        lease.granted = lease.left
        lease.until = now + QUOTA_LIFE
        lease.period = grant.period
        lease.remaining = grant.remaining
        lease.reset_at = now + max(grant.reset, 0.001)
        # Not until its end: another worker may give some back.
        lease.refused_until = now + QUOTA_LIFE if grant.granted < asked and not grant.remaining else 0.0

    def alone(self, lease: Lease[Waiter], now: float) -> float:
        """Decide by what was known; it is counted when the store is back."""
        if lease.reset_at and now >= lease.reset_at:
            lease.remaining, lease.owed, lease.reset_at = self.amount, 0, 0.0
        if lease.owed >= lease.remaining:
            return max(lease.reset_at - now, 1.0)
        lease.owed += 1
        return 0.0

    def undo_alone(self, lease: Lease[Waiter]) -> None:
        """As of a rate; when it was counted meanwhile, the next one that passes so is not."""
        lease.owed -= 1

    def surplus(self, lease: Lease[Waiter], now: float) -> int:
        """How many to give back now."""
        return lease.left if lease.left and lease.until <= now < lease.reset_at else 0

    def is_idle(self, lease: Lease[Waiter], now: float) -> bool:
        """Whether nothing would be lost with it."""
        return lease.owed <= 0 and now >= lease.refused_until and (not lease.left or now >= lease.reset_at)


class Slots:
    """So many requests under way at once."""

    def __init__(self, limit: int, workers: int) -> None:
        self.limit = self.whole = limit
        self.spare = limit // (8 * workers)
        """Idle slots that a worker keeps."""
        self.policy = b""

    def take(self, lease: Lease[Waiter], now: float) -> float:
        """0.0: a slot is occupied; more: seconds until there may be one; `ASK`."""
        if lease.in_use < lease.left and now < lease.until:
            lease.in_use += 1
            return 0.0
        return 1.0 if now < lease.refused_until else ASK

    def wanted(self, lease: Lease[Waiter], now: float) -> int:
        """How many to hold in all."""
        return lease.in_use + (len(lease.waiting) or 1) + (self.spare if lease.in_use else 0)

    def kept(self, lease: Lease[Waiter]) -> int:
        """How many to hold when none is waited for."""
        return lease.in_use + (min(self.spare, lease.left - lease.in_use) if lease.in_use < lease.left else 0)

    def hold(self, lease: Lease[Waiter], grant: Grant, asked: int, now: float, asked_at: float) -> None:
        """Note what the store said at some time since ``asked_at``, from when it counts their life at the earliest."""
        lease.left = grant.granted
        lease.until = asked_at + SLOTS_SAFE
        lease.refused_until = now + SHORT if grant.granted < asked and lease.in_use >= grant.granted else 0.0

    def alone(self, lease: Lease[Waiter], now: float) -> float:
        """Decide without the store: 0.0, or seconds to wait."""
        if lease.in_use >= self.limit:
            return 1.0
        lease.in_use += 1
        return 0.0

    def has_surplus(self, lease: Lease[Waiter]) -> bool:
        """Whether more slots lie idle than are kept."""
        return lease.left - lease.in_use > self.spare

    def is_due(self, lease: Lease[Waiter], now: float) -> bool:
        """Whether what is held has to be renewed."""
        return lease.left > 0 and now >= lease.until - SLOTS_SAFE + RENEW

    def is_idle(self, lease: Lease[Waiter], now: float) -> bool:
        """Whether nothing would be lost with it."""
        return not lease.in_use and (not lease.left or now >= lease.until + SLOT_LIFE)


Kind = Rate | Quota | Slots
