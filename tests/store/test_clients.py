"""The contract of `ClientStore`, on each kind of server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.oauth.records import Credential, Registration, Use, is_live
from gateway.oauth.tokens import SecretRef
from gateway.store.clients import MAX_RETIRED, PROVISIONAL_MS, RedisClients
from gateway.store.codec import encode_credential
from gateway.store.keys import Keys
from tests.store.stores import DAY, Registered, Stores, a_client, a_credential, a_pair, issue, lives, register

KEYS = Keys()
NAME = "someone@example.com"


async def keys_of(stores: Stores, client: Registered) -> list[str]:
    found = await stores.clients.find_credentials(client.id)
    assert found is not None
    assert [credential.client_key for credential in found[1]] == list(found[0].keys)
    return list(found[0].keys)


# --- clients -------------------------------------------------------------------------------------------------------


async def test_a_created_client_is_found_by_id_and_by_key(stores: Stores) -> None:
    before = await stores.clients.now_ms()
    new = await register(stores, scopes=frozenset({"b", "a"}), permissions=frozenset({"introspect:any"}))
    client = await stores.clients.find_client(new.id)
    assert client is not None
    assert before <= client.issued_at <= await stores.clients.now_ms()
    assert client == replace(new.client, issued_at=client.issued_at)
    found = await stores.clients.find_credential(new.key)
    assert found == (client, replace(new.credential, issued_at=client.issued_at))
    assert await stores.clients.find_credentials(new.id) == (client, [found[1]])


@pytest.mark.parametrize("text", ["", "gwc_", "x" * 29, "gwk_abcAAAAAAAAAAAAAAAAAAAAAA", "gwc_abc*AAAAAAAAAAAAAAAAAAAAA", "é"])
async def test_what_is_no_client_id_is_nobody(stores: Stores, text: str) -> None:
    assert await stores.clients.find_client(text) is None
    assert await stores.clients.find_credentials(text) is None
    assert await stores.clients.change_client(text, enabled=False) is None
    assert not await stores.clients.delete_client(text)
    assert not await stores.clients.retire_credential(text, text, end_tokens=True)


async def test_unknown_clients_and_keys_are_nobody(stores: Stores) -> None:
    nobody = a_client()
    assert await stores.clients.find_client(nobody.id) is None
    assert await stores.clients.find_credential(nobody.key) is None
    assert await stores.clients.find_credential(nobody.id) is None
    assert await stores.clients.find_credentials(nobody.id) is None
    assert await stores.clients.change_client(nobody.id, enabled=False) is None
    assert not await stores.clients.delete_client(nobody.id)
    assert not await stores.clients.keep_client(nobody.id)
    assert not await stores.clients.add_credential(a_credential(nobody.client), at_most=5)
    assert not await stores.clients.retire_credential(nobody.id, nobody.key, end_tokens=True)
    assert await stores.redis.keys("*") == []


async def test_a_provisional_client_vanishes_unless_it_is_kept(stores: Stores) -> None:
    new = a_client()
    await stores.clients.create_client(new.client, new.credential, provisional=True)
    records = [KEYS.client(new.id), KEYS.credential(new.key)]
    for key in records:
        assert PROVISIONAL_MS - 10_000 < await stores.redis.pttl(key) <= PROVISIONAL_MS
    assert await stores.clients.keep_client(new.id)
    assert [await stores.redis.pttl(key) for key in records] == [-1, -1]
    assert await stores.clients.keep_client(new.id)


async def test_a_client_can_be_kept_for_a_while(stores: Stores) -> None:
    """Its credentials as long, unless their own time comes before; then for ever, but for those."""
    new = a_client()
    soon = await stores.clients.now_ms() + 3_600_000
    await stores.clients.create_client(new.client, new.credential, provisional=True)
    passing = a_credential(new.client, expires_at=soon)
    assert await stores.clients.add_credential(passing, at_most=5)
    places = [KEYS.client(new.id), KEYS.credential(new.key), KEYS.secret(SecretRef(new.id[4:7], new.credential.secret_digest))]
    own = [KEYS.credential(passing.client_key), KEYS.secret(SecretRef(new.id[4:7], passing.secret_digest))]
    assert await stores.clients.keep_client(new.id, life_ms=DAY)
    assert all([DAY - 10_000 < await stores.redis.pttl(key) <= DAY for key in places])
    assert all([3_590_000 < await stores.redis.pttl(key) <= 3_600_000 for key in own])
    assert await stores.clients.keep_client(new.id)
    assert [await stores.redis.pttl(key) for key in places] == [-1, -1, -1]
    assert all([3_590_000 < await stores.redis.pttl(key) <= 3_600_000 for key in own])


async def test_changing_a_provisional_client_does_not_keep_it(stores: Stores) -> None:
    new = a_client()
    await stores.clients.create_client(new.client, new.credential, provisional=True)
    second = a_credential(new.client)
    assert await stores.clients.add_credential(second, at_most=5)
    await stores.clients.change_client(new.id, enabled=False)
    for key in (KEYS.client(new.id), KEYS.credential(second.client_key)):
        assert 0 < await stores.redis.pttl(key) <= PROVISIONAL_MS
    await stores.clients.keep_client(new.id)
    assert await stores.redis.pttl(KEYS.credential(second.client_key)) == -1


async def test_change_client_changes_what_is_given_and_nothing_else(stores: Stores) -> None:
    new = await register(stores, scopes=frozenset({"a"}), permissions=frozenset({"p"}))
    client = await stores.clients.find_client(new.id)
    assert client is not None
    assert await stores.clients.change_client(new.id) == client
    client = replace(client, enabled=False)
    assert await stores.clients.change_client(new.id, enabled=False) == client
    client = replace(client, enabled=True, scopes=frozenset())
    assert await stores.clients.change_client(new.id, enabled=True, scopes=frozenset()) == client
    client = replace(client, permissions=frozenset({"q", "p"}))
    assert await stores.clients.change_client(new.id, permissions=frozenset({"q", "p"})) == client
    client = replace(client, epoch=1)
    assert await stores.clients.change_client(new.id, end_tokens=True) == client
    assert await stores.clients.find_client(new.id) == client


async def test_ending_all_tokens_spares_those_that_come_later(stores: Stores) -> None:
    client = await register(stores)
    old = await issue(stores, client)
    await stores.clients.change_client(client.id, end_tokens=True)
    new = await issue(stores, client)
    lives = []
    for pair in (old, new):
        found = await stores.tokens.find_access(pair.access)
        assert found is not None
        lives.append(is_live(*found))
    assert lives == [False, True]


async def test_a_deleted_client_leaves_no_living_token_and_no_credential(stores: Stores) -> None:
    client = await register(stores)
    assert await stores.clients.add_credential(a_credential(client.client), at_most=5)
    pair = await issue(stores, client)
    assert await stores.clients.delete_client(client.id)
    found = await stores.tokens.find_access(pair.access)
    assert found is not None
    assert found[1] is None
    assert await stores.clients.find_credential(client.key) is None
    assert not await stores.clients.delete_client(client.id)
    assert all([await stores.redis.pttl(key) > 0 for key in await stores.redis.keys("*")])


# --- credentials ---------------------------------------------------------------------------------------------------


async def test_a_registration_access_token_that_ended_is_not_brought_back(stores: Stores) -> None:
    """An update was let in by it, and it was reported as leaked before the update was written."""
    client = await register(stores)
    registered = Registration(client.id, b"t" * 32, b"{}")
    update, ended = replace(registered, metadata=b'{"a":1}'), replace(registered, manager_digest=b"")
    assert [await stores.clients.save_registration(each) for each in (registered, update)] == [True, True]
    assert await stores.clients.save_registration(ended)
    assert not await stores.clients.save_registration(update)
    assert await stores.clients.find_registration(client.id) == ended


async def test_credentials_are_added_up_to_a_limit(stores: Stores) -> None:
    client = await register(stores)
    second, third = a_credential(client.client), a_credential(client.client)
    assert await stores.clients.add_credential(second, at_most=2)
    assert await stores.clients.add_credential(second, at_most=2)  # repeatable
    assert not await stores.clients.add_credential(third, at_most=2)
    assert await keys_of(stores, client) == [client.key, second.client_key]
    assert await stores.clients.find_credential(third.client_key) is None


async def test_fifty_concurrent_additions_respect_the_limit(stores: Stores) -> None:
    client = await register(stores)
    new = [a_credential(client.client) for _ in range(50)]
    added = await asyncio.gather(*(stores.clients.add_credential(credential, at_most=5) for credential in new))
    assert added.count(True) == 4
    assert len(await keys_of(stores, client)) == 5


async def test_an_expired_credential_is_gone_and_makes_room(stores: Stores) -> None:
    client = await register(stores)
    soon = await stores.clients.now_ms() + DAY
    short = a_credential(client.client, expires_at=soon)
    assert await stores.clients.add_credential(short, at_most=2)
    assert DAY - 10_000 < await stores.redis.pttl(KEYS.credential(short.client_key)) <= DAY
    await stores.redis.pexpire(KEYS.credential(short.client_key), 0)
    assert await stores.clients.find_credential(short.client_key) is None
    found = await stores.clients.find_credentials(client.id)
    assert found is not None
    assert [credential.client_key for credential in found[1]] == [client.key]
    assert await stores.clients.add_credential(a_credential(client.client), at_most=2)
    assert len(await keys_of(stores, client)) == 2


async def test_keeping_a_client_keeps_the_end_of_its_credential(stores: Stores) -> None:
    new = a_client()
    soon = await stores.clients.now_ms() + DAY
    await stores.clients.create_client(new.client, replace(new.credential, expires_at=soon), provisional=True)
    assert await stores.redis.pttl(KEYS.credential(new.key)) <= PROVISIONAL_MS
    await stores.clients.keep_client(new.id)
    assert DAY - 10_000 < await stores.redis.pttl(KEYS.credential(new.key)) <= DAY


async def test_a_retired_credential_is_gone_and_its_tokens_live_unless_ended(stores: Stores) -> None:
    client = await register(stores)
    second = a_credential(client.client)
    assert await stores.clients.add_credential(second, at_most=5)
    assert await stores.clients.retire_credential(client.id, client.key, end_tokens=False)
    assert await stores.clients.find_credential(client.key) is None
    assert not await stores.clients.retire_credential(client.id, client.key, end_tokens=False)
    assert await stores.clients.retire_credential(client.id, second.client_key, end_tokens=True)
    found = await stores.clients.find_client(client.id)
    assert found is not None
    assert (found.keys, set(found.retired)) == ((), {second.client_key})
    assert 0 <= await stores.clients.now_ms() - found.retired[second.client_key] < 10_000


async def test_the_tokens_of_a_retired_credential_can_be_ended_later(stores: Stores) -> None:
    """Whoever learns of a leak after the rotation."""
    client = await register(stores)
    pair = await issue(stores, client)
    assert await stores.clients.retire_credential(client.id, client.key, end_tokens=False)
    assert await lives(stores, pair.access)
    assert await stores.clients.retire_credential(client.id, client.key, end_tokens=True)
    assert not await lives(stores, pair.access)
    assert not await stores.clients.retire_credential(client.id, client.key, end_tokens=True)


async def test_a_client_that_rotates_without_end_is_told_so(stores: Stores) -> None:
    """Its record remembers each retired credential while its tokens may live, and may not grow for ever."""
    client = await register(stores)
    for number in range(MAX_RETIRED):
        credential = a_credential(client.client)
        assert await stores.clients.add_credential(credential, at_most=10)
        assert await stores.clients.retire_credential(client.id, credential.client_key, end_tokens=bool(number % 2))
    assert not await stores.clients.add_credential(a_credential(client.client), at_most=10)
    patient = RedisClients(stores.clients._caller, longest_token=timedelta(0))
    assert await patient.add_credential(a_credential(client.client), at_most=10)


async def test_a_credential_is_found_by_its_secret_as_long_as_it_lives(stores: Stores) -> None:
    """Retired, deleted and forgotten ones are not, and nothing of them stays behind."""
    client = await register(stores)
    second = a_credential(client.client)
    assert await stores.clients.add_credential(second, at_most=2)

    def secret(credential: Credential) -> SecretRef:
        return SecretRef(client.id[4:7], credential.secret_digest)

    for credential in (client.credential, second):
        found = await stores.clients.find_by_secret(secret(credential))
        assert found is not None
        assert (found[0].client_id, found[1].client_key) == (client.id, credential.client_key)
    assert await stores.clients.find_by_secret(SecretRef(client.id[4:7], bytes(32))) is None
    assert await stores.clients.retire_credential(client.id, second.client_key, end_tokens=False)
    assert await stores.clients.find_by_secret(secret(second)) is None
    assert await stores.clients.delete_client(client.id)
    assert await stores.clients.find_by_secret(secret(client.credential)) is None
    assert await stores.redis.keys("*:sd:*") == []


async def test_what_leads_from_a_secret_lives_as_long_as_the_credential(stores: Stores) -> None:
    """A provisional client's, and a credential's that expires."""
    new = a_client()
    at = KEYS.secret(SecretRef(new.id[4:7], new.credential.secret_digest))
    await stores.clients.create_client(new.client, new.credential, provisional=True)
    assert 0 < await stores.redis.pttl(at) <= PROVISIONAL_MS
    assert await stores.clients.keep_client(new.id)
    assert await stores.redis.pttl(at) == -1
    later = await stores.clients.now_ms() + DAY
    brief = a_credential(new.client, expires_at=later)
    assert await stores.clients.add_credential(brief, at_most=2)
    assert 0 < await stores.redis.pttl(KEYS.secret(SecretRef(new.id[4:7], brief.secret_digest))) <= DAY


async def test_a_foreign_credential_can_not_be_retired(stores: Stores) -> None:
    mine, same_slot, other = await register(stores, "abc"), await register(stores, "abc"), await register(stores, "xyz")
    for foreign in (same_slot, other):
        assert not await stores.clients.retire_credential(mine.id, foreign.key, end_tokens=True)
        assert await stores.clients.find_credential(foreign.key) is not None


async def test_retired_credentials_are_forgotten_when_no_token_can_be_left(stores: Stores) -> None:
    clients = RedisClients(stores.caller, longest_token=timedelta(0))
    client = await register(stores)
    keys = [client.key]
    for _ in range(2):
        credential = a_credential(client.client)
        assert await clients.add_credential(credential, at_most=5)
        keys.append(credential.client_key)
    for key in keys[:2]:
        assert await clients.retire_credential(client.id, key, end_tokens=True)
        await asyncio.sleep(0.002)  # the store's clock must show another millisecond
    assert await clients.retire_credential(client.id, keys[2], end_tokens=False)
    found = await clients.find_client(client.id)
    assert found is not None
    assert found.retired == {}


async def test_a_credential_that_its_client_does_not_list_is_nobody(stores: Stores) -> None:
    client = await register(stores)
    await stores.clients.retire_credential(client.id, client.key, end_tokens=False)
    await stores.redis.set(KEYS.credential(client.key), encode_credential(client.credential))
    assert await stores.clients.find_credential(client.key) is None
    assert not await stores.tokens.issue(
        client.client, client.key, a_pair(client), frozenset(), access_ttl_ms=DAY, refresh_ttl_ms=DAY, max_live_chains=1
    )


async def test_last_use_is_told_for_each_credential(stores: Stores) -> None:
    one, two = await register(stores), await register(stores)
    before = await stores.clients.now_ms()
    await issue(stores, two)
    never, used = await stores.clients.last_used([one.key, two.key])
    assert never == Use(0, 0)
    assert before <= used.at_ms <= await stores.clients.now_ms()
    assert await stores.clients.last_used([]) == []
    assert await stores.redis.pttl(KEYS.last_used(two.key)) > 399 * DAY


async def test_using_a_client_does_not_write_its_record(stores: Stores) -> None:
    client = await register(stores)
    before = await stores.redis.get(KEYS.client(client.id))
    await issue(stores, client, a_pair(client))
    assert await stores.redis.get(KEYS.client(client.id)) == before
