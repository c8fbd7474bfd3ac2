"""Hosts, ports and targets as the configuration names them.  Pure: no name is looked up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_TARGET = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Target:
    """One address of an upstream."""

    scheme: Literal["http", "https", "unix"]
    host: str
    """Name or address, without brackets; the path of the socket for ``unix``."""
    port: int
    """0 for ``unix``."""


def parse_target(text: str) -> Target:
    """
    Read ``http://host[:port]``, ``https://host[:port]`` or ``unix:/path``.

    Raises:
        ValueError: With what to write; never repeats ``text``, which may hold a password.
    """
    if text.startswith("unix:"):
        return _parse_unix(text.removeprefix("unix:"))
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in ("http", "https"):
        raise ValueError("write http://host:port, https://host:port or unix:/path")
    if "@" in rest:
        raise ValueError("a target can't hold a user or a password: remove what stands before the @")
    if any(mark in rest for mark in "/?#"):
        raise ValueError("a target has no path and no query: end it after host and port; the request's own path is used")
    found = _TARGET.fullmatch(text)
    if found is None or not is_host(found[2]):
        raise ValueError("the host is none: write http://host:port, or http://[::1]:port for an IPv6 address")
    port = int(found[3]) if found[3] else {"http": 80, "https": 443}[scheme]
    if not 0 < port < 65536:
        raise ValueError("the port must lie between 1 and 65535")
    return Target("http" if scheme == "http" else "https", found[2].strip("[]").lower(), port)


def _parse_unix(path: str) -> Target:
    if not path or path.startswith("//") or "\0" in path or path.endswith("/"):
        raise ValueError("name the socket: unix:/run/api.sock")
    return Target("unix", path, 0)


def is_host(text: str) -> bool:
    """Whether this is a host name, an IPv4 address or an IPv6 address in brackets."""
    if text.startswith("["):
        return text.endswith("]") and isinstance(_address(text[1:-1]), IPv6Address)
    # What ends in a number is an address or a mistake, never a name (WHATWG URL, "ends in a number").
    if text.rpartition(".")[2].isdecimal():
        return isinstance(_address(text), IPv4Address)
    return _NAME.fullmatch(text) is not None


def is_bindable(text: str) -> bool:
    """Whether a listener can be told to bind this: a host name or an address, IPv6 without brackets."""
    return _address(text) is not None or (not text.startswith("[") and is_host(text))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on ``host``."""
    address = _address(host.strip("[]"))
    return address.is_loopback if address else host.lower() == "localhost"


def reaches(host: str, listener: str) -> bool:
    """Whether a connection to ``host`` may end at what is bound to ``listener``, as far as their names alone can say."""
    there, here = _address(host), _address(listener)
    host, listener = str(there or host.lower()), str(here or listener.lower())
    if host == listener:
        return True
    if here is not None and here.is_unspecified:
        return is_loopback(host) or (there is not None and there.is_unspecified)
    # A connection to 0.0.0.0 or :: goes to loopback, and localhost may be either 127.0.0.1 or ::1.
    if host == "localhost" or (there is not None and there.is_unspecified):
        return listener in ("localhost", "127.0.0.1", "::1")
    return listener == "localhost" and host in ("127.0.0.1", "::1")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address; one of IPv4 that is written as IPv6 (``::ffff:127.0.0.1``) is the same machine."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
