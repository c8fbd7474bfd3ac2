"""Scopes: RFC 6749 section 3.3."""

from __future__ import annotations

import re
from functools import lru_cache

from gateway.errors import InvalidScope

# scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")
"""One scope."""


def parse_scope(value: str) -> frozenset[str]:
    """
    Split a ``scope`` parameter into its tokens, case-sensitive, in no order.

    Args:
        value: Tokens separated by single spaces; not empty (an empty parameter counts as absent).

    Raises:
        InvalidScope: If a token is empty or has a character outside the RFC's grammar.
    """
    tokens = value.split(" ")
    if not all(SCOPE_TOKEN.fullmatch(token) for token in tokens):
        raise InvalidScope("The scope has characters that are not allowed")
    return frozenset(tokens)


@lru_cache(1024)
def write_scope(scopes: frozenset[str]) -> str:
    """The ``scope`` parameter for these tokens, always in the same order."""
    return " ".join(sorted(scopes))


def grant_scopes(requested: frozenset[str] | None, allowed: frozenset[str]) -> frozenset[str]:
    """
    What a client gets: what it asked for, or all it may have when it asked for nothing.

    Raises:
        InvalidScope: If it asks for more than it may have.
    """
    if requested is None:
        return allowed
    if not requested <= allowed:
        raise InvalidScope
    return requested
