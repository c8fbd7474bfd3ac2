"""RFC 6749 section 3.3."""

import pytest

from gateway.errors import InvalidScope
from gateway.oauth.scopes import grant_scopes, parse_scope, write_scope

READ, BOTH = frozenset({"read"}), frozenset({"read", "write"})


@pytest.mark.parametrize(("value", "tokens"), [
    pytest.param("read", {"read"}, id="one"),
    pytest.param("write read", {"read", "write"}, id="order does not matter"),
    pytest.param("read read", {"read"}, id="repeated"),
    pytest.param("Read read", {"Read", "read"}, id="case matters"),
    pytest.param("!#[]~ https://api.example.com/x", {"!#[]~", "https://api.example.com/x"}, id="the whole alphabet"),
])
def test_rfc6749_3_3_scope_tokens(value: str, tokens: set[str]) -> None:
    """Space-delimited, case-sensitive, in no order."""
    assert parse_scope(value) == tokens


@pytest.mark.parametrize("value", ["a  b", " a", "a ", " ", 'a"b', "a\\b", "a\tb", "a\nb", "é", "a\x00", "a\x7f", "a\u2003b"])
def test_rfc6749_3_3_other_characters_are_invalid_scope(value: str) -> None:
    """Quote, backslash, controls, other white space, non-ASCII, empty tokens."""
    with pytest.raises(InvalidScope):
        parse_scope(value)


def test_scopes_are_written_in_one_order() -> None:
    """So that equal answers are equal bytes."""
    assert write_scope(frozenset({"c", "a", "b"})) == "a b c"


@pytest.mark.parametrize(("requested", "granted"), [(None, BOTH), (READ, READ), (BOTH, BOTH)])
def test_a_client_gets_what_it_asks_for_or_all_it_may_have(
    requested: frozenset[str] | None, granted: frozenset[str]
) -> None:
    """Section 3.3: omitted means the default."""
    assert grant_scopes(requested, BOTH) == granted


def test_rfc6749_5_2_more_than_allowed_is_invalid_scope() -> None:
    """Not cut down silently."""
    with pytest.raises(InvalidScope):
        grant_scopes(BOTH, READ)
