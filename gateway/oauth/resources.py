"""
Protected resources and their metadata: RFC 9728.

A route that asks for a token is a protected resource; its identifier is the URL at which clients call it.  The gateway as a
whole is one too, so that a client that knows only its origin finds the authorization server (section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def resource(issuer: str, path: str = "/", host: str = "") -> str:
    """
    The identifier of a protected resource (section 1.2).

    Args:
        issuer: It tells scheme and port at which clients reach the gateway, and the host.
        path: The route's.  The root has none in its identifier, as the slash after the host counts for nothing (section 3.1).
        host: A host name of the route's own, lower-case; empty: the issuer's.
    """
    parts = urlsplit(issuer)
    origin = parts.netloc
    if host:
        origin = host if parts.port is None else f"{host}:{parts.port}"
    return f"{parts.scheme}://{origin}{'' if path == '/' else path}"


def metadata_path(path: str = "/") -> str:
    """Where the metadata lies: the well-known part goes between host and the resource's path (section 3.1)."""
    return WELL_KNOWN if path == "/" else WELL_KNOWN + path


def metadata_url(issuer: str, path: str, host: str = "") -> str:
    """The absolute URL of the metadata, for ``resource_metadata`` of a challenge (section 5.1)."""
    return resource(issuer, host=host) + metadata_path(path)


def metadata(identifier: str, issuers: Iterable[str], scopes: Iterable[str]) -> dict[str, str | list[str]]:
    """
    The metadata document (section 2).

    Args:
        identifier: Repeated letter by letter (section 3.3).
        issuers: The authorization servers whose tokens are good there.
        scopes: Whatever a method of the resource may ask; left out when there is none (section 3.2).
    """
    document: dict[str, str | list[str]] = {
        "resource": identifier,
        "authorization_servers": list(issuers),
        "bearer_methods_supported": ["header"],
    }
    named = sorted(scopes)
    if named:
        document["scopes_supported"] = named
    return document
