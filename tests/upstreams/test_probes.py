"""The gateway's own connections to a target."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.upstreams.probes import MAX_ANSWER, ask, can_connect
from tests.edge.rig import Origin
from tests.servers import free_port
from tests.upstreams.conftest import Start

SOON = 0.2
"""Seconds that a target has in these tests."""


def to(port: int) -> Any:
    return lambda factory: asyncio.get_running_loop().create_connection(factory, "127.0.0.1", port)


async def status(origin: Origin) -> int:
    return await ask(to(origin.port), b"api", "/healthz?deep=1", SOON)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", 200),
        (b"HTTP/1.0 503 Busy\r\nContent-Length: 0\r\n\r\n", 503),
        (b"HTTP/1.1 204\r\n\r\n", 204),
        (b"HTTP/2.0 200 OK\r\n\r\n", 0),
        (b"HTTP/1.1 2000 OK\r\n\r\n", 0),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 0),
        (b"SSH-2.0-OpenSSH\r\n", 0),
        (b"x" * (MAX_ANSWER + 1), 0),
        (b"", 0),
    ],
    ids=["200", "1.0", "no-reason", "http2", "2000", "interim", "ssh", "endless", "silence"],
)
async def test_a_check_takes_the_status_and_ends(another: Start, answer: bytes, expected: int) -> None:
    """In time, whatever comes; the target sees one request and the end of the connection."""
    origin = await another()
    origin.answer = answer
    assert await status(origin) == expected
    (request,) = origin.requests
    assert request.raw.startswith(b"GET /healthz?deep=1 HTTP/1.1\r\nHost: api\r\n")


async def test_an_answer_may_come_in_pieces(another: Start) -> None:
    origin = await another()
    origin.replies(b"HTTP/1", b".1 20", b"0 OK\r\n", b"\r\n")
    assert await status(origin) == 200


async def test_one_that_ends_the_connection_is_not_waited_for(another: Start) -> None:
    origin = await another()
    origin.replies(b"HTTP/1.1 2", close=True)
    began = asyncio.get_running_loop().time()
    assert await ask(to(origin.port), b"api", "/", 60.0) == 0
    assert asyncio.get_running_loop().time() - began < 5


async def test_nobody_there_is_no_status() -> None:
    assert await ask(to(free_port()), b"api", "/", SOON) == 0


async def test_a_name_that_is_no_host_is_no_status_and_no_connection() -> None:
    """Not an exception that would end checks for good."""

    async def connect(_factory: object) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        return await asyncio.get_running_loop().create_connection(asyncio.Protocol, f"{'x' * 64}.example", 1)

    assert await ask(connect, b"x", "/", 1.0) == 0
    assert not await can_connect(connect, 1.0)


async def test_a_connection_says_that_a_target_is_there(another: Start, hole: int) -> None:
    """Refused and hanging are both no."""
    origin = await another()
    assert await can_connect(to(origin.port), SOON)
    assert not await can_connect(to(free_port()), SOON)
    assert not await can_connect(to(hole), SOON)
    assert origin.requests == []
