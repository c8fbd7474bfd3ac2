"""The bearer token of a request (RFC 6750 section 2.1)."""

from __future__ import annotations

import re

from gateway.errors import InvalidToken, TokenMissing
from gateway.oauth.tokens import MAX_ACCESS

MAX_TOKEN = MAX_ACCESS
"""Longest token that is looked at, bytes: checked before anything is hashed."""

B64TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 section 2.1."""

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr](?: +(.*))?", re.DOTALL)


def bearer(authorization: bytes | None) -> bytes:
    """
    Read the token out of an ``Authorization`` value (outer white space removed).

    Raises:
        TokenMissing: No credentials, or another scheme: a bare challenge, as RFC 6750 section 3 asks.
        InvalidToken: The scheme is Bearer, but what follows is not one token.
    """
    if authorization is None:
        raise TokenMissing
    found = _BEARER.fullmatch(authorization)
    if found is None:
        raise TokenMissing(reason="another scheme than Bearer")
    token: bytes = found[1] or b""
    if len(token) > MAX_TOKEN or B64TOKEN.fullmatch(token) is None:
        raise InvalidToken(reason="not one b64token")
    return token
