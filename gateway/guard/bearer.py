"""The bearer token of a request (RFC 6750 section 2.1)."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from gateway.errors import InvalidToken, MalformedCredentials, TokenMissing
from gateway.oauth.access import find_access
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


_PARAMETER = b"access_token="
"""RFC 6750 section 2.3."""


def refuse_second(target: bytes) -> None:
    """
    Refuse a request that has its token in the query as well; a parameter of the same name with anything else is the upstream's.

    Args:
        target: As it was sent, of a request with a token in ``Authorization``.

    Raises:
        MalformedCredentials: A client must not use two methods (RFC 6750 section 2), and this one put a token where it is logged.
    """
    for parameter in target.partition(b"?")[2].split(b"&"):
        if parameter.startswith(_PARAMETER) and find_access(unquote_to_bytes(parameter[len(_PARAMETER) :])) is not None:
            raise MalformedCredentials(reason="a token in the query too")
