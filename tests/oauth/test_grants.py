"""The token endpoint's grants and answers."""

import pytest

from gateway.errors import InvalidRequest, UnsupportedGrantType
from gateway.oauth.grants import choose_grant, grant_types, token_answer
from gateway.oauth.pairs import Pair

BOTH = grant_types(refresh=True)


def test_what_is_on_offer() -> None:
    """No refresh tokens, nothing to refresh."""
    assert BOTH == ("client_credentials", "refresh_token")
    assert grant_types(refresh=False) == ("client_credentials",)


@pytest.mark.parametrize("grant_type", [
    "password", "implicit", "authorization_code", "Client_Credentials", "x", "client_credentials ",
])
def test_rfc6749_5_2_unsupported_grant_type(grant_type: str) -> None:
    """RFC 9700 section 2.4: never the password grant."""
    with pytest.raises(UnsupportedGrantType):
        choose_grant({"grant_type": grant_type}, BOTH)


def test_rfc6749_5_2_no_grant_type_is_invalid_request() -> None:
    """Section 4.4.2: REQUIRED."""
    with pytest.raises(InvalidRequest):
        choose_grant({"scope": "a"}, BOTH)


@pytest.mark.parametrize(("granted", "requested", "scope"), [
    pytest.param(set(), None, None, id="no scopes in use"),
    pytest.param({"a"}, {"a"}, None, id="as asked"),
    pytest.param({"a"}, None, "a", id="the default"),
    pytest.param({"a"}, {"a", "b"}, "a", id="less than asked"),
])
def test_rfc6749_5_1_scope_stands_there_when_it_differs(
    granted: set[str], requested: set[str] | None, scope: str | None
) -> None:
    """Exactly the contract's fields otherwise."""
    answer = token_answer(
        Pair("gwa_1", "gwr_1"), expires_in=3600, granted=frozenset(granted),
        requested=None if requested is None else frozenset(requested),
    )
    expected = {"access_token": "gwa_1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "gwr_1"}
    assert answer == (expected if scope is None else {**expected, "scope": scope})


def test_rfc6749_4_4_3_without_a_refresh_token() -> None:
    """The member is absent, not null."""
    assert "refresh_token" not in token_answer(Pair("gwa_1", None), expires_in=1, granted=frozenset(), requested=None)
