"""Resource indicators: RFC 8707."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from gateway.errors import InvalidTarget


def read_resources(parameter: str | None, known: Collection[str]) -> frozenset[str]:
    """
    Read what a request's ``resource`` parameters name (section 2).

    Args:
        parameter: As `gateway.oauth.form` gives it: URIs, separated by spaces; None when there is none.
        known: The identifiers of the protected resources here.

    Returns:
        Those that are meant; none when nothing was named, which is all of them.

    Raises:
        InvalidTarget: One is not absolute, has a fragment, or is unknown here.
    """
    if parameter is None:
        return frozenset()
    named = {_normal(uri) for uri in parameter.split(" ")}  # what is blank is a URI that is none, and not nothing
    if not named.issubset(known):
        raise InvalidTarget
    return frozenset(named)


def narrow(asked: frozenset[str], granted: frozenset[str]) -> frozenset[str]:
    """
    What a token is for, of what was granted (section 2.2).

    Raises:
        InvalidTarget: More is asked for than was granted.
    """
    if granted and not asked <= granted:
        raise InvalidTarget
    return asked or granted


def _normal(uri: str) -> str:
    """A resource without the slash that counts for nothing: the one of a whole host (RFC 9728 section 3.1)."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise InvalidTarget from None
    return uri[:-1] if parts.path == "/" and uri.endswith("/") and not parts.query else uri
