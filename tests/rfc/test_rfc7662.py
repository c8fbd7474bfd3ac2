"""RFC 7662, token introspection."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway
from tests.rfc.asking import basic, error, own, post, refresh
from tests.servers import wait_for

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


def test_2_1_the_token_stands_in_the_body(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    token, authorized = pair["access_token"], tuple(basic(*own(client)).items())
    for body in ("", f"token={token}"):
        answer = post(gateway, body, *authorized, path=f"/v1/oauth/introspect?token={token}")
        assert error(answer) == (400, "invalid_request")
    assert error(post(gateway, "token_type_hint=access_token", *authorized, path="/v1/oauth/introspect")) == (
        400, "invalid_request",
    )  # fmt: skip


def test_2_1_a_wrong_secret_is_401_with_a_challenge(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    body = f"token={pair['access_token']}"
    for headers in (basic(client["client_key"], "x"), {"Authorization": f"Bearer {pair['access_token']}"}):
        answer = post(gateway, body, *headers.items(), path="/v1/oauth/introspect")
        assert error(answer) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_2_2_members_have_their_types(gateway: Gateway, client: Credential, pair: dict[str, Any], kind: str) -> None:
    answer = gateway.introspect(client, pair[kind])
    body = answer.json()
    assert body["active"] is True
    assert type(body["exp"]) is int
    assert type(body["iat"]) is int
    assert body["iat"] <= time.time() + 5 < body["exp"]
    assert (body["client_id"], body["sub"], body["iss"]) == (client["client_id"], client["client_id"], gateway.url)
    assert type(body["scope"]) is str
    assert ("token_type" in body) == (kind == "access_token")
    assert answer.headers["content-type"].startswith("application/json")
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_2_1_a_wrong_hint_is_no_hindrance_for_refresh_tokens(
    gateway: Gateway, client: Credential, pair: dict[str, Any], hint: str
) -> None:
    assert gateway.introspect(client, pair["refresh_token"], token_type_hint=hint).json()["active"] is True


def test_2_2_every_inactive_token_is_the_same_bytes(
    gateway: Gateway, client: Credential, register: Callable[[], Credential], pair: dict[str, Any]
) -> None:
    """Revoked, foreign, spent, malformed, and what is another secret."""
    foreign = gateway.token(register()).json()
    spent = dict(pair)
    newer = refresh(gateway, client, pair).json()
    assert refresh(gateway, client, newer).status_code == 200
    gateway.revoke(client, pair["access_token"])
    strings = [
        pair["access_token"], foreign["access_token"], foreign["refresh_token"], spent["refresh_token"], "nonsense",
        client["client_secret"], pair["access_token"][:-1] + "!", "é",
    ]  # fmt: skip
    answers = [gateway.introspect(client, string) for string in strings]
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, b'{"active":false}')}


def test_2_2_an_answer_is_json_whatever_is_accepted(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    """RFC 9701 is not implemented, so its media type is never promised."""
    answer = httpx.post(
        f"{gateway.url}/v1/oauth/introspect", auth=own(client), data={"token": pair["access_token"]},
        headers={"Accept": "application/token-introspection+jwt"},
    )  # fmt: skip
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.json()["active"] is True


def test_4_an_expired_token_is_inactive(brief: Gateway) -> None:
    """And dead at the resource, where it is cached: neither outlives ``exp``."""
    client = brief.register("expiry@example.com")
    token = brief.token(client).json()["access_token"]
    assert brief.resource(token).status_code == 200
    wait_for(lambda: brief.resource(token).status_code == 401)
    answer = brief.introspect(client, token)
    assert (answer.status_code, answer.content) == (200, b'{"active":false}')
