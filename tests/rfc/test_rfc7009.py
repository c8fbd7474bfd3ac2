"""RFC 7009, token revocation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway
from tests.rfc.asking import basic, error, own, post, refresh
from tests.servers import ValkeyServer, wait_for

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


def test_2_1_the_token_stands_in_the_body_once(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    token = pair["access_token"]
    authorized = tuple(basic(*own(client)).items())
    for body, query in (("", f"?token={token}"), (f"token={token}", f"?token={token}"), (f"token={token}&token=x", "")):
        assert error(post(gateway, body, *authorized, path=f"/v1/oauth/revoke{query}")) == (400, "invalid_request")
    assert error(post(gateway, "token=x&token_type_hint=a&token_type_hint=b", *authorized, path="/v1/oauth/revoke")) == (
        400, "invalid_request",
    )  # fmt: skip
    assert gateway.resource(token).status_code == 200


def test_2_1_wrong_credentials_revoke_nothing(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    answer = post(gateway, f"token={pair['access_token']}", *basic(client["client_key"], "x").items(), path="/v1/oauth/revoke")
    assert error(answer) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert gateway.resource(pair["access_token"]).status_code == 200


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_2_1_a_wrong_hint_is_no_hindrance_for_refresh_tokens(
    gateway: Gateway, client: Credential, pair: dict[str, Any], hint: str
) -> None:
    assert gateway.revoke(client, pair["refresh_token"], token_type_hint=hint).status_code == 200
    assert refresh(gateway, client, pair).json()["error"] == "invalid_grant"


def test_2_revoking_an_access_token_leaves_the_grant(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    assert gateway.revoke(client, pair["access_token"]).status_code == 200
    assert refresh(gateway, client, pair).status_code == 200


def test_2_2_1_every_type_that_is_issued_can_be_revoked(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    """So ``unsupported_token_type`` has no occasion; what is no token at all is section 2.2's 200."""
    for string in (pair["access_token"], pair["refresh_token"], client["client_secret"], client["client_id"], "x" * 5000):
        answer = gateway.revoke(client, string)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert gateway.token(client).status_code == 200


def test_2_2_1_an_outage_is_503_and_the_token_still_lives(brief: Gateway, brief_store: ValkeyServer) -> None:
    """RFC 6750 section 3.1 has no error for it: never a challenge, or clients would throw good tokens away."""
    client = brief.register("outage-7009@example.com")
    pair = brief.token(client).json()
    brief_store.stop()
    try:
        for answer in (brief.revoke(client, pair["refresh_token"]), brief.introspect(client, pair["refresh_token"])):
            assert error(answer) == (503, "temporarily_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
    finally:
        brief_store.start()
        wait_for(lambda: brief.introspect(client, pair["refresh_token"]).status_code == 200)
    assert refresh(brief, client, pair).status_code == 200
