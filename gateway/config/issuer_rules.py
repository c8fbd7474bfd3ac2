"""What entries of ``issuers`` may say, and routes of them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from gateway.config.address import is_host, is_loopback
from gateway.config.certificates import Unusable, load_authorities
from gateway.config.draft import Draft
from gateway.config.faults import Fault
from gateway.config.model import OWN, Introspection, Issuer
from gateway.config.overrides import suggest
from gateway.oauth.key_sets import MAX_DOCUMENT, read_key_set

LONGEST_LEEWAY = timedelta(minutes=5)
SHORTEST_REFRESH, LONGEST_REFRESH = timedelta(minutes=1), timedelta(days=1)
LONGEST_STALE = timedelta(days=7)
LONGEST_CACHE = timedelta(minutes=10)
LONGEST_WAIT = timedelta(seconds=4)


def issuers(draft: Draft) -> Iterator[Fault]:
    """An issuer can be told from all others, and from the gateway."""
    for name, issuer in draft.config.issuers.items():
        if name == OWN:
            yield draft.fault("routes call the gateway itself so: take another name", "issuers", name, key=True)
        message = identifier_fault(issuer.issuer)
        if not message and issuer.issuer == draft.config.oauth.issuer:
            message = "this is the gateway itself (oauth.issuer): its own tokens need no entry"
        if message:
            yield draft.fault(message, "issuers", name, "issuer")
        yield from _keys(draft, name, issuer)
        yield from _times(draft, name, issuer)
        if issuer.introspection is not None:
            yield from _introspection(draft, name, issuer.introspection)


def _keys(draft: Draft, name: str, issuer: Issuer) -> Iterator[Fault]:
    if issuer.jwks_uri is not None:
        message = url_fault(issuer.jwks_uri)
        if message:
            yield draft.fault(message, "issuers", name, "jwks_uri")
        if issuer.jwks_file is not None:
            yield draft.fault("the keys are at jwks_uri already: keep one of them", "issuers", name, "jwks_file")
    for key in ("algorithms", "token_types"):
        if not getattr(issuer, key):
            yield draft.fault("no token could ever be good: write at least one", "issuers", name, key)
    asked = issuer.introspection is not None and issuer.introspection.jwts
    for key in ("jwks_uri", "jwks_file"):
        if asked and getattr(issuer, key) is not None:
            message = "it is asked about its JWTs too, so no key is ever used: write introspection.jwts: false, or remove this"
            yield draft.fault(message, "issuers", name, key)
    if not issuer.audience and not asked:
        message = "name what this API is called there (aud), or tokens for any other would be good here: add audience"
        yield draft.fault(message, "issuers", name, "audience")


def _times(draft: Draft, name: str, issuer: Issuer) -> Iterator[Fault]:
    if issuer.leeway > LONGEST_LEEWAY:
        yield draft.fault("write at most 5m: beyond, set the clocks", "issuers", name, "leeway")
    if not SHORTEST_REFRESH <= issuer.refresh <= LONGEST_REFRESH:
        yield draft.fault("write 1m to 1d", "issuers", name, "refresh")
    elif not issuer.refresh <= issuer.max_stale <= LONGEST_STALE:
        yield draft.fault("write at least what refresh says, and at most 7d", "issuers", name, "max_stale")


def _introspection(draft: Draft, name: str, section: Introspection) -> Iterator[Fault]:
    place = ("issuers", name, "introspection")
    message = url_fault(section.endpoint)
    if message:
        yield draft.fault(message, *place, "endpoint")
    if section.cache > LONGEST_CACHE:
        yield draft.fault("write at most 10m: so long a token that was revoked would pass", *place, "cache")
    if section.timeout > LONGEST_WAIT:
        yield draft.fault("write at most 4s: requests wait for it", *place, "timeout")
    prefix = section.prefix
    if prefix is None:
        return
    if re.match(r"gw[aimrs]_", prefix) or prefix.startswith("eyJ"):
        message = "the gateway's own tokens, or JWTs, begin so: none of these is told by a prefix"
        yield draft.fault(message, *place, "prefix")
    for other, issuer in draft.config.issuers.items():
        theirs = issuer.introspection.prefix if issuer.introspection is not None else None
        if other != name and theirs is not None and prefix.startswith(theirs) and (prefix != theirs or other < name):
            yield draft.fault(f"tokens of {other} begin so too: nobody could tell whose they are", *place, "prefix")


def identifier_fault(text: str) -> str:
    """What is wrong with an issuer identifier (RFC 8414 section 2); empty when nothing is."""
    return "write the issuer as its tokens do (iss), like https://idp.example.com" if "?" in text else url_fault(text)


def url_fault(text: str) -> str:
    """What is wrong with a URL of another server; empty when nothing is."""
    form = "write a URL like https://idp.example.com/keys"
    if not text.isascii() or not text.isprintable() or any(mark in text for mark in ' "\\<>^`{|}'):
        return form
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return form
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if parts.scheme not in ("http", "https") or not is_host(host) or port == 0:
        return form
    if "@" in parts.netloc:
        return "a URL can't hold a user or a password"
    if "#" in text:
        return "a URL that is asked has no fragment: remove the # and what follows"
    if parts.scheme == "http" and not is_loopback(host):
        return "off loopback this is https, or anybody on the way could make tokens"
    return ""


def trusted(draft: Draft) -> Iterator[Fault]:
    """A route trusts issuers that there are, each once, and any token names at most one of them."""
    known = draft.config.issuers
    for number, route in draft.whole_routes:
        if route.public and draft.is_set("routes", number, "issuers"):
            yield draft.fault("a public route asks no token: remove public or this", "routes", number, "issuers")
        seen: dict[str, str] = {}
        any_token = ""
        for position, name in enumerate(route.issuers):
            place = ("routes", number, "issuers", position)
            if name != OWN and name not in known:
                hint = suggest(name, dict.fromkeys([OWN, *known]))
                yield draft.fault(f"no such issuer{hint}", *place)
                continue
            iss = OWN if name == OWN else known[name].issuer
            if iss in seen:
                yield draft.fault(f"{seen[iss]} is the same issuer: a token could be judged by either; keep one", *place)
            seen.setdefault(iss, name)
            section = known[name].introspection if name != OWN else None
            if section is not None and section.prefix is None:
                if any_token:
                    message = f"{any_token} is asked about every other token already: give one of both an introspection.prefix"
                    yield draft.fault(message, *place)
                any_token = any_token or name


def used(draft: Draft) -> Iterator[Fault]:
    """What no route trusts is most likely a mistake."""
    named = {name for _, route in draft.routes for name in route.issuers}
    for name in draft.config.issuers:
        if name not in named:
            yield draft.warning("no route takes its tokens: add it to issuers of one", "issuers", name, key=True)


def files(draft: Draft) -> Iterator[Fault]:
    """Keys and certificates that it names can be read."""
    for name, issuer in draft.config.issuers.items():
        if issuer.ca_file is not None:
            try:
                load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "ca_file", issuer.ca_file)
            except Unusable as unusable:
                yield draft.fault(str(unusable), "issuers", name, unusable.key)
        if issuer.jwks_file is not None:
            try:
                with issuer.jwks_file.open("rb") as file:
                    keys = read_key_set(file.read(MAX_DOCUMENT + 1))
            except OSError as error:
                yield draft.fault(f"can't read the file: {error.strerror}", "issuers", name, "jwks_file")
            except ValueError as error:
                yield draft.fault(f"{error}: write a JSON object with a list of keys", "issuers", name, "jwks_file")
            else:
                if not len(keys):
                    yield draft.fault("there is no key in it that verifies signatures", "issuers", name, "jwks_file")
