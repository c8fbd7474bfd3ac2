"""Client credentials: one live secret of several, and new ones."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.errors import InvalidInput
from gateway.oauth.records import Credential, Use
from gateway.oauth.tokens import ENTROPY, ID_ENTROPY, digest_public_key, digest_secret, mint_client_key, mint_secret

KEY_ENTROPY = ID_ENTROPY + ENTROPY
"""Bytes of entropy in a key with its secret."""

LONGEST_KEY = 400 * 24 * 3600
"""Seconds within which a key expires that does."""

_NOBODY = (Credential("", "", bytes(32)),)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """What a client is shown exactly once."""

    client_id: str
    client_key: str
    client_secret: str = field(repr=False)


def mint_key(client_id: str, partition: str, entropy: bytes, *, now_ms: int) -> tuple[IssuedKey, Credential]:
    """Mint a credential for a client from `KEY_ENTROPY` random bytes: what is shown of it and what is kept."""
    key = mint_client_key(partition, entropy[:ID_ENTROPY])
    secret = mint_secret(partition, entropy[ID_ENTROPY:KEY_ENTROPY])
    credential = Credential(key, client_id, digest_secret(secret.encode("ascii")), issued_at=now_ms)
    return IssuedKey(client_id, key, secret), credential


def hold_key(client_id: str, partition: str, jwk: bytes, entropy: bytes, *, now_ms: int) -> Credential:
    """A credential that is a public key, from `ID_ENTROPY` random bytes; there is nothing to show of it."""
    return Credential(mint_client_key(partition, entropy), client_id, digest_public_key(jwk), issued_at=now_ms, jwk=jwk)


def read_expiry(value: object) -> int:
    """
    Read in how many seconds a key is to expire; in ms, 0: never.

    Raises:
        InvalidInput: It is neither a whole number of seconds, `LONGEST_KEY` at most, nor null.
    """
    if value is None:
        return 0
    # JSON has one kind of number: 60.0 is 60.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= LONGEST_KEY or value % 1:
        raise InvalidInput(f"expires_in must be 1 to {LONGEST_KEY} seconds, or null for never")
    return int(value) * 1000


def retires_at(credential: Credential, used: Use, idle_ms: int) -> int:
    """When a credential retires by itself unless it is used, in ms of the store's clock; 0: never."""
    return max(credential.issued_at, used.at_ms) + idle_ms if idle_ms else 0


def find_match(credentials: Sequence[Credential], secret: str) -> Credential | None:
    """
    The credential with this secret.

    All are compared, each in constant time, and with none to compare a dummy is: an unknown client costs what a wrong
    secret costs.
    """
    digest = digest_secret(secret.encode("utf-8"))
    found: Credential | None = None
    for credential in credentials or _NOBODY:
        if hmac.compare_digest(credential.secret_digest, digest):
            found = credential
    return found
