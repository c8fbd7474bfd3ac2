"""RFC 6750, bearer tokens at the protected resource."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.blackbox import ANSWER, Gateway, Origin
from tests.servers import ValkeyServer, wait_for

Credential = dict[str, str]


def get(gateway: Gateway, *headers: tuple[str, str], path: str = "/v1/resource") -> httpx.Response:
    """A request with raw headers."""
    return httpx.get(f"{gateway.url}{path}", headers=list(headers))


def test_2_the_upstream_answers_unchanged(gateway: Gateway, pair: dict[str, Any]) -> None:
    answer = gateway.resource(pair["access_token"])
    assert (answer.status_code, answer.content) == (200, ANSWER)
    assert answer.headers["x-legacy"] == "yes"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
def test_2_1_the_scheme_is_case_insensitive(gateway: Gateway, pair: dict[str, Any], scheme: str) -> None:
    assert get(gateway, ("Authorization", f"{scheme} {pair['access_token']}")).status_code == 200


def test_2_two_credentials_are_invalid_request(gateway: Gateway, pair: dict[str, Any]) -> None:
    twice = ("Authorization", f"Bearer {pair['access_token']}")
    answer = get(gateway, twice, twice)
    assert answer.status_code == 400


def test_2_2_and_2_3_tokens_in_body_or_query_count_as_absent(gateway: Gateway, pair: dict[str, Any]) -> None:
    token = pair["access_token"]
    assert get(gateway, path=f"/v1/resource?access_token={token}").status_code == 401
    assert httpx.post(f"{gateway.url}/v1/resource", data={"access_token": token}).status_code == 401


def test_3_o15_no_token_gets_a_bare_challenge(gateway: Gateway) -> None:
    answer = get(gateway)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    assert "error" not in answer.headers["www-authenticate"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["token_endpoint"] == f"{gateway.url}/v1/oauth/token"


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param("Bearer", id="empty"),
        pytest.param("Bearer a b", id="two words"),
        pytest.param("Bearer a,b", id="list"),
        pytest.param("Bearer *", id="glob"),
        pytest.param("Bearer " + "a" * 5000, id="long"),
        pytest.param("Bearer gwa_" + "a" * 52, id="right form, wrong checksum"),
    ],
)
def test_3_1_whatever_is_no_live_token_is_invalid_token(gateway: Gateway, credentials: str) -> None:
    answer = get(gateway, ("Authorization", credentials))
    assert answer.status_code == 401
    challenge = answer.headers["www-authenticate"]
    assert challenge.count("error=") <= 1
    if credentials.strip() != "Bearer":
        assert 'error="invalid_token"' in challenge


def test_3_1_revoked_unknown_and_malformed_look_alike(
    gateway: Gateway, client: Credential, pair: dict[str, Any]
) -> None:
    revoked = pair["access_token"]
    assert gateway.revoke(client, revoked).status_code == 200
    answers = [gateway.resource(token) for token in (revoked, "nonsense", pair["refresh_token"])]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.headers["www-authenticate"] for answer in answers}) == 1
    bodies = [{key: value for key, value in answer.json().items() if key != "request_id"} for answer in answers]
    assert bodies[0] == bodies[1] == bodies[2]


def test_3_1_a_missing_scope_is_403_and_names_the_scope(gateway: Gateway, pair: dict[str, Any]) -> None:
    assert gateway.resource(pair["access_token"], "/v1/read/x").status_code == 200
    answer = gateway.resource(pair["access_token"], "/v1/write/x")
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="write"' in answer.headers["www-authenticate"]


def test_5_2_the_upstream_never_sees_the_token(
    gateway: Gateway, origin: Origin, client: Credential, pair: dict[str, Any]
) -> None:
    before = len(origin.seen)
    assert gateway.resource(pair["access_token"], **{"X-Client-Id": "somebody", "X_Client_Id": "else"}).status_code == 200
    seen = origin.seen[before]
    assert seen.header("authorization") == []
    assert seen.header("x-client-id") == [client["client_id"]]
    assert seen.header("x_client_id") == []
    assert all(pair["access_token"] not in value for _, value in seen.headers)


def test_each_request_of_a_connection_is_authorized_by_itself(gateway: Gateway, pair: dict[str, Any]) -> None:
    with httpx.Client(base_url=gateway.url) as connection:
        assert connection.get("/v1/resource", headers={"Authorization": f"Bearer {pair['access_token']}"}).status_code == 200
        assert connection.get("/v1/resource").status_code == 401


def test_a_public_route_needs_no_token_and_tells_no_identity(
    gateway: Gateway, origin: Origin, register: Callable[[], Credential]
) -> None:
    before = len(origin.seen)
    assert get(gateway, ("X-Client-Id", "admin"), path="/public/x").status_code == 200
    assert origin.seen[before].header("x-client-id") == []


def test_3_a_challenge_names_each_attribute_once(gateway: Gateway, pair: dict[str, Any]) -> None:
    """Each a quoted string without a quote or backslash inside."""
    for answer in (get(gateway), gateway.resource("x"), gateway.resource(pair["access_token"], "/v1/write/x")):
        assert len(answer.headers.get_list("www-authenticate")) == 1
        scheme, _, attributes = answer.headers["www-authenticate"].partition(" ")
        found = re.findall(r'([a-z_]+)="([^"\\]*)"(?:, |$)', attributes)
        assert scheme == "Bearer"
        assert ", ".join(f'{name}="{value}"' for name, value in found) == attributes
        assert len({name for name, _ in found}) == len(found) >= 1


def test_3_1_several_credentials_are_invalid_request(gateway: Gateway, pair: dict[str, Any]) -> None:
    twice = ("Authorization", f"Bearer {pair['access_token']}")
    answer = get(gateway, twice, twice)
    assert answer.status_code == 400
    assert 'error="invalid_token"' not in answer.headers.get("www-authenticate", "")


def test_3_1_an_expired_token_looks_like_an_unknown_one(brief: Gateway) -> None:
    token = brief.token(brief.register("expired-6750@example.com")).json()["access_token"]
    wait_for(lambda: brief.resource(token).status_code == 401)
    expired, unknown = brief.resource(token), brief.resource("nonsense")
    assert expired.headers["www-authenticate"] == unknown.headers["www-authenticate"]
    bodies = [{key: value for key, value in answer.json().items() if key != "request_id"} for answer in (expired, unknown)]
    assert bodies[0] == bodies[1]


def test_3_1_an_outage_of_the_store_is_503_without_a_challenge(brief: Gateway, brief_store: ValkeyServer) -> None:
    client = brief.register("outage-6750@example.com")
    pair = brief.token(client).json()
    brief_store.stop()
    try:
        answer = brief.resource(pair["access_token"])
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1
        assert "www-authenticate" not in answer.headers
        assert get(brief).status_code == 401  # that no token was sent is known without any store
    finally:
        brief_store.start()
        wait_for(lambda: brief.introspect(client, pair["refresh_token"]).status_code == 200)


@pytest.mark.parametrize("scheme", ["Basic", "DPoP", "Token", "Bearerx"])
def test_3_another_scheme_is_no_bearer_token(gateway: Gateway, pair: dict[str, Any], scheme: str) -> None:
    answer = get(gateway, ("Authorization", f"{scheme} {pair['access_token']}"))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer ")


def test_5_3_a_query_parameter_is_never_a_credential(gateway: Gateway, pair: dict[str, Any]) -> None:
    """RFC 9700 section 4.3.2 too."""
    for name in ("access_token", "token", "Authorization"):
        assert get(gateway, path=f"/v1/resource?{name}={pair['access_token']}").status_code == 401


def test_2_a_token_in_the_query_beside_the_header_is_invalid_request(
    gateway: Gateway, origin: Origin, pair: dict[str, Any]
) -> None:
    """MUST NOT use more than one method; nothing of it reaches the upstream, whose own parameter of that name passes."""
    token, before = pair["access_token"], len(origin.seen)
    escaped = "".join(f"%{ord(character):02X}" for character in token)
    for query in (
        f"access_token={token}", f"a=b&access_token={token}", f"access_token={escaped}", f"access_token=x&access_token={token}",
    ):  # fmt: skip
        refused = gateway.resource(token, f"/v1/resource?{query}")
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
        assert 'error="invalid_request"' in refused.headers["www-authenticate"]
        assert token not in refused.text
    assert len(origin.seen) == before
    for query in ("access_token=theirs", "access_token=", f"my_access_token={token}", f"q=access_token={token}"):
        assert gateway.resource(token, f"/v1/resource?{query}").status_code == 200
