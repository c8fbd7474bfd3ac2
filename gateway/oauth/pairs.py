"""An access token with its refresh token: minting them from entropy, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.oauth.ports import NewTokens
from gateway.oauth.tokens import (
    ENTROPY,
    ID_ENTROPY,
    AccessRef,
    RefreshRef,
    digest_access,
    digest_refresh,
    mint_access,
    mint_chain_id,
    mint_refresh,
)

FIRST_ENTROPY = 2 * ENTROPY + ID_ENTROPY
"""Bytes of entropy in the first pair of a chain."""
NEXT_ENTROPY = 2 * ENTROPY
"""Bytes of entropy in a later pair."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What goes to the client, once."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)


def mint_first(partition: str, entropy: bytes, *, refresh: bool) -> tuple[Pair, NewTokens]:
    """Mint an access token from `FIRST_ENTROPY` random bytes and, if asked, the first refresh token of a new chain."""
    chain_id = mint_chain_id(entropy[NEXT_ENTROPY:FIRST_ENTROPY])
    return _mint(partition, chain_id, entropy, refresh=refresh)


def mint_next(presented: RefreshRef, entropy: bytes) -> tuple[Pair, NewTokens]:
    """Mint the successor pair of a refresh token, in the same chain, from `NEXT_ENTROPY` random bytes."""
    return _mint(presented.partition, presented.chain_id, entropy, refresh=True)


def _mint(partition: str, chain_id: str, entropy: bytes, *, refresh: bool) -> tuple[Pair, NewTokens]:
    access = mint_access(partition, entropy[:ENTROPY])
    access_ref = AccessRef(partition, digest_access(access.encode("ascii")))
    if not refresh:
        return Pair(access, None), NewTokens(access_ref, None)
    token = mint_refresh(partition, chain_id, entropy[ENTROPY:NEXT_ENTROPY])
    return Pair(access, token), NewTokens(access_ref, RefreshRef(partition, chain_id, digest_refresh(token.encode("ascii"))))
