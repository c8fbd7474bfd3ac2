"""Usernames and passwords (G03, G04)."""

import unicodedata

import pytest

from gateway.errors import InvalidInput
from gateway.oauth.accounts import read_password, read_username


@pytest.mark.parametrize(("value", "username"), [
    ("client-email@domain.com", "client-email@domain.com"), ("Admin", "admin"), ("a.b_c+d@e-f", "a.b_c+d@e-f"),
    ("abc", "abc"), ("A" * 254, "a" * 254),
])
def test_a_username_has_one_spelling(value: str, username: str) -> None:
    """Lower case."""
    assert read_username(value) == username


@pytest.mark.parametrize("value", [
    "", "ab", "a" * 255, "a b c", "abc ", " abc", "abc\n", "abc\x00", "admın", "аdmin", "admin\u200b", "ad\u0301min",
    "\u202eadmin", "ＡＤＭＩＮ", "a/b/c", "a:b:c", "<script>", "a%41b", None, 1, True, ["abc"], {"a": 1},
    "\ud800abc", "Kelvin\u212a",
])
def test_other_usernames_are_refused_by_name(value: object) -> None:
    """No homoglyphs, combining, invisible or bidirectional characters; nothing of it is echoed."""
    with pytest.raises(InvalidInput, match=r"^username must be ") as refused:
        read_username(value)
    assert "script" not in refused.value.detail


@pytest.mark.parametrize("value", [
    "12345678", "x" * 256, "with\x00nul-inside", "        ", "🔑" * 8, "é" * 256, "pass:word%+", "\u202e1234567",
])
def test_passwords_of_any_characters(value: str) -> None:
    """NIST SP 800-63B: no composition rules."""
    assert read_password(value) == value


def test_a_password_is_the_same_in_nfc_and_nfd() -> None:
    """Different keyboards, one password (RFC 8265)."""
    assert read_password(unicodedata.normalize("NFD", "pässwörter")) == read_password("pässwörter")


@pytest.mark.parametrize("value", [
    "", "1234567", "x" * 257, "x" * 60_000, "e\u0301" * 7, None, 12345678, ["12345678"], "\ud800" * 8,
])
def test_other_passwords_are_refused_by_name(value: object) -> None:
    """Bounds count after NFC: seven letters with seven accents are seven."""
    with pytest.raises(InvalidInput, match=r"^password must be "):
        read_password(value)


def test_256_code_points_that_were_512_before_nfc() -> None:
    """The bound is on what is hashed."""
    assert len(read_password("e\u0301" * 256)) == 256
