"""The part of `ClientStore` that is about accounts and their usernames, on each kind of server."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.oauth.records import Account
from gateway.oauth.tokens import old_subject
from gateway.store.accounts import CLAIM_MS
from gateway.store.keys import Keys
from tests.store.stores import DAY, Stores, a_client

KEYS = Keys()
NAME = "someone@example.com"


async def test_an_account_can_be_kept_for_a_while(stores: Stores) -> None:
    """Until one of its own clients is used; nobody else's keeps it."""
    client, other = a_client().id, a_client().id
    assert await stores.clients.claim_username(NAME, "claim")
    assert await stores.clients.confirm_username(Account(NAME, "hash", (client,)), "claim", life_ms=DAY)
    assert not await stores.clients.keep_account(NAME, other)
    assert DAY - 10_000 < await stores.redis.pttl(KEYS.account(NAME)) <= DAY
    assert await stores.clients.keep_account(NAME, client)
    assert await stores.redis.pttl(KEYS.account(NAME)) == -1
    assert not await stores.clients.keep_account("nobody", client)


@pytest.mark.parametrize(("life", "then"), [(2 * DAY, 2 * DAY), (1000, DAY), (0, -1)])
async def test_an_account_lives_as_long_as_a_client_that_it_gets(stores: Stores, life: int, then: int) -> None:
    """Never shorter than before, and for ever with one that stays."""
    client = a_client().id
    assert await stores.clients.claim_username(NAME, "claim")
    assert await stores.clients.confirm_username(Account(NAME, "hash", ()), "claim", life_ms=DAY)
    assert await stores.clients.link_client(NAME, client, at_most=5, life_ms=life)
    left = await stores.redis.pttl(KEYS.account(NAME))
    assert left == then or then - 10_000 < left <= then


async def test_an_account_that_stays_is_not_shortened(stores: Stores) -> None:
    assert await stores.clients.claim_username(NAME, "claim")
    assert await stores.clients.confirm_username(Account(NAME, "hash", ()), "claim")
    assert await stores.clients.link_client(NAME, a_client().id, at_most=5, life_ms=DAY)
    assert await stores.redis.pttl(KEYS.account(NAME)) == -1


async def test_a_claim_becomes_an_account_and_each_step_is_repeatable(stores: Stores) -> None:
    account = Account(NAME, "$argon2id$hash", ("gwc_1",))
    for _ in range(2):
        assert await stores.clients.claim_username(NAME, "mine")
    assert 0 < await stores.redis.pttl(KEYS.claim(NAME)) <= CLAIM_MS
    assert await stores.clients.find_account(NAME) is None
    for _ in range(2):
        assert await stores.clients.confirm_username(account, "mine")
    found = await stores.clients.find_account(NAME)
    assert found is not None
    assert found == replace(account, issued_at=found.issued_at, subject=old_subject(NAME, found.issued_at))
    assert found.issued_at > 0
    assert await stores.redis.keys("gw:cm:*") == []


async def test_a_taken_name_can_not_be_claimed(stores: Stores) -> None:
    assert await stores.clients.claim_username(NAME, "first")
    assert not await stores.clients.claim_username(NAME, "second")
    assert await stores.clients.confirm_username(Account(NAME, "h"), "first")
    assert not await stores.clients.claim_username(NAME, "second")
    assert not await stores.clients.claim_username(NAME, "first")
    assert not await stores.clients.confirm_username(Account(NAME, "other"), "second")
    found = await stores.clients.find_account(NAME)
    assert found is not None
    assert found.password_hash == "h"


async def test_a_lost_claim_confirms_nothing(stores: Stores) -> None:
    assert not await stores.clients.confirm_username(Account(NAME, "h"), "never made")
    assert await stores.clients.claim_username(NAME, "first")
    await stores.redis.pexpire(KEYS.claim(NAME), 0)
    assert not await stores.clients.confirm_username(Account(NAME, "h"), "first")
    assert await stores.clients.claim_username(NAME, "second")
    assert await stores.clients.find_account(NAME) is None


async def test_a_claim_is_released_by_its_holder_alone(stores: Stores) -> None:
    assert await stores.clients.claim_username(NAME, "first")
    await stores.clients.release_username(NAME, "second")
    assert not await stores.clients.claim_username(NAME, "second")
    await stores.clients.release_username(NAME, "first")
    assert await stores.clients.claim_username(NAME, "second")
    await stores.clients.confirm_username(Account(NAME, "h"), "second")
    await stores.clients.release_username(NAME, "second")
    assert await stores.clients.find_account(NAME) is not None


async def test_fifty_concurrent_claims_have_one_winner(stores: Stores) -> None:
    claims = [f"claim {n}" for n in range(50)]
    won = await asyncio.gather(*(stores.clients.claim_username(NAME, claim) for claim in claims))
    assert won.count(True) == 1
    confirmed = await asyncio.gather(*(stores.clients.confirm_username(Account(NAME, claim), claim) for claim in claims))
    assert confirmed == won


async def test_clients_are_linked_to_their_account_up_to_a_limit(stores: Stores) -> None:
    assert not await stores.clients.link_client(NAME, "gwc_1", at_most=2)
    await stores.clients.claim_username(NAME, "c")
    await stores.clients.confirm_username(Account(NAME, "h", ("gwc_1",)), "c")
    assert await stores.clients.link_client(NAME, "gwc_2", at_most=2)
    assert await stores.clients.link_client(NAME, "gwc_2", at_most=2)  # repeatable
    assert not await stores.clients.link_client(NAME, "gwc_3", at_most=2)
    await stores.clients.unlink_client(NAME, "gwc_1")
    await stores.clients.unlink_client(NAME, "gwc_1")
    assert await stores.clients.link_client(NAME, "gwc_3", at_most=2)
    found = await stores.clients.find_account(NAME)
    assert found is not None
    assert found.client_ids == ("gwc_2", "gwc_3")


async def test_a_password_hash_is_replaced_only_where_it_is_the_old_one(stores: Stores) -> None:
    assert not await stores.clients.change_password_hash(NAME, "h", "i")
    await stores.clients.claim_username(NAME, "c")
    await stores.clients.confirm_username(Account(NAME, "h"), "c")
    assert not await stores.clients.change_password_hash(NAME, "x", "y")
    assert await stores.clients.change_password_hash(NAME, "h", "i")
    found = await stores.clients.find_account(NAME)
    assert found is not None
    assert found.password_hash == "i"


async def test_a_name_outside_ascii_is_nobody(stores: Stores) -> None:
    assert await stores.clients.find_account("jürgen") is None
