"""What a client says of itself when it registers: RFC 7591 section 2."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

from gateway.errors import InvalidClientMetadata, InvalidRedirectUri, InvalidScope
from gateway.oauth.assertions import read_public_key
from gateway.oauth.authorization import RESPONSE_TYPE, is_loopback_uri
from gateway.oauth.grants import AUTHORIZATION_CODE, CLIENT_CREDENTIALS
from gateway.oauth.metadata import NONE, PRIVATE_KEY_JWT
from gateway.oauth.scopes import parse_scope, write_scope

MAX_TEXT = 200
"""Characters of a name or identifier."""
MAX_URI = 1024
"""Characters of a URI."""
MAX_LIST = 10
"""Entries of a list."""

_UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!#$%&'()*+,/:;=?@\[\]._~0-9A-Za-z-]+")
_AUTHORITY = re.compile(r"//(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:[/?]|\Z)")
"""A host as it stands in a Content-Security-Policy too, where ``;`` and ``,`` would begin something else."""
_SAFE_SCHEMES = ("http", "https")
_MANAGED = ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")


@dataclass(frozen=True, slots=True)
class Offer:
    """What this gateway lets a self-registered client have."""

    grant_types: tuple[str, ...]
    auth_methods: tuple[str, ...]
    scopes: frozenset[str]
    """All that it may be granted."""


def read_client_metadata(body: bytes, offer: Offer) -> dict[str, object]:
    """
    Read a registration request; what is not known is ignored (section 2), what is not on offer is replaced (section 3.2.1).

    Returns:
        What is registered: every member of it goes into the answer.

    Raises:
        InvalidClientMetadata: It isn't a JSON object, a member breaks its rule, or nothing of what it asks for is on offer.
        InvalidRedirectUri: One of ``redirect_uris`` is none.
    """
    return _registered(_read_object(body), offer)


def read_replacement(body: bytes, offer: Offer, client_id: str, is_secret_of_client: Callable[[str], bool]) -> dict[str, object]:
    """
    Read an update, which replaces all that was registered (RFC 7592 section 2.2).

    Raises:
        InvalidClientMetadata: As `read_client_metadata`; or it names another client or secret, or what only the server says.
        InvalidRedirectUri: One of ``redirect_uris`` is none.
    """
    members = _read_object(body)
    if members.get("client_id") != client_id:
        raise InvalidClientMetadata("client_id must be that of the client in the path")
    for name in _MANAGED:
        if name in members:
            raise InvalidClientMetadata(f"{name} is not for the client to say")
    secret = members.get("client_secret")
    if secret is not None and not (isinstance(secret, str) and is_secret_of_client(secret)):
        raise InvalidClientMetadata("client_secret must be the present one, or absent")
    return _registered(members, offer)


def _registered(members: Mapping[str, object], offer: Offer) -> dict[str, object]:
    kept = {name: check(name, members[name]) for name, check in _CHECKS.items() if members.get(name) is not None}
    method = members.get("token_endpoint_auth_method", offer.auth_methods[0])
    if method not in offer.auth_methods:
        raise InvalidClientMetadata("token_endpoint_auth_method is none of those in the metadata of this server")
    kept["token_endpoint_auth_method"] = method
    grants = _grants(members, offer, public=method == NONE, redirects=bool(kept.get("redirect_uris")))
    kept["grant_types"], kept["response_types"] = grants, [RESPONSE_TYPE] if AUTHORIZATION_CODE in grants else []
    if (method == PRIVATE_KEY_JWT) != (members.get("jwks") is not None):
        raise InvalidClientMetadata("jwks goes with private_key_jwt, and private_key_jwt with jwks")
    if method == PRIVATE_KEY_JWT:
        kept["jwks"] = {"keys": _public_keys(members["jwks"])}
    scopes = _scopes(members.get("scope"), offer.scopes)
    if scopes:
        kept["scope"] = write_scope(scopes)
    return kept


def _grants(members: Mapping[str, object], offer: Offer, *, public: bool, redirects: bool) -> list[str]:
    """The grant types that are on offer to such a client: all that it can use, where it names none."""
    named = members.get("grant_types") is not None
    grants = _on_offer("grant_types", members, offer.grant_types)
    if AUTHORIZATION_CODE in grants and not redirects:
        if named:
            raise InvalidRedirectUri("authorization_code needs redirect_uris")
        grants.remove(AUTHORIZATION_CODE)
    if public and CLIENT_CREDENTIALS in grants:
        grants.remove(CLIENT_CREDENTIALS)
    if public and AUTHORIZATION_CODE not in grants:
        raise InvalidClientMetadata("token_endpoint_auth_method none goes with authorization_code and redirect_uris")
    return grants


def redirect_uris(metadata: Mapping[str, object]) -> tuple[str, ...]:
    """Where codes of a client with this registered metadata may go; none where it may not use any."""
    uris, grants = metadata.get("redirect_uris"), metadata.get("grant_types")
    usable = isinstance(uris, list) and isinstance(grants, list) and AUTHORIZATION_CODE in grants
    return tuple(str(uri) for uri in uris) if usable and isinstance(uris, list) else ()


def read_name(value: object) -> str:
    """
    Check the name of a client (RFC 7591 section 2, ``client_name``): data, that is shown escaped.

    Raises:
        InvalidClientMetadata: It is no string of 1 to `MAX_TEXT` characters that can be shown.
    """
    return _text("client_name", value)


def read_redirect_uris(value: object) -> tuple[str, ...]:
    """
    Check redirect URIs: absolute, without a fragment; https, http on loopback, or an app's own scheme.

    Raises:
        InvalidRedirectUri: One is none.
    """
    return tuple(_redirect_uris("redirect_uris", value))


def _on_offer(name: str, members: Mapping[str, object], offered: tuple[str, ...]) -> list[str]:
    if members.get(name) is None:
        return list(offered)
    asked = _texts(name, members[name])
    found = [one for one in offered if one in asked]
    if not found:
        raise InvalidClientMetadata(f"{name} names nothing that is in the metadata of this server")
    return found


def public_keys(metadata: Mapping[str, object]) -> list[bytes]:
    """The keys of registered metadata, as `gateway.oauth.assertions` keeps them; none where there is a secret."""
    jwks = metadata.get("jwks")
    return [read_public_key(key) for key in jwks["keys"]] if isinstance(jwks, dict) else []


def _public_keys(value: object) -> list[dict[str, object]]:
    """The registered keys: their public members and names."""
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_LIST:
        raise InvalidClientMetadata(f"jwks must hold 1 to {MAX_LIST} keys")
    kept: dict[bytes, dict[str, object]] = {}
    for key in keys:
        try:
            public = read_public_key(key)
        except ValueError as error:
            raise InvalidClientMetadata(f"jwks: {error}") from None
        named = {name: _text(name, key[name]) for name in ("kid", "alg", "use") if name in key}
        kept[public] = {**json.loads(public), **named}
    return list(kept.values())


def _scopes(value: object, allowed: frozenset[str]) -> frozenset[str]:
    if value is None or value == "":
        return allowed
    if not isinstance(value, str) or len(value) > MAX_URI:
        raise InvalidClientMetadata("scope must be a string of scopes")
    try:
        asked = parse_scope(value)
    except InvalidScope:
        raise InvalidClientMetadata("scope has characters that are not allowed") from None
    if allowed.isdisjoint(asked):
        raise InvalidClientMetadata("scope names nothing that a registered client may have")
    return allowed & asked


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or value.isspace():
        raise InvalidClientMetadata(f"{name} must be a string of 1 to {MAX_TEXT} characters")
    if any(unicodedata.category(character) in _UNPRINTABLE for character in value):
        raise InvalidClientMetadata(f"{name} has characters that can't be shown")
    return value


def _texts(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise InvalidClientMetadata(f"{name} must be a list of at most {MAX_LIST} strings")
    return [_text(name, entry) for entry in value]


def _page(name: str, value: object) -> str:
    """The URL of a page for people: shown as a link one day, so never ``javascript:``."""
    if not isinstance(value, str) or not _is_uri(value) or urlsplit(value).scheme.lower() not in _SAFE_SCHEMES:
        raise InvalidClientMetadata(f"{name} must be an absolute https or http URL")
    return value


def _redirect_uris(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_LIST:
        raise InvalidRedirectUri(f"{name} must be a list of at most {MAX_LIST} URIs")
    for uri in value:
        if not isinstance(uri, str) or not _is_uri(uri) or "#" in uri or not _may_redirect(uri):
            raise InvalidRedirectUri(
                "Each of redirect_uris must be absolute and without a fragment: https, http on loopback, or an app's own scheme"
            )
    return list(dict.fromkeys(value))


def _may_redirect(uri: str) -> bool:
    """
    Web pages, apps on this machine, and apps under a reversed domain name (RFC 8252 section 7); never ``javascript:``.

    Over plain http a code could be read on its way (RFC 9700 section 2.1), so it is for loopback only.
    """
    scheme, _, rest = uri.partition(":")
    if scheme == "https":
        return _AUTHORITY.match(rest) is not None
    return is_loopback_uri(uri) if scheme == "http" else "." in scheme and scheme == scheme.lower()


def _is_uri(value: str) -> bool:
    if len(value) > MAX_URI or _URI.fullmatch(value) is None:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme.lower() not in _SAFE_SCHEMES or (bool(parts.hostname) and "@" not in parts.netloc)


_CHECKS: dict[str, Callable[[str, object], object]] = {
    "client_name": _text, "software_id": _text, "software_version": _text, "contacts": _texts,
    "client_uri": _page, "logo_uri": _page, "tos_uri": _page, "policy_uri": _page, "redirect_uris": _redirect_uris,
}  # fmt: skip


def _read_object(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a name twice, numbers of thousands of digits, too deep
        raise InvalidClientMetadata("The body is not a JSON object in UTF-8 with each name once") from None
    if not isinstance(found, dict):
        raise InvalidClientMetadata("The body must be a JSON object")
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
