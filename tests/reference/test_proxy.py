"""The oracle itself: what it tells the upstream, and that bodies pass as they are."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from tests.reference.proxy import Find, Proxy


async def _echo(request: web.Request) -> web.Response:
    body = await request.read()
    heads = [[name, value] for name, value in request.headers.items()]
    return web.json_response(
        {"method": request.method, "target": request.raw_path, "headers": heads, "length": len(body)},
        headers={"Connection": "X-Hop", "X-Hop": "1", "Keep-Alive": "timeout=5", "X-Kept": "1"},
    )  # fmt: skip


async def _zipped(request: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"legacy"), headers={"Content-Encoding": "gzip"})


async def _known(token: str) -> tuple[str, str] | None:
    return ("gwc_me", "a b") if token == "good" else None


@pytest.fixture
async def upstream() -> AsyncIterator[TestServer]:
    """Says what it was sent."""
    application = web.Application()
    application.router.add_get("/zipped", _zipped)
    application.router.add_route("*", "/{path:.*}", _echo)
    async with TestServer(application) as server:
        yield server


async def _client(upstream: TestServer, find: Find | None = _known) -> TestClient[Any, Any]:
    server = TestServer(Proxy(str(upstream.make_url("")).rstrip("/"), find).application())
    await server.start_server(auto_decompress=False)
    return TestClient(server, auto_decompress=False)


GOOD = {"Authorization": "Bearer good"}


async def test_only_good_tokens_pass(upstream: TestServer) -> None:
    """401 with a challenge, and without an error code when nothing was presented (RFC 6750 section 3.1)."""
    async with await _client(upstream) as client:
        for headers, challenge in (({}, "Bearer"), ({"Authorization": "Bearer bad"}, 'Bearer error="invalid_token"')):
            answer = await client.get("/x", headers=headers)
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, challenge)
        assert (await client.get("/x", headers=GOOD)).status == 200


async def test_the_gateways_headers_are_its_own(upstream: TestServer) -> None:
    """Whatever a client says under those names is gone; hop-by-hop and Authorization too (RFC 9110 section 7.6.1)."""
    spoofed = {
        **GOOD, "X-Client-Id": "root", "x-forwarded-for": "6.6.6.6", "X_Client_Id": "root", "Via": "1.0 x", "TE": "trailers",
        "Connection": "X-Secret", "X-Secret": "1", "X-Request-Id": "mine", "X-Plain": "kept",
    }  # fmt: skip
    async with await _client(upstream) as client:
        answer = await client.get(URL("/a%20b?c=d%2F", encoded=True), headers=spoofed)
        said = await answer.json()
    sent = {name.lower(): value for name, value in said["headers"]}
    assert said["target"] == "/a%20b?c=d%2F"
    assert (sent["x-client-id"], sent["x-client-scopes"], sent["x-plain"]) == ("gwc_me", "a b", "kept")
    assert (sent["x-forwarded-for"], sent["x-forwarded-proto"], sent["via"]) == ("127.0.0.1", "http", "1.1 gateway")
    assert sent["x-request-id"] != "mine"
    assert sent.keys().isdisjoint({"authorization", "x_client_id", "te", "x-secret", "connection"})
    assert answer.headers["X-Kept"] == "1"
    assert "X-Hop" not in answer.headers


async def test_bodies_pass_as_they_are(upstream: TestServer) -> None:
    """Up with and without a length, down compressed."""
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x" * 70_000
        yield b"y"

    async with await _client(upstream) as client:
        assert (await (await client.post("/x", data=b"z" * 1000, headers=GOOD)).json())["length"] == 1000
        assert (await (await client.put("/x", data=pieces(), headers=GOOD)).json())["length"] == 70_001
        zipped = await client.get("/zipped", headers=GOOD)
        assert gzip.decompress(await zipped.read()) == b"legacy"


async def test_an_upstream_that_is_down_is_502(upstream: TestServer) -> None:
    """Without a look-up nobody is refused before."""
    async with await _client(upstream, None) as client:
        await upstream.close()
        assert (await client.get("/x")).status == 502
