"""Where the store section says that the server is."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config.model import Store
from gateway.store.dial import Address, find_address
from gateway.store.handshake import Login


@pytest.mark.parametrize(
    ("url", "address", "login"),
    [
        ("redis://store.example:6380/2", Address("store.example", 6380), Login(database=2)),
        ("redis://store.example", Address("store.example", 6379), Login()),
        ("redis://[::1]:7000", Address("::1", 7000), Login()),
        ("redis://user:p%40ss@h/", Address("h", 6379), Login("user", "p@ss")),
        ("redis://:only@h?db=4", Address("h", 6379), Login("", "only", 4)),
        ("unix:///run/redis.sock", Address(path="/run/redis.sock"), Login()),
        ("unix:///run/redis.sock?db=1", Address(path="/run/redis.sock"), Login(database=1)),
    ],
)
def test_urls(url: str, address: Address, login: Login) -> None:
    """As redis-py reads them."""
    assert find_address(Store(url=url)) == (address, login)


def test_fields_win_over_the_url() -> None:
    """A secret best stands in a file, not in the URL."""
    store = Store(url="redis://a:b@h", username="user", password=SecretStr("word"))
    assert find_address(store)[1] == Login("user", "word")


def test_the_embedded_store_is_where_it_was_started() -> None:
    assert find_address(Store(), Path("/tmp/s"))[0] == Address(path="/tmp/s")


def test_rediss_verifies_certificate_and_name() -> None:
    """Encryption without verification would hide nothing from whoever sits in between."""
    address, _ = find_address(Store(url="rediss://h"))
    assert address.tls is not None
    assert address.tls.check_hostname


def test_a_login_shows_no_password() -> None:
    assert "word" not in repr(Login("user", "word")) + str(Login("user", "word"))
