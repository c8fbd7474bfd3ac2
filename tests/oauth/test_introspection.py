"""RFC 7662 section 2.2."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.oauth.introspection import describe
from gateway.oauth.records import INTROSPECT_ANY, AccessToken, Chain, Client

OWNER = Client("gwc_1", "", scopes=frozenset({"a", "b"}))
STRANGER = Client("gwc_2", "")
TRUSTED = replace(STRANGER, permissions=frozenset({INTROSPECT_ANY}))
TOKEN = AccessToken("gwc_1", "gwk_1", "ch", frozenset({"b", "a"}), 0, issued_at=1_999, expires_at=9_999)
CHAIN = Chain("gwc_1", "gwk_1", "ch", frozenset(), 0, issued_at=1_000, expires_at=9_000, current=b"d")
FULL = {"active": True, "client_id": "gwc_1", "sub": "gwc_1", "iss": "https://a", "iat": 1, "exp": 9, "token_type": "Bearer",
        "scope": "a b"}


def ask(token: AccessToken | Chain = TOKEN, client: Client | None = OWNER, caller: Client = OWNER, now: int = 5_000) -> Any:
    return describe(token, client, caller=caller, now_ms=now, issuer="https://a")


def test_an_active_token() -> None:
    """All its members, times in whole seconds, exp rounded down (section 4: no cache may outlive it)."""
    assert ask() == FULL


def test_a_refresh_token_has_no_token_type() -> None:
    """Section 5.1 of RFC 6749 types access tokens only; without scopes no scope."""
    assert ask(CHAIN) == {"active": True, "client_id": "gwc_1", "sub": "gwc_1", "iss": "https://a", "iat": 1, "exp": 9}


def test_a_scope_that_the_client_lost_is_not_told() -> None:
    """As the guard sees it."""
    assert ask(client=replace(OWNER, scopes=frozenset({"a"})))["scope"] == "a"


@pytest.mark.parametrize("answer", [
    pytest.param(ask(client=None), id="its client is gone"),
    pytest.param(ask(client=replace(OWNER, enabled=False)), id="disabled"),
    pytest.param(ask(client=replace(OWNER, epoch=1)), id="all its tokens were ended"),
    pytest.param(ask(client=replace(OWNER, retired={"gwk_1": 1})), id="its key was retired"),
    pytest.param(ask(now=9_999), id="expires this instant"),
    pytest.param(ask(now=10_000), id="expired"),
    pytest.param(ask(caller=STRANGER), id="foreign"),
    pytest.param(ask(CHAIN, caller=STRANGER), id="foreign refresh token"),
    pytest.param(ask(now=9_999, caller=TRUSTED), id="expired, for a trusted caller"),
])
def test_rfc7662_2_2_anything_else_is_exactly_inactive(answer: dict[str, object]) -> None:
    """No other member tells why."""
    assert answer == {"active": False}


def test_a_trusted_caller_sees_foreign_tokens() -> None:
    """The operator granted it."""
    assert ask(caller=TRUSTED) == FULL
