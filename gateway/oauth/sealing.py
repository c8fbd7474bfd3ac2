"""
The sealed successor of a refresh token: who presents the token again, and only he, can read what it was exchanged for.

The key is derived from the presented token by HKDF-SHA256 (RFC 5869), the seal is AES-256-GCM.  The store keeps the blob and
the digest of the token, so a copy of the store opens nothing.  Several workers may seal different successors under one key
before the store picks one: hence a random nonce each.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.oauth.pairs import Pair

NONCE = 12
"""Bytes of entropy in a nonce."""

_LABEL = b"oauth2-gateway refresh successor v1"


def seal(pair: Pair, presented: bytes, nonce: bytes) -> bytes:
    """Seal the pair that a presented refresh token is exchanged for, under `NONCE` random bytes."""
    packed = f"{pair.access} {pair.refresh or ''}".encode("ascii")
    return nonce + AESGCM(_key(presented)).encrypt(nonce, packed, _LABEL)


def unseal(sealed: bytes, presented: bytes) -> Pair | None:
    """Open a sealed successor; None when it is not this token's or damaged."""
    if len(sealed) <= NONCE:
        return None
    try:
        packed = AESGCM(_key(presented)).decrypt(sealed[:NONCE], sealed[NONCE:], _LABEL)
    except InvalidTag:
        return None
    access, _, refresh = packed.decode("ascii").partition(" ")
    return Pair(access, refresh or None)


def _key(presented: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=_LABEL).derive(presented)
