"""The contract of `AuthorizationStore`, on each kind of server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from os import urandom

import pytest

from gateway.oauth.ports import NewTokens, Redeemed, RedeemOutcome, RefreshOutcome
from gateway.oauth.records import Account, Code, Consent
from gateway.oauth.tokens import CodeRef, RefreshRef, find_code, mint_code
from gateway.store.authorizations import CONSENT_KEPT_MS, USED_KEPT_MS, RedisAuthorizations
from gateway.store.keys import Keys
from tests.store.shift import pass_time
from tests.store.stores import DAY, HOUR, Registered, Stores, a_pair, a_successor, lives, refresh, register

KEYS = Keys()
ANN = Account("ann@example.com", "hash", subject="gwu_ann")
READ = frozenset({"read"})
WRITE = frozenset({"write"})


class Flow:
    """A client, an account that trusts it, and codes."""

    def __init__(self, stores: Stores, client: Registered) -> None:
        self.stores, self.client = stores, client
        self.store = RedisAuthorizations(stores.caller)

    async def consent(self, scopes: frozenset[str] = READ) -> Consent:
        consent = await self.store.give_consent(ANN, self.client.id, scopes, at_most=3)
        assert consent is not None
        return consent

    async def code(self, **changes: object) -> tuple[CodeRef, Code]:
        consent = await self.consent()
        ref = find_code(mint_code(self.client.id[4:7], urandom(32)).encode())
        assert ref is not None
        code = Code(self.client.id, ANN.subject, READ, "https://e.com/cb", "C" * 43, consent.mark, self.client.client.epoch)
        code = replace(code, **changes)  # type: ignore[arg-type]
        await self.store.add_code(ref, code, life_ms=60_000)
        return ref, code

    async def redeem(
        self, ref: CodeRef, code: Code, pair: NewTokens | None = None, *, sound: bool = True, with_refresh: bool = True,
        client: Registered | None = None, at_most: int = 1000,
    ) -> Redeemed:  # fmt: skip
        client = client or self.client
        return await self.store.redeem(
            ref, replace(code, client_id=client.id), client.key, pair or a_pair(client), sound=sound, refresh=with_refresh,
            access_ttl_ms=HOUR, idle_ms=2 * DAY, longest_ms=5 * DAY, max_live_chains=at_most,
        )  # fmt: skip

    async def tokens(self, *, at_most: int = 1000) -> NewTokens:
        """An account's pair, by a code."""
        pair = a_pair(self.client)
        assert (await self.redeem(*await self.code(), pair, at_most=at_most)).outcome is RedeemOutcome.ISSUED
        return pair


@pytest.fixture
async def flow(stores: Stores) -> Flow:
    assert await stores.clients.claim_username(ANN.username, "claim")
    assert await stores.clients.confirm_username(ANN, "claim")
    return Flow(stores, await register(stores))


def of(pair: NewTokens) -> RefreshRef:
    assert pair.refresh is not None
    return pair.refresh


async def test_rfc6749_4_1_3_a_code_gives_its_scopes_to_a_pair_on_behalf_of_its_subject(flow: Flow) -> None:
    ref, code = await flow.code()
    assert await flow.store.find_code(ref) == code
    pair = a_pair(flow.client)
    assert await flow.redeem(ref, code, pair) == Redeemed(RedeemOutcome.ISSUED, READ)
    found = await flow.stores.tokens.find_access(pair.access)
    assert found is not None
    assert (found[0].subject, found[0].scopes, found[0].chain_id) == (ANN.subject, READ, of(pair).chain_id)
    chain = await flow.stores.tokens.find_refresh(of(pair))
    assert chain is not None
    assert (chain[0].subject, chain[0].scopes) == (ANN.subject, READ)


async def test_o26_a_second_use_ends_what_the_first_one_got(flow: Flow) -> None:
    """RFC 6749 section 4.1.2, however wrong the rest of it is."""
    ref, code = await flow.code()
    first = a_pair(flow.client)
    await flow.redeem(ref, code, first)
    rotated = a_successor(of(first))
    await refresh(flow.stores, flow.client, of(first), rotated)
    for sound in (False, True):
        second = a_pair(flow.client)
        assert (await flow.redeem(ref, code, second, sound=sound)).outcome is RedeemOutcome.REPLAYED
        assert not await lives(flow.stores, second.access)
    assert not await lives(flow.stores, first.access)
    assert not await lives(flow.stores, rotated.access)
    assert (await refresh(flow.stores, flow.client, of(rotated))).outcome is RefreshOutcome.UNKNOWN


