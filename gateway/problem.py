"""
How a refusal looks on the wire: RFC 9457 ``application/problem+json``.  Pure; edge and authority both render with it.

Only what an error says of itself goes out (`GatewayError.detail`, constant texts): never bytes of the client, never the
``reason``, which is the log's.
"""

from __future__ import annotations

from http import HTTPStatus

import orjson

from gateway.errors import GatewayError, Headers, InsufficientScope, TokenRefused

REALM = "gateway"
MEDIA_TYPE = "application/problem+json"

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def problem(
    error: GatewayError, *, request_id: str, token_endpoint: str, resource_metadata: str = ""
) -> tuple[int, Headers, bytes]:
    """
    Render a refusal.

    ``type`` is about:blank, so ``title`` is the status phrase (RFC 9457 section 4.2.1); programs read ``code``.

    Args:
        error: What was refused.
        request_id: The request's id, to find it in the logs.
        token_endpoint: Absolute URL; a 401 tells with it where tokens come from.
        resource_metadata: Absolute URL of the metadata of what was asked for, for challenges (RFC 9728 section 5.1).

    Returns:
        Status, headers (without Content-Length) and body.
    """
    document = {
        "type": "about:blank",
        "title": _PHRASES.get(error.status, error.title),
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    if error.status == 401:
        document["token_endpoint"] = token_endpoint
    headers: Headers = (("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store"), *error.headers)
    if isinstance(error, TokenRefused):
        headers = (*headers, ("WWW-Authenticate", challenge(error, resource_metadata)))
    return error.status, headers, orjson.dumps(document)


def challenge(error: TokenRefused, resource_metadata: str = "") -> str:
    """The value of ``WWW-Authenticate`` (RFC 6750 section 3): no error code where no token was sent."""
    parts = [f'Bearer realm="{REALM}"']
    if error.challenge:
        parts.append(error.challenge)
    if isinstance(error, InsufficientScope):
        scopes = " ".join(sorted(error.scopes))
        parts.append(f'error="{error.code}", error_description="{error.title}", scope="{scopes}"')
    if resource_metadata:
        parts.append(f'resource_metadata="{resource_metadata}"')
    return ", ".join(parts)
