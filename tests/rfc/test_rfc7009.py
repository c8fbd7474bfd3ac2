"""RFC 7009, token revocation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway

Credential = dict[str, str]


def test_2_1_own_access_token_is_dead_on_the_next_request(
    gateway: Gateway, client: Credential, pair: dict[str, Any]
) -> None:
    assert gateway.resource(pair["access_token"]).status_code == 200
    assert gateway.revoke(client, pair["access_token"]).status_code == 200
    assert gateway.resource(pair["access_token"]).status_code == 401


def test_2_1_revoking_the_refresh_token_ends_its_access_tokens(
    gateway: Gateway, client: Credential, pair: dict[str, Any]
) -> None:
    assert gateway.resource(pair["access_token"]).status_code == 200
    assert gateway.revoke(client, pair["refresh_token"]).status_code == 200
    assert gateway.resource(pair["access_token"]).status_code == 401
    refused = gateway.token(client, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert refused.json()["error"] == "invalid_grant"


def test_2_1_a_foreign_token_stays_alive(
    gateway: Gateway, register: Callable[[], Credential], pair: dict[str, Any]
) -> None:
    stranger = register()
    for token in (pair["access_token"], pair["refresh_token"]):
        assert gateway.revoke(stranger, token).status_code in (200, 400)
    assert gateway.resource(pair["access_token"]).status_code == 200


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_2_1_a_wrong_hint_is_no_hindrance(
    gateway: Gateway, client: Credential, pair: dict[str, Any], hint: str
) -> None:
    assert gateway.revoke(client, pair["access_token"], token_type_hint=hint).status_code == 200
    assert gateway.resource(pair["access_token"]).status_code == 401


def test_2_1_client_authentication_and_a_token_are_asked(gateway: Gateway, client: Credential) -> None:
    assert httpx.post(f"{gateway.url}/v1/oauth/revoke", data={"token": "x"}).status_code == 401
    assert gateway.revoke(client, "").json()["error"] == "invalid_request"
    assert httpx.get(f"{gateway.url}/v1/oauth/revoke").headers["allow"] == "POST"


def test_2_2_unknown_and_revoked_tokens_are_200(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    for token in ("nonsense", pair["access_token"], pair["access_token"]):
        assert gateway.revoke(client, token).status_code == 200
