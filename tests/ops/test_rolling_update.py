"""hardening.md F20: two gateways are replaced one after the other under load, and not one request fails."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.ops.balancer import Balancer, Member, read_message
from tests.ops.running import CONFIG, Gateway, seconds_since
from tests.servers import ValkeyServer

CLIENTS = 64


class Origin:
    """Counts what reaches it, and takes up to 20 ms for an answer."""

    def __init__(self) -> None:
        self.seen = 0
        self.port = 0
        self._server: asyncio.Server

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await read_message(reader)
                self.seen += 1
                await asyncio.sleep(self.seen % 5 / 200)  # an upstream's work
                body = request.partition(b"\r\n\r\n")[2]
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (OSError, EOFError):
            writer.close()


class Fleet:
    """Gateways that share a store, behind a balancer."""

    def __init__(self, folder: Path, store: str, origin: Origin, workers: str) -> None:
        self._folder, self._store, self._origin, self._workers = folder, store, origin, workers
        self.balancer = Balancer()
        self.gateways: list[tuple[Gateway, Member]] = []
        self.ended: list[Gateway] = []

    async def add(self) -> None:
        """Start another gateway and let it join once it is ready."""
        folder = self._folder / str(len(self.gateways) + len(self.ended))
        folder.mkdir()
        (folder / "config.yaml").write_text(CONFIG.replace("127.0.0.1:9]", f"127.0.0.1:{self._origin.port}]"))
        gateway = Gateway(
            folder, GATEWAY_STORE__URL=self._store, GATEWAY_WORKERS=self._workers, GATEWAY_DRAIN_DELAY="400ms",
            GATEWAY_DRAIN_TIMEOUT="10s",
        )  # fmt: skip
        self.ended.append(gateway)
        await asyncio.to_thread(gateway.start)
        self.ended.remove(gateway)
        member = Member(gateway.port, gateway.admin_port)
        self.gateways.append((gateway, member))
        self.balancer.members.append(member)
        async with asyncio.timeout(10):
            while not member.ready:  # noqa: ASYNC110 - what sets it is a poll itself
                await asyncio.sleep(0.01)

    async def remove_oldest(self) -> tuple[int, float]:
        """Stop a gateway as an update does.  Returns its exit code and how long it took."""
        gateway, member = self.gateways.pop(0)
        self.ended.append(gateway)
        began = time.monotonic()
        code = await asyncio.to_thread(gateway.end, signal.SIGTERM)
        self.balancer.members.remove(member)
        for _, writer in member.idle:
            writer.close()
        return code, seconds_since(began)

    def kill(self) -> None:
        for gateway in [*self.ended, *(gateway for gateway, _ in self.gateways)]:
            gateway.kill_all()


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    origin = Origin()
    await origin.start()
    yield origin
    await origin.stop()


async def client(number: int, balancer: Balancer, token: str, counts: list[int], stop: asyncio.Event) -> None:
    """Asks in a closed loop; every third request changes something and could not be repeated."""
    while not stop.is_set():
        counts[number] += 1
        said = b"%d-%d" % (number, counts[number])
        method, path = ("POST", "/v1/resource") if counts[number] % 3 == 0 else ("GET", "/public/x")
        body = said if method == "POST" else b""
        head = f"{method} {path} HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {token}\r\n"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        answer = await balancer.ask(f"{head}{length}\r\n".encode() + body)
        if answer and not (answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n" + body)):
            balancer.failures.append(repr(answer[:200]))
        await asyncio.sleep((1 + number % 8) / 100)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_f20_a_rolling_update_fails_no_request(
    folder: Path, valkey: ValkeyServer, origin: Origin, workers: str
) -> None:
    """64 clients, two gateways, both replaced; the balancer knows readiness only and retries nothing."""
    fleet = Fleet(folder, valkey.url, origin, workers)
    watching = asyncio.create_task(fleet.balancer.watch())
    stop = asyncio.Event()
    counts = [0] * CLIENTS
    try:
        await fleet.add()
        await fleet.add()
        first = fleet.gateways[0][0]
        token = await asyncio.to_thread(lambda: first.token(first.register())["access_token"])
        clients = [asyncio.create_task(client(n, fleet.balancer, token, counts, stop)) for n in range(CLIENTS)]
        for _ in range(2):
            await asyncio.sleep(0.5)  # under way with both
            await fleet.add()
            code, seconds = await fleet.remove_oldest()
            assert code == 0
            assert 0.4 < seconds < 10
        await asyncio.sleep(0.3)
        stop.set()
        await asyncio.gather(*clients)
        served = [member.served for _, member in fleet.gateways]
    finally:
        watching.cancel()
        fleet.balancer.close()
        await asyncio.to_thread(fleet.kill)
    assert fleet.balancer.failures == []
    assert origin.seen == sum(counts) > 1000
    assert min(served) > 100


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_f20_without_a_balancer_no_kept_connection_is_cut_under_a_request(
    folder: Path, valkey: ValkeyServer, origin: Origin, workers: str
) -> None:
    """
    Clients that know nothing of readiness and send POSTs, with no delay: what was connected is answered.

    Each learns from an answer, never from a reset, that it was the last one on its connection.
    """
    fleet = Fleet(folder, valkey.url, origin, workers)
    watching = asyncio.create_task(fleet.balancer.watch())
    answered = [0] * CLIENTS
    told = 0

    async def ask_on(number: int, port: int) -> None:
        nonlocal told
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            writer.write(b"POST /public/x HTTP/1.1\r\nHost: gw\r\nContent-Length: 2\r\n\r\nhi")
            answer = await read_message(reader)
            assert answer.endswith(b"hi"), answer
            answered[number] += 1
            if b"\r\nConnection: close\r\n" in answer:
                told += 1
                assert await reader.read() == b""
                writer.close()
                return
            await asyncio.sleep(number % 8 / 20)

    try:
        await fleet.add()
        gateway, member = fleet.gateways[0]
        tasks = [asyncio.create_task(ask_on(number, member.port)) for number in range(CLIENTS)]
        await asyncio.sleep(0.5)
        gateway.signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        assert await asyncio.to_thread(gateway.wait) == 0
    finally:
        watching.cancel()
        await asyncio.to_thread(fleet.kill)
    assert told == CLIENTS
    assert origin.seen == sum(answered)
