"""RFC 7662, token introspection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway

Credential = dict[str, str]


def test_2_1_the_caller_is_authenticated(gateway: Gateway, pair: dict[str, Any]) -> None:
    answer = httpx.post(f"{gateway.url}/v1/oauth/introspect", data={"token": pair["access_token"]})
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert httpx.get(f"{gateway.url}/v1/oauth/introspect").status_code == 405


def test_2_1_the_token_is_asked_once(gateway: Gateway, client: Credential) -> None:
    assert gateway.introspect(client, "").status_code == 400
    auth = (client["client_key"], client["client_secret"])
    twice = httpx.post(
        f"{gateway.url}/v1/oauth/introspect", auth=auth, content="token=a&token=b",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert twice.json()["error"] == "invalid_request"


@pytest.mark.parametrize("hint", ["", "access_token", "refresh_token", "nonsense"])
def test_2_2_an_own_live_token_is_described(
    gateway: Gateway, client: Credential, pair: dict[str, Any], hint: str
) -> None:
    answer = gateway.introspect(client, pair["access_token"], token_type_hint=hint)
    body = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert body["active"] is True
    assert body["client_id"] == client["client_id"]
    assert body["scope"] == "read"
    assert body["token_type"] == "Bearer"
    assert body["exp"] - body["iat"] == 3600
    assert abs(body["iat"] - time.time()) < 60
    assert client["client_secret"] not in answer.text


def test_2_2_inactive_is_that_one_member(
    gateway: Gateway, client: Credential, register: Callable[[], Credential], pair: dict[str, Any]
) -> None:
    stranger = register()
    assert gateway.introspect(stranger, pair["access_token"]).json() == {"active": False}
    assert gateway.introspect(client, "nonsense").json() == {"active": False}
    gateway.revoke(client, pair["access_token"])
    answer = gateway.introspect(client, pair["access_token"])
    assert (answer.status_code, answer.json()) == (200, {"active": False})


def test_2_2_a_refresh_token_can_be_looked_at_too(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    assert gateway.introspect(client, pair["refresh_token"]).json()["active"] is True
