"""Connections per address, at accept."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from typing import Any

import orjson
import pytest

from gateway.accept.door import Door
from gateway.addresses import Networks
from gateway.config.model import Config
from gateway.telemetry.metrics import Registry
from tests.edge.rig import Client, Rig, get


async def client_from(rig: Rig, address: str) -> Client:
    """A client with this address of loopback's many."""
    client = Client(*await asyncio.open_connection("127.0.0.1", rig.port, local_addr=(address, 0)))
    rig._clients.append(client)
    return client


async def test_x04_one_connection_too_many_is_turned_away_with_a_word(
    unstarted: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Others are served, and so is this address once one of its connections has ended; a flood is one line."""
    rig = await unstarted.start(listen={"max_connections_per_address": 2})
    first, second = await rig.client(), await rig.client()
    await first.assert_kept()
    await second.assert_kept()
    with caplog.at_level(logging.WARNING, "gateway.edge"):
        for _ in range(5):
            late = await rig.client()
            answer = await late.response()
            assert (answer.status, answer.problem["code"]) == (429, "too_many_requests")
            assert (answer.one("connection"), answer.one("retry-after")) == (b"close", b"1")
            assert answer.one("date") is not None
            await late.assert_closed()
    assert [record.message for record in caplog.records] == ["connection.refused"]
    assert rig.registry.snapshot()["gateway_connections_refused_total"]["series"][""] == 5
    await (await client_from(rig, "127.0.0.2")).assert_kept()
    first.close()
    await rig.eventually(lambda: rig.edge.connections == 2)
    await (await rig.client()).assert_kept()


async def test_what_was_sent_already_does_not_cost_the_word(unstarted: Rig) -> None:
    """A client that asked before it was turned away reads why."""
    rig = await unstarted.start(listen={"max_connections_per_address": 1})
    await (await rig.client()).assert_kept()
    late = await rig.client()
    await late.send(get("/public/x"))
    assert (await late.response()).status == 429


async def test_x04_nothing_is_kept_of_who_has_gone(unstarted: Rig) -> None:
    """However they go: answered, reset, at once."""
    rig = await unstarted.start(listen={"max_connections_per_address": 50})
    for number in range(60):
        with closing(socket.socket()) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0" if number % 2 else b"\0" * 8)
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", rig.port))
    client = await rig.client()
    await rig.eventually(lambda: len(rig.edge._door._inside) <= 1 and rig.edge.connections <= 1)
    client.close()
    door = rig.edge._door
    await rig.eventually(lambda: not door._inside and not door._counts and not rig.edge.connections)


# --- who counts ---------------------------------------------------------------------------------------------------------


def entered(door: Door, *names: Any) -> Iterator[bool]:
    """Whether newcomers with these names were let in."""
    for name in names:
        here, there = socket.socketpair()
        with here, there:
            yield door.enter(here, name) is not None


def a_door(*trusted: str, **listen: Any) -> Door:
    config = Config.model_validate({"listen": listen})
    return Door(config, Networks(map(ip_network, trusted)), Registry())


async def test_unset_a_stranger_may_have_half_of_all() -> None:
    """And whoever is on this machine any number."""
    door = a_door(max_connections=4)
    assert list(entered(door, *[("192.0.2.1", 1)] * 3, ("192.0.2.2", 1))) == [True, True, False, True]
    assert all(entered(door, *[("127.0.0.1", 1), ("::1", 1, 0, 0), ""] * 5))
    assert list(entered(a_door(max_connections=1), *[("192.0.2.1", 1)] * 2)) == [True, False]


async def test_a_number_counts_for_all_but_trusted_proxies() -> None:
    door = a_door("10.0.0.0/8", max_connections_per_address=1)
    assert list(entered(door, *[("127.0.0.1", 1)] * 2)) == [True, False]
    assert all(entered(door, *[("10.1.2.3", 1)] * 3))
    assert all(entered(door, *[("::ffff:10.1.2.3", 1, 0, 0)] * 3))


async def test_an_ipv6_client_counts_by_its_64() -> None:
    """It could take a new address for each connection."""
    door = a_door(max_connections_per_address=1)
    names = [("2001:db8:1:2::1", 1, 0, 0), ("2001:db8:1:2:3::9", 1, 0, 0), ("2001:db8:1:3::1", 1, 0, 0)]
    assert list(entered(door, *names)) == [True, False, True]


async def test_who_waits_for_a_handshake_is_told_nothing() -> None:
    """It would take it for broken TLS."""
    door = Door(Config.model_validate({"listen": {"max_connections_per_address": 1}}), Networks([]), Registry(), plain=False)
    here, there = socket.socketpair()
    with closing(there):
        assert door.enter(here, ("192.0.2.1", 1))
        assert door.enter(here, ("192.0.2.1", 1)) is None
        assert there.recv(1) == b""


async def test_what_is_said_is_a_problem() -> None:
    here, there = socket.socketpair()
    door = a_door(max_connections_per_address=1)
    with closing(there):
        assert door.enter(here, ("192.0.2.1", 1))
        assert door.enter(here, ("192.0.2.1", 1)) is None
        head, _, body = there.recv(65536).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert orjson.loads(body)["status"] == 429
    assert here.fileno() == -1
