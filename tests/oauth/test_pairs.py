"""Minting pairs."""

from gateway.oauth import tokens
from gateway.oauth.pairs import FIRST_ENTROPY, NEXT_ENTROPY, mint_first, mint_next

ENTROPY = bytes(range(FIRST_ENTROPY))


def test_what_is_kept_of_a_pair_is_what_its_strings_lead_to() -> None:
    """References and digests, never the tokens."""
    pair, kept = mint_first("abc", ENTROPY, refresh=True)
    assert pair.refresh is not None
    assert kept.access == tokens.find_opaque(pair.access.encode())
    assert kept.refresh == tokens.find_refresh(pair.refresh.encode())
    assert pair.access not in repr(pair) + repr(kept)
    assert pair.refresh not in repr(pair) + repr(kept)


def test_no_refresh_token_unless_asked() -> None:
    """RFC 6749 section 4.4.3."""
    pair, kept = mint_first("abc", ENTROPY, refresh=False)
    assert pair.refresh is None
    assert kept.refresh is None


def test_a_successor_stays_in_its_chain() -> None:
    """Same partition and chain id, another secret."""
    _, first = mint_first("abc", ENTROPY, refresh=True)
    assert first.refresh is not None
    _, second = mint_next(first.refresh, ENTROPY[::-1][:NEXT_ENTROPY])
    assert second.refresh is not None
    assert (second.refresh.partition, second.refresh.chain_id) == (first.refresh.partition, first.refresh.chain_id)
    assert second.refresh.digest != first.refresh.digest


def test_rfc6749_10_10_each_secret_has_its_own_256_bits() -> None:
    """Changing any one byte of entropy changes exactly the token that it belongs to, or the chain id."""
    pair, _ = mint_first("abc", ENTROPY, refresh=True)
    for position in range(FIRST_ENTROPY):
        other, _ = mint_first("abc", ENTROPY[:position] + b"\xff" + ENTROPY[position + 1 :], refresh=True)
        assert (other.access != pair.access) == (position < 32)
        assert (other.refresh != pair.refresh) == (position >= 32)
