"""What the store's section may say."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from gateway.config.address import is_host
from gateway.config.certificates import Unusable, load_authorities
from gateway.config.draft import Draft
from gateway.config.faults import Fault

LONGEST_TIMEOUT = timedelta(seconds=2)
"""As `gateway.store.steady.SILENCE`; what has a life in the store is held for seconds longer than any answer takes."""
_FORMS = "write embedded:DIR, redis://host:6379/0, rediss://…, unix:///run/redis.sock, redis+sentinel://h1,h2/mymaster/0 or redis+cluster://h1,h2"
_NODES = "name nodes of the cluster, like redis+cluster://h1:6379,h2:6379; it has one database, 0"
_SENTINELS = "name sentinels and the master that they know, like redis+sentinel://h1:26379,h2:26379/mymaster/0"
_WITH_TLS = ("rediss:", "rediss+cluster:", "rediss+sentinel:")
_SENTINEL = ("redis+sentinel", "rediss+sentinel")
_CLUSTER = ("redis+cluster", "rediss+cluster")


def url(draft: Draft) -> Iterator[Fault]:
    """The URL is one of the forms that are known."""
    message = url_fault(draft.config.store.url)
    if message:
        yield draft.fault(message, "store", "url")


def url_fault(text: str) -> str:
    """What is wrong with a store's URL, without repeating it; empty when nothing is."""
    scheme, _, rest = text.partition(":")
    if "\0" in text:
        return _FORMS
    if scheme == "embedded":
        return "" if rest and not rest.startswith("//") else "name the folder: embedded:var/store"
    if scheme in _CLUSTER:
        return "" if _are_nodes(rest) and rest.removeprefix("//").partition("/")[2] == "" else _NODES
    if scheme in _SENTINEL:
        path = rest.removeprefix("//").partition("/")[2]
        return "" if _are_nodes(rest) and re.fullmatch(r"[A-Za-z0-9._-]+(/[0-9]{0,3})?", path) else _SENTINELS
    if scheme not in ("redis", "rediss", "unix"):
        return _FORMS
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return _FORMS
    if parts.query or parts.fragment:
        return "options are keys of the store's section, not part of its URL: remove the ? or # and what follows"
    if scheme == "unix":
        return "" if text.startswith("unix:///") and len(parts.path) > 1 else "name the socket: unix:///run/redis.sock"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    if not is_host(host) or port == 0:
        return _FORMS
    if re.fullmatch(r"(/[0-9]{0,3})?", parts.path) is None:
        return "after the host stands the number of the database, like /0"
    return ""


def _are_nodes(rest: str) -> bool:
    """Whether ``//`` and a list of hosts, with ports or without, stand in front of the first slash."""
    if not rest.startswith("//"):
        return False
    for node in rest.removeprefix("//").partition("/")[0].rpartition("@")[2].split(","):
        try:
            place = urlsplit(f"//{node}")
            port = place.port
        except ValueError:
            return False
        host = f"[{place.hostname}]" if ":" in (place.hostname or "") else place.hostname or ""
        if not is_host(host) or port == 0 or place.query or place.fragment:
            return False
    return True


def credentials(draft: Draft) -> Iterator[Fault]:
    """User and password stand in one place, and only where somebody asks for them."""
    store = draft.config.store
    if "@" not in store.url or store.url.startswith(("embedded:", "unix:")):
        return
    for key, value in (("username", store.username), ("password", store.password)):
        if value is not None:
            yield draft.fault("the URL holds a user or a password already: keep one of them", "store", key)


def options(draft: Draft) -> Iterator[Fault]:
    """Options that would do nothing, or never succeed, with this kind of store."""
    store = draft.config.store
    if store.timeout > LONGEST_TIMEOUT:
        yield draft.fault("write 2s or less: a store that is silent for so long is given up", "store", "timeout")
    if store.ca_file is not None and not store.url.startswith(_WITH_TLS):
        yield draft.fault("certificates are verified with rediss:// only: change the URL or remove ca_file", "store", "ca_file")
    if store.sentinel_password is not None and not store.url.startswith(("redis+sentinel:", "rediss+sentinel:")):
        yield draft.fault("there are no sentinels: remove it, or name them in url", "store", "sentinel_password")
    if store.durability == "replicated" and store.url.startswith("embedded:"):
        yield draft.fault("an embedded store has no replica: write local, or a URL", "store", "durability")


def files(draft: Draft) -> Iterator[Fault]:
    """Who vouches for the store's certificate can be read."""
    store = draft.config.store
    if store.ca_file is not None and store.url.startswith(_WITH_TLS):
        try:
            load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "ca_file", store.ca_file)
        except Unusable as unusable:
            yield draft.fault(str(unusable), "store", unusable.key)
