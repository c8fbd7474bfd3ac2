"""What leases promise, on random schedules of several workers against one exact store."""

from __future__ import annotations

from collections.abc import Callable
from math import floor, inf

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.guard.leases import ASK, LIFE, Grant, Lease, Quota, Rate, Slots


class ExactRate:
    """The store's GCRA, as take_rate.lua has it."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.tat = 0.0
        self.granted = 0

    def take(self, asked: int, now: float) -> Grant:
        interval, whole = self.rate.interval, self.rate.burst * self.rate.interval
        tat = max(self.tat, now)
        free = floor((now + whole - tat) / interval + 1e-6)
        granted = min(asked, free)
        self.tat = tat = tat + granted * interval
        self.granted += granted
        return Grant(granted, max(0.0, tat + interval - whole - now), free - granted, tat - now)


def run(rate: Rate, arrivals: list[tuple[float, int]], workers: int) -> tuple[list[float], list[tuple[float, float]], ExactRate]:
    """When requests passed, when others were refused and for how long, and the store: each (time, worker) is one request."""
    store = ExactRate(rate)
    leases: list[Lease[None]] = [Lease(rate.whole) for _ in range(workers)]
    passed, refused = [], []
    for now, worker in arrivals:
        lease = leases[worker]
        wait = rate.take(lease, now)
        if wait == ASK:
            asked = rate.wanted(lease, now)
            assert 1 <= asked <= max(1, rate.most)
            rate.grant(lease, store.take(asked, now), asked, now)
            wait = rate.take(lease, now)
        assert wait != ASK
        if wait:
            refused.append((now, wait))
        else:
            passed.append(now)
    return passed, refused, store


def most_within(times: list[float], allowed: Callable[[float], float]) -> None:
    """No window of any length holds more than it may: all that begin and end with a request, which are the worst."""
    for first, begin in enumerate(times):
        for last in range(first, len(times)):
            count, span = last - first + 1, times[last] - begin
            assert count <= allowed(span) + 1e-6, (begin, span, count)


GAPS = st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.3, 1.0, 2.5]), st.integers(0, 3)), max_size=250)


@settings(max_examples=150, deadline=None)
@given(GAPS, st.integers(1, 200), st.integers(1, 200), st.integers(1, 4))
@example([(0.0, n % 4) for n in range(200)], 100, 100, 4)
def test_a_rate_is_exceeded_by_no_more_than_its_bounds(
    gaps: list[tuple[float, int]], count: int, burst: int, workers: int
) -> None:
    """Neither by a second's worth and the burst, nor by what all workers can hold."""
    rate, now, arrivals = Rate(count, 1, burst), 100.0, []
    for gap, worker in gaps:
        now += gap
        arrivals.append((now, worker % workers))
    passed, _, store = run(rate, arrivals, workers)
    exact = 1 / rate.interval
    most_within(passed, lambda span: burst + exact * (span + LIFE) + 1)
    most_within(passed, lambda span: burst + exact * span + workers * rate.most + 1)
    assert len(passed) <= store.granted
    assert store.granted <= 3 * len(passed) + workers  # what is lost is at most twice what passed, and one a worker


def test_one_worker_that_keeps_asking_gets_the_whole_rate() -> None:
    """1,000 a second asked of a limit of 100: what it may, to a tenth, and the burst."""
    rate = Rate(100, 1, 100)
    passed, refused, _ = run(rate, [(100 + n / 1000, 0) for n in range(10_000)], 1)
    assert 100 + 1000 * 0.9 <= len(passed) <= 100 + 1000 + 1
    assert refused


def test_who_is_below_the_limit_is_never_refused_however_many_workers_share_it() -> None:
    """80 a second over four workers, of 100: the leases grow with the use, and what lies unused is little."""
    rate = Rate(100, 1, 100)
    passed, refused, store = run(rate, [(100 + n / 30, n % 4) for n in range(600)], 4)
    assert refused == []
    assert store.granted <= 3 * len(passed)


