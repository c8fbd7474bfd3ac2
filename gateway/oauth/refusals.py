"""How the OAuth endpoints refuse: the JSON of RFC 6749 section 5.2."""

from __future__ import annotations

import orjson

from gateway.errors import GatewayError, Headers, OAuthError

NO_STORE: Headers = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))
"""RFC 6749 section 5.1, on every answer of an endpoint that deals with tokens or secrets."""


def refusal(error: GatewayError) -> tuple[int, Headers, bytes]:
    """
    Render what an OAuth endpoint refuses, its own and everybody's errors: status, headers and body.

    What the RFC has no code for gets the nearest registered one: 429 and 5xx those of section 4.1.2.1.
    """
    document = {"error": oauth_code(error), "error_description": error.detail}
    return error.status, (("Content-Type", "application/json"), *NO_STORE, *error.headers), orjson.dumps(document)


def oauth_code(error: GatewayError) -> str:
    """The ``error`` of a refusal."""
    if isinstance(error, OAuthError):
        return error.code
    if error.status in (429, 503):
        return "temporarily_unavailable"
    return "server_error" if error.status >= 500 else "invalid_request"
