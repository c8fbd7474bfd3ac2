"""A gateway with the shipped kind of configuration: no scopes in use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.blackbox import Gateway, Origin


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    """The upstream."""
    with Origin().running() as origin:
        yield origin


@pytest.fixture(scope="session")
def gateway(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway."""
    config = {
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [{"path": "/v1/resource", "upstream": "legacy"}],
    }
    with Gateway(tmp_path_factory.mktemp("gateway"), config).running() as gateway:
        yield gateway
