"""What the token store is meant to do, in plain Python: the oracle of the state machine.  Times are seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.oauth.ports import NewTokens, RefreshOutcome
from gateway.oauth.tokens import AccessRef, RefreshRef

ACCESS_TTL, GRACE, MAX_CHAINS = 110, 30, 3


@dataclass
class ModelClient:
    """A client as the model sees it."""

    enabled: bool = True
    deleted: bool = False
    epoch: int = 0
    keys: list[str] = field(default_factory=list)
    ended_keys: set[str] = field(default_factory=set)
    retired_keys: set[str] = field(default_factory=set)


@dataclass
class ModelToken:
    """An access token or, of a chain, what its current refresh token stands for."""

    owner: ModelClient
    key: str
    scopes: frozenset[str]
    epoch: int
    expires: int
    ended: bool = False

    def lives(self, now: int) -> bool:
        """Whether it may be used now."""
        return (
            not self.ended
            and now < self.expires
            and self.owner.enabled
            and not self.owner.deleted
            and self.epoch >= self.owner.epoch
            and self.key not in self.owner.ended_keys
        )


@dataclass
class ModelChain(ModelToken):
    """A chain of refresh tokens."""

    current: RefreshRef | None = None
    taken: RefreshRef | None = None
    previous: RefreshRef | None = None
    rotated: int = 0
    asked: frozenset[str] = frozenset()
    sealed: bytes = b""
    successor: ModelToken | None = None
    accesses: list[ModelToken] = field(default_factory=list)


@dataclass
class Model:
    """All clients and tokens, and a clock."""

    now: int = 0
    accesses: dict[AccessRef, ModelToken] = field(default_factory=dict)
    chains: dict[str, ModelChain] = field(default_factory=dict)

    def issue(self, owner: ModelClient, key: str, pair: NewTokens, scopes: frozenset[str], life: int) -> bool:
        """A new pair, if the client may; over the limit the oldest chain loses its refresh token."""
        if owner.deleted or not owner.enabled or key not in owner.keys:
            return False
        assert pair.refresh is not None
        access = self._access(owner, key, pair, scopes)
        live = [
            chain
            for chain in self.chains.values()
            if chain.owner is owner and not chain.ended and chain.current is not None and self.now < chain.expires
        ]
        if len(live) >= MAX_CHAINS:
            oldest = min(live, key=lambda chain: chain.expires)
            oldest.taken, oldest.current, oldest.previous = oldest.current, None, None
        self.chains[pair.refresh.chain_id] = ModelChain(
            owner, key, scopes, owner.epoch, self.now + life, current=pair.refresh, accesses=[access]
        )
        return True

    def refresh(
        self, owner: ModelClient, key: str, presented: RefreshRef, new: NewTokens, asked: frozenset[str] | None
    ) -> tuple[RefreshOutcome, bytes]:
        """What becomes of a presented refresh token, and the sealed successor where it is handed out again."""
        chain = self.chains[presented.chain_id]
        may_act = owner.enabled and not owner.deleted and key in owner.keys
        if not may_act or chain.owner is not owner or chain.current is None or not chain.lives(self.now):
            return RefreshOutcome.UNKNOWN, b""
        scopes = chain.scopes if asked is None else asked
        if presented == chain.current:
            if not scopes <= chain.scopes:
                return RefreshOutcome.WIDENED, b""
            chain.successor = self._access(owner, key, new, scopes)
            chain.accesses.append(chain.successor)
            chain.key, chain.previous, chain.current = key, presented, new.refresh
            chain.rotated, chain.asked, chain.sealed = self.now, scopes, new.sealed
            return RefreshOutcome.ROTATED, b""
        if presented == chain.previous and self.now < chain.rotated + GRACE:
            return (RefreshOutcome.REPEATED, chain.sealed) if scopes == chain.asked else (RefreshOutcome.UNKNOWN, b"")
        self.end(chain)
        return RefreshOutcome.REPLAYED, b""

    def revoke_access(self, owner: ModelClient, ref: AccessRef) -> bool:
        """End an access token, if it is the client's and its record is still there."""
        token = self.accesses[ref]
        if token.owner is not owner or token.ended or self.now >= token.expires:
            return False
        token.ended = True
        return True

    def revoke_refresh(self, owner: ModelClient, chain_id: str) -> bool:
        """End a chain, if it is the client's and its record is still there."""
        chain = self.chains[chain_id]
        kept = [token.expires for token in chain.accesses if not token.ended]
        till = max([*kept, chain.expires if chain.current is not None else 0])
        if chain.owner is not owner or chain.ended or self.now >= till:
            return False
        self.end(chain)
        return True

    def end(self, chain: ModelChain) -> None:
        """A chain's end is that of its access tokens."""
        chain.ended = True
        for token in chain.accesses:
            token.ended = True

    def _access(self, owner: ModelClient, key: str, pair: NewTokens, scopes: frozenset[str]) -> ModelToken:
        token = ModelToken(owner, key, scopes, owner.epoch, self.now + ACCESS_TTL)
        self.accesses[pair.access] = token
        return token
