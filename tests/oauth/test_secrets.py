"""Client credentials."""

import hmac

import pytest

from gateway.oauth import secrets, tokens
from gateway.oauth.secrets import KEY_ENTROPY, find_match, mint_key

ENTROPY = bytes(range(KEY_ENTROPY))


def test_a_key_is_shown_once_and_its_digest_is_kept() -> None:
    """256 bits of secret; partition of the client."""
    issued, kept = mint_key("gwc_abc" + "x" * 22, "abc", ENTROPY, now_ms=7)
    assert tokens.is_client_key(issued.client_key)
    assert tokens.find_partition(issued.client_key) == "abc"
    assert tokens.is_secret(issued.client_secret.encode())
    assert kept.secret_digest == tokens.digest_secret(issued.client_secret.encode())
    assert (kept.client_id, kept.client_key, kept.issued_at) == (issued.client_id, issued.client_key, 7)
    assert issued.client_secret not in repr(issued) + repr(kept)


def test_any_live_secret_matches_and_no_other() -> None:
    """Two credentials of a client."""
    one, kept_one = mint_key("c", "abc", ENTROPY, now_ms=0)
    two, kept_two = mint_key("c", "abc", ENTROPY[::-1], now_ms=0)
    assert find_match([kept_one, kept_two], one.client_secret) is kept_one
    assert find_match([kept_one, kept_two], two.client_secret) is kept_two
    assert find_match([kept_one], two.client_secret) is None
    assert find_match([], one.client_secret) is None


def test_rfc6749_5_2_an_unknown_client_costs_the_comparison_of_a_wrong_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dummy is compared when there is nothing to compare (O10)."""
    compared = []
    original = hmac.compare_digest
    monkeypatch.setattr(secrets.hmac, "compare_digest", lambda a, b: compared.append(len(a)) or original(a, b))
    find_match([], "gws_x")
    find_match([mint_key("c", "abc", ENTROPY, now_ms=0)[1]], "gws_x")
    assert compared == [32, 32]