def test_a_slow_rate_is_counted_one_by_one() -> None:
    rate = Rate(30, 60, 30)
    assert rate.most == 1
    passed, refused, store = run(rate, [(100 + n / 100, n % 4) for n in range(100)], 4)
    assert (len(passed), store.granted) == (30, 30)
    assert refused[0][1] == pytest.approx(2.0 - 0.3, abs=0.05)


def test_nobody_is_told_to_wait_longer_than_until_the_next_permit() -> None:
    rate = Rate(10, 1, 5)
    passed, refused, _ = run(rate, [(100.0, 0)] * 6 + [(100.0 + 0.1, 0)], 1)
    assert len(passed) == 6
    assert refused[0][1] == pytest.approx(0.1)


def test_a_lease_grows_while_it_is_used_up_and_shrinks_when_it_was_not() -> None:
    rate = Rate(1000, 1, 1000)
    lease: Lease[None] = Lease(rate.whole)
    sizes = []
    for now in (100.0, 100.1, 100.2, 100.3):
        asked = rate.wanted(lease, now)
        rate.grant(lease, Grant(asked, 0.0, 9, 0.0), asked, now)
        sizes.append(asked)
        lease.left = 0
    assert sizes == [1, 2, 4, 8]
    lease.left = 6  # two were used of eight
    assert rate.wanted(lease, 100.3 + LIFE) == 2


def test_a_permit_that_was_not_used_in_time_is_lost() -> None:
    rate = Rate(1000, 1, 1000)
    lease: Lease[None] = Lease(rate.whole)
    rate.grant(lease, Grant(5, 0.0, 9, 0.0), 5, 100.0)
    assert (rate.take(lease, 100.0 + LIFE - 0.001), rate.take(lease, 100.0 + LIFE)) == (0.0, ASK)


@pytest.mark.parametrize(("count", "seconds", "burst", "most"), [
    (100, 1, 100, 12), (100, 1, 8, 1), (100, 1, 7, 1), (10, 1, 1000, 10), (59, 60, 1000, 1), (1_000_000, 1, 1_000_000, 125_000),
])  # fmt: skip
def test_a_lease_is_an_eighth_of_the_burst_or_one_seconds_worth(count: int, seconds: int, burst: int, most: int) -> None:
    assert Rate(count, seconds, burst).most == most


def test_without_the_store_a_rate_is_exact_in_each_worker() -> None:
    rate = Rate(10, 1, 5)
    lease: Lease[None] = Lease(rate.whole)
    waits = [rate.alone(lease, 100.0 + n * 0.01) for n in range(20)]
    assert [wait == 0.0 for wait in waits] == [True] * 5 + [False] * 5 + [True] + [False] * 9
    assert rate.alone(lease, 102.0) == 0.0


class ExactQuota:
    """The store's quota, as take_quota.lua has it, with a period of 100 seconds."""

    def __init__(self, amount: int) -> None:
        self.amount = amount
        self.period, self.taken = 0, 0
        self.by_period: dict[int, int] = {}

    def take(self, asked: int, counted: int, of: int | None, now: float) -> Grant:
        period = int(now // 100)
        if period != self.period:
            self.period, self.taken = period, 0
        if counted > 0 or of == period:
            self.taken = max(0, self.taken + counted)
        left = max(0, self.amount - self.taken)
        granted = min(asked, left, max(1, left // 8))
        self.taken += granted
        ends = (period + 1) * 100 - now
        return Grant(granted, ends, left - granted, ends, period)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 3.0, 11.0, 60.0]), st.integers(0, 2)), max_size=300), st.integers(1, 400))
