"""
Client authentication by a signed JWT, private_key_jwt: RFC 7523 sections 2.2 and 3, RFC 7521 section 4.2.

Pure: the time is an argument, and whether a ``jti`` was used before is the store's to say.  joserfc, which verifies signatures,
is imported when the first one comes: most gateways never see any.
"""

from __future__ import annotations

import json
import warnings
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from gateway.errors import InvalidClient

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523 section 2.2."""
ALGORITHMS = ("ES256", "Ed25519", "EdDSA", "PS256", "RS256")
"""Asymmetric ones only; which of them a key may use is its type's to say."""
MAX_ASSERTION = 8 * 1024
"""Characters."""
MAX_LIFE = 3600
"""Seconds that an assertion may have to live: so long its ``jti`` is remembered."""
LEEWAY = 10
"""Seconds by which clocks may differ."""
MAX_JTI = 256
"""Characters."""

_BY_TYPE = {"EC": ("ES256",), "OKP": ("EdDSA", "Ed25519"), "RSA": ("PS256", "RS256")}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A client's registered key: which credential it is, and the JWK as JSON."""

    client_key: str
    jwk: bytes


@dataclass(frozen=True, slots=True)
class Assertion:
    """What a verified assertion says."""

    client_key: str
    """The credential whose key signed it."""
    jti: str
    expires_at: int
    """Seconds since 1970."""


def claimed_client(assertion: str) -> str:
    """
    Whose assertion it claims to be; nothing is verified yet.

    Raises:
        InvalidClient: It has no such form.
    """
    if len(assertion) > MAX_ASSERTION:
        raise InvalidClient("assertion_too_long")
    parts = assertion.split(".")
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        subject = claims["sub"]
    except (IndexError, ValueError, TypeError, KeyError, RecursionError):
        raise InvalidClient("malformed_assertion") from None
    if len(parts) != 3 or not isinstance(subject, str):
        raise InvalidClient("malformed_assertion")
    return subject


def verify(
    assertion: str, client_id: str, keys: Sequence[PublicKey], *, audiences: frozenset[str], now: int
) -> Assertion:
    """
    Verify a client's assertion (RFC 7523 section 3).

    Args:
        assertion: The compact JWS.
        client_id: Whose `claimed_client` said it is.
        keys: Those that this client registered.
        audiences: What may stand in ``aud``.
        now: Seconds since 1970.

    Raises:
        InvalidClient: In whatever way it fails; only the ``reason`` tells.
    """
    found = _find_signer(assertion, keys)
    if found is None:
        raise InvalidClient("assertion_signature")
    client_key, claims = found
    if claims.get("iss") != client_id or claims.get("sub") != client_id:
        raise InvalidClient("assertion_issuer")
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(name, str) and name in audiences for name in named):
        raise InvalidClient("assertion_audience")
    expires, jti = claims.get("exp"), claims.get("jti")
    if not _is_time(expires) or not now < expires + LEEWAY <= now + MAX_LIFE + 2 * LEEWAY:
        raise InvalidClient("assertion_expiry")
    if any(name in claims and not (_is_time(claims[name]) and claims[name] <= now + LEEWAY) for name in ("nbf", "iat")):
        raise InvalidClient("assertion_from_the_future")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
        raise InvalidClient("assertion_without_jti")
    return Assertion(client_key, jti, int(expires))


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _find_signer(assertion: str, keys: Sequence[PublicKey]) -> tuple[str, dict[str, Any]] | None:
    """The first key that verifies the signature: a client has few, so ``kid`` is not needed."""
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    for key in keys:
        members = json.loads(key.jwk)
        try:
            with warnings.catch_warnings():  # of EdDSA, which RFC 9864 calls Ed25519 by now, and clients do not yet
                warnings.simplefilter("ignore")
                token = jwt.decode(assertion, import_key(members), algorithms=_BY_TYPE[members["kty"]])
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            continue
        return (key.client_key, token.claims) if isinstance(token.claims, dict) else None
    return None


def read_public_key(value: object) -> bytes:
    """
    Check a JWK that a client registers (RFC 7517), and write what is kept of it.

    Returns:
        The public members as JSON, in one order, so that equal keys are equal bytes.

    Raises:
        ValueError: It is private, symmetric, of a curve or size that is not taken, or no JWK at all; says which.
    """
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key

    if not isinstance(value, dict):
        raise ValueError("a key must be a JSON object")
    if any(name in value for name in ("d", "p", "q", "dp", "dq", "qi", "oth", "k")):
        raise ValueError("a key must be public: the private part stays with the client")
    kind = value.get("kty")
    if not isinstance(kind, str) or (kind, value.get("crv")) not in (("EC", "P-256"), ("OKP", "Ed25519"), ("RSA", None)):
        raise ValueError("a key must be EC P-256, OKP Ed25519 or RSA")
    if value.get("use", "sig") != "sig" or value.get("alg", _BY_TYPE[kind][0]) not in _BY_TYPE[kind]:
        raise ValueError("a key must be for signing, with an algorithm of its type")
    names = {"EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "RSA": ("e", "n")}[kind]
    members: dict[str, str | list[str]] = {"kty": kind, **{name: str(value.get(name)) for name in names}}
    try:
        key = import_key(members)
        size = getattr(key.public_key, "key_size", 256)
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("a key must hold the members of its type") from None
    if kind == "RSA" and not 2048 <= size <= 4096:
        raise ValueError("an RSA key must have 2048 to 4096 bits")
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")
