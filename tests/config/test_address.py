"""Hosts, targets and which of them may be the same place."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

import pytest

from gateway.config.address import Target, is_bindable, is_host, is_loopback, parse_target, reaches


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://API.example", Target("http", "api.example", 80)),
        ("https://api.example", Target("https", "api.example", 443)),
        ("http://[::1]:9000", Target("http", "::1", 9000)),
        ("unix:/run/api.sock", Target("unix", "/run/api.sock", 0)),
    ],
)
def test_a_target_is_parsed_into_its_parts(text: str, target: Target) -> None:
    """With the scheme's own port when none is named."""
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["http://tops3cret:tops3cret@h", "tops3cret", "http://h/tops3cret", "http://tops3cret[", "unix://tops3cret"])
def test_a_refused_target_is_not_repeated(text: str) -> None:
    """It may hold a password."""
    with pytest.raises(ValueError, match=r"^[^3]*$"):
        parse_target(text)


@pytest.mark.parametrize(
    ("host", "sound"),
    [
        ("localhost", True), ("api.example.com", True), ("a_b.internal", True), ("10.0.0.1", True), ("[fd00::1]", True), ("xn--bcher-kva.de", True),
        ("", False), (".", False), ("a..b", False), ("a.", False), ("-a.b", False), ("a b", False), ("1.2.3", False), ("1.2.3.400", False),
        ("::1", False), ("[1.2.3.4]", False), ("[]", False), ("bücher.de", False), ("a/b", False), ("a:1", False), ("x" * 64, False),
    ],
)  # fmt: skip
def test_a_host_is_a_name_or_an_address(host: str, sound: bool) -> None:
    """In the form that stands in a URL."""
    assert is_host(host) is sound


def test_a_listener_binds_bare_addresses() -> None:
    """IPv6 without the brackets of a URL."""
    assert [is_bindable(host) for host in ("::", "::1", "0.0.0.0", "localhost")] == [True] * 4
    assert [is_bindable(host) for host in ("[::1]", "1.2.3", "a:80", "")] == [False] * 4


@pytest.mark.parametrize(("host", "loopback"), [
    ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("LOCALHOST", True),
    ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.example.com", False), ("127.0.0.1.example.com", False),
])  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    """A name that begins like it is another name."""
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(("host", "listener", "may"), [
    ("10.0.0.1", "10.0.0.1", True), ("10.0.0.1", "0.0.0.0", False), ("::1", "::", True), ("127.0.0.1", "::", True),
    ("0.0.0.0", "127.0.0.1", True), ("::", "0.0.0.0", True), ("localhost", "127.0.0.2", False), ("api.example", "0.0.0.0", False),
    ("127.0.0.1", "localhost", True), ("localhost", "::1", True), ("::ffff:127.0.0.1", "127.0.0.1", True),
    ("::ffff:7f00:1", "0.0.0.0", True), ("0:0:0:0:0:0:0:1", "::1", True), ("::ffff:10.0.0.1", "127.0.0.1", False),
])  # fmt: skip
def test_who_reaches_whom(host: str, listener: str, may: bool) -> None:
    """Without asking any name server."""
    assert reaches(host, listener) is may
