"""A second gateway as the issuer of the first one's routes: both as users run them, which makes it a real server of RFC 7662."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.blackbox import Gateway, Origin


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin().running() as origin:
        yield origin


@pytest.fixture(scope="module")
def issuer(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    config: dict[str, Any] = {
        "oauth": {"access_token_format": "jwt", "scopes": {"read": "Read."}, "default_scopes": ["read"]},
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [{"path": "/v1/resource", "upstream": "legacy"}],
    }
    with Gateway(tmp_path_factory.mktemp("issuer"), config).running() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def caller(issuer: Gateway) -> dict[str, str]:
    """Who has tokens there, and asks about them too: a client may introspect its own."""
    return issuer.register("caller@example.com")


@pytest.fixture(scope="module")
def gateway(
    origin: Origin, issuer: Gateway, caller: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Whose routes take the other's tokens: asked about at each use, or verified by its keys."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "secret").write_text(caller["client_secret"])
    (folder / "secret").chmod(0o600)
    asked = {
        "endpoint": f"{issuer.url}/v1/oauth/introspect", "client_id": caller["client_key"], "client_secret": "${file:secret}",
        "cache": "0s",
    }  # fmt: skip
    config: dict[str, Any] = {
        "issuers": {
            "asked": {"issuer": issuer.url, "audience": [issuer.url], "introspection": asked},
            "read": {"issuer": issuer.url, "audience": [issuer.url], "refresh": "1m"},
        },
        "oauth": {"scopes": {"read": "Read.", "write": "Write."}},
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [
            {"path": "/asked", "upstream": "legacy", "issuers": ["own", "asked"], "scopes": ["read"]},
            {"path": "/read", "upstream": "legacy", "issuers": ["read"], "scopes": ["read"]},
            {"path": "/write", "upstream": "legacy", "issuers": ["read"], "scopes": ["write"]},
            {"path": "/v1/resource", "upstream": "legacy"},
        ],
    }
    with Gateway(folder, config).running() as gateway:
        yield gateway


def test_its_tokens_pass_both_ways_and_nowhere_else(
    gateway: Gateway, issuer: Gateway, caller: dict[str, str], origin: Origin
) -> None:
    token = str(issuer.token(caller).json()["access_token"])
    found = [gateway.resource(token, path).status_code for path in ("/asked", "/read", "/write", "/v1/resource")]
    assert found == [200, 200, 403, 401]
    names = [f"{name}:{caller['client_id']}" for name in ("asked", "read")]
    assert [seen.header("x-client-id") for seen in origin.seen[-2:]] == [[name] for name in names]
    assert origin.seen[-1].header("x-token-issuer") == [issuer.url]


def test_rfc7009_a_revoked_token_is_dead_at_once_where_its_issuer_is_asked(
    gateway: Gateway, issuer: Gateway, caller: dict[str, str]
) -> None:
    """And lives to its end where its keys are enough: what docs/issuers.md says of revocation."""
    token = str(issuer.token(caller).json()["access_token"])
    assert [gateway.resource(token, path).status_code for path in ("/asked", "/read")] == [200, 200]
    assert issuer.revoke(caller, token).status_code == 200
    assert [gateway.resource(token, path).status_code for path in ("/asked", "/read")] == [401, 200]


def test_its_refresh_tokens_open_nothing(gateway: Gateway, issuer: Gateway, caller: dict[str, str]) -> None:
    refresh = str(issuer.token(caller).json()["refresh_token"])
    assert gateway.resource(refresh, "/asked").status_code == 401


def test_the_secret_is_in_no_log(gateway: Gateway, caller: dict[str, str]) -> None:
    assert caller["client_secret"] not in gateway.log.read_text()
