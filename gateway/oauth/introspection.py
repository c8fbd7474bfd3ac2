"""What introspection says of a token: RFC 7662 section 2.2."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gateway.oauth.records import INTROSPECT_ANY, AccessToken, Chain, Client, is_live
from gateway.oauth.scopes import write_scope

Answer = dict[str, str | int | bool | list[str]]

INACTIVE: Answer = {"active": False}
"""Unknown, expired, revoked or not for the caller: no other member, so that nothing tells them apart."""


def describe(
    token: AccessToken | Chain, client: Client | None, *, caller: Client, now_ms: int, issuer: str,
    claims: Mapping[str, Any] = MappingProxyType({}),
) -> Answer:  # fmt: skip
    """
    Describe a token to a caller.

    Args:
        token: The record of an access token, or the chain whose current refresh token was asked about.
        client: Whose token it is, if that client still exists.
        caller: Who asks: it sees its own tokens; those of others only with the permission ``introspect:any``.
        now_ms: The store's clock.
        issuer: For ``iss``.
        claims: Those of a JWT access token, so that whoever verifies it and whoever asks here read the same.
    """
    if client is None or not is_live(token, client, now_ms):
        return INACTIVE
    if token.client_id != caller.client_id and INTROSPECT_ANY not in caller.permissions:
        return INACTIVE
    answer: Answer = {
        "active": True,
        "client_id": token.client_id,
        "sub": token.subject or token.client_id,
        "iss": issuer,
        "iat": token.issued_at // 1000,
        "exp": token.expires_at // 1000,  # down: an answer cached until then must not outlive the token (section 4)
    }
    if token.audience:
        answer["aud"] = sorted(token.audience)
    answer.update((name, claims[name]) for name in ("aud", "iat", "exp", "jti") if name in claims)
    if isinstance(token, AccessToken):
        answer["token_type"] = "Bearer"  # noqa: S105
    if scopes := token.scopes & client.scopes:
        answer["scope"] = write_scope(scopes)
    return answer
