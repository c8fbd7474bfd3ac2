"""Who asked: addresses, the chain of trusted proxies, and the lists of a route."""

from __future__ import annotations

from ipaddress import ip_network
from time import process_time

import pytest

from gateway.addresses import MAX_HOPS, AddressRules, Networks, client_address, parse_address, source_of


def networks(*texts: str) -> Networks:
    return Networks(map(ip_network, texts))


PROXIES = networks("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:DB8::1", "2001:db8::1"), ("fe80::1%eth0", "fe80::1"),
        ("", None), ("unknown", None), ("_hidden", None), ("192.0.2.256", None), ("192.0.2.01", None), ("1", None),
        ("[::1]", None), ("192.0.2.1:80", None), ("\u0661.1.1.1", None), ("1" * 10_000, None),
    ],
)  # fmt: skip
def test_an_address_is_one_or_nothing(text: str, address: str | None) -> None:
    assert str(parse_address(text)) == str(address)


@pytest.mark.parametrize(
    ("forwarded_for", "client"),
    [
        (None, "10.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("192.0.2.1,10.1.1.1 ,\t10.2.2.2", "192.0.2.1"),
        ("10.9.9.9, 10.1.1.1", "10.9.9.9"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:4711, [fd00::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.1, ::ffff:10.1.1.1", "192.0.2.1"),
        ("garbage, 192.0.2.1", "192.0.2.1"),
        # What can't be read is nobody: neither the proxy nor whoever stands before it.
        ("192.0.2.1, unknown", None),
        ("192.0.2.1, garbage, 10.1.1.1", None),
        ("192.0.2.1,", None),
        ("", None),
        ("[2001:db8::1", None), ("[2001:db8::1]x", None), ("192.0.2.1:port", None), ("192.0.2.1:", None),
        ("192.0.2.1:123456", None), ("\xff", None),
    ],
)  # fmt: skip
def test_h05_the_rightmost_address_that_no_trusted_proxy_has(forwarded_for: str | None, client: str | None) -> None:
    """What stands left of it is a stranger's word."""
    given = None if forwarded_for is None else forwarded_for.encode("latin-1")
    assert str(client_address(parse_address("10.0.0.1"), given, PROXIES)) == str(client)


def test_h05_a_stranger_is_who_it_is() -> None:
    """Whatever it says of itself; a unix socket has nobody at its other end that could be named."""
    assert str(client_address(parse_address("192.0.2.1"), b"10.0.0.1", PROXIES)) == "192.0.2.1"
    assert client_address(None, b"10.0.0.1", PROXIES) is None


def test_h05_a_thousand_entries_cost_no_more_than_sixteen() -> None:
    """So many proxies in a row are none; without an end of theirs the last one decides."""
    peer = parse_address("10.0.0.1")
    assert client_address(peer, b", ".join([b"10.1.1.1"] * 1000), PROXIES) is None
    assert str(client_address(peer, b"192.0.2.1, " * 1000 + b"192.0.2.2", PROXIES)) == "192.0.2.2"
    assert str(client_address(peer, b", ".join([b"192.0.2.1", *[b"10.1.1.1"] * (MAX_HOPS - 1)]), PROXIES)) == "192.0.2.1"
    began = process_time()
    for _ in range(1000):
        client_address(peer, b"10.1.1.1," * 1000, PROXIES)
    assert process_time() - began < 1.0


def test_an_ipv6_client_counts_as_its_64() -> None:
    """It has 2**64 addresses to itself."""
    one, other, third = map(parse_address, ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"))
    assert source_of(one) == source_of(other) != source_of(third)
    assert source_of(parse_address("192.0.2.1")) != source_of(parse_address("192.0.2.2"))
    assert source_of(parse_address("::ffff:192.0.2.1")) == source_of(parse_address("192.0.2.1"))
    assert source_of(None) == b""


@pytest.mark.parametrize(
    ("allow", "deny", "address", "permitted"),
    [
        ([], ["192.0.2.0/24"], "192.0.2.1", False),
        ([], ["192.0.2.0/24"], "192.0.3.1", True),
        ([], ["192.0.2.0/24"], "2001:db8::1", True),
        (["192.0.2.0/24"], [], "192.0.2.1", True),
        (["192.0.2.0/24"], [], "192.0.3.1", False),
        (["192.0.2.0/24"], [], "2001:db8::1", False),
        (["192.0.2.0/24"], ["192.0.2.7"], "192.0.2.7", False),
        (["192.0.2.0/24"], ["192.0.2.7"], "192.0.2.8", True),
        (["0.0.0.0/0"], [], "255.255.255.255", True),
        (["2001:db8::/32", "192.0.2.1"], [], "::ffff:192.0.2.1", True),
        ([], ["::ffff:192.0.2.0/120"], "192.0.2.1", False),
        ([], ["192.0.2.0/24"], "unknown", False),
        (["0.0.0.0/0", "::/0"], [], "unknown", False),
    ],
)
def test_the_lists_of_a_route(allow: list[str], deny: list[str], address: str, permitted: bool) -> None:
    """Who is denied is out, whoever is allowed; where some are allowed, others are not; nobody in particular is out."""
    rules = AddressRules(map(ip_network, allow), map(ip_network, deny))
    assert rules.permits(parse_address(address)) is permitted
