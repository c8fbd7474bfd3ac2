"""One gateway per worker of the test run, seen from outside only; each test registers clients of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.blackbox import Gateway, Origin

Credential = dict[str, str]
_count = itertools.count()


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    """The upstream."""
    with Origin().running() as origin:
        yield origin


@pytest.fixture(scope="session")
def gateway(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway: one plain route, one by scope, one public."""
    config: dict[str, Any] = {
        "oauth": {
            "scopes": {"read": "Read.", "write": "Write."},
            "default_scopes": ["read"],
            "access_token_ttl": "1h",
        },
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [
            {"path": "/v1/resource", "upstream": "legacy"},
            {"path": "/v1/read/", "upstream": "legacy", "scopes": ["read"]},
            {"path": "/v1/write/", "upstream": "legacy", "scopes": ["write"], "methods": ["GET", "POST"]},
            {"path": "/public/", "upstream": "legacy", "public": True},
            {"path": "/v1/hosted", "upstream": "legacy", "hosts": ["One.example", "two.example"], "scopes": ["read"]},
            {"path": "/v1/hosted", "upstream": "legacy", "hosts": ["three.example"], "scopes": {"GET": ["write"]}},
        ],
    }
    with Gateway(tmp_path_factory.mktemp("gateway"), config).running() as gateway:
        yield gateway


@pytest.fixture(scope="session")
def people(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Another gateway, where people sign in."""
    config: dict[str, Any] = {
        "oauth": {
            "sign_in": True, "scopes": {"read": "Read.", "write": "Write."}, "default_scopes": ["read", "write"],
        },
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [{"path": "/v1/resource", "upstream": "legacy"}],
    }  # fmt: skip
    with Gateway(tmp_path_factory.mktemp("people"), config).running() as gateway:
        yield gateway


@pytest.fixture
def register(gateway: Gateway) -> Callable[[], Credential]:
    """Make a client."""
    return lambda: gateway.register(f"client-{next(_count)}@example.com")


@pytest.fixture
def client(register: Callable[[], Credential]) -> Credential:
    """A client of this test's own."""
    return register()


@pytest.fixture
def pair(gateway: Gateway, client: Credential) -> dict[str, Any]:
    """Its first tokens."""
    answer: dict[str, Any] = gateway.token(client).json()
    return answer
