"""One gateway per worker of the test run, seen from outside only; each test registers clients of its own."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway, Origin
from tests.servers import ValkeyServer

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
        "issuers": {"idp": {"issuer": "http://127.0.0.1:9", "audience": ["api"]}},
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [
            {"path": "/v1/resource", "upstream": "legacy"},
            {"path": "/v1/read/", "upstream": "legacy", "scopes": ["read"]},
            {"path": "/v1/write/", "upstream": "legacy", "scopes": ["write"], "methods": ["GET", "POST"]},
            {"path": "/public/", "upstream": "legacy", "public": True},
            {"path": "/v1/hosted", "upstream": "legacy", "hosts": ["One.example", "two.example"], "scopes": ["read"]},
            {"path": "/v1/hosted", "upstream": "legacy", "hosts": ["three.example"], "scopes": {"GET": ["write"]}},
            {"path": "/v1/both", "upstream": "legacy", "issuers": ["own", "idp"]},
            {"path": "/v1/theirs", "upstream": "legacy", "issuers": ["idp"]},
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


@pytest.fixture(scope="session")
def guarded(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway where one registers with a token, and nothing is refreshed."""
    config: dict[str, Any] = {
        "oauth": {"registration": "token", "refresh_for_client_credentials": False},
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [{"path": "/v1/resource", "upstream": "legacy"}],
    }
    with Gateway(tmp_path_factory.mktemp("guarded"), config).running() as gateway:
        yield gateway


@pytest.fixture(scope="session")
def invitation(guarded: Gateway) -> str:
    """An initial access token of that gateway."""
    made = subprocess.run(
        [sys.executable, "-m", "gateway", "clients", "initial-access-token", "--uses", "50", "-c", "config.yaml"],
        cwd=guarded.directory, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = re.search(r"gwi_[A-Za-z0-9_-]+", made.stdout)
    assert found is not None, made.stdout
    return found[0]


@pytest.fixture
def invited(guarded: Gateway, invitation: str) -> Credential:
    """A client that registered with it."""
    answer = httpx.post(f"{guarded.url}/v1/oauth/register", json={}, headers={"Authorization": f"Bearer {invitation}"})
    assert answer.status_code == 201, answer.text
    document: Credential = answer.json()
    return document


@pytest.fixture(scope="session")
def brief_store() -> Iterator[ValkeyServer]:
    """The store of the next one, for a test to look into and to end."""
    server = ValkeyServer().start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def brief(origin: Origin, brief_store: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """
    A gateway where nothing lasts: access tokens a second, refresh tokens for one use, two chains a client.

    It believes a proxy on this machine: limits by address spare the machine itself.
    """
    config: dict[str, Any] = {
        "store": brief_store.url,
        "trusted_proxies": ["127.0.0.1/32"],
        "oauth": {"access_token_ttl": "1s", "refresh_grace": "0s", "max_live_chains": 2},
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [{"path": "/v1/resource", "upstream": "legacy"}],
    }
    with Gateway(tmp_path_factory.mktemp("brief"), config).running() as gateway:
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
