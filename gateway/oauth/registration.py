"""The plain registration: a JSON object with username and password, read so strictly that it has one meaning."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import NoReturn

from gateway.errors import InvalidInput
from gateway.oauth.accounts import read_password, read_username

_FIELDS = frozenset({"username", "password"})
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Registration:
    """Who wants to register: username folded, password in NFC."""

    username: str
    password: str = field(repr=False)


def read_registration(body: bytes) -> Registration:
    """
    Read and check the body of a registration.

    Raises:
        InvalidInput: If it isn't a JSON object with exactly the two fields, or one breaks its rule; the message names it.
    """
    found = read_object(body, _FIELDS)
    for name in ("username", "password"):
        if name not in found:
            raise InvalidInput(f"{name} is missing")
    return Registration(read_username(found["username"]), read_password(found["password"]))


def read_nothing(body: bytes) -> None:
    """
    Check the body of a request that has nothing to say: empty or ``{}``.

    Raises:
        InvalidInput: If it says something.
    """
    if body.strip():
        read_object(body, frozenset())


def read_object(body: bytes, fields: frozenset[str]) -> dict[str, object]:
    """
    Read a JSON object that may hold ``fields`` and nothing else.

    Raises:
        InvalidInput: For anything else, duplicate names at any depth and NaN included.
    """
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except InvalidInput:
        raise
    except (ValueError, RecursionError):  # not UTF-8, not JSON, numbers of thousands of digits, nested too deep
        raise InvalidInput("The body is not valid JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise InvalidInput("The body must be a JSON object")
    for name in found:
        if name not in fields:
            raise InvalidInput(f"{_shown(name)} is not a known field")
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(f"{_shown(twice)} stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _shown(name: str) -> str:
    """The name of a field if it is harmless to show: what a client sends is not echoed."""
    return name if _SAFE_NAME.fullmatch(name) else "A field with an odd name"
