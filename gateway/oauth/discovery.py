"""Where another authorization server keeps its keys, by its metadata: RFC 8414, OpenID Connect Discovery.  Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

import orjson


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """
    Where an issuer's metadata may lie, in the order in which to look.

    The well-known part of RFC 8414 section 3 goes between host and path, that of OpenID Connect Discovery section 4 behind both.
    """
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


def find_jwks_uri(document: bytes, issuer: str) -> str:
    """
    The ``jwks_uri`` of a metadata document.

    Args:
        document: JSON.
        issuer: Which must stand in it letter by letter (RFC 8414 section 3.3).

    Raises:
        ValueError: It is another's, or names none.
    """
    try:
        metadata = orjson.loads(document)
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise ValueError("no metadata")
    if metadata.get("issuer") != issuer:
        raise ValueError("the metadata are another issuer's")
    uri = metadata.get("jwks_uri")
    if not isinstance(uri, str):
        raise ValueError("the metadata name no jwks_uri")
    return uri
