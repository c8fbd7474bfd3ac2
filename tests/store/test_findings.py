"""What routes that only report have found, of all gateways on the store."""

from __future__ import annotations

import pytest

from gateway.errors import StoreUnavailable
from gateway.guard.reports import Finding
from gateway.store import findings
from gateway.store.caller import RedisCaller
from gateway.store.findings import RedisFindings
from tests.servers import fake_redis

ONE, TWO = Finding("/a", "GET", "gwc_x", ""), Finding("gw/ä\"\n", "POST", "", "token_missing")


async def test_counts_of_several_gateways_are_added() -> None:
    redis = fake_redis()
    here, there = RedisFindings(RedisCaller(redis)), RedisFindings(RedisCaller(redis))
    assert await here.all() == ({}, 0)
    await here.add({ONE: 2, TWO: 1})
    await there.add({ONE: 3})
    found, since = await here.all()
    assert found == {ONE: 5, TWO: 1}
    assert since > 1_700_000_000_000
    assert 0 < await redis.pttl("gw:rf") <= findings.KEPT_MS
    await there.forget()
    assert await here.all() == ({}, 0)


async def test_they_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known goes on being counted."""
    monkeypatch.setattr(findings, "MAX_FINDINGS", 3)
    store = RedisFindings(RedisCaller(fake_redis()))
    for number in range(10):
        await store.add({Finding("/a", "GET", f"gwc_{number}", ""): 1, ONE: 1})
    found, _ = await store.all()
    assert (len(found), found[ONE]) == (2, 10)


async def test_more_than_a_script_takes_at_once_are_added() -> None:
    store = RedisFindings(RedisCaller(fake_redis()))
    many = {Finding("/a", "GET", f"gwc_{number}", ""): number + 1 for number in range(1200)}
    await store.add(many)
    assert (await store.all())[0] == many


async def test_something_else_in_their_place_is_an_outage() -> None:
    redis = fake_redis()
    await redis.hset("gw:rf", "x", 1)
    with pytest.raises(StoreUnavailable):
        await RedisFindings(RedisCaller(redis)).all()
