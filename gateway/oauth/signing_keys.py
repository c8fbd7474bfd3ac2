"""
The keys that sign JWT access tokens: how they are sealed, when they change, and what is published of them.

A key is sealed with AES-256-GCM under HKDF-SHA256 (RFC 5869) of a secret that the store does not have, so a copy of the store
signs nothing.  All instances share one ring of keys.  A new key is published `AHEAD_MS` before it signs, and stays published
until the last token that it signed has expired: whoever caches the key set for less than that always finds the key.
joserfc, which signs, is imported with the first key: most gateways never see any.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.oauth.access import ALGORITHM, TYPE

AHEAD_MS = 3_600_000
"""How long a key is published before it signs, unless there is no other."""
MARGIN_MS = 60_000
"""How long a key stays published after its last token: clocks differ."""
MAX_KEYS = 32
"""Keys in a ring; only instances that can't read each other's keys get there."""
SEAL_ENTROPY = 16 + 12
"""Bytes of entropy in a seal."""

_LABEL = b"oauth2-gateway signing key v1"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key as the store keeps it."""

    kid: str
    """Its thumbprint (RFC 7638)."""
    jwk: bytes
    """The public key as JSON, as it is published."""
    sealed: bytes
    """Salt, nonce and the sealed private key."""
    made_at: int
    """ms of the store's clock."""
    longest_ms: int = 0
    """The longest life of a token that it signs."""


Ring = tuple[SigningKey, ...]
"""All keys, oldest first."""


class Signer:
    """A private key, opened."""

    __slots__ = ("_key", "kid")

    def __init__(self, kid: str, key: Any) -> None:
        """``key`` is joserfc's."""
        self.kid = kid
        self._key = key

    def sign(self, claims: bytes, typ: str = TYPE) -> str:
        """The compact JWS of a JSON object; ``typ`` says what it is, an access token unless said otherwise."""
        from joserfc import jws

        header = {"alg": ALGORITHM, "typ": typ, "kid": self.kid}
        return jws.serialize_compact(header, claims, self._key, algorithms=[ALGORITHM])


def make_key(secret: bytes, entropy: bytes, now_ms: int, longest_ms: int) -> SigningKey:
    """
    Make a key and seal it.

    Args:
        secret: The current secret.
        entropy: `SEAL_ENTROPY` random bytes; the key itself is the system's own randomness.
        now_ms: The store's clock.
        longest_ms: The longest life of a token that it will sign.
    """
    from joserfc.jwk import ECKey

    key = ECKey.generate_key("P-256", private=True)
    kid = key.thumbprint()
    public = {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}
    private = json.dumps(key.as_dict(private=True), separators=(",", ":")).encode("ascii")
    jwk = json.dumps(public, sort_keys=True, separators=(",", ":")).encode("ascii")
    return SigningKey(kid, jwk, _seal(private, kid, secret, entropy), now_ms, longest_ms)


def open_key(key: SigningKey, secrets: Sequence[bytes]) -> Signer | None:
    """Open a key with whichever secret sealed it; None when it was none of them, or the record is damaged."""
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    private = next((found for found in (_unseal(key, secret) for secret in secrets) if found is not None), None)
    if private is None:
        return None
    try:
        opened = ECKey.import_key(json.loads(private))
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return Signer(key.kid, opened)


def is_current(key: SigningKey, secret: bytes) -> bool:
    """Whether a key is sealed with this secret."""
    return _unseal(key, secret) is not None


def reseal(key: SigningKey, secrets: Sequence[bytes], entropy: bytes) -> SigningKey:
    """Seal a key that one of the secrets opens with the first of them."""
    private = next(found for found in (_unseal(key, secret) for secret in secrets) if found is not None)
    return replace(key, sealed=_seal(private, key.kid, secrets[0], entropy))


def choose(readable: Sequence[SigningKey], now_ms: int) -> SigningKey | None:
    """
    The key that signs now: the youngest that was published long enough, or else the oldest.

    Args:
        readable: Those of a ring that can be opened, oldest first.
        now_ms: The store's clock.
    """
    ready = [key for key in readable if key.made_at + AHEAD_MS <= now_ms]
    return ready[-1] if ready else next(iter(readable), None)


def is_due(readable: Sequence[SigningKey], now_ms: int, life_ms: int) -> bool:
    """Whether a new key must be made: there is none, or the youngest has signed for its time."""
    return not readable or readable[-1].made_at + life_ms <= now_ms


def prune(ring: Ring, now_ms: int) -> Ring:
    """The ring without keys whose last token has expired, and never more than `MAX_KEYS`."""
    kept = [
        key for key, successor in pairwise(ring)
        if now_ms <= successor.made_at + AHEAD_MS + key.longest_ms + MARGIN_MS
    ]  # fmt: skip
    return (*kept, *ring[-1:])[-MAX_KEYS:]


def renew(
    ring: Ring, opens: Callable[[SigningKey], bool], make: Callable[[], SigningKey], *, now_ms: int, life_ms: int, ttl_ms: int
) -> Ring:
    """
    The ring as it should be now; the same object where nothing is to be changed.

    Args:
        ring: As it is.
        opens: Whether a key can be opened here.
        make: Makes a new key.
        now_ms: The store's clock.
        life_ms: How long a key signs.
        ttl_ms: The life of the token that is about to be signed; 0: none is.
    """
    renewed = prune(ring, now_ms)
    readable = [key for key in renewed if opens(key)]
    if is_due(readable, now_ms, life_ms):
        renewed = (*renewed, make())[-MAX_KEYS:]
        readable = [*readable, renewed[-1]]
    signing = choose(readable, now_ms)
    if signing is not None and signing.longest_ms < ttl_ms:
        renewed = tuple(replace(key, longest_ms=ttl_ms) if key is signing else key for key in renewed)
    return ring if renewed == ring else renewed


def key_set(ring: Ring) -> bytes:
    """The JWK set (RFC 7517 section 5), as JSON."""
    return b'{"keys":[' + b",".join(key.jwk for key in ring) + b"]}"


def _seal(private: bytes, kid: str, secret: bytes, entropy: bytes) -> bytes:
    salt, nonce = entropy[:16], entropy[16:SEAL_ENTROPY]
    return salt + nonce + AESGCM(_derive(secret, salt)).encrypt(nonce, private, kid.encode("ascii"))


def _unseal(key: SigningKey, secret: bytes) -> bytes | None:
    salt, nonce, sealed = key.sealed[:16], key.sealed[16:SEAL_ENTROPY], key.sealed[SEAL_ENTROPY:]
    try:
        return AESGCM(_derive(secret, salt)).decrypt(nonce, sealed, key.kid.encode("ascii"))
    except (InvalidTag, ValueError):
        return None


def _derive(secret: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=salt, info=_LABEL).derive(secret)
