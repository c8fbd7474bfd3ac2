"""The contract of `AdmissionStore`, on each kind of server."""

from __future__ import annotations

import asyncio
from os import urandom

import pytest

from gateway.oauth.tokens import InitialRef, find_initial, mint_initial
from gateway.store import admissions
from gateway.store.admissions import RedisAdmissions
from gateway.store.keys import Keys
from tests.store.shift import pass_time
from tests.store.stores import DAY, Stores, a_client, issue, register

KEYS = Keys()


def a_ref() -> InitialRef:
    ref = find_initial(mint_initial("abc", urandom(32)).encode())
    assert ref is not None
    return ref


async def test_an_initial_access_token_is_good_for_so_many_uses(stores: Stores) -> None:
    """G02: at once, no more of them than there are uses."""
    store, ref = RedisAdmissions(stores.caller), a_ref()
    await store.add_initial(ref, uses=3, life_ms=DAY)
    taken = await asyncio.gather(*(store.spend_initial(ref) for _ in range(20)))
    assert sum(taken) == 3
    assert not await store.find_initial(ref)


async def test_a_use_that_is_given_back_is_one_use(stores: Stores) -> None:
    store, ref = RedisAdmissions(stores.caller), a_ref()
    await store.add_initial(ref, uses=1, life_ms=DAY)
    assert await store.spend_initial(ref)
    await store.return_initial(ref)
    assert await store.find_initial(ref)
    assert [await store.spend_initial(ref) for _ in range(2)] == [True, False]


async def test_what_is_over_is_not_brought_back_by_a_use_given_back(stores: Stores) -> None:
    """It would be one without an end."""
    store, ref = RedisAdmissions(stores.caller), a_ref()
    await store.add_initial(ref, uses=1, life_ms=DAY)
    assert await store.spend_initial(ref)
    assert await store.end_initial(ref)
    await store.return_initial(ref)
    assert not await store.find_initial(ref)
    assert not await store.end_initial(ref)
    assert await stores.redis.exists(KEYS.initial(ref)) == 0


async def test_its_time_is_kept_whatever_is_spent(stores: Stores) -> None:
    store, ref = RedisAdmissions(stores.caller), a_ref()
    await store.add_initial(ref, uses=5, life_ms=DAY)
    await store.spend_initial(ref)
    await store.return_initial(ref)
    assert 0 < await stores.redis.pttl(KEYS.initial(ref)) <= DAY
    await pass_time(stores.redis, DAY)
    assert not await store.spend_initial(ref)


async def test_a_client_that_waits_gets_no_tokens_until_it_is_approved(stores: Stores) -> None:
    store = RedisAdmissions(stores.caller)
    client = await register(stores, enabled=False, pending=True)
    found = await stores.clients.find_client(client.id)
    assert found is not None
    assert (found.enabled, found.pending) == (False, True)
    with pytest.raises(AssertionError):
        await issue(stores, client)
    assert await store.decide(client.id, approved=True)
    await issue(stores, client)


@pytest.mark.parametrize("first", [True, False])
async def test_the_first_decision_stands(stores: Stores, first: bool) -> None:
    """Approved and refused by two operators at once: one of them is told."""
    store = RedisAdmissions(stores.caller)
    client = await register(stores, enabled=False, pending=True)
    assert await store.decide(client.id, approved=first)
    assert not await store.decide(client.id, approved=not first)
    found = await stores.clients.find_client(client.id)
    assert found is not None
    assert (found.enabled, found.pending) == (first, False)


async def test_only_who_waits_can_be_decided_on(stores: Stores) -> None:
    """A disabled client is not enabled by it, and nobody by a string that is no client id."""
    store = RedisAdmissions(stores.caller)
    client = await register(stores, enabled=False)
    for client_id in (client.id, a_client().id, "x", ""):
        assert not await store.decide(client_id, approved=True)


async def test_who_waits_is_listed_in_turn_until_forgotten(stores: Stores) -> None:
    store = RedisAdmissions(stores.caller)
    first, second = a_client().id, a_client().id
    assert await store.add_pending(first, life_ms=DAY)
    await pass_time(stores.redis, 1000)
    assert await store.add_pending(second, life_ms=DAY)
    assert await store.pending() == [first, second]
    await store.forget_pending(first)
    assert await store.pending() == [second]


async def test_only_so_many_may_wait_and_none_longer_than_it_lives(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G05: a flood of registrations ends in a refusal, and the refusal by itself."""
    monkeypatch.setattr(admissions, "MAX_PENDING", 2)
    store = RedisAdmissions(stores.caller)
    assert [await store.add_pending(a_client().id, life_ms=DAY) for _ in range(3)] == [True, True, False]
    await pass_time(stores.redis, DAY)
    newcomer = a_client().id
    assert await store.add_pending(newcomer, life_ms=DAY)
    assert await store.pending() == [newcomer]


async def test_who_registers_and_goes_again_does_not_wait(stores: Stores) -> None:
    """G05: else anybody could fill the list with clients that nobody can decide on."""
    store = RedisAdmissions(stores.caller)
    client = await register(stores, enabled=False, pending=True)
    await store.add_pending(client.id, life_ms=0)
    assert await stores.clients.delete_client(client.id)
    assert await store.pending() == []


async def test_who_vanished_before_it_could_be_kept_is_not_counted(stores: Stores) -> None:
    """A number that no deletion lowers again would be one less for good."""
    store, client = RedisAdmissions(stores.caller), a_client()
    assert await store.count_client(client.id, at_most=1, life_ms=DAY)
    assert not await stores.clients.keep_client(client.id)
    assert await store.count_client(a_client().id, at_most=1, life_ms=DAY)
