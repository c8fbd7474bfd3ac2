"""WebSockets through a gateway process on a real store: aiohttp's client, aiohttp's server, and what ends a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import WSMsgType, web

from gateway.store.caller import RedisCaller
from gateway.store.clients import RedisClients
from tests.blackbox import Gateway, free_port
from tests.servers import ValkeyServer

SOON = 1.0
"""Seconds within which a change has to reach both ends."""
MIB = 2**20


@dataclass
class Upstream:
    """An echo over WebSocket, and events once a tick of 50 ms; ``closed`` is how each socket ended."""

    port: int = 0
    requests: list[web.Request] = field(default_factory=list)
    closed: list[tuple[int | None, Any]] = field(default_factory=list)

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        self.requests.append(request)
        socket = web.WebSocketResponse(max_msg_size=0, protocols=("chat",))
        await socket.prepare(request)
        reason = None
        while (message := await socket.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data)
        reason = message.extra
        self.closed.append((socket.close_code, reason))
        return socket

    async def events(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        while True:
            await answer.write(b"data: tick\n\n")
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def port() -> int:
    """Where each test's upstream listens."""
    return free_port()


@pytest.fixture
async def upstream(port: int) -> AsyncIterator[Upstream]:
    """In the test's own loop."""
    upstream = Upstream()
    application = web.Application()
    application.router.add_get("/ws", upstream.socket)
    application.router.add_get("/events", upstream.events)
    runner = web.AppRunner(application, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield upstream
    await runner.cleanup()


@dataclass
class Scene:
    """A gateway on the store, a client of it with a token, and a session."""

    gateway: Gateway
    valkey: ValkeyServer
    upstream: Upstream
    session: aiohttp.ClientSession
    credential: dict[str, str]
    token: str

    async def connect(self, **options: Any) -> aiohttp.ClientWebSocketResponse:
        headers = {"Authorization": f"Bearer {self.token}"} if "protocols" not in options else {}
        return await self.session.ws_connect(f"{self.gateway.url}/ws", headers=headers, max_msg_size=0, **options)

    def metric(self, beginning: str) -> list[str]:
        page = httpx.get(f"http://127.0.0.1:{self.gateway.admin_port}/metrics").text
        return [line for line in page.splitlines() if line.startswith(beginning)]


def a_gateway(folder: Path, valkey: ValkeyServer, port: int, **oauth: Any) -> Gateway:
    return Gateway(folder, {
        "store": valkey.url,
        "oauth": oauth,
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{port}"]}},
        "routes": [
            {"path": "/ws", "upstream": "legacy", "streams": {"subprotocol": True}},
            {"path": "/events", "upstream": "legacy"},
        ],
    })  # fmt: skip


@pytest.fixture(scope="module")
def shared(valkey_process: ValkeyServer, port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway of most tests; the store is emptied under it before each."""
    with a_gateway(tmp_path_factory.mktemp("gateway"), valkey_process, port).running() as gateway:
        yield gateway


@asynccontextmanager
async def playing(gateway: Gateway, valkey: ValkeyServer, upstream: Upstream) -> AsyncIterator[Scene]:
    credential = gateway.register("someone@example.com")
    token = gateway.token(credential).json()["access_token"]
    async with aiohttp.ClientSession() as session:
        yield Scene(gateway, valkey, upstream, session, credential, token)


@pytest.fixture
async def scene(shared: Gateway, valkey: ValkeyServer, upstream: Upstream) -> AsyncIterator[Scene]:
    """The usual one."""
    async with playing(shared, valkey, upstream) as scene:
        yield scene


async def closed_with(scene: Scene, socket: aiohttp.ClientWebSocketResponse, code: int, reason: str, within: float) -> None:
    """Both ends heard of it in a Close frame."""
    async with asyncio.timeout(within):
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, code, reason)
        await socket.close()
        while not scene.upstream.closed:  # noqa: ASYNC110 - a list of another's
            await asyncio.sleep(0.01)
    assert scene.upstream.closed == [(code, reason)]


@pytest.mark.parametrize("compress", [0, 15])
async def test_messages_come_back_as_they_were(scene: Scene, compress: int) -> None:
    """Text, binary, a megabyte, fragments, pings in between; compressed where both ends agree to it."""
    async with await scene.connect(compress=compress) as socket:
        assert bool(socket.compress) == bool(compress)
        for words in ("", "hello", "κόσμε" * 100, "x" * MIB):
            await socket.send_str(words)
            assert await socket.receive_str() == words
        for data in (b"\0", bytes(range(256)) * 4096):
            await socket.send_bytes(data)
            assert await socket.receive_bytes() == data
        await socket.ping(b"there?")
        await socket.send_str("after the ping")
        assert await socket.receive_str() == "after the ping"
    assert socket.close_code == 1000
    (request,) = scene.upstream.requests
    assert request.headers["X-Client-Id"] == scene.credential["client_id"]
    assert "Authorization" not in request.headers


async def test_revoked_at_the_endpoint(scene: Scene) -> None:
    socket = await scene.connect()
    await socket.send_str("alive")
    assert await socket.receive_str() == "alive"
    assert scene.gateway.revoke(scene.credential, scene.token).status_code == 200
    await closed_with(scene, socket, 1008, "token revoked", SOON)
    assert any("token_revoked" in line for line in scene.metric("gateway_streams_ended_total"))
    assert scene.metric("gateway_streams{") == ['gateway_streams{kind="websocket"} 0']
    assert scene.token not in scene.gateway.log.read_text()


async def test_a_disabled_client(scene: Scene) -> None:
    """By the operator, at another process."""
    socket = await scene.connect()
    redis = scene.valkey.client()
    await RedisClients(RedisCaller(redis), "gw").change_client(scene.credential["client_id"], enabled=False)
    await closed_with(scene, socket, 1008, "token revoked", SOON)
    await redis.aclose()


async def test_a_change_that_takes_nothing_away_leaves_it(scene: Scene) -> None:
    """And the next one, which does, is heard of all the same: the records are tracked again."""
    socket = await scene.connect()
    redis = scene.valkey.client()
    clients = RedisClients(RedisCaller(redis), "gw")
    for _ in range(3):
        await clients.change_client(scene.credential["client_id"], permissions=frozenset(("introspect:any",)))
        await socket.send_str("alive")
        assert await socket.receive_str() == "alive"
    await clients.change_client(scene.credential["client_id"], end_tokens=True)
    await closed_with(scene, socket, 1008, "token revoked", SOON)
    await redis.aclose()


async def test_a_flushed_store(scene: Scene) -> None:
    socket = await scene.connect()
    scene.valkey.call("FLUSHALL")
    await closed_with(scene, socket, 1008, "token revoked", SOON)


async def test_a_store_that_goes_and_comes_back_without_the_token(scene: Scene) -> None:
    """Meanwhile the tunnel goes on; the word of the store that is back is the last one."""
    socket = await scene.connect()
    scene.valkey.stop()
    await socket.send_str("alive")
    assert await socket.receive_str() == "alive"
    scene.valkey.start()
    scene.valkey.call("FLUSHALL")
    await closed_with(scene, socket, 1008, "token revoked", 5)


async def test_an_expired_token(valkey: ValkeyServer, upstream: Upstream, port: int, tmp_path: Path) -> None:
    with a_gateway(tmp_path, valkey, port, access_token_ttl="1s").running() as gateway:
        async with playing(gateway, valkey, upstream) as scene:
            socket = await scene.connect()
            await closed_with(scene, socket, 1008, "token expired", 1 + SOON)


async def test_the_token_as_a_subprotocol(scene: Scene) -> None:
    """As a browser passes it."""
    for offered, upstream, selected in (["chat"], "chat", "chat"), ([], None, "bearer"):
        socket = await scene.connect(protocols=("bearer", scene.token, *offered))
        assert socket.protocol == selected
        assert scene.upstream.requests[-1].headers.get("Sec-WebSocket-Protocol") == upstream
        await socket.close()
    assert scene.token not in scene.gateway.log.read_text()


async def test_events_of_a_revoked_token_are_cut(scene: Scene) -> None:
    answer = await scene.session.get(f"{scene.gateway.url}/events", headers={"Authorization": f"Bearer {scene.token}"})
    assert await answer.content.readany() == b"data: tick\n\n"
    scene.gateway.revoke(scene.credential, scene.token)
    with pytest.raises(aiohttp.ClientPayloadError):
        async with asyncio.timeout(SOON):
            await answer.read()


async def test_a_stop_says_1001(valkey: ValkeyServer, upstream: Upstream, port: int, tmp_path: Path) -> None:
    """And takes no longer than the closing handshake."""
    with a_gateway(tmp_path, valkey, port).running() as gateway:
        async with playing(gateway, valkey, upstream) as scene:
            socket = await scene.connect()
            stopped = asyncio.get_running_loop().run_in_executor(None, gateway.stop)
            await closed_with(scene, socket, 1001, "draining", 3)
            async with asyncio.timeout(5):
                assert await stopped == 0
