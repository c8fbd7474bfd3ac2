"""The keys that sign JWT access tokens, on a real store."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import StoreUnavailable
from gateway.oauth.signing_keys import SEAL_ENTROPY, SigningKey, make_key
from gateway.store.caller import RedisCaller
from gateway.store.signing_keys import RedisSigningKeys
from tests.servers import fake_redis

DAY = 24 * 3_600_000


def key(n: int) -> SigningKey:
    return SigningKey(f"k{n}", b'{"kty":"EC"}', bytes(range(40)), 1_700_000_000_000 + n, n)


async def test_a_ring_is_read_as_it_was_written_and_lives_for_a_while() -> None:
    redis = fake_redis()
    store = RedisSigningKeys(RedisCaller(redis))
    assert await store.find_ring() == ()
    assert await store.replace_ring((), (key(1), key(2)), life_ms=DAY)
    assert await store.find_ring() == (key(1), key(2))
    assert 0 < await redis.pttl("gw:jk") <= DAY


async def test_of_several_who_replace_a_ring_one_wins() -> None:
    store = RedisSigningKeys(RedisCaller(fake_redis()))
    won = await asyncio.gather(*(store.replace_ring((), (key(n),), life_ms=DAY) for n in range(5)))
    assert sorted(won) == [False] * 4 + [True]
    assert await store.find_ring() == (key(won.index(True)),)
    assert not await store.replace_ring((), (key(9),), life_ms=DAY)


async def test_a_copy_of_the_store_signs_nothing() -> None:
    """What is kept holds no private member, in whatever form JSON or bytes would have it."""
    redis, secret = fake_redis(), b"s" * 32
    made = make_key(secret, bytes(SEAL_ENTROPY), 0, 0)
    await RedisSigningKeys(RedisCaller(redis)).replace_ring((), (made,), life_ms=DAY)
    kept = await redis.get("gw:jk")
    assert made.jwk in kept
    assert b'"d"' not in kept
    assert secret not in kept


@pytest.mark.parametrize("value", [b"x", b"\x91\x01", b"\x91\x91\xa1k", b"\x80"])
async def test_anything_else_in_its_place_is_an_outage(value: bytes) -> None:
    redis = fake_redis()
    await redis.set("gw:jk", value)
    with pytest.raises(StoreUnavailable) as caught:
        await RedisSigningKeys(RedisCaller(redis)).find_ring()
    assert caught.value.reason == "find_ring: corrupt signing key record"
