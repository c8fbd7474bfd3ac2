"""
IP addresses of clients: who asked, when a trusted proxy stands between, and who counts as one.  Pure.

An IPv4 address inside an IPv6 one (::ffff:192.0.2.1, as a socket for both shows it) is the IPv4 address everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_HOPS = 16
"""Most trusted proxies in a row that are believed."""
MAX_TEXT = 64
"""Longest address that is looked at, with brackets, zone and port."""


@lru_cache(4096)
def parse_address(text: str) -> Address | None:
    """An address without port and brackets; None when it is none."""
    try:
        address = ip_address(text.partition("%")[0]) if len(text) <= MAX_TEXT else None
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def client_address(peer: Address | None, forwarded_for: bytes | None, trusted: Networks) -> Address | None:
    """
    Whose request it is.

    Args:
        peer: The other end of the connection; None for a unix socket.
        forwarded_for: ``X-Forwarded-For``, several lines joined by commas.
        trusted: ``trusted_proxies``.

    Returns:
        The peer's address; from a trusted proxy the rightmost entry that is none of the trusted proxies, the leftmost when all
        are.  None when it can't be known: an entry on the way is no address (``unknown``, garbage), or there are too many.
    """
    if peer is None or forwarded_for is None or peer not in trusted:
        return peer
    rest = forwarded_for
    for _ in range(MAX_HOPS):
        rest, more, entry = rest.rpartition(b",")
        address = _parse_entry(entry.strip(b" \t"))
        if address is None or not more or address not in trusted:
            return address
    return None


def source_of(address: Address | None) -> bytes:
    """Who counts as one: an IPv4 address, or the /64 that an IPv6 client has all for itself; empty for nobody in particular."""
    return b"" if address is None else address.packed[:8]


class Networks:
    """A set of networks, asked at the cost of its different prefix lengths."""

    __slots__ = ("_by_version",)

    def __init__(self, networks: Iterable[Network]) -> None:
        self._by_version: dict[int, dict[int, set[int]]] = {}
        for given in networks:
            network = _unmapped(given)
            shift = network.max_prefixlen - network.prefixlen
            by_shift = self._by_version.setdefault(network.version, {})
            by_shift.setdefault(shift, set()).add(int(network.network_address) >> shift)

    def __contains__(self, address: Address) -> bool:
        number = int(address)
        return any(number >> shift in prefixes for shift, prefixes in self._by_version.get(address.version, {}).items())


class AddressRules:
    """``ip_allow`` and ``ip_deny`` of a route."""

    __slots__ = ("_allow", "_deny")

    def __init__(self, allow: Iterable[Network], deny: Iterable[Network]) -> None:
        """Where nothing is allowed by name, all are that are not denied."""
        allow = tuple(allow)
        self._allow = Networks(allow) if allow else None
        self._deny = Networks(deny)

    def permits(self, address: Address | None) -> bool:
        """Whether a client may use the route; one whose address can't be known may not."""
        if address is None or address in self._deny:
            return False
        return self._allow is None or address in self._allow


def _unmapped(network: Network) -> Network:
    if isinstance(network, IPv4Network) or network.prefixlen < 96 or network.network_address.ipv4_mapped is None:
        return network
    return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))


def _parse_entry(entry: bytes) -> Address | None:
    """One entry of X-Forwarded-For: an address, perhaps in brackets, perhaps with a port, as various proxies write it."""
    text = entry.decode("latin-1")
    if text.startswith("["):
        text, end, port = text[1:].partition("]")
        if not end or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    return parse_address(text)


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit() and len(text) <= 6
