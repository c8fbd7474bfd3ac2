"""
Access tokens as they are presented, in both forms: opaque ones, and JWTs of RFC 9068.

Either is known by its digest alone: what lives stands in the store.  So nothing that somebody else signed, altered or wrote
in another way is ever alive here, whatever its signature says, and a JWT ends as soon as any other token.  Its claims are for
resource servers elsewhere, and where they are read here, the record was found before.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway.oauth.tokens import MAX_ACCESS, AccessRef, digest_access, find_opaque, find_partition, is_client_id, raw

TYPE = "at+jwt"
"""RFC 9068 section 2.1."""
ALGORITHM = "ES256"
JWT_PATTERN = r"eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCIsImtpZCI6[A-Za-z0-9_-]{62}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}"
"""The published regular expression of JWT access tokens: it begins with the header of ours (docs/clients.md)."""

_JWT = re.compile(JWT_PATTERN.encode("ascii"))


def find_access(token: bytes) -> AccessRef | None:
    """Read an access token; None unless its form is right (any length, any bytes are safe to pass)."""
    ref = find_opaque(token)
    if ref is not None or not token.startswith(b"eyJ"):
        return ref
    claims = read_claims(token)
    client_id = claims.get("client_id")
    if not isinstance(client_id, str) or not is_client_id(client_id):
        return None
    partition = find_partition(client_id)
    assert partition is not None, "every client id names its partition"
    return AccessRef(partition, digest_access(token))


def read_claims(token: bytes) -> dict[str, Any]:
    """The claims of a JWT access token, which nothing is verified of; empty when it is none."""
    if len(token) > MAX_ACCESS or _JWT.fullmatch(token) is None:
        return {}
    try:
        claims = orjson.loads(raw(token.split(b".")[1].decode("ascii")))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
