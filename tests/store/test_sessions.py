"""The contract of `SessionStore`, on each kind of server."""

from __future__ import annotations

import asyncio
from os import urandom

import pytest

from gateway.errors import StoreUnavailable
from gateway.oauth.records import SignIn
from gateway.store.keys import Keys
from gateway.store.sessions import RedisSessions
from tests.store.shift import pass_time
from tests.store.stores import Stores

KEYS = Keys()
MINUTE = 60_000
IDLE, LIFE = 30 * MINUTE, 12 * 60 * MINUTE
TERMS = {"idle_ms": IDLE, "life_ms": LIFE}


def a_session(username: str = "ann") -> SignIn:
    return SignIn(urandom(32), username, urandom(32))


async def begun(store: RedisSessions, username: str = "ann", at_most: int = 20) -> SignIn:
    session = a_session(username)
    await store.begin_session(session, **TERMS, at_most=at_most)
    return session


async def lives(store: RedisSessions, session: SignIn) -> bool:
    return await store.use_session(session.digest, **TERMS) is not None


async def test_a_session_is_found_by_its_digest_alone(stores: Stores) -> None:
    store = RedisSessions(stores.caller)
    session = await begun(store)
    found = await store.use_session(session.digest, **TERMS)
    assert found is not None
    assert (found.digest, found.username, found.proof) == (session.digest, "ann", session.proof)
    assert found.began_at == found.seen_at > 0
    assert await store.use_session(urandom(32), **TERMS) is None
    assert await store.sessions_of("ann") == [found]
    assert await store.sessions_of("bob") == []


async def test_c06_an_idle_session_ends_and_a_used_one_goes_on_to_its_absolute_end(stores: Stores) -> None:
    """To the millisecond: at the end of its time it is dead; and nothing of it is left in the store."""
    store = RedisSessions(stores.caller)
    session, idle = await begun(store), await begun(store)
    for _ in range(23):
        await pass_time(stores.redis, IDLE - MINUTE)
        assert await lives(store, session)
    assert not await lives(store, idle)
    await pass_time(stores.redis, LIFE - 23 * (IDLE - MINUTE))
    assert not await lives(store, session)
    assert await stores.redis.keys("*ss:*") == []


async def test_a_use_is_noted_once_a_minute(stores: Stores) -> None:
    """What is read all the time is not written all the time."""
    store = RedisSessions(stores.caller)
    session = await begun(store)
    key = KEYS.session(session.digest)
    value = await stores.redis.get(key)
    assert await lives(store, session)
    assert await stores.redis.get(key) == value
    await pass_time(stores.redis, MINUTE)
    value = await stores.redis.get(key)
    found = await store.use_session(session.digest, **TERMS)
    assert await stores.redis.get(key) != value
    assert found is not None
    assert found.seen_at - found.began_at >= MINUTE


async def test_shorter_lives_hold_for_sessions_that_began_before(stores: Stores) -> None:
    store = RedisSessions(stores.caller)
    one, other = await begun(store), await begun(store)
    await pass_time(stores.redis, 20 * MINUTE)
    assert await store.use_session(one.digest, idle_ms=20 * MINUTE, life_ms=LIFE) is None
    assert await store.use_session(other.digest, idle_ms=IDLE, life_ms=20 * MINUTE) is None


async def test_one_ends_and_all_end_and_nobody_else_s(stores: Stores) -> None:
    store = RedisSessions(stores.caller)
    one, two, three = [await begun(store) for _ in range(3)]
    stranger = await begun(store, "bob")
    await store.end_session(one)
    await store.end_session(one)
    assert [await lives(store, session) for session in (one, two, three)] == [False, True, True]
    await store.end_sessions("ann")
    assert [await lives(store, session) for session in (two, three, stranger)] == [False, False, True]
    assert await stores.redis.exists(KEYS.sessions("ann")) == 0


async def test_what_was_ended_is_not_brought_back_by_a_use_at_the_same_time(stores: Stores) -> None:
    store = RedisSessions(stores.caller)
    session = await begun(store)
    await pass_time(stores.redis, 2 * MINUTE)
    await asyncio.gather(store.end_session(session), *(lives(store, session) for _ in range(20)))
    assert not await lives(store, session)
    assert await stores.redis.exists(KEYS.session(session.digest)) == 0


async def test_an_account_has_so_many_and_the_oldest_gives_way(stores: Stores) -> None:
    """Whoever knows the password can't fill the store; the index goes with the last of them."""
    store = RedisSessions(stores.caller)
    made = []
    for _ in range(5):
        made.append(await begun(store, at_most=3))
        await pass_time(stores.redis, 1000)
    assert [await lives(store, session) for session in made] == [False, False, True, True, True]
    assert [session.digest for session in await store.sessions_of("ann")] == [session.digest for session in made[2:]]
    await pass_time(stores.redis, LIFE)
    assert await stores.redis.keys("*") == []


async def test_f09_a_corrupt_session_is_an_outage_and_no_sign_in(stores: Stores) -> None:
    store = RedisSessions(stores.caller)
    session = await begun(store)
    await stores.redis.set(KEYS.session(session.digest), b"nonsense")
    with pytest.raises(StoreUnavailable) as caught:
        await store.use_session(session.digest, **TERMS)
    assert caught.value.reason == "use_session: corrupt session record"
    with pytest.raises(StoreUnavailable) as caught:
        await store.sessions_of("ann")
    assert caught.value.reason == "sessions_of: corrupt session record"
