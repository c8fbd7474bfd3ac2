"""Limits in the store: what one script on one key promises to all workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway import store
from gateway.errors import GatewayError, StoreUnavailable
from gateway.guard.leases import Grant, Quota, Rate, Slots
from gateway.store.limits import RedisLimits
from tests.servers import fake_redis
from tests.store.shift import pass_time
from tests.store.stores import Stores

KEY = "0123456789abcdef"


async def ask(act: Callable[..., None], *args: Any) -> Grant:
    """What the store says."""
    answer: asyncio.Future[Grant | GatewayError] = asyncio.get_running_loop().create_future()
    act(KEY, *args, answer.set_result)
    said = await answer
    if isinstance(said, GatewayError):
        raise said
    return said


def limits_of(stores: Stores, worker: str = "one") -> RedisLimits:
    return RedisLimits(stores.caller, worker)


async def test_a_rate_gives_its_burst_and_then_one_an_interval(stores: Stores) -> None:
    limits, rate = limits_of(stores), Rate(1, 10, 5)
    assert (await ask(limits.take_rate, rate, 3))[:3:2] == (3, 2)
    short = await ask(limits.take_rate, rate, 3)
    assert (short.granted, short.remaining) == (2, 0)
    assert 9.0 < short.wait <= 10.0
    assert 49.0 < short.reset <= 50.0
    none = await ask(limits.take_rate, rate, 1)
    assert (none.granted, none.remaining) == (0, 0)
    await pass_time(stores.redis, 21_000)
    assert (await ask(limits.take_rate, rate, 9)).granted == 2


async def test_a_rate_is_one_for_all_who_ask_at_once(stores: Stores) -> None:
    one, two, rate = limits_of(stores), limits_of(stores, "two"), Rate(50, 86_400, 50)
    grants = await asyncio.gather(*(ask(worker.take_rate, rate, 3) for worker in [one, two] * 15))
    assert sum(grant.granted for grant in grants) == 50


async def test_a_rate_that_is_whole_leaves_no_key(stores: Stores) -> None:
    """So strangers can't fill the store for longer than a period."""
    rate = Rate(1, 60, 2)
    await ask(limits_of(stores).take_rate, rate, 2)
    assert 119_000 < await stores.redis.pttl(f"gw:lr:{KEY}") <= 120_000
    await ask(limits_of(stores).take_rate, rate, 2)
    assert 0 < await stores.redis.pttl(f"gw:lr:{KEY}") <= 120_000


async def test_f23_a_clock_that_was_ahead_blocks_nobody_for_longer_than_a_burst(stores: Stores) -> None:
    """After a failover the new master's clock may be an hour behind."""
    rate = Rate(1, 1, 5)
    await ask(limits_of(stores).take_rate, rate, 5)
    await pass_time(stores.redis, -3_600_000)
    assert (await ask(limits_of(stores).take_rate, rate, 1)).wait <= 1.0


async def test_a_quota_shares_its_end(stores: Stores) -> None:
    """An eighth of the rest at most, and one by one at last; never more than there is."""
    limits, quota = limits_of(stores), Quota(100, "day")
    granted = []
    while grant := (await ask(limits.take_quota, quota, 50, 0)).granted:
        granted.append(grant)
    assert granted[0] == 12
    assert granted[-8:] == [1] * 8
    assert sum(granted) == 100
    last = await ask(limits.take_quota, quota, 1, 0)
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    assert last.reset == last.wait == pytest.approx((midnight - now).total_seconds(), abs=5)


async def test_what_is_given_back_of_a_quota_can_be_had_again_in_its_period_alone(stores: Stores) -> None:
    limits, quota = limits_of(stores), Quota(8, "month")
    period = (await ask(limits.take_quota, quota, 1, 0)).period
    for _ in range(7):
        await ask(limits.take_quota, quota, 1, 0)
    limits.return_quota(KEY, quota, 3, period - 1)
    await limits.settle()
    assert (await ask(limits.take_quota, quota, 1, 0)).granted == 0
    limits.return_quota(KEY, quota, 3, period)
    await limits.settle()
    assert (await ask(limits.take_quota, quota, 1, 0))[:3:2] == (1, 2)


async def test_what_passed_while_the_store_was_away_is_counted(stores: Stores) -> None:
    limits, quota = limits_of(stores), Quota(10, "day")
    assert (await ask(limits.take_quota, quota, 1, 12)).granted == 0
    assert (await ask(limits.take_quota, quota, 1, 0)).granted == 0


async def test_slots_of_others_are_not_given_away_until_they_lapse(stores: Stores) -> None:
    one, two, slots = limits_of(stores), limits_of(stores, "two"), Slots(10, 1)
    assert (await ask(one.hold_slots, slots, 7)).granted == 7
    assert (await ask(two.hold_slots, slots, 7)).granted == 3
    assert (await ask(one.hold_slots, slots, 5)).granted == 5
    assert (await ask(two.hold_slots, slots, 7)).granted == 5
    await pass_time(stores.redis, 11_000)
    assert (await ask(two.hold_slots, slots, 10)).granted == 10
    assert (await ask(two.hold_slots, slots, 0)).granted == 0
    assert await stores.redis.exists(f"gw:ls:{KEY}") == 0


@pytest.mark.parametrize("kind", ["lr", "lq", "ls"])
async def test_f09_a_wrong_type_or_value_is_unavailable(stores: Stores, kind: str) -> None:
    """And never a free pass: what then happens is the limit's ``on_store_failure``."""
    limits = limits_of(stores)
    asking = {
        "lr": lambda: ask(limits.take_rate, Rate(1, 1, 1), 1),
        "lq": lambda: ask(limits.take_quota, Quota(1, "day"), 1, 0),
        "ls": lambda: ask(limits.hold_slots, Slots(1, 1), 1),
    }[kind]
    key = f"gw:{kind}:{KEY}"
    await stores.redis.lpush(key, "x")
    with pytest.raises(StoreUnavailable):
        await asking()
    if kind != "ls":
        await stores.redis.set(key, "none of ours")
        with pytest.raises(StoreUnavailable) as refused:
            await asking()
        assert "corrupt limit" in refused.value.reason


CALENDAR = (Path(store.__path__[0]) / "scripts" / "take_quota.lua").read_text().replace("now_ms()", "tonumber(ARGV[6])")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
@example(datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC))
@example(datetime(2100, 2, 28, 23, 59, 59, tzinfo=UTC))
@example(datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC))
@example(datetime(2027, 1, 1, tzinfo=UTC))
async def test_months_are_those_of_the_calendar(now: datetime) -> None:
    redis = fake_redis()
    now_ms = int(now.timestamp() * 1000)
    _, wait, _, _, period = await redis.eval(CALENDAR, 1, "k", 1, 9, 0, 0, 0, now_ms)
    year, month = (now.year + 1, 1) if now.month == 12 else (now.year, now.month + 1)
    assert now_ms + wait == datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000
    assert period == (now.year - 1970) * 12 + now.month - 1