async def test_o26_of_twenty_uses_at_once_one_is_the_first(flow: Flow) -> None:
    ref, code = await flow.code()
    answers = await asyncio.gather(*(flow.redeem(ref, code) for _ in range(20)))
    outcomes = [answer.outcome for answer in answers]
    assert (outcomes.count(RedeemOutcome.ISSUED), outcomes.count(RedeemOutcome.REPLAYED)) == (1, 19)


async def test_rfc7636_4_6_what_is_presented_wrong_is_burned(flow: Flow) -> None:
    ref, code = await flow.code()
    assert (await flow.redeem(ref, code, sound=False)).outcome is RedeemOutcome.BURNED
    assert await flow.store.find_code(ref) is None
    assert (await flow.redeem(ref, code)).outcome is RedeemOutcome.UNKNOWN


async def test_o26_another_client_can_neither_use_nor_burn_nor_end_it(flow: Flow) -> None:
    stranger = await register(flow.stores, flow.client.id[4:7])
    ref, code = await flow.code()
    for sound in (True, False):
        assert (await flow.redeem(ref, code, sound=sound, client=stranger)).outcome is RedeemOutcome.UNKNOWN
    pair = a_pair(flow.client)
    assert (await flow.redeem(ref, code, pair)).outcome is RedeemOutcome.ISSUED
    assert (await flow.redeem(ref, code, client=stranger)).outcome is RedeemOutcome.UNKNOWN
    assert await lives(flow.stores, pair.access)


async def test_o26_a_code_ends_by_itself_used_or_not(flow: Flow) -> None:
    unused, used = await flow.code(), await flow.code()
    await flow.redeem(*used)
    await pass_time(flow.stores.redis, 60_000)
    assert await flow.store.find_code(unused[0]) is None
    assert (await flow.redeem(*used)).outcome is RedeemOutcome.REPLAYED, "for as long as its thief may come"
    await pass_time(flow.stores.redis, USED_KEPT_MS)
    assert await flow.stores.redis.keys("gw:co:*") == []


@pytest.mark.parametrize(
    "end", ["disabled", "deleted", "key retired", "all its tokens ended", "consent ended", "consent forgotten"]
)
async def test_a_code_is_worth_nothing_once_what_it_rests_on_is_no_more(flow: Flow, end: str) -> None:
    code, clients, client_id = await flow.code(), flow.stores.clients, flow.client.id
    match end:
        case "disabled":
            await clients.change_client(client_id, enabled=False)
        case "deleted":
            await clients.delete_client(client_id)
        case "key retired":
            await clients.retire_credential(client_id, flow.client.key, end_tokens=False)
        case "all its tokens ended":
            await clients.change_client(client_id, end_tokens=True)
        case _:
            assert await flow.store.end_consent(ANN, client_id, forget=end.endswith("forgotten"))
            await flow.consent()
    assert (await flow.redeem(*code)).outcome is RedeemOutcome.UNKNOWN


async def test_without_a_refresh_token_its_access_token_still_ends_with_the_consent(flow: Flow) -> None:
    pair = a_pair(flow.client)
    await flow.redeem(*await flow.code(), pair, with_refresh=False)
    assert (await refresh(flow.stores, flow.client, of(pair))).outcome is RefreshOutcome.UNKNOWN
    assert await lives(flow.stores, pair.access)
    assert await flow.store.end_consent(ANN, flow.client.id, forget=True)
    assert not await lives(flow.stores, pair.access)


async def test_a_chain_ends_when_it_lies_idle_and_lives_on_when_it_is_used(flow: Flow) -> None:
    """RFC 9700 section 4.14.2: two days here."""
    idle, used = await flow.tokens(), await flow.tokens()
    await pass_time(flow.stores.redis, 2 * DAY - 1000)
    successor = a_successor(of(used))
    assert (await refresh(flow.stores, flow.client, of(used), successor)).outcome is RefreshOutcome.ROTATED
    await pass_time(flow.stores.redis, DAY)
    assert (await refresh(flow.stores, flow.client, of(idle))).outcome is RefreshOutcome.UNKNOWN
    assert (await refresh(flow.stores, flow.client, of(successor))).outcome is RefreshOutcome.ROTATED


async def test_a_chain_ends_at_last_however_often_it_is_used(flow: Flow) -> None:
    """Five days here; and no refresh promises more than that."""
    presented = of(await flow.tokens())
    for _ in range(5):
        successor = a_successor(presented)
        assert (await refresh(flow.stores, flow.client, presented, successor)).outcome is RefreshOutcome.ROTATED
        presented = of(successor)
        await pass_time(flow.stores.redis, DAY)
    assert (await refresh(flow.stores, flow.client, presented)).outcome is RefreshOutcome.UNKNOWN
    assert await flow.stores.redis.keys("gw:c[hx]:*") == []


