"""What tokens, secrets and identifiers look like."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from gateway.oauth import tokens

ENTROPY = bytes(range(32))
CHAIN = tokens.mint_chain_id(bytes(16))
ACCESS = tokens.mint_access("abc", ENTROPY).encode()
REFRESH = tokens.mint_refresh("abc", CHAIN, ENTROPY).encode()
SECRET = tokens.mint_secret("abc", ENTROPY).encode()
INITIAL = tokens.mint_initial("abc", ENTROPY).encode()


def test_o23_each_kind_has_its_form_and_its_place() -> None:
    assert tokens.find_opaque(ACCESS) == tokens.AccessRef("abc", tokens.digest_access(ACCESS))
    assert tokens.find_refresh(REFRESH) == tokens.RefreshRef("abc", CHAIN, tokens.digest_refresh(REFRESH))
    assert tokens.is_secret(SECRET)
    assert tokens.find_secret(SECRET) == tokens.SecretRef("abc", tokens.digest_secret(SECRET))
    assert tokens.find_initial(INITIAL) == tokens.InitialRef("abc", tokens.digest_initial(INITIAL))
    for whole in (ACCESS, REFRESH, SECRET, INITIAL):
        assert re.fullmatch(tokens.PATTERN, whole.decode())


def test_a_secret_of_an_early_build_is_still_good_but_says_not_where_it_lies() -> None:
    old = tokens.mint_secret("", ENTROPY).encode()
    assert tokens.is_secret(old)
    assert re.fullmatch(tokens.PATTERN, old.decode())
    assert tokens.find_secret(old) is None
    assert tokens.find_secret(ACCESS) is None


@pytest.mark.parametrize("place", [8, 30, 48, -7, -6, -1])
def test_a_mistyped_character_is_noticed_without_a_look_up(place: int) -> None:
    """CRC-32 notices every single wrong character."""
    for whole, find in (
        (ACCESS, tokens.find_opaque), (REFRESH, tokens.find_refresh), (SECRET, tokens.is_secret), (INITIAL, tokens.find_initial),
    ):  # fmt: skip
        wrong = bytearray(whole)
        wrong[place] = ord("A") if wrong[place] != ord("A") else ord("B")
        assert not find(bytes(wrong)), place  # type: ignore[operator]


def test_o09_no_kind_passes_for_another() -> None:
    for whole in (REFRESH, SECRET, INITIAL, b"", b"x" * 4096):
        assert tokens.find_opaque(whole) is None
    for whole in (ACCESS, REFRESH, SECRET, b""):
        assert tokens.find_initial(whole) is None
    for whole in (ACCESS, SECRET, ACCESS + b"x" * 22):
        assert tokens.find_refresh(whole) is None
    digests = tokens.digest_access, tokens.digest_refresh, tokens.digest_secret, tokens.digest_manager, tokens.digest_initial
    assert len({digest(ACCESS) for digest in digests}) == 5
    assert sha256(ACCESS).digest() != tokens.digest_access(ACCESS)


def test_identifiers_tell_their_partition_and_nothing_else() -> None:
    for name in (tokens.mint_client_id("abc", bytes(16)), tokens.mint_client_key("abc", bytes(16))):
        assert tokens.find_partition(name) == "abc"
    for name in ("gwc_abc", "gwc_ABC" + "a" * 22, "", "gwx_abc" + "a" * 22):
        assert tokens.find_partition(name) is None
    assert tokens.mint_partition(b"\xff\xff") == "777"
