"""Binding ports: what can't be had names the setting to change."""

from __future__ import annotations

import socket

import pytest

from gateway.errors import Unavailable
from gateway.ops.listening import bind, close_all, port_of


def test_port_0_takes_a_free_one_that_is_heard_at_once() -> None:
    """A client may connect before anybody accepts."""
    sockets = bind("127.0.0.1", 0, section="listen")
    try:
        socket.create_connection(("127.0.0.1", port_of(sockets)), timeout=1).close()
    finally:
        close_all(sockets)


def test_a_port_in_use_names_key_and_variable() -> None:
    """The one who reads the line can act on it."""
    sockets = bind("127.0.0.1", 0, section="listen")
    try:
        with pytest.raises(Unavailable, match=r"in use: set listen\.port or GATEWAY_LISTEN__PORT"):
            bind("127.0.0.1", port_of(sockets), section="listen")
    finally:
        close_all(sockets)


def test_an_address_of_another_machine_names_the_host() -> None:
    """192.0.2.0/24 is for documentation and nobody's."""
    with pytest.raises(Unavailable, match=r"admin\.host or GATEWAY_ADMIN__HOST"):
        bind("192.0.2.1", 0, section="admin")


def test_a_name_that_means_nothing_is_unavailable() -> None:
    """No traceback of the resolver."""
    with pytest.raises(Unavailable, match=r"listen\.host"):
        bind("no-such-host.invalid", 0, section="listen")


def test_all_addresses_of_a_name_get_one_port() -> None:
    """localhost is often both 127.0.0.1 and ::1."""
    sockets = bind("localhost", 0, section="listen")
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
    finally:
        close_all(sockets)
