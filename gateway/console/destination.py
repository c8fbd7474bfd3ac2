"""Where somebody goes after signing in: a path of this very host, or it is none (C07).  Pure."""

from __future__ import annotations

import re

MAX_DESTINATION = 4096
"""Characters; an authorization request has as many, and a request target 8 KiB with the rest."""

# One slash, and then nothing that a browser reads as the begin of a host, in characters that are the same to everybody.
_SEGMENT = r"[A-Za-z0-9._~!$&'()*+,;=:@%-]+"
_LOCAL = re.compile(rf"/(?:{_SEGMENT}(?:/{_SEGMENT})*/?)?(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")


def local(path: str | None, default: str) -> str:
    """The path and query, if they are a page of this host for any reader; else the default."""
    if path is None or len(path) > MAX_DESTINATION or _LOCAL.fullmatch(path) is None:
        return default
    return path
