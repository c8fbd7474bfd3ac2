"""The contract of `TokenStore`, on each kind of server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from os import urandom
from typing import Any

import msgpack
import pytest

from gateway.errors import TooManyRequests
from gateway.oauth.ports import Issued, NewTokens, RefreshOutcome
from gateway.oauth.tokens import AccessRef, RefreshRef, SecretRef, raw
from gateway.store.keys import Keys
from tests.store.shift import pass_time
from tests.store.stores import (
    DAY,
    HOUR,
    Registered,
    Stores,
    a_client,
    a_credential,
    a_pair,
    a_successor,
    issue,
    lives,
    refresh,
    register,
)

KEYS = Keys()
ROTATED, REPEATED, UNKNOWN, REPLAYED, WIDENED = (
    RefreshOutcome.ROTATED, RefreshOutcome.REPEATED, RefreshOutcome.UNKNOWN, RefreshOutcome.REPLAYED, RefreshOutcome.WIDENED,
)  # fmt: skip


async def peek(stores: Stores, key: bytes) -> dict[bytes, Any]:
    """The fields of a packed record."""
    fields: dict[bytes, Any] = msgpack.unpackb(await stores.redis.get(key), raw=True)
    return fields


async def rewrite(stores: Stores, key: bytes, **fields: Any) -> None:
    """Change fields of a packed record in place: how a test moves the time of one record."""
    record = await peek(stores, key) | {name.encode(): value for name, value in fields.items()}
    await stores.redis.set(key, msgpack.packb(record, use_bin_type=False), keepttl=True)


def chain_key(ref: RefreshRef | None) -> bytes:
    assert ref is not None
    return KEYS.chain(ref.partition, ref.chain_id)


# --- issue ---------------------------------------------------------------------------------------------------------


async def test_issuing_tells_whether_the_client_is_kept(stores: Stores) -> None:
    """With a refresh token and without."""
    client = a_client()
    await stores.clients.create_client(client.client, client.credential, provisional=True)
    for kept in (Issued.UNKEPT, Issued.STORED):
        for pair in (a_pair(client), replace(a_pair(client), refresh=None)):
            assert await stores.tokens.issue(
                client.client, client.key, pair, frozenset(), access_ttl_ms=HOUR, refresh_ttl_ms=DAY, max_live_chains=5,
            ) is kept  # fmt: skip
        await stores.clients.keep_client(client.id)


async def test_an_issued_pair_is_found_with_its_client(stores: Stores) -> None:
    client = await register(stores, scopes=frozenset({"a", "b"}), epoch=2)
    before = await stores.tokens.now_ms()
    pair = await issue(stores, client, scopes=frozenset({"a"}))
    assert pair.refresh is not None

    found = await stores.tokens.find_access(pair.access)
    assert found is not None
    token, owner, now = found
    assert owner is not None
    assert owner.client_id == token.client_id == client.id
    assert (token.client_key, token.chain_id, token.scopes, token.epoch) == (client.key, pair.refresh.chain_id, {"a"}, 2)
    assert before <= token.issued_at <= now <= await stores.tokens.now_ms()
    assert token.expires_at == token.issued_at + HOUR

    held = await stores.tokens.find_refresh(pair.refresh)
    assert held is not None
    chain, owner, _ = held
    assert owner is not None
    assert (chain.client_id, chain.client_key, chain.scopes, chain.epoch) == (client.id, client.key, {"a"}, 2)
    assert chain.expires_at == chain.issued_at + DAY
    assert chain.current == pair.refresh.digest


async def test_every_key_of_a_pair_expires(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    await refresh(stores, client, pair.refresh)
    secret = KEYS.secret(SecretRef(client.id[4:7], client.credential.secret_digest))
    for_ever = (KEYS.client(client.id), KEYS.credential(client.key), secret)
    for key in await stores.redis.keys("*"):
        ttl = await stores.redis.pttl(key)
        assert ttl > 0 or key in for_ever, key
    assert HOUR - 10_000 < await stores.redis.pttl(KEYS.token(pair.access)) <= HOUR
    assert DAY - 10_000 < await stores.redis.pttl(chain_key(pair.refresh)) <= DAY


async def test_a_leaked_refresh_token_ends_its_chain_and_a_guessed_one_nothing(stores: Stores) -> None:
    """The present and the last one; who learned a chain's id (logs show it) can't end it by that."""
    client = await register(stores)
    for spent in (False, True):
        pair, other = await issue(stores, client), await issue(stores, client)
        assert pair.refresh is not None
        if spent:
            await refresh(stores, client, pair.refresh)
        guessed = replace(pair.refresh, digest=bytes(32))
        assert await stores.tokens.end_leaked_chain(guessed) is None
        assert await lives(stores, pair.access)
        assert await stores.tokens.end_leaked_chain(pair.refresh) == client.id
        assert await stores.tokens.end_leaked_chain(pair.refresh) is None
        assert not await lives(stores, pair.access)
        assert await lives(stores, other.access)
    assert await stores.redis.zcard(KEYS.live_chains(client.id)) == 2


async def test_a_chain_is_kept_as_long_as_its_access_token(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client, access_ttl_ms=DAY, refresh_ttl_ms=HOUR)
    assert DAY - 10_000 < await stores.redis.pttl(chain_key(pair.refresh)) <= DAY


async def test_without_a_refresh_token_there_is_no_chain(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client, replace(a_pair(client), refresh=None))
    found = await stores.tokens.find_access(pair.access)
    assert found is not None
    assert found[0].chain_id == ""
    assert await stores.redis.keys("gw:c[hx]:*") == []


async def test_a_client_that_is_gone_disabled_or_lost_its_key_gets_nothing(stores: Stores) -> None:
    missing = a_client()
    disabled = await register(stores, enabled=False)
    retired, expired = await register(stores), await register(stores)
    assert await stores.clients.retire_credential(retired.id, retired.key, end_tokens=False)
    await stores.redis.delete(KEYS.credential(expired.key))
    for client in (missing, disabled, retired, expired):
        assert not await stores.tokens.issue(
            client.client, client.key, a_pair(client), frozenset(),
            access_ttl_ms=HOUR, refresh_ttl_ms=DAY, max_live_chains=1,
        )  # fmt: skip
    assert await stores.redis.keys("gw:at:*") == []
    assert await stores.redis.keys("gw:lu:*") == []


async def test_over_the_limit_the_oldest_chain_loses_its_refresh_token_only(stores: Stores) -> None:
    client = await register(stores)
    pairs = []
    for _ in range(4):
        pairs.append(await issue(stores, client, max_live_chains=2, refresh_ttl_ms=DAY + len(pairs)))
    outcomes = [(await refresh(stores, client, pair.refresh)).outcome for pair in pairs]
    assert outcomes == [UNKNOWN, UNKNOWN, ROTATED, ROTATED]
    assert all([await lives(stores, pair.access) for pair in pairs])
    assert await stores.redis.zcard(KEYS.live_chains(client.id)) == 2
    # What is left of a stripped chain goes with its last access token.
    assert await stores.redis.pttl(chain_key(pairs[0].refresh)) <= HOUR


async def test_a_stripped_chain_can_still_be_revoked_with_its_access_tokens(stores: Stores) -> None:
    client = await register(stores)
    first = await issue(stores, client, max_live_chains=1)
    await issue(stores, client, max_live_chains=1)
    assert first.refresh is not None
    assert await stores.tokens.find_refresh(first.refresh) is None
    assert await stores.tokens.revoke_refresh(client.id, first.refresh)
    assert not await lives(stores, first.access)


async def test_a_new_chain_is_never_the_one_that_is_stripped(stores: Stores) -> None:
    client = await register(stores)
    await issue(stores, client, max_live_chains=1, refresh_ttl_ms=DAY)
    short = await issue(stores, client, max_live_chains=1, refresh_ttl_ms=HOUR)
    assert (await refresh(stores, client, short.refresh)).outcome is ROTATED


async def test_expired_chains_leave_a_full_index_before_any_living_one_does(stores: Stores) -> None:
    client = await register(stores)
    index = KEYS.live_chains(client.id)
    first = await issue(stores, client, max_live_chains=3)
    await stores.redis.zadd(index, {b"old": 1, b"older": 0})
    await issue(stores, client, max_live_chains=3)
    assert await stores.redis.zcard(index) == 2
    assert (await refresh(stores, client, first.refresh)).outcome is ROTATED


async def test_the_index_lives_as_long_as_its_longest_chain(stores: Stores) -> None:
    client = await register(stores)
    for life, at_least, below in ((HOUR, 0, HOUR), (DAY, HOUR, DAY), (HOUR, HOUR, DAY)):
        await issue(stores, client, refresh_ttl_ms=life)
        assert at_least < await stores.redis.pttl(KEYS.live_chains(client.id)) <= below


# --- refresh -------------------------------------------------------------------------------------------------------


async def test_the_current_token_rotates_and_the_older_access_token_lives_on(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client, scopes=frozenset({"a", "b"}))
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    answer = await refresh(stores, client, pair.refresh, new)
    assert (answer.outcome, answer.scopes, answer.expires_in, answer.sealed) == (ROTATED, {"a", "b"}, 3600, b"")
    assert await lives(stores, pair.access)
    assert await lives(stores, new.access)
    assert new.refresh is not None
    assert await stores.tokens.find_refresh(new.refresh) is not None
    assert await stores.tokens.find_refresh(pair.refresh) is None


async def test_refreshing_does_not_prolong_the_chain(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    before = await stores.redis.pexpiretime(chain_key(pair.refresh))
    await refresh(stores, client, pair.refresh)
    assert await stores.redis.pexpiretime(chain_key(pair.refresh)) == before


async def test_a_retry_within_the_grace_gets_the_sealed_successor(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    await refresh(stores, client, pair.refresh, new)
    other = a_successor(pair.refresh)
    answer = await refresh(stores, client, pair.refresh, other)
    assert (answer.outcome, answer.sealed) == (REPEATED, new.sealed)
    assert 3590 <= answer.expires_in <= 3600
    assert await stores.tokens.find_access(other.access) is None


async def test_a_retry_says_what_is_left_of_the_access_token(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    await refresh(stores, client, pair.refresh, new)
    await rewrite(stores, chain_key(pair.refresh), y=await stores.tokens.now_ms() + 100_999)
    assert (await refresh(stores, client, pair.refresh)).expires_in in (99, 100)
    await rewrite(stores, chain_key(pair.refresh), y=1)
    assert (await refresh(stores, client, pair.refresh)).expires_in == 0


async def test_a_retry_promises_nothing_of_a_revoked_access_token(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    await refresh(stores, client, pair.refresh, new)
    assert await stores.tokens.revoke_access(client.id, pair.access)
    assert (await refresh(stores, client, pair.refresh)).expires_in > 3500
    assert await stores.tokens.revoke_access(client.id, new.access)
    answer = await refresh(stores, client, pair.refresh)
    assert (answer.outcome, answer.expires_in) == (REPEATED, 0)


async def test_using_the_new_access_token_does_not_end_the_grace_but_its_refresh_token_does(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    await refresh(stores, client, pair.refresh, new)
    assert await lives(stores, new.access)
    assert (await refresh(stores, client, pair.refresh)).outcome is REPEATED
    assert (await refresh(stores, client, new.refresh)).outcome is ROTATED
    assert (await refresh(stores, client, pair.refresh)).outcome is REPLAYED
    assert not await lives(stores, new.access)


async def test_after_the_grace_a_retry_is_a_replay_and_kills_this_chain_alone(stores: Stores) -> None:
    client = await register(stores)
    pair, other = await issue(stores, client), await issue(stores, client)
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    await refresh(stores, client, pair.refresh, new)
    await rewrite(stores, chain_key(pair.refresh), t=await stores.tokens.now_ms() - 30_000)
    assert (await refresh(stores, client, pair.refresh)).outcome is REPLAYED
    assert not await lives(stores, pair.access)
    assert not await lives(stores, new.access)
    assert await stores.redis.zrange(KEYS.live_chains(client.id), 0, -1) == [raw(other.refresh.chain_id)]  # type: ignore[union-attr]
    assert await lives(stores, other.access)
    assert (await refresh(stores, client, other.refresh)).outcome is ROTATED
    assert (await refresh(stores, client, new.refresh)).outcome is UNKNOWN


async def test_with_a_grace_of_zero_any_second_use_kills(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    assert (await refresh(stores, client, pair.refresh, grace_ms=0)).outcome is ROTATED
    assert (await refresh(stores, client, pair.refresh, grace_ms=0)).outcome is REPLAYED


async def test_a_retry_with_another_scope_gets_nothing_and_harms_nothing(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client, scopes=frozenset({"a", "b"}))
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    narrow = frozenset({"a"})
    assert (await refresh(stores, client, pair.refresh, new, scopes=narrow)).scopes == narrow
    assert (await refresh(stores, client, pair.refresh)).outcome is UNKNOWN
    assert await lives(stores, new.access)
    answer = await refresh(stores, client, pair.refresh, scopes=narrow)
    assert (answer.outcome, answer.scopes) == (REPEATED, narrow)


async def test_rfc6749_6_narrowing_holds_for_the_access_token_alone(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client, scopes=frozenset({"a", "b"}))
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    await refresh(stores, client, pair.refresh, new, scopes=frozenset({"b"}))
    found = await stores.tokens.find_access(new.access)
    assert found is not None
    assert found[0].scopes == {"b"}
    assert (await refresh(stores, client, new.refresh)).scopes == {"a", "b"}


async def test_rfc6749_6_widening_is_told_and_changes_nothing(stores: Stores) -> None:
    client = await register(stores, scopes=frozenset({"a", "b"}))
    pair = await issue(stores, client, scopes=frozenset({"a"}))
    assert (await refresh(stores, client, pair.refresh, scopes=frozenset({"a", "b"}))).outcome is WIDENED
    assert (await refresh(stores, client, pair.refresh)).outcome is ROTATED


async def test_rfc6749_6_a_foreign_client_neither_gets_nor_kills(stores: Stores) -> None:
    owner = await register(stores, "abc")
    pair = await issue(stores, owner)
    for partition in ("abc", "xyz"):
        stranger = await register(stores, partition)
        assert (await refresh(stores, stranger, pair.refresh)).outcome is UNKNOWN
        assert pair.refresh is not None
        forged = replace(pair.refresh, digest=urandom(32))
        assert (await refresh(stores, stranger, forged)).outcome is UNKNOWN
    assert await lives(stores, pair.access)
    assert (await refresh(stores, owner, pair.refresh)).outcome is ROTATED


async def test_an_unknown_digest_of_the_own_chain_is_a_replay(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    assert pair.refresh is not None
    assert (await refresh(stores, client, replace(pair.refresh, digest=urandom(32)))).outcome is REPLAYED
    assert not await lives(stores, pair.access)


async def test_a_chain_past_its_own_end_is_refused_although_its_record_is_kept(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    await rewrite(stores, chain_key(pair.refresh), x=await stores.tokens.now_ms())
    assert (await refresh(stores, client, pair.refresh)).outcome is UNKNOWN
    assert await lives(stores, pair.access)


@pytest.mark.parametrize("how", ["disabled", "deleted", "epoch", "retired", "retired and ended", "expired credential"])
async def test_a_refresh_needs_a_client_that_still_stands_behind_it(stores: Stores, how: str) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    if how == "disabled":
        await stores.clients.change_client(client.id, enabled=False)
    elif how == "deleted":
        await stores.clients.delete_client(client.id)
    elif how == "epoch":
        await stores.clients.change_client(client.id, end_tokens=True)
    elif how == "expired credential":
        await stores.redis.delete(KEYS.credential(client.key))
    else:
        await stores.clients.retire_credential(client.id, client.key, end_tokens=how == "retired and ended")
    assert (await refresh(stores, client, pair.refresh)).outcome is UNKNOWN
    assert await stores.redis.exists(chain_key(pair.refresh))
    assert await lives(stores, pair.access) == (how in ("retired", "expired credential"))


async def test_a_chain_moves_to_the_credential_that_refreshed_it(stores: Stores) -> None:
    client = await register(stores)
    second = a_credential(client.client)
    assert await stores.clients.add_credential(second, at_most=5)
    pair = await issue(stores, client)
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    assert (await refresh(stores, client, pair.refresh, new, client_key=second.client_key)).outcome is ROTATED
    await stores.clients.retire_credential(client.id, client.key, end_tokens=True)
    assert not await lives(stores, pair.access)
    assert await lives(stores, new.access)
    newest = a_successor(pair.refresh)
    assert (await refresh(stores, client, new.refresh, newest, client_key=second.client_key)).outcome is ROTATED
    await stores.clients.retire_credential(client.id, second.client_key, end_tokens=True)
    assert not await lives(stores, newest.access)


async def test_a_chain_holds_at_most_256_live_access_tokens(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    presented, seen = pair.refresh, [pair.access]
    for _ in range(256):
        assert presented is not None
        new = a_successor(presented)
        assert (await refresh(stores, client, presented, new)).outcome is ROTATED
        presented = new.refresh
        seen.append(new.access)
    assert [await lives(stores, ref) for ref in seen[:3]] == [False, True, True]
    assert len(await stores.redis.keys("gw:at:*")) == 256
    assert presented is not None
    assert await stores.tokens.revoke_refresh(client.id, presented)
    assert await stores.redis.keys("gw:at:*") == []


async def test_dead_access_tokens_leave_the_chain_at_the_next_refresh(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    await rewrite(stores, chain_key(pair.refresh), a=[pair.access.digest, 1])
    await refresh(stores, client, pair.refresh)
    assert len((await peek(stores, chain_key(pair.refresh)))[b"a"]) == 2


async def test_a_field_of_a_newer_version_survives(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    await rewrite(stores, chain_key(pair.refresh), zz=b"new")
    await rewrite(stores, KEYS.client(client.id), zz=[1])
    assert (await refresh(stores, client, pair.refresh)).outcome is ROTATED
    assert await stores.clients.change_client(client.id, enabled=True) is not None
    assert (await peek(stores, chain_key(pair.refresh)))[b"zz"] == b"new"
    assert (await peek(stores, KEYS.client(client.id)))[b"zz"] == [1]


async def test_fifty_concurrent_refreshes_give_one_pair(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    assert pair.refresh is not None
    minted = [a_successor(pair.refresh) for _ in range(50)]
    answers = await asyncio.gather(*(refresh(stores, client, pair.refresh, new) for new in minted))
    winners = [new for new, answer in zip(minted, answers, strict=True) if answer.outcome is ROTATED]
    assert len(winners) == 1
    assert {answer.sealed for answer in answers if answer.outcome is REPEATED} == {winners[0].sealed}
    assert [answer.outcome for answer in answers].count(REPEATED) == 49
    assert [new for new in minted if await lives(stores, new.access)] == winners


# --- revoke --------------------------------------------------------------------------------------------------------


async def test_rfc7009_2_1_a_revoked_access_token_is_dead_and_its_refresh_token_is_not(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    assert await stores.tokens.revoke_access(client.id, pair.access)
    assert await stores.tokens.find_access(pair.access) is None
    assert not await stores.tokens.revoke_access(client.id, pair.access)
    assert (await refresh(stores, client, pair.refresh)).outcome is ROTATED


async def test_rfc7009_2_1_a_revoked_refresh_token_takes_its_access_tokens_along(stores: Stores) -> None:
    client = await register(stores)
    pair, other = await issue(stores, client), await issue(stores, client)
    assert pair.refresh is not None
    new = a_successor(pair.refresh)
    await refresh(stores, client, pair.refresh, new)
    assert await stores.tokens.revoke_refresh(client.id, pair.refresh)  # a spent one names the chain as well
    for ref in (pair.access, new.access):
        assert await stores.tokens.find_access(ref) is None
    assert (await refresh(stores, client, new.refresh)).outcome is UNKNOWN
    assert not await stores.tokens.revoke_refresh(client.id, pair.refresh)
    assert await lives(stores, other.access)


async def test_rfc7009_2_1_a_foreign_token_is_neither_ended_nor_told_apart(stores: Stores) -> None:
    owner = await register(stores, "abc")
    pair = await issue(stores, owner)
    assert pair.refresh is not None
    for partition in ("abc", "xyz"):
        stranger = await register(stores, partition)
        assert not await stores.tokens.revoke_access(stranger.id, pair.access)
        assert not await stores.tokens.revoke_refresh(stranger.id, pair.refresh)
    assert await lives(stores, pair.access)
    assert await stores.tokens.find_refresh(pair.refresh) is not None


async def test_an_access_token_without_a_chain_can_be_revoked(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client, NewTokens(a_pair(client).access, None))
    assert await stores.tokens.revoke_access(client.id, pair.access)
    assert not await lives(stores, pair.access)


async def race(stores: Stores, client: Registered) -> list[AccessRef]:
    pair = await issue(stores, client)
    assert pair.refresh is not None
    minted = [a_successor(pair.refresh) for _ in range(4)]
    await asyncio.gather(
        *(refresh(stores, client, pair.refresh, new) for new in minted[:2]),
        stores.tokens.revoke_refresh(client.id, pair.refresh),
        *(refresh(stores, client, pair.refresh, new) for new in minted[2:]),
    )
    return [pair.access, *(new.access for new in minted)]


async def test_a_refresh_that_races_revoke_never_leaves_a_living_token(stores: Stores) -> None:
    client = await register(stores)
    refs = [ref for refs in await asyncio.gather(*(race(stores, client) for _ in range(25))) for ref in refs]
    assert not any([await lives(stores, ref) for ref in refs])
    assert await stores.redis.keys("gw:at:*") == []
    assert await stores.redis.keys("gw:ch:*") == []


async def test_the_clock_is_the_stores(stores: Stores) -> None:
    first = await stores.tokens.now_ms()
    assert first > 1_700_000_000_000
    assert await stores.clients.now_ms() >= first


async def test_the_chains_of_a_client_are_found_those_first_that_live_longest(stores: Stores) -> None:
    """So many at most, nobody else's, and none whose time has come."""
    me, other = await register(stores, "abc"), await register(stores, "abc")
    short = await issue(stores, me, refresh_ttl_ms=HOUR, access_ttl_ms=HOUR)
    pairs = [await issue(stores, me, refresh_ttl_ms=DAY + number * HOUR, scopes=frozenset({"a", "b"})) for number in range(3)]
    await issue(stores, other)
    expected = [pair.refresh.chain_id for pair in reversed(pairs) if pair.refresh]
    found = await stores.tokens.find_chains(me.id, at_most=3)
    assert [chain.chain_id for chain in found] == expected
    assert {(chain.client_id, chain.client_key, chain.scopes) for chain in found} == {(me.id, me.key, frozenset({"a", "b"}))}
    assert short.refresh is not None
    assert [chain.chain_id for chain in await stores.tokens.find_chains(me.id, at_most=9)] == [*expected, short.refresh.chain_id]
    await pass_time(stores.redis, HOUR)
    assert [chain.chain_id for chain in await stores.tokens.find_chains(me.id, at_most=9)] == expected


