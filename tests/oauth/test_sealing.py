"""The sealed successor."""

import pytest

from gateway.oauth.pairs import FIRST_ENTROPY, Pair, mint_first
from gateway.oauth.sealing import NONCE, seal, unseal

PAIR, _ = mint_first("abc", bytes(range(FIRST_ENTROPY)), refresh=True)
TOKEN = b"gwr_the-presented-one"
SEALED = seal(PAIR, TOKEN, bytes(NONCE))


def test_who_presents_the_token_again_gets_the_same_bytes() -> None:
    """FAPI 2.0: retrying after a lost answer."""
    assert unseal(SEALED, TOKEN) == PAIR


def test_a_pair_without_refresh_token_survives_too() -> None:
    """None stays None."""
    assert unseal(seal(Pair("gwa_x", None), TOKEN, bytes(NONCE)), TOKEN) == Pair("gwa_x", None)


def test_nobody_else_can_read_it() -> None:
    """The blob alone, or with another token, gives nothing; it shows nothing in the clear."""
    assert unseal(SEALED, b"gwr_another") is None
    assert PAIR.access.encode() not in SEALED
    assert b"gwa_" not in SEALED


@pytest.mark.parametrize("position", [0, NONCE, len(SEALED) - 1])
def test_a_changed_byte_is_noticed(position: int) -> None:
    """In nonce, text or tag."""
    assert unseal(SEALED[:position] + bytes([SEALED[position] ^ 1]) + SEALED[position + 1 :], TOKEN) is None


@pytest.mark.parametrize("blob", [b"", b"x", bytes(NONCE), bytes(NONCE + 1), bytes(NONCE + 16), SEALED[:-1]])
def test_a_cut_blob_is_noticed(blob: bytes) -> None:
    """Without an exception."""
    assert unseal(blob, TOKEN) is None


def test_two_seals_under_one_token_differ_by_nonce() -> None:
    """Two workers may seal at once."""
    assert seal(PAIR, TOKEN, b"\x01" * NONCE)[NONCE:] != SEALED[NONCE:]


def test_known_answer() -> None:
    """Version N+1 must open what N sealed: the format is pinned by an independent HKDF."""
    import hmac
    from hashlib import sha256

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    label = b"oauth2-gateway refresh successor v1"
    extracted = hmac.digest(bytes(32), TOKEN, sha256)
    key = hmac.digest(extracted, label + b"\x01", sha256)
    assert AESGCM(key).decrypt(SEALED[:NONCE], SEALED[NONCE:], label) == f"{PAIR.access} {PAIR.refresh}".encode()
