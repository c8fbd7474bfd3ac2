"""What usernames and passwords may look like (semantics.md; NIST SP 800-63B, RFC 8265)."""

from __future__ import annotations

import re
from unicodedata import normalize

from gateway.errors import InvalidInput

MIN_PASSWORD = 8
MAX_PASSWORD = 256
"""Code points after NFC; all of them count, nothing is cut off."""

_USERNAME = re.compile(r"[A-Za-z0-9._+@-]{3,254}")


def read_username(value: object) -> str:
    """
    Check a username and fold its case; ASCII only, so there is one spelling of it.

    Raises:
        InvalidInput: If it breaks the rule.
    """
    if not isinstance(value, str):
        raise InvalidInput("username must be a string")
    if _USERNAME.fullmatch(value) is None:
        raise InvalidInput("username must be 3 to 254 characters out of A-Z a-z 0-9 . _ + @ -")
    return value.lower()


def read_password(value: object) -> str:
    """
    Check a password and bring it to NFC, so that every keyboard spells it alike.  Costs nothing next to hashing it.

    Raises:
        InvalidInput: If it breaks the rule.
    """
    if not isinstance(value, str):
        raise InvalidInput("password must be a string")
    password = normalize("NFC", value)
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidInput(f"password must be {MIN_PASSWORD} to {MAX_PASSWORD} characters long")
    if any("\ud800" <= character <= "\udfff" for character in password):
        raise InvalidInput("password must be valid Unicode")
    return password