async def test_a_chain_is_ended_by_its_id_by_its_client_alone(stores: Stores) -> None:
    """What is no id ends nothing and is no fault."""
    me, other = await register(stores, "abc"), await register(stores, "abc")
    pair = await issue(stores, me)
    assert pair.refresh is not None
    chain_id = pair.refresh.chain_id
    for client_id, said in ((other.id, chain_id), (me.id, "x"), (me.id, chain_id + "A"), (me.id, "{" * 22), ("x", chain_id)):
        assert not await stores.tokens.revoke_chain(client_id, said)
    assert await lives(stores, pair.access)
    assert await stores.tokens.revoke_chain(me.id, chain_id)
    assert not await stores.tokens.revoke_chain(me.id, chain_id)
    assert not await lives(stores, pair.access)
    assert await stores.tokens.find_chains(me.id, at_most=9) == []


async def test_live_access_tokens_are_counted_by_when_they_expire(stores: Stores) -> None:
    """Whoever gives them; the count takes little room, and goes with the last of them or with its client."""
    client = await register(stores)
    key = KEYS.live_tokens(client.id)
    for ttl in (HOUR, HOUR + 1, 2 * HOUR, 500):
        await issue(stores, client, access_ttl_ms=ttl)
    assert await stores.redis.hget(key, "n") == b"4"
    assert HOUR < await stores.redis.pttl(key) <= 2 * HOUR + 2 * HOUR // 16
    await pass_time(stores.redis, HOUR + HOUR // 8)
    with pytest.raises(TooManyRequests) as caught:
        await issue(stores, client, max_live_tokens=1)
    assert 0 < int(dict(caught.value.headers)["Retry-After"]) <= 3600
    await issue(stores, client, max_live_tokens=2)
    assert await stores.redis.hget(key, "n") == b"2"
    assert await stores.redis.hlen(key) == 3
    await stores.clients.delete_client(client.id)
    assert not await stores.redis.exists(key)


async def test_of_many_at_once_no_more_are_issued_than_may_live(stores: Stores) -> None:
    """One script counts and stores."""
    client = await register(stores)
    given = await asyncio.gather(*(issue(stores, client, max_live_tokens=5) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, TooManyRequests) for answer in given) == 15
    assert len(await stores.redis.keys("gw:at:*")) == 5
