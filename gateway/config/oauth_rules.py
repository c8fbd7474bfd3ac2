"""What the authorization server's section may say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from gateway.config.address import is_host, is_loopback
from gateway.config.draft import Draft
from gateway.config.faults import Fault
from gateway.oauth.records import JWT

LONGEST_CODE = timedelta(minutes=10)
SHORTEST_KEY_LIFE = timedelta(days=1)
LONGEST_LIFE = timedelta(days=400)
"""The store remembers that long which keys were retired together with their tokens."""


def issuer(draft: Draft) -> Iterator[Fault]:
    """The issuer is an origin, and https off loopback (RFC 8414 section 2)."""
    message = issuer_fault(draft.config.oauth.issuer)
    if message:
        yield draft.fault(message, "oauth", "issuer")


def issuer_fault(text: str) -> str:
    """What is wrong with an issuer; empty when nothing is."""
    try:
        parts = urlsplit(text)
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError:
        return "write the public origin, like https://api.example.com"
    host = parts.netloc.rpartition("@")[2]
    host = host[: host.index("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
    if parts.scheme not in ("http", "https") or not is_host(host) or not port_is_sound or parts.netloc.endswith(":"):
        return "write the public origin, like https://api.example.com"
    if "@" in parts.netloc:
        return "an issuer can't hold a user or a password"
    if "?" in text or "#" in text:
        return "an issuer has no query and no fragment (RFC 8414 section 2): remove the ? or # and what follows"
    if parts.path == "/":
        return "clients compare the issuer character by character (RFC 8414 section 3.3): remove the / at its end"
    if parts.path:
        return "write the origin alone, without a path: where the endpoints live is oauth.prefix"
    if text != f"{parts.scheme}://{parts.netloc}" or any(character.isspace() for character in text):
        return "write the public origin in lower case, like https://api.example.com"
    if parts.scheme == "http" and not is_loopback(host):
        return "off loopback an issuer is https (RFC 8414 section 2): write https://…, also when TLS ends before the gateway"
    return ""


def issuer_said(draft: Draft) -> Iterator[Fault]:
    """Off loopback, the public origin can't be guessed."""
    if not is_loopback(draft.config.listen.host) and not draft.is_set("oauth", "issuer"):
        message = "oauth.issuer is not set, so metadata names this machine only: write the public origin"
        yield Fault(draft.at("oauth"), message, fatal=False)


def registration(draft: Draft) -> Iterator[Fault]:
    """A word about the open one."""
    mode = draft.config.oauth.registration
    if mode == "open" and not is_loopback(draft.config.listen.host):
        message = "anybody who reaches the gateway may register and get tokens; approval, token and closed need the operator"
        yield draft.warning(message, "oauth", "registration")


def registration_paths(draft: Draft) -> Iterator[Fault]:
    """Names below the prefix that are not the gateway's own already."""
    for position, name in enumerate(draft.config.oauth.registration_paths):
        if name in ("oauth", "forward-auth") or (name == "account" and draft.config.oauth.sign_in):
            message = "the gateway has endpoints of that name already: take another"
            yield draft.fault(message, "oauth", "registration_paths", position)


def sessions(draft: Draft) -> Iterator[Fault]:
    """Who is idle for longer than a session lives is never noticed."""
    oauth = draft.config.oauth
    if oauth.session_idle > oauth.session_life:
        yield draft.fault("a session lives no longer than oauth.session_life: write less here", "oauth", "session_idle")


def token_format(draft: Draft) -> Iterator[Fault]:
    """The key that signs is kept in the store, sealed with what the store does not have."""
    config = draft.config
    if config.oauth.access_token_format == JWT and config.secrets is None and not config.store.url.startswith("embedded:"):
        message = "JWTs are signed with a key that is kept sealed in the store: set secrets.current, the same in every instance"
        yield draft.fault(message, "oauth", "access_token_format")


def lifetimes(draft: Draft) -> Iterator[Fault]:
    """No token outlives the memory of what ended it."""
    oauth = draft.config.oauth
    for key in ("access_token_ttl", "refresh_token_ttl", "code_refresh_ttl"):
        if getattr(oauth, key) > LONGEST_LIFE:
            message = f"write at most {LONGEST_LIFE.days}d: what ended a token is not remembered longer"
            yield draft.fault(message, "oauth", key)
    if oauth.idle_key_ttl and not timedelta(hours=1) <= oauth.idle_key_ttl <= LONGEST_LIFE:
        message = f"write 0s, or 1h to {LONGEST_LIFE.days}d: a last use is noted and remembered so long"
        yield draft.fault(message, "oauth", "idle_key_ttl")
    if not SHORTEST_KEY_LIFE <= oauth.signing_key_life <= LONGEST_LIFE:
        message = f"write 1d to {LONGEST_LIFE.days}d: every key is published for as long as its tokens live"
        yield draft.fault(message, "oauth", "signing_key_life")
    if oauth.code_ttl > LONGEST_CODE:
        yield draft.fault("write at most 10m (RFC 6749 section 4.1.2): codes are exchanged at once", "oauth", "code_ttl")
    if oauth.code_refresh_idle_ttl > oauth.code_refresh_ttl:
        message = "it is longer than code_refresh_ttl, which ends every such chain: write less, or raise that"
        yield draft.fault(message, "oauth", "code_refresh_idle_ttl")
