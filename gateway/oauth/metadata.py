"""Authorization server metadata: RFC 8414.  It lists what works here, and nothing else."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.oauth.assertions import ALGORITHMS
from gateway.oauth.authorization import CHALLENGE_METHOD, RESPONSE_TYPE

PRIVATE_KEY_JWT = "private_key_jwt"
NONE = "none"
"""The method of a client that can't keep a secret, where the grant allows it (RFC 7591 section 2)."""
WELL_KNOWN = "/.well-known/oauth-authorization-server"


def metadata_path(issuer: str) -> str:
    """Where the metadata lies: the well-known part goes between host and the issuer's path (section 3)."""
    return WELL_KNOWN + urlsplit(issuer).path.rstrip("/")


def endpoint_url(issuer: str, prefix: str, name: str) -> str:
    """Absolute URL of an OAuth endpoint (``token``, ``introspect``, ``revoke``)."""
    return f"{issuer.rstrip('/')}{prefix}/oauth/{name}"


def auth_methods(*, client_secret_post: bool) -> tuple[str, ...]:
    """How a client may authenticate, the default first."""
    return ("client_secret_basic", *(("client_secret_post",) if client_secret_post else ()), PRIVATE_KEY_JWT)


def metadata(
    issuer: str, prefix: str, *, grant_types: tuple[str, ...], scopes: frozenset[str], client_secret_post: bool,
    registration: bool = False, sign_in: bool = False, jwks: bool = False,
) -> dict[str, str | bool | list[str]]:
    """
    The metadata document (section 2).

    ``issuer`` is repeated letter by letter (section 3.3).  ``response_types_supported`` is REQUIRED, while section 3.2 omits
    empty arrays: where there is no authorization endpoint it is present and empty.
    """
    methods = list(auth_methods(client_secret_post=client_secret_post))
    signed = list(ALGORITHMS)
    public = [NONE] if sign_in else []
    document: dict[str, str | bool | list[str]] = {
        "issuer": issuer,
        "token_endpoint": endpoint_url(issuer, prefix, "token"),
        "token_endpoint_auth_methods_supported": methods + public,
        "token_endpoint_auth_signing_alg_values_supported": signed,
        "introspection_endpoint": endpoint_url(issuer, prefix, "introspect"),
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": signed,
        "revocation_endpoint": endpoint_url(issuer, prefix, "revoke"),
        "revocation_endpoint_auth_methods_supported": methods + public,
        "revocation_endpoint_auth_signing_alg_values_supported": signed,
        "grant_types_supported": list(grant_types),
        "response_types_supported": [],
    }
    if sign_in:
        document |= {
            "authorization_endpoint": endpoint_url(issuer, prefix, "authorize"),
            "response_types_supported": [RESPONSE_TYPE],
            "response_modes_supported": ["query"],
            "code_challenge_methods_supported": [CHALLENGE_METHOD],
            "authorization_response_iss_parameter_supported": True,  # RFC 9207 section 3
        }
    if jwks:
        document["jwks_uri"] = endpoint_url(issuer, prefix, "jwks.json")
    if registration:
        document["registration_endpoint"] = endpoint_url(issuer, prefix, "register")
    if scopes:
        document["scopes_supported"] = sorted(scopes)
    return document
