"""application/x-www-form-urlencoded, as RFC 6749 section 3.2 and appendix B want it: strict where two readings exist."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from gateway.errors import InvalidRequest

MAX_PARAMETERS = 64

_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_REPEATABLE = frozenset({"resource", "audience"})  # RFC 8707 section 2, RFC 8693 section 2.1
_BODY_ONLY = frozenset({
    "grant_type", "scope", "client_id", "client_secret", "client_assertion", "client_assertion_type",
    "refresh_token", "code_verifier", "access_token", "token", "token_type_hint", "username", "password", "code", "assertion",
})


def decode(value: bytes) -> str:
    """
    Undo form-encoding once: ``+`` is a space, ``%HH`` a byte, bytes are UTF-8.

    Raises:
        ValueError: If an escape or the UTF-8 is broken.
    """
    if b"%" in value:
        if _BAD_ESCAPE.search(value):
            raise ValueError("broken percent-encoding")
        value = unquote_to_bytes(value.replace(b"+", b" "))
    elif b"+" in value:
        value = value.replace(b"+", b" ")
    return value.decode("utf-8")


def parse_form(body: bytes) -> dict[str, str]:
    """
    Read the parameters of a request to an OAuth endpoint.

    A parameter without a value counts as absent (RFC 6749 section 3.2).  Of those that may be repeated all values are there,
    separated by spaces: they are URIs.

    Raises:
        InvalidRequest: If one is repeated, there are more than `MAX_PARAMETERS`, or the encoding is broken.
    """
    parameters, repeated = read_parameters(body)
    if repeated - _REPEATABLE:
        raise InvalidRequest("A parameter is included more than once")
    return parameters


def read_parameters(body: bytes) -> tuple[dict[str, str], set[str]]:
    """
    Read parameters, the last one of a name, and which names are repeated.

    Raises:
        InvalidRequest: If there are more than `MAX_PARAMETERS`, or the encoding is broken.
    """
    if body.count(b"&") >= MAX_PARAMETERS:
        raise InvalidRequest("Too many parameters")
    seen: set[str] = set()
    repeated: set[str] = set()
    parameters: dict[str, str] = {}
    for pair in body.split(b"&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition(b"=")
        try:
            name, value = decode(raw_name), decode(raw_value)
        except ValueError:
            raise InvalidRequest("The parameters are not valid form-encoded UTF-8") from None
        if name in seen:
            repeated.add(name)
        seen.add(name)
        if value:
            known = parameters.get(name, "") if name in _REPEATABLE else ""
            parameters[name] = f"{known} {value}" if known else value
    return parameters, repeated


def refuse_query(query: str) -> None:
    """
    Make sure that nothing secret, and no part of a grant, stands in the URL (RFC 6749 section 2.3.1 and 3.2).

    Raises:
        InvalidRequest: If it does, or if the query can't be read.
    """
    if query and not _BODY_ONLY.isdisjoint(_names(query.encode("utf-8", "surrogateescape"))):
        raise InvalidRequest("Parameters belong into the body, never into the URL")


def _names(query: bytes) -> set[str]:
    try:
        return {decode(pair.partition(b"=")[0]) for pair in query.split(b"&")}
    except ValueError:
        raise InvalidRequest("The query is not valid form-encoded UTF-8") from None
