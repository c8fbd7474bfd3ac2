"""
The published keys of another authorization server: a JWK set (RFC 7517 section 5), of which only what verifies is kept.

Pure.  A key that is private, symmetric, for something else, or of a type that is not known, is left out, as section 5 asks; so
nobody's HS256 finds a key here.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

MAX_DOCUMENT = 256 * 1024
"""Bytes of a key set, or of the metadata that lead to it."""
MAX_KEYS = 100
"""Keys of a set that are looked at."""
ALGORITHMS = ("ES256", "ES384", "ES512", "Ed25519", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
"""Asymmetric ones only."""

_BY_KIND = {
    ("EC", "P-256"): ("ES256",), ("EC", "P-384"): ("ES384",), ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
    ("RSA", None): ("PS256", "PS384", "PS512", "RS256", "RS384", "RS512"),
}  # fmt: skip
_MEMBERS = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("e", "n")}
_SAME = {"EdDSA": ("EdDSA", "Ed25519"), "Ed25519": ("EdDSA", "Ed25519")}


@dataclass(frozen=True, slots=True)
class Key:
    """A public key."""

    kid: str | None
    algorithms: tuple[str, ...]
    """What it may verify."""
    jwk: bytes
    """Its public members, in one order: equal keys are equal bytes."""
    key: Any
    """joserfc's."""


class KeySet:
    """The keys of an issuer at one time."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys
        self.named = frozenset((key.kid, key.jwk) for key in keys)
        """All of them, to compare."""

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The one key that a token can mean; without ``kid`` only where there is but one that fits."""
        fitting = [key for key in self._keys if algorithm in key.algorithms and (kid is None or key.kid == kid)]
        return fitting[0] if len(fitting) == 1 else None


def read_key_set(document: bytes) -> KeySet:
    """
    Read a JWK set.

    Raises:
        ValueError: It is none, or too large; says what, never its content.
    """
    if len(document) > MAX_DOCUMENT:
        raise ValueError("the key set is too large")
    try:
        listed = orjson.loads(document)["keys"]
    except (ValueError, TypeError, KeyError):
        listed = None
    if not isinstance(listed, list):
        raise ValueError("no JWK set")
    found = (_read(value) for value in listed[:MAX_KEYS] if isinstance(value, dict))
    return KeySet([key for key in found if key is not None])


def _read(value: Mapping[str, Any]) -> Key | None:
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    kind, kid = value.get("kty"), value.get("kid")
    place = (kind, value.get("crv") if kind != "RSA" else None)
    try:
        algorithms = _BY_KIND.get(place, ())  # type: ignore[arg-type]  # whatever it is, it is looked up
        operations = value.get("key_ops", ["verify"])
        if value.get("use", "sig") != "sig" or "verify" not in operations or not (kid is None or isinstance(kid, str)):
            return None
        only = value.get("alg")
        if only is not None:
            algorithms = tuple(name for name in algorithms if name in _SAME.get(only, (only,)))
        if not algorithms:
            return None
        members: dict[str, str | list[str]] = {"kty": str(kind), **{name: str(value[name]) for name in _MEMBERS[str(kind)]}}
        with warnings.catch_warnings():  # of a key that is too small, which is left out below
            warnings.simplefilter("ignore")
            key = import_key(members)
        size = getattr(key.public_key, "key_size", 256)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if kind == "RSA" and not 2048 <= size <= 4096:
        return None
    return Key(kid, algorithms, json.dumps(members, sort_keys=True, separators=(",", ":")).encode(), key)
