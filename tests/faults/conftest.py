"""One gateway for an xdist worker's tests, and an arena around it for each test."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvloop

from tests.faults.arena import Arena, ProbedGateway, plan
from tests.servers import ValkeyServer

LISTENING = ("calm", "wild", "second", "third")


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests of this folder on the loop of production: its load is a real one."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def held() -> Iterator[dict[str, socket.socket]]:
    """Ports that stay ours: listening ones, one that refuses, and one whose backlog is full."""
    with ExitStack() as ends:
        found = {name: ends.enter_context(socket.socket()) for name in (*LISTENING, "refused", "full")}
        for name, sock in found.items():
            sock.bind(("127.0.0.1", 0))
            if name != "refused":
                sock.listen(1000 if name in LISTENING else 0)
                sock.setblocking(False)
        for _ in range(4):
            filler = ends.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(found["full"].getsockname())
        yield found


@pytest.fixture(scope="session")
def folder() -> Iterator[Callable[[], Path]]:
    """Makes folders with short paths: a unix socket's name may have 107 bytes."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp")))
        return made[-1]

    yield make
    for path in made:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def store() -> Iterator[ValkeyServer]:
    """A store that nobody empties."""
    server = ValkeyServer().start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def gateway(held: dict[str, socket.socket], folder: Callable[[], Path], store: ValkeyServer) -> Iterator[ProbedGateway]:
    """The gateway, in one process."""
    ports = {name: sock.getsockname()[1] for name, sock in held.items()}
    running = ProbedGateway(folder(), {**plan(ports), "store": store.url})
    running.store_port = store.port
    try:
        yield running.start()
        assert running.end() == 0
        assert [line for line in running.stderr.splitlines() if "Traceback" in line] == []
    finally:
        running.kill_all()


@pytest.fixture
async def arena(gateway: ProbedGateway, held: dict[str, socket.socket]) -> AsyncIterator[Arena]:
    """The gateway with origins and clients of this test."""
    ground = Arena(gateway, held)
    await ground.start()
    yield ground
    await ground.stop()
