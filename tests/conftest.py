"""Fixtures for all: real stores.  One server per xdist worker, emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import DEBIAN_REDIS, ValkeyServer


@pytest.fixture(scope="session")
def valkey_process() -> Iterator[ValkeyServer]:
    """The worker's Valkey; tests ask for ``valkey``."""
    server = ValkeyServer().start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def debian_redis_process() -> Iterator[ValkeyServer]:
    """The worker's redis-server of Debian; tests ask for ``debian_redis``."""
    if DEBIAN_REDIS is None:
        pytest.skip("no /usr/bin/redis-server here (apt-get install redis-server)")
    server = ValkeyServer(binary=DEBIAN_REDIS).start()
    yield server
    server.remove()


@pytest.fixture
def valkey(valkey_process: ValkeyServer) -> ValkeyServer:
    """A real, empty Valkey with no scripts loaded: ``.url``, ``.socket``, ``.port``, ``.client()``, ``.call(…)``."""
    return _emptied(valkey_process)


@pytest.fixture
def debian_redis(debian_redis_process: ValkeyServer) -> ValkeyServer:
    """A real, empty redis-server of Debian; the test is skipped where there is none."""
    return _emptied(debian_redis_process)


def _emptied(server: ValkeyServer) -> ValkeyServer:
    if not server.running:
        server.start()
    server.call("FLUSHALL")
    server.call("SCRIPT", "FLUSH")
    return server