async def test_a_refreshed_token_stays_on_behalf_of_its_subject_and_ends_with_the_consent(flow: Flow) -> None:
    first = await flow.tokens()
    second = a_successor(of(first))
    await refresh(flow.stores, flow.client, of(first), second)
    found = await flow.stores.tokens.find_access(second.access)
    assert found is not None
    assert found[0].subject == ANN.subject
    await pass_time(flow.stores.redis, DAY)
    third = a_successor(of(second))
    await refresh(flow.stores, flow.client, of(second), third)
    assert await flow.store.end_consent(ANN, flow.client.id, forget=False)
    assert not await lives(flow.stores, third.access)
    assert (await refresh(flow.stores, flow.client, of(third))).outcome is RefreshOutcome.UNKNOWN


async def test_over_the_most_chains_of_a_consent_the_one_that_would_end_first_ends(flow: Flow) -> None:
    """And the client's own chains, and those of other accounts, are not counted."""
    pairs = [await flow.tokens(at_most=2) for _ in range(3)]
    assert [await lives(flow.stores, pair.access) for pair in pairs].count(True) == 2
    assert await lives(flow.stores, pairs[2].access)
    assert await flow.stores.redis.zcard(KEYS.live_chains(flow.client.id)) == 0


async def test_revoking_a_refresh_token_takes_its_chain_off_the_consents_index(flow: Flow) -> None:
    pair = await flow.tokens()
    assert await flow.stores.tokens.revoke_refresh(flow.client.id, of(pair))
    assert not await lives(flow.stores, pair.access)
    assert await flow.stores.redis.keys("gw:cx:*") == []


async def test_a_consent_grows_and_is_found_again(flow: Flow) -> None:
    first = await flow.consent(READ)
    second = await flow.consent(WRITE)
    assert first.mark == second.mark, "codes that were given before stay good"
    assert await flow.store.find_consent(flow.client.id, ANN.subject) == replace(first, scopes=READ | WRITE)
    ((listed, given),) = await flow.store.consents(ANN)
    assert listed == replace(first, scopes=READ | WRITE)
    assert given >= first.mark // 1000
    assert await flow.store.find_consent(flow.client.id, "gwu_bob") is None


async def test_a_consent_that_is_forgotten_is_in_no_list_and_that_can_be_repeated(flow: Flow) -> None:
    await flow.consent()
    assert await flow.store.end_consent(ANN, flow.client.id, forget=True)
    assert await flow.store.consents(ANN) == []
    assert not await flow.store.end_consent(ANN, flow.client.id, forget=True)
    assert not await flow.store.end_consent(ANN, "nobody", forget=True)
    assert await flow.stores.redis.keys("gw:c[sn]:*") == []


async def test_an_account_gives_so_many_consents_and_can_repeat_each(flow: Flow) -> None:
    others = [await register(flow.stores) for _ in range(3)]
    await flow.consent()
    for client in others[:2]:
        assert await flow.store.give_consent(ANN, client.id, READ, at_most=3) is not None
    assert await flow.store.give_consent(ANN, others[2].id, READ, at_most=3) is None
    await flow.consent(WRITE)
    await flow.store.end_consent(ANN, others[0].id, forget=True)
    assert await flow.store.give_consent(ANN, others[2].id, READ, at_most=3) is not None


async def test_consents_end_by_themselves(flow: Flow) -> None:
    """Every key has a TTL."""
    await flow.consent()
    await pass_time(flow.stores.redis, CONSENT_KEPT_MS + 1)
    assert await flow.store.consents(ANN) == []
    assert await flow.stores.redis.keys("gw:c[sn]:*") == []


async def test_another_account_of_the_name_has_none_of_its_consents(flow: Flow) -> None:
    await flow.consent()
    assert await flow.stores.clients.delete_account(ANN.username)
    assert await flow.store.give_consent(ANN, flow.client.id, READ, at_most=3) is None
    new = replace(ANN, subject="gwu_new")
    assert await flow.stores.clients.claim_username(ANN.username, "claim")
    assert await flow.stores.clients.confirm_username(new, "claim")
    assert await flow.store.consents(new) == []
    assert await flow.store.give_consent(ANN, flow.client.id, READ, at_most=3) is None


async def test_a_code_of_another_partition_is_a_bug_of_the_caller(flow: Flow) -> None:
    ref, code = await flow.code()
    stranger = await register(flow.stores, "zzz")
    with pytest.raises(ValueError, match="partition"):
        await flow.store.redeem(
            ref, code, flow.client.key, a_pair(stranger), sound=True, refresh=True, access_ttl_ms=HOUR, idle_ms=DAY,
            longest_ms=DAY, max_live_chains=1,
        )  # fmt: skip