@example([(0.0, n % 3) for n in range(300)], 250)
def test_a_quota_is_never_exceeded_and_its_end_is_reached(gaps: list[tuple[float, int]], amount: int) -> None:
    """Refused is only who comes when the rest lies with other workers, and that is little."""
    quota, store, now = Quota(amount, "day"), ExactQuota(amount), 1000.0
    leases: list[Lease[None]] = [Lease(quota.whole) for _ in range(3)]
    passed: dict[int, int] = {}
    for gap, worker in gaps:
        now += gap
        for other in leases:
            count = quota.surplus(other, now)
            if count:
                other.left = 0
                store.take(0, -count, other.period, now)
        lease = leases[worker]
        wait = quota.take(lease, now)
        if wait == ASK:
            asked = quota.wanted(lease, now)
            quota.grant(lease, store.take(asked, 0, None, now), asked, now)
            wait = quota.take(lease, now)
        period = int(now // 100)
        if wait:
            held = sum(other.left for other in leases if other.period == period and now < other.reset_at)
            assert amount - passed.get(period, 0) <= 3 * quota.most
            assert wait == (period + 1) * 100 - now
            assert held <= 3 * quota.most
        else:
            passed[period] = passed.get(period, 0) + 1
    assert all(count <= amount for count in passed.values())


def test_without_the_store_a_quota_goes_on_from_what_was_known() -> None:
    quota = Quota(10, "month")
    lease: Lease[None] = Lease(quota.whole)
    quota.grant(lease, Grant(1, 50.0, 3, 50.0, 7), 1, 100.0)
    lease.left = 0
    assert [quota.alone(lease, 101.0) for _ in range(4)] == [0.0, 0.0, 0.0, 49.0]
    assert lease.owed == 3
    assert quota.alone(lease, 150.0) == 0.0  # a new month


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=200), st.integers(1, 40))
def test_slots_are_never_occupied_beyond_the_limit(steps: list[tuple[int, bool]], limit: int) -> None:
    """Three workers come and go; what a worker has idle is bounded, and given back at once beyond."""
    slots, now = Slots(limit, 3), 100.0
    leases: list[Lease[None]] = [Lease(limit) for _ in range(3)]

    def hold(worker: int, wanted: int) -> None:
        lease = leases[worker]
        others = sum(other.left for other in leases if other is not lease)
        slots.hold(lease, Grant(max(0, min(wanted, limit - others)), 0.0, 0, 0.0), wanted, now, now)

    for worker, comes in steps:
        lease = leases[worker]
        if comes:
            if slots.take(lease, now) == ASK:
                hold(worker, slots.wanted(lease, now))
                if slots.take(lease, now):
                    assert sum(other.left for other in leases) == limit
                    now += 0.1
        elif lease.in_use:
            lease.in_use -= 1
            if slots.has_surplus(lease):
                hold(worker, slots.kept(lease))
        assert sum(other.in_use for other in leases) <= limit
        assert all(other.left - other.in_use <= max(slots.spare, 0) for other in leases)


def test_slots_that_were_not_renewed_are_not_taken_for_our_own() -> None:
    slots = Slots(10, 1)
    lease: Lease[None] = Lease(10)
    slots.hold(lease, Grant(3, 0.0, 0, 0.0), 3, 100.0, 100.0)
    assert (slots.take(lease, 106.9), slots.take(lease, 107.0)) == (0.0, ASK)
    assert slots.is_due(lease, 103.0)
    assert not slots.is_due(lease, 102.9)


def test_what_may_be_forgotten_is_what_says_nothing_any_more() -> None:
    rate, quota, slots = Rate(1, 1, 1), Quota(5, "day"), Slots(3, 1)
    one: Lease[None] = Lease(1)
    assert rate.is_idle(one, 100.0)
    rate.grant(one, Grant(0, 2.0, 0, 3.0), 1, 100.0)
    assert (rate.is_idle(one, 101.9), rate.is_idle(one, 102.0)) == (False, True)
    two: Lease[None] = Lease(5)
    two.owed = 1
    assert not quota.is_idle(two, inf)
    three: Lease[None] = Lease(3)
    slots.hold(three, Grant(1, 0.0, 0, 0.0), 1, 100.0, 100.0)
    slots.take(three, 100.0)
    assert not slots.is_idle(three, inf)
