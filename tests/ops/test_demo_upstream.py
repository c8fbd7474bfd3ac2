"""The demo legacy API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.ops.demo_upstream import DemoConnection


@pytest.fixture
async def url() -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(DemoConnection, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("path", ["/v1/resource?x=1", "/v1/legacy/a/b", "/public/hello"])
async def test_it_echoes_who_calls(url: str, session: aiohttp.ClientSession, path: str) -> None:
    async with session.get(f"{url}{path}", headers={"X-Client-Id": "abc"}) as answer:
        document = await answer.json()
    assert answer.status == 200
    assert document["client_id"] == "abc"
    assert document["path"] == path.partition("?")[0]


@pytest.mark.parametrize("body", [b"hello", b"x" * 200_000], ids=["short", "long"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_it_echoes_a_body_in_any_framing(url: str, session: aiohttp.ClientSession, body: bytes, chunked: bool) -> None:
    """What is beyond 64 KiB is counted only."""
    async with session.post(f"{url}/v1/resource", data=body, chunked=chunked or None, expect100=chunked) as answer:
        document = await answer.json()
    assert document["received_bytes"] == len(body)
    assert document["echo"] == body[:65536].decode()


async def test_head_has_no_body_and_the_connection_lives_on(url: str, session: aiohttp.ClientSession) -> None:
    async with session.head(f"{url}/v1/resource") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with session.get(f"{url}/elsewhere") as answer:
        assert answer.status == 404


async def test_what_is_not_http_is_refused_and_closed(url: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"\x16\x03\x01\x00\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 400 ")
    writer.close()
