"""Authorization codes and consents on Redis; implements `gateway.oauth.ports.AuthorizationStore`."""

from __future__ import annotations

import asyncio

from gateway.oauth.ports import MAX_LIVE_TOKENS, NewTokens, Redeemed, RedeemOutcome
from gateway.oauth.records import Account, Code, Consent
from gateway.oauth.tokens import CodeRef, is_client_id, raw
from gateway.store import codec
from gateway.store.caller import Caller
from gateway.store.keys import Keys
from gateway.store.resp import Word
from gateway.store.script import Script, answering
from gateway.store.tokens import too_many

USED_KEPT_MS = 600_000
"""A used code is remembered that long, so that its second use ends what the first one got."""
CONSENT_KEPT_MS = 400 * 24 * 3600 * 1000
"""A consent is remembered that long after it was last given."""

_END_CONSENT = Script("end_consent")
_GIVE_CONSENT = Script("give_consent")
_NOTE_CONSENT = Script("note_consent")
_REDEEM_CODE = Script("redeem_code")


class RedisAuthorizations:
    """Everything raises `StoreUnavailable` when the store does not answer, refuses, or holds a corrupt record."""

    def __init__(self, caller: Caller, prefix: str = "gw") -> None:
        self._caller = caller
        self._keys = Keys(prefix)

    async def add_code(self, ref: CodeRef, code: Code, *, life_ms: int) -> None:
        """Keep what a new code stands for."""
        with answering("add_code"):
            await self._caller.call("SET", self._keys.code(ref), codec.encode_code(code), "PX", life_ms)

    async def find_code(self, ref: CodeRef) -> Code | None:
        """What a code stands for, used or not; None when it is over."""
        with answering("find_code"):
            value = await self._caller.call("GET", self._keys.code(ref))
            return None if value is None else codec.decode_code(value, ref.partition)

    async def redeem(
        self, ref: CodeRef, code: Code, client_key: str, tokens: NewTokens, *, sound: bool, refresh: bool,
        access_ttl_ms: int, idle_ms: int, longest_ms: int, max_live_chains: int, source: bytes = b"",
        audience: frozenset[str] = frozenset(), max_live_tokens: int = MAX_LIVE_TOKENS,
    ) -> Redeemed:  # fmt: skip
        """
        Exchange a code, once: one script decides.

        ``tokens.refresh`` names the chain in any case; only with ``refresh`` is there such a token.  ``sound``: whether
        redirect URI and verifier were right.  Over ``max_live_chains`` of this client and account the oldest one ends.
        """
        chain = tokens.refresh
        if chain is None or not chain.partition == ref.partition == client_key[4:7]:
            raise ValueError("a code, its client and its chain are of one partition")
        at, client_id = self._keys, code.client_id
        keys = [
            at.client(client_id), at.credential(client_key), at.last_used(client_key), at.code(ref),
            at.consent(client_id, code.subject), at.token(tokens.access), at.chain(chain.partition, chain.chain_id),
            at.live_chains(client_id), at.live_tokens(client_id),
        ]  # fmt: skip
        args: list[Word] = [
            client_key, int(sound), tokens.access.digest, access_ttl_ms, raw(chain.chain_id), chain.digest if refresh else b"",
            idle_ms, longest_ms, max_live_chains, at.chains(ref.partition), at.tokens(ref.partition), USED_KEPT_MS,
            source, codec.join(audience), max_live_tokens,
        ]  # fmt: skip
        answer = await _REDEEM_CODE(self._caller, keys, args)
        if answer[0] == b"full":
            raise too_many(answer[1])
        outcome = RedeemOutcome(answer[0].decode("ascii"))
        if outcome is not RedeemOutcome.ISSUED:
            return Redeemed(outcome)
        return Redeemed(outcome, frozenset(answer[1].decode("ascii").split()), unkept=answer[2] == 2)

    async def give_consent(self, account: Account, client_id: str, scopes: frozenset[str], *, at_most: int) -> Consent | None:
        """
        Remember a consent, beside what it allowed before; None when the account gave ``at_most`` to others, or is gone.

        The account's list lies in another slot than the consent and is written first: what stands in no list could not be
        found when the account is deleted.
        """
        keys = [self._keys.account(account.username), self._keys.consents(account.username)]
        if await _NOTE_CONSENT(self._caller, keys, [client_id, account.subject, at_most, CONSENT_KEPT_MS]) != 1:
            return None
        consent = self._keys.consent(client_id, account.subject)
        mark = await _GIVE_CONSENT(self._caller, [consent], [codec.join(scopes), CONSENT_KEPT_MS])
        return Consent(client_id, account.subject, scopes, int(mark))

    async def find_consent(self, client_id: str, subject: str) -> Consent | None:
        """What an account lets a client do."""
        with answering("find_consent"):
            value = await self._caller.call("GET", self._keys.consent(client_id, subject))
            return None if value is None else codec.decode_consent(value, client_id, subject)

    async def consents(self, account: Account) -> list[tuple[Consent, int]]:
        """The consents that an account gave, with the time of the last one in ms, oldest first."""
        with answering("consents"):
            listed = await self._caller.call("HGETALL", self._keys.consents(account.username))
            pairs = listed.items() if isinstance(listed, dict) else zip(listed[::2], listed[1::2], strict=True)
            given = sorted(((str(client_id, "ascii"), int(time)) for client_id, time in pairs), key=lambda pair: pair[1])
        found = await asyncio.gather(*(self.find_consent(client_id, account.subject) for client_id, _ in given))
        return [(consent, time) for consent, (_, time) in zip(found, given, strict=True) if consent is not None]

    async def end_consent(self, account: Account, client_id: str, *, forget: bool) -> bool:
        """End all tokens and codes that rest on a consent, and with ``forget`` the consent; False when there was none."""
        if not is_client_id(client_id):
            return False
        at, partition = self._keys, client_id[4:7]
        args: list[Word] = [account.subject, int(forget), at.chains(partition), at.tokens(partition)]
        ended = await _END_CONSENT(self._caller, [at.consent(client_id, account.subject), at.live_chains(client_id)], args)
        if forget:  # last: until then it can be found, and ended again
            with answering("end_consent"):
                await self._caller.call("HDEL", at.consents(account.username), client_id)
        return bool(ended == 1)
