"""RFC 8414, authorization server metadata: it lists what works, and what it lists works."""

from __future__ import annotations

from typing import Any

import httpx

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
