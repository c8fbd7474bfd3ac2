"""
A signed statement of who calls, for one upstream: a JWT that says what the identity headers say.  Pure.

It is no access token: its ``typ`` is not ``at+jwt`` (RFC 9068 section 2.1), its audience is the upstream, and this gateway knows
tokens by their digest, which nobody has noted of it.
"""

from __future__ import annotations

import orjson

TYPE = "JWT"
LIFE = 60
"""Seconds from ``iat`` to ``exp``."""


def identity_claims(
    *, issuer: str, audience: str, client_id: str, subject: str, scope: str, now_ms: int, jti: str
) -> bytes:  # fmt: skip
    """
    The claims (RFC 7519 section 4.1, RFC 8693 section 4.2 and 4.3), as JSON.

    Args:
        issuer: The gateway.
        audience: The upstream.
        client_id: Who calls.
        subject: The account for which it acts; empty: itself, and ``sub`` is the client_id.
        scope: The token's scopes, between spaces; empty: left out.
        now_ms: The store's clock.
        jti: A random name.
    """
    now = now_ms // 1000
    return orjson.dumps({
        "iss": issuer, "aud": audience, "sub": subject or client_id, "client_id": client_id, "iat": now, "exp": now + LIFE,
        "jti": jti, **({"scope": scope} if scope else {}),
    })  # fmt: skip
