"""RFC 6750 section 2.1, as strict as its grammar; O14 of hardening.md."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidToken, TokenMissing
from gateway.guard.bearer import MAX_TOKEN, bearer


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer abc", b"abc"),
        (b"bearer abc", b"abc"),
        (b"BEARER   abc", b"abc"),
        (b"Bearer a-._~+/9==", b"a-._~+/9=="),
        (b"Bearer " + b"a" * MAX_TOKEN, b"a" * MAX_TOKEN),
    ],
)
def test_rfc6750_2_1_one_b64token(value: bytes, token: bytes) -> None:
    """The scheme's case does not matter (RFC 9110 section 11.1)."""
    assert bearer(value) == token


@pytest.mark.parametrize(
    "value", [None, b"", b"Basic eA==", b"Bearer\tabc", b"Bearerabc", b"Bea rer abc", b"DPoP abc", b"Bearer, abc"]
)
def test_rfc6750_3_another_scheme_is_no_token(value: bytes | None) -> None:
    """A bare challenge follows."""
    with pytest.raises(TokenMissing):
        bearer(value)


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer", b"Bearer ", b"Bearer a b", b"Bearer a,b", b"Bearer a, Bearer b", b"Bearer *", b"Bearer gw:at:?",
        b"Bearer a\x00",
        b"Bearer a\nb", b"Bearer =a", b"Bearer a=b", b"Bearer \xe4", b'Bearer "a"', b"Bearer a\t",
        b"Bearer " + b"a" * (MAX_TOKEN + 1),
        b"Bearer " + b"a" * 65536,
    ],
)  # fmt: skip
def test_o14_anything_else_is_an_invalid_token(value: bytes) -> None:
    """Whatever is not one b64token is refused before it is hashed or sought."""
    with pytest.raises(InvalidToken):
        bearer(value)


@given(st.binary(max_size=64))
def test_no_value_leads_anywhere_else(tail: bytes) -> None:
    """A token comes out as it went in, or one of the two refusals."""
    for value in (tail, b"Bearer " + tail):
        try:
            token = bearer(value)
        except (InvalidToken, TokenMissing):
            continue
        assert value.endswith(token)
        assert token.strip(b" ") == token != b""
