"""Resource indicators: RFC 8707."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidTarget
from gateway.oauth.audience import narrow, read_resources

KNOWN = frozenset({"https://api.example.com", "https://api.example.com/orders/", "https://api.example.com/x"})


@pytest.mark.parametrize(("parameter", "meant"), [
    (None, set()), ("https://api.example.com", {"https://api.example.com"}), ("https://api.example.com/", {"https://api.example.com"}),
    ("https://api.example.com/x https://api.example.com/orders/", {"https://api.example.com/x", "https://api.example.com/orders/"}),
])  # fmt: skip
def test_rfc8707_2_what_is_meant(parameter: str | None, meant: set[str]) -> None:
    """RFC 9728 section 3.1: the slash after a host counts for nothing; any other does."""
    assert read_resources(parameter, KNOWN) == meant


@pytest.mark.parametrize("parameter", [
    "https://api.example.com/orders", "https://api.example.com/x/", "https://api.example.com/x#", "https://api.example.com/x#y",
    "https://api.example.com/x?y", "https://api.example.com/?", "/x", "api.example.com", "https://API.example.com", "https://[",
    "https://api.example.com/x https://evil.example", "https://api.example.com:443",
    " ", "  ", "\t", "https://api.example.com/x ", " https://api.example.com/x", "https://api.example.com/x  https://api.example.com",
])  # fmt: skip
def test_rfc8707_2_what_is_not_known_or_malformed_is_invalid_target(parameter: str) -> None:
    with pytest.raises(InvalidTarget):
        read_resources(parameter, KNOWN)


def test_rfc8707_2_2_a_token_is_for_less_never_for_more() -> None:
    a, both = frozenset({"a"}), frozenset({"a", "b"})
    assert narrow(frozenset(), both) == both
    assert narrow(a, both) == a
    assert narrow(a, frozenset()) == a, "what is for all may be for one"
    with pytest.raises(InvalidTarget):
        narrow(both, a)
