"""RFC 8414, authorization server metadata: it lists what works, and what it lists works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway

Credential = dict[str, str]
PATH = "/.well-known/oauth-authorization-server"


def test_3_2_metadata(gateway: Gateway) -> None:
    answer = httpx.get(f"{gateway.url}{PATH}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    body = answer.json()
    assert body["issuer"] == gateway.url
    assert set(body["grant_types_supported"]) == {"client_credentials", "refresh_token"}
    assert "client_secret_basic" in body["token_endpoint_auth_methods_supported"]


def test_2_each_endpoint_listed_answers(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    body = httpx.get(f"{gateway.url}{PATH}").json()
    auth = (client["client_key"], client["client_secret"])
    assert httpx.post(body["token_endpoint"], auth=auth, data={"grant_type": "client_credentials"}).status_code == 200
    introspected = httpx.post(body["introspection_endpoint"], auth=auth, data={"token": pair["access_token"]})
    assert introspected.json()["active"] is True
    assert httpx.post(body["revocation_endpoint"], auth=auth, data={"token": pair["access_token"]}).status_code == 200


def test_3_1_only_get(gateway: Gateway) -> None:
    assert httpx.post(f"{gateway.url}{PATH}").status_code == 405


def test_3_an_issuer_is_an_origin_and_its_document_stands_at_one_path(gateway: Gateway) -> None:
    """Issuers with a path are refused (below), so nothing goes between; ``issuer`` is the configured one (section 3.3)."""
    for path in (f"{PATH}/", f"{PATH}/tenant", f"/tenant{PATH}", f"/v1{PATH}"):
        assert httpx.get(gateway.url + path).status_code == 404


def test_2_what_is_required_stands_there_and_nothing_else_is_empty(gateway: Gateway) -> None:
    """``response_types_supported`` is required here and an empty list: section 3.2 would have it away.  This form is pinned."""
    body = httpx.get(f"{gateway.url}{PATH}").json()
    assert {"issuer", "token_endpoint", "response_types_supported", "grant_types_supported"} <= set(body)
    assert [name for name, value in body.items() if value in ([], "", None)] == ["response_types_supported"]
    assert "authorization_endpoint" not in body
    for endpoint in ("token", "revocation", "introspection"):
        methods = body[f"{endpoint}_endpoint_auth_methods_supported"]
        assert methods == ["client_secret_basic", "private_key_jwt"]
        assert "none" not in body[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
    assert body["scopes_supported"] == ["read", "write"]
    assert body["registration_endpoint"] == f"{gateway.url}/v1/oauth/register"


def test_2_what_sign_in_adds(people: Gateway) -> None:
    body = httpx.get(f"{people.url}{PATH}").json()
    assert body["response_types_supported"] == ["code"]
    assert body["code_challenge_methods_supported"] == ["S256"]
    assert set(body["grant_types_supported"]) == {"authorization_code", "client_credentials", "refresh_token"}
    assert body["authorization_endpoint"].startswith(people.url)


@pytest.mark.parametrize("issuer", [
    "http://api.example.com", "https://api.example.com?a=b", "https://api.example.com#f",
    "https://a.example/t", "a",
])  # fmt: skip
def test_2_an_issuer_is_an_https_url_without_query_and_fragment(tmp_path: Path, issuer: str) -> None:
    """Exit code 78, and the line of it."""
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({
        "oauth": {"issuer": issuer}, "upstreams": {"a": {"targets": ["http://127.0.0.1:9"]}},
        "routes": [{"path": "/x", "upstream": "a"}],
    }))  # fmt: skip
    checked = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-c", str(config)], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 78
    assert "issuer" in checked.stderr
    assert f"{config}:1:" in checked.stderr or "config.yaml:1:" in checked.stderr


def test_3_1_head_too_and_405_names_them(gateway: Gateway) -> None:
    assert httpx.head(f"{gateway.url}{PATH}").status_code == 200
    assert "GET" in httpx.post(f"{gateway.url}{PATH}").headers["allow"]
