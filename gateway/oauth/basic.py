"""HTTP Basic: RFC 7617, and RFC 6749 section 2.3.1, which form-encodes both parts before base64."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field

from gateway.oauth.form import decode

_LONGEST = 4096
"""Characters of the base64 part: twice what the longest username and password need."""


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """User and password as they were sent, decoded."""

    user: str
    password: str = field(repr=False)


def read_basic(header: str, *, form_encoded: bool) -> BasicCredentials | None:
    """
    Read the value of an ``Authorization`` header; None for another scheme and for garbage.

    Args:
        header: The field value.
        form_encoded: Whether both parts are form-encoded inside: so for clients (RFC 6749), not for people (RFC 7617).
            They are decoded once.
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _LONGEST:
        return None
    try:
        # Only the first colon separates: a secret may hold more of them.
        user, colon, password = b64decode(encoded.strip(" "), validate=True).partition(b":")
        if not colon:
            return None
        if form_encoded:
            return BasicCredentials(decode(user), decode(password))
        return BasicCredentials(user.decode("utf-8"), password.decode("utf-8"))
    except ValueError:  # base64, percent-encoding and UTF-8 all raise it
        return None
