"""The admin listener: three paths and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.ops.admin import Admin
from gateway.ops.health import Health
from gateway.ops.listening import bind, port_of
from gateway.telemetry.metrics import Registry, Snapshot


class _Store:
    up = True

    async def probe(self) -> bool:
        return self.up


class _Site:
    """A running admin listener and what it reports."""

    def __init__(self) -> None:
        self.store = _Store()
        self.health = Health(self.store.probe)
        self.registry = Registry()
        self.url = ""

    async def collect(self) -> Snapshot:
        return self.registry.snapshot()


@pytest.fixture
async def site() -> AsyncIterator[_Site]:
    site = _Site()
    admin = Admin(site.health, site.collect, token_endpoint="http://127.0.0.1/v1/oauth/token")
    sockets = bind("127.0.0.1", 0, section="admin")
    await admin.start(sockets)
    site.url = f"http://127.0.0.1:{port_of(sockets)}"
    yield site
    await admin.close()


async def _get(url: str, method: str = "GET") -> tuple[int, aiohttp.ClientResponse, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
        return answer.status, answer, await answer.text()


async def _ready(site: _Site) -> tuple[int, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.get(f"{site.url}/readyz") as answer:
        return answer.status, await answer.json()


async def test_alive_whatever_the_state(site: _Site) -> None:
    """The liveness probe never touches the store."""
    site.store.up = False
    site.health.draining = True
    assert (await _get(f"{site.url}/healthz"))[0] == 200


async def test_ready_when_serving_and_the_store_was_seen(site: _Site) -> None:
    site.health.serving = True
    assert await _ready(site) == (200, {"status": "ready", "store": "up"})


async def test_not_ready_before_the_store_was_seen(site: _Site) -> None:
    site.health.serving, site.store.up = True, False
    assert await _ready(site) == (503, {"status": "store not seen yet", "store": "down"})


async def test_an_outage_later_is_reported_and_does_not_count(site: _Site) -> None:
    """All replicas would go at once."""
    site.health.serving = True
    await _ready(site)
    site.store.up = False
    assert await _ready(site) == (200, {"status": "ready", "store": "down"})


async def test_draining_is_not_ready(site: _Site) -> None:
    site.health.serving = site.health.draining = True
    status, state = await _ready(site)
    assert (status, state["status"]) == (503, "draining")


async def test_metrics_in_the_text_format(site: _Site) -> None:
    """Prometheus' own parser reads it."""
    site.registry.counter("gateway_things_total", "Things.", kind='a"b\\c').inc(3)
    site.registry.histogram("gateway_wait_seconds", "Waits.").observe(0.3)
    status, answer, body = await _get(f"{site.url}/metrics")
    assert status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert families["gateway_things"].samples[0].labels == {"kind": 'a"b\\c'}
    assert families["gateway_wait_seconds"].type == "histogram"


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../metrics", "/v1/resource", "/healthz/x"])
async def test_anything_else_is_a_problem_document(site: _Site, path: str) -> None:
    status, answer, body = await _get(f"{site.url}{path}" if ".." not in path else f"{site.url}/%2e%2e/x")
    assert (status, answer.content_type) == (404, "application/problem+json")
    assert '"code":"not_found"' in body
    assert "Server" not in answer.headers


async def test_other_methods_are_405(site: _Site) -> None:
    status, answer, _ = await _get(f"{site.url}/metrics", "POST")
    assert (status, answer.headers["Allow"]) == (405, "GET, HEAD")
