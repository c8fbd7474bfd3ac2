"""
The cookie of the pages: its name, and reading it out of a ``Cookie`` header.  Pure.

Browsers send ``name=value`` pairs with ``; `` between them (RFC 6265 section 4.2.1).
"""

from __future__ import annotations

from collections.abc import Iterable


def session_cookie(issuer: str) -> str:
    """
    The name of the session cookie.

    With ``__Host-`` no other host, subdomain or plain connection can set it (RFC 6265bis section 4.1.3.2); that needs https.
    """
    return "__Host-gateway" if issuer.startswith("https://") else "gateway"


def find_cookie(lines: Iterable[str], name: str) -> str | None:
    """The value of a cookie; None when it is absent, or there more than once: nobody could say which one is meant (C09)."""
    found = [
        value for line in lines for pair in line.split(";") for key, _, value in [pair.strip(" \t").partition("=")] if key == name
    ]
    return found[0] if len(found) == 1 else None
