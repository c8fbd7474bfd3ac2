"""
JWT access tokens of other authorization servers: what they must say (RFC 9068 section 4, RFC 8725), and what is read of them.

Pure: keys and time are arguments.  A token is read first and its signature verified last, as that costs most; until then nothing
of it is believed.  `gateway.oauth.access` is about our own, which are known by digest.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import orjson

from gateway.errors import InvalidToken
from gateway.oauth.key_sets import Key
from gateway.oauth.scopes import SCOPE_TOKEN
from gateway.oauth.tokens import raw

MAX_NAME = 255
"""Characters of a client id or subject (OpenID Connect Core section 2 allows a subject as many)."""
MAX_SCOPES = 4096
"""Characters of all scopes together: they become a header of the request."""
ACCESS_TOKEN_TYPE = "at+jwt"  # noqa: S105
"""RFC 9068 section 2.1."""

_NAME = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_LIST = re.compile(r"[\x20-\x7e]*")
# What ID tokens, logout tokens and the like hold (OpenID Connect Core sections 2 and 3.3.2.11, RFC 8417), and no access token.
_OF_OTHERS = ("nonce", "at_hash", "c_hash", "s_hash", "events")
# How Keycloak, Cognito and Hydra tell what a token is for.
_USES = {"typ": ("bearer", "at+jwt"), "token_use": ("access", "access_token")}


@dataclass(frozen=True, slots=True)
class Rules:
    """What one issuer's tokens must say, and where."""

    issuer: str
    audience: frozenset[str]
    """Of which ``aud`` names one at least; empty: any will do."""
    algorithms: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset((ACCESS_TOKEN_TYPE,))
    """Of ``at+jwt`` and ``jwt``; the latter stands for no type too."""
    scope_claims: tuple[str, ...] = ("scope",)
    client_claim: str = "client_id"
    leeway: float = 0.0
    """Seconds by which clocks may differ."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose token it is; every word is safe in a header."""

    client: str
    subject: str
    """Empty: none is named."""
    scopes: frozenset[str]
    expires_at: float
    """Seconds since 1970, the leeway included; infinite: nothing is said."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says, which anybody can write."""

    algorithm: str
    kid: str | None
    _holder: Holder

    def verified_by(self, key: Key, token: bytes) -> Holder:
        """
        What it says, once a key of its issuer has verified it.

        Raises:
            InvalidToken: The signature is another's.
        """
        from joserfc import jws
        from joserfc.errors import JoseError

        try:
            with warnings.catch_warnings():  # of EdDSA, which RFC 9864 calls Ed25519 by now
                warnings.simplefilter("ignore")
                jws.deserialize_compact(token, key.key, algorithms=[self.algorithm])
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            raise InvalidToken(reason="signature") from None
        return self._holder


def claimed_issuer(token: bytes) -> str | None:
    """Whose JWT it claims to be, only to choose who is asked: empty when it names nobody, None when it is none at all."""
    parts = token.split(b".")
    if len(parts) < 2 or _object(parts[0]) is None:
        return None
    claims = _object(parts[1]) if len(parts) == 3 else None
    issuer = claims.get("iss") if claims is not None else None
    return issuer if isinstance(issuer, str) else ""


def read(token: bytes, rules: Rules, now: float) -> Unverified:
    """
    Check all of a JWT access token but its signature (RFC 9068 section 4).

    Args:
        token: The compact JWS.
        rules: Its issuer's.
        now: Seconds since 1970.

    Raises:
        InvalidToken: In whatever way it fails; only the ``reason`` tells.
    """
    parts = token.split(b".")
    header = _object(parts[0]) if len(parts) == 3 else None
    claims = _object(parts[1]) if len(parts) == 3 else None
    if header is None or claims is None:
        raise InvalidToken(reason="malformed")
    algorithm, kid = _check_header(header, rules)
    if claims.get("iss") != rules.issuer:
        raise InvalidToken(reason="iss")
    if any(name in claims for name in _OF_OTHERS):
        raise InvalidToken(reason="an ID token, or one for something else")
    for name, words in _USES.items():
        said = claims.get(name)
        if said is not None and not (isinstance(said, str) and said.lower() in words):
            raise InvalidToken(reason=f"{name} is another's than an access token's")
    if "exp" not in claims:
        raise InvalidToken(reason="no exp")
    return Unverified(algorithm, kid, find_holder(claims, rules, now, late=rules.leeway))


def find_holder(claims: Mapping[str, Any], rules: Rules, now: float, *, late: float) -> Holder:
    """
    Whose token it is, by its claims or by what introspection says of it: both have the same names (RFC 7662 section 2.2).

    ``late``: seconds for which it lives on after ``exp``, as clocks differ.

    Raises:
        InvalidToken: It is expired, not yet good, for others, bound to a key, or names nobody.
    """
    expires = claims.get("exp")
    if expires is not None and not (_is_time(expires) and now < expires + late):
        raise InvalidToken(reason="expired")
    if any(name in claims and not (_is_time(claims[name]) and claims[name] <= now + rules.leeway) for name in ("nbf", "iat")):
        raise InvalidToken(reason="not yet valid")
    if rules.audience and rules.audience.isdisjoint(_words(claims.get("aud"))):
        raise InvalidToken(reason="aud")
    if "cnf" in claims:
        raise InvalidToken(reason="bound to a key (cnf), whose possession nobody proves here")
    client, subject = claims.get(rules.client_claim), claims.get("sub")
    if not _is_name(client):
        raise InvalidToken(reason=f"no {rules.client_claim}, or one that no header can hold")
    if subject is not None and not _is_name(subject):
        raise InvalidToken(reason="a sub that no header can hold")
    end = float("inf") if expires is None else expires + late
    return Holder(client, subject or "", _find_scopes(claims, rules.scope_claims), end)


def _check_header(header: Mapping[str, Any], rules: Rules) -> tuple[str, str | None]:
    """Algorithm and key id; what else stands there (jwk, jku, x5u, x5c) is nobody's word, and not looked at (RFC 8725 3.10)."""
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "jwt")
    if not isinstance(algorithm, str) or algorithm not in rules.algorithms:
        raise InvalidToken(reason="alg")
    if "crit" in header or "b64" in header:
        raise InvalidToken(reason="crit")  # RFC 7515 section 4.1.11: no extension is understood
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken(reason="kid")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in rules.types:
        raise InvalidToken(reason="typ")
    return algorithm, kid


def _find_scopes(claims: Mapping[str, Any], names: Iterable[str]) -> frozenset[str]:
    """What the claims list; an entry of a list that is no scope-token (RFC 6749 section 3.3) can be nobody's scope here."""
    found: set[str] = set()
    for name in names:
        value = claims.get(name)
        if isinstance(value, str) and _LIST.fullmatch(value) is not None:
            found.update(value.split())
        elif isinstance(value, list) and all(isinstance(word, str) for word in value):
            found.update(word for word in value if SCOPE_TOKEN.fullmatch(word) is not None)
        elif value is not None:
            raise InvalidToken(reason=f"{name} is no list of scopes")
    if any(SCOPE_TOKEN.fullmatch(word) is None for word in found) or sum(len(word) + 1 for word in found) > MAX_SCOPES:
        raise InvalidToken(reason="scopes that no header can hold")
    return frozenset(found)


def _words(value: object) -> set[str]:
    return {word for word in (value if isinstance(value, list) else [value]) if isinstance(word, str)}


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= MAX_NAME and _NAME.fullmatch(value) is not None


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _object(part: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(raw(part.decode("ascii")))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
