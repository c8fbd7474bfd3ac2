"""Access tokens and chains of refresh tokens on Redis; implements `gateway.oauth.ports.TokenStore`."""

from __future__ import annotations

from hmac import compare_digest

from gateway.errors import TooManyRequests
from gateway.oauth.ports import MAX_LIVE_TOKENS, Issued, NewTokens, Refreshed, RefreshOutcome
from gateway.oauth.records import AccessToken, Chain, Client
from gateway.oauth.tokens import AccessRef, RefreshRef, is_chain_id, is_client_id, raw, text
from gateway.store import codec
from gateway.store.caller import Caller
from gateway.store.clients import read_clock
from gateway.store.keys import Keys
from gateway.store.resp import Word
from gateway.store.script import Script, answering

_END_LEAKED_CHAIN = Script("end_leaked_chain")
_FIND_CHAINS = Script("find_chains")
_FIND_WITH_CLIENT = Script("find_with_client")
_ISSUE = Script("issue")
_REFRESH = Script("refresh")
_REVOKE_ACCESS = Script("revoke_access")
_REVOKE_CHAIN = Script("revoke_chain")


def too_many(wait_ms: int) -> TooManyRequests:
    """The refusal of a client that has as many live access tokens as it may."""
    return TooManyRequests("The client has too many live access tokens", retry_after=-(-wait_ms // 1000), reason="live_tokens")


class RedisTokens:
    """Everything raises `StoreUnavailable` when the store does not answer, refuses, or holds a corrupt record."""

    def __init__(self, caller: Caller, prefix: str = "gw") -> None:
        self._caller = caller
        self._keys = Keys(prefix)

    async def issue(
        self, client: Client, client_key: str, tokens: NewTokens, scopes: frozenset[str], *,
        access_ttl_ms: int, refresh_ttl_ms: int, max_live_chains: int, source: bytes = b"",
        audience: frozenset[str] = frozenset(), max_live_tokens: int = MAX_LIVE_TOKENS,
    ) -> Issued:  # fmt: skip
        """
        Store a new access token and, where ``tokens.refresh`` is given, its chain.

        A chain over ``max_live_chains`` takes the refresh token from the client's oldest one, never its access tokens.
        """
        access, refresh, at = tokens.access, tokens.refresh, self._keys
        keys = [at.client(client.client_id), at.credential(client_key), at.token(access), at.last_used(client_key)]
        keys.append(at.live_tokens(client.client_id))
        args: list[Word] = [client_key, codec.join(scopes), access.digest, access_ttl_ms]
        if refresh is None:
            args += ["", b"", 0, 0, b""]
        else:
            keys += [at.chain(refresh.partition, refresh.chain_id), at.live_chains(client.client_id)]
            args += [raw(refresh.chain_id), refresh.digest, refresh_ttl_ms, max_live_chains, at.chains(refresh.partition)]
        args += [source, codec.join(audience), max_live_tokens]
        answer: int = await _ISSUE(self._caller, keys, args)
        if answer < 0:
            raise too_many(-answer)
        return Issued(answer)

    async def refresh(
        self, client_id: str, client_key: str, presented: RefreshRef, tokens: NewTokens, scopes: frozenset[str] | None, *,
        access_ttl_ms: int, grace_ms: int, source: bytes = b"",
        audience: frozenset[str] = frozenset(), max_live_tokens: int = MAX_LIVE_TOKENS,
    ) -> Refreshed:  # fmt: skip
        """
        Present a refresh token: one script decides, rotates and keeps or discards the minted successor.

        ``scopes`` None means the scope of the presented token, an empty ``audience`` its resources.
        ``tokens.refresh`` is of the presented token's chain.
        """
        if not self._share_a_slot(client_id, client_key, presented.partition):
            return Refreshed(RefreshOutcome.UNKNOWN)
        if tokens.refresh is None or tokens.refresh.chain_id != presented.chain_id:
            raise ValueError("the successor must be of the presented token's chain")
        at = self._keys
        answer = await _REFRESH(
            self._caller,
            [
                at.client(client_id), at.credential(client_key), at.last_used(client_key),
                at.chain(presented.partition, presented.chain_id), at.live_chains(client_id), at.token(tokens.access),
                at.live_tokens(client_id),
            ],
            [
                codec.shorten(client_id), client_key, raw(presented.chain_id), presented.digest, tokens.refresh.digest,
                tokens.access.digest, tokens.sealed, codec.join(scopes or frozenset()), int(scopes is not None),
                access_ttl_ms, grace_ms, at.tokens(presented.partition), source,
                codec.join(audience), max_live_tokens,
            ],
        )  # fmt: skip
        if answer[0] == b"full":
            raise too_many(answer[1])
        outcome = RefreshOutcome(answer[0].decode("ascii"))
        granted = frozenset(answer[1].decode("ascii").split()) if len(answer) > 1 else frozenset()
        if outcome is RefreshOutcome.REPEATED:
            return Refreshed(outcome, granted, answer[2] // 1000, answer[3])
        return Refreshed(outcome, granted, access_ttl_ms // 1000 if outcome is RefreshOutcome.ROTATED else 0)

    async def find_access(self, ref: AccessRef) -> tuple[AccessToken, Client | None, int] | None:
        """The record of an access token with its client (None when the client is gone), and the store's time, ms."""
        found = await self._find("token", self._keys.token(ref), ref.partition)
        if found is None:
            return None
        with answering("find_access"):
            return codec.decode_token(found[0], ref.partition), _client(found[1]), found[2]

    async def find_refresh(self, ref: RefreshRef) -> tuple[Chain, Client | None, int] | None:
        """The chain whose *current* refresh token this is, with its client and the time; None for a spent or unknown one."""
        found = await self._find("chain", self._keys.chain(ref.partition, ref.chain_id), ref.partition)
        if found is None:
            return None
        with answering("find_refresh"):
            chain = codec.decode_chain(found[0], ref.partition, ref.chain_id)
            if not compare_digest(chain.current, ref.digest):
                return None
            return chain, _client(found[1]), found[2]

    async def find_chain(self, ref: RefreshRef) -> Chain | None:
        """The chain of a refresh token, whether it is the current one or not."""
        with answering("find_chain"):
            value = await self._caller.call("GET", self._keys.chain(ref.partition, ref.chain_id))
            return None if value is None else codec.decode_chain(value, ref.partition, ref.chain_id)

    async def revoke_access(self, client_id: str, ref: AccessRef) -> bool:
        """End an access token if it is the client's; False (and nothing done) otherwise."""
        args: list[Word] = [codec.shorten(client_id), ref.digest, self._keys.chains(ref.partition)]
        return bool(await _REVOKE_ACCESS(self._caller, [self._keys.token(ref)], args) == 1)

    async def revoke_refresh(self, client_id: str, ref: RefreshRef) -> bool:
        """End the chain and its access tokens if it is the client's, whichever token of the chain was presented."""
        return client_id[4:7] == ref.partition and await self.revoke_chain(client_id, ref.chain_id)

    async def revoke_chain(self, client_id: str, chain_id: str) -> bool:
        """The same by the chain's id; False also for a string that is none."""
        if not is_client_id(client_id) or not is_chain_id(chain_id):
            return False
        partition = client_id[4:7]
        keys = [self._keys.chain(partition, chain_id), self._keys.live_chains(client_id)]
        args: list[Word] = [codec.shorten(client_id), raw(chain_id), self._keys.tokens(partition)]
        return bool(await _REVOKE_CHAIN(self._caller, keys, args) == 1)

    async def find_chains(self, client_id: str, *, at_most: int) -> list[Chain]:
        """Chains of a client that have a refresh token whose time has not come, those first that live longest."""
        partition = client_id[4:7]
        args: list[Word] = [at_most, self._keys.chains(partition)]
        found = await _FIND_CHAINS(self._caller, [self._keys.live_chains(client_id)], args)
        with answering("find_chains"):
            pairs = zip(found[::2], found[1::2], strict=True)
            return [codec.decode_chain(value, partition, text(chain_id)) for chain_id, value in pairs]

    async def end_leaked_chain(self, ref: RefreshRef) -> str | None:
        """
        End the chain and its access tokens, whoever's it is, if this is its present or its last refresh token.

        Returns the client id, or None when nothing was ended.
        """
        at, partition = self._keys, ref.partition
        args: list[Word] = [raw(ref.chain_id), ref.digest, at.live_chains_short(partition), at.tokens(partition)]
        ended = await _END_LEAKED_CHAIN(self._caller, [at.chain(partition, ref.chain_id)], args)
        return None if ended is None else f"gwc_{partition}{ended.decode('ascii')}"

    async def now_ms(self) -> int:
        """The store's clock."""
        return await read_clock(self._caller)

    async def _find(self, kind: str, key: bytes, partition: str) -> tuple[bytes, bytes | None, int] | None:
        found = await _FIND_WITH_CLIENT(self._caller, [key], [kind, self._keys.clients_short(partition)])
        return None if found is None else (found[0], found[1], found[2])

    @staticmethod
    def _share_a_slot(client_id: str, client_key: str, partition: str) -> bool:
        return client_id[4:7] == client_key[4:7] == partition


def _client(value: bytes | None) -> Client | None:
    return None if value is None else codec.decode_client(value)
