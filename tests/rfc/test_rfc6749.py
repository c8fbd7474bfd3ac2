"""RFC 6749, the OAuth 2.0 framework: the token endpoint from outside."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway

Credential = dict[str, str]
FORM = {"content-type": "application/x-www-form-urlencoded"}


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def post(gateway: Gateway, body: str, *headers: tuple[str, str], path: str = "/v1/oauth/token") -> httpx.Response:
    """A raw form."""
    return httpx.post(f"{gateway.url}{path}", content=body, headers=[*FORM.items(), *headers])


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and error code, after the checks that hold for every refusal of section 5.2."""
    body = answer.json()
    assert set(body) <= {"error", "error_description", "error_uri"}
    assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]*", body.get("error_description", ""))
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    return answer.status_code, body["error"]


def test_2_3_two_authentication_methods_are_refused(gateway: Gateway, client: Credential) -> None:
    body = f"grant_type=client_credentials&client_id={client['client_id']}&client_secret={client['client_secret']}"
    answer = post(gateway, body, *basic(client["client_key"], client["client_secret"]).items())
    assert error(answer) == (400, "invalid_request")


def test_2_3_1_basic_takes_key_and_id(gateway: Gateway, client: Credential) -> None:
    for user in (client["client_key"], client["client_id"]):
        answer = post(gateway, "grant_type=client_credentials", *basic(user, client["client_secret"]).items())
        assert answer.status_code == 200


def test_2_3_1_basic_is_form_decoded_once(gateway: Gateway, client: Credential) -> None:
    escaped = "".join(f"%{ord(c):02X}" for c in client["client_key"])
    assert post(gateway, "grant_type=client_credentials", *basic(escaped, client["client_secret"]).items()).status_code == 200
    twice = escaped.replace("%", "%25")
    assert error(post(gateway, "grant_type=client_credentials", *basic(twice, client["client_secret"]).items())) == (
        401, "invalid_client",
    )  # fmt: skip


def test_2_3_1_endpoints_are_protected_against_brute_force(gateway: Gateway, client: Credential) -> None:
    """MUST: twenty wrong secrets from one address, at whatever endpoint, then 429; other addresses, the owner's, go on (O11)."""
    wrong = basic(client["client_key"], client["client_secret"][:-7] + "A" * 7)
    with httpx.Client(base_url=gateway.url, transport=httpx.HTTPTransport(local_address="127.0.0.66")) as attacker:
        for number in range(22):
            path = ("/v1/oauth/token", "/v1/oauth/introspect", "/v1/oauth/revoke")[number % 3]
            answer = attacker.post(path, data={"grant_type": "client_credentials", "token": "x"}, headers=wrong)
            said = error(answer)
            if said[0] == 429:
                break
            assert said == (401, "invalid_client")
        assert number == 20
        assert said == (429, "temporarily_unavailable")
        assert 1 <= int(answer.headers["retry-after"]) <= 3
    assert gateway.token(client).status_code == 200


def test_2_3_1_credentials_in_the_uri_are_refused(gateway: Gateway, client: Credential) -> None:
    query = f"?client_id={client['client_key']}&client_secret={client['client_secret']}&grant_type=client_credentials"
    assert post(gateway, "grant_type=client_credentials", path=f"/v1/oauth/token{query}").status_code in (400, 401)
    authenticated = post(
        gateway, "", *basic(client["client_key"], client["client_secret"]).items(),
        path="/v1/oauth/token?grant_type=client_credentials",
    )  # fmt: skip
    assert error(authenticated) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_3_2_only_post(gateway: Gateway, method: str) -> None:
    answer = httpx.request(method, f"{gateway.url}/v1/oauth/token")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_3_2_parameters_without_a_value_are_absent_and_unknown_ones_ignored(gateway: Gateway, client: Credential) -> None:
    assert gateway.token(client, scope="", unknown="x").status_code == 200
    assert error(gateway.token(client, grant_type="")) == (400, "invalid_request")


@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "refresh_token", "unknown"])
def test_3_2_a_parameter_may_not_stand_twice(gateway: Gateway, client: Credential, name: str) -> None:
    body = f"grant_type=client_credentials&{name}=client_credentials&{name}=b"
    assert error(post(gateway, body, *basic(client["client_key"], client["client_secret"]).items())) == (400, "invalid_request")


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
def test_3_2_only_forms(gateway: Gateway, client: Credential, content_type: str) -> None:
    headers = {**basic(client["client_key"], client["client_secret"]), "content-type": content_type}
    answer = httpx.post(f"{gateway.url}/v1/oauth/token", content='{"grant_type":"client_credentials"}', headers=headers)
    assert answer.status_code in (400, 415)
    assert answer.json()["error"] == "invalid_request"


@pytest.mark.parametrize("scope", ['re"ad', "re\\ad", "réad", "read\x7f", "read\tx"])
def test_3_3_scope_characters(gateway: Gateway, client: Credential, scope: str) -> None:
    assert error(gateway.token(client, scope=scope)) == (400, "invalid_scope")


def test_3_3_scope_beyond_the_client_is_refused(gateway: Gateway, client: Credential) -> None:
    assert error(gateway.token(client, scope="write")) == (400, "invalid_scope")
    assert error(gateway.token(client, scope="read write")) == (400, "invalid_scope")
    assert error(gateway.token(client, scope="READ")) == (400, "invalid_scope")


def test_3_3_a_granted_scope_other_than_requested_is_told(gateway: Gateway, client: Credential) -> None:
    assert gateway.token(client).json()["scope"] == "read"


def test_4_4_3_client_credentials_answers_with_a_refresh_token_as_the_contract_says(
    gateway: Gateway, client: Credential
) -> None:
    """A deliberate deviation from a SHOULD NOT; ``oauth.refresh_for_client_credentials`` switches it off."""
    assert "refresh_token" in gateway.token(client).json()


def test_5_1_answer(gateway: Gateway, client: Credential) -> None:
    answer = gateway.token(client, scope="read")
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert body["token_type"] == "Bearer"
    assert body["expires_in"] == 3600
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(None, id="none"),
        pytest.param("Basic", id="empty"),
        pytest.param("Basic !!!!", id="not base64"),
        pytest.param("Basic " + base64.b64encode(b"no-colon").decode(), id="no colon"),
        pytest.param("Basic " + base64.b64encode(b"\xff\xfe:x").decode(), id="not UTF-8"),
        pytest.param("Bearer abc", id="other scheme"),
        pytest.param(basic("gwk_aaa" + "a" * 22, "gws_" + "a" * 49)["Authorization"], id="unknown client"),
    ],
)
def test_5_2_failed_authentication_is_invalid_client_with_a_challenge(gateway: Gateway, authorization: str | None) -> None:
    headers = [("Authorization", authorization)] if authorization else []
    answer = post(gateway, "grant_type=client_credentials", *headers)
    assert error(answer) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_5_2_unknown_client_and_wrong_secret_are_one_answer(gateway: Gateway, client: Credential) -> None:
    wrong = post(gateway, "grant_type=client_credentials", *basic(client["client_key"], "gws_" + "a" * 49).items())
    unknown = post(gateway, "grant_type=client_credentials", *basic("gwk_aaa" + "a" * 22, "gws_" + "a" * 49).items())
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.content == unknown.content
    drop = {"date"}
    assert [h for h in wrong.headers.items() if h[0] not in drop] == [h for h in unknown.headers.items() if h[0] not in drop]


def test_5_2_error_codes(gateway: Gateway, client: Credential) -> None:
    assert error(gateway.token(client, grant_type="password")) == (400, "unsupported_grant_type")
    assert error(gateway.token(client, grant_type="refresh_token")) == (400, "invalid_request")
    assert error(gateway.token(client, grant_type="refresh_token", refresh_token="nonsense")) == (400, "invalid_grant")
    assert error(post(gateway, "", *basic(client["client_key"], client["client_secret"]).items())) == (400, "invalid_request")


def test_6_refreshing_gives_a_new_pair(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    answer = gateway.token(client, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    new = answer.json()
    assert new["access_token"] != pair["access_token"]
    assert new["refresh_token"] != pair["refresh_token"]
    for token in (pair["access_token"], new["access_token"]):
        assert gateway.resource(token).status_code == 200


def test_6_a_foreign_refresh_token_is_refused_and_left_alone(
    gateway: Gateway, client: Credential, register: Callable[[], Credential], pair: dict[str, Any]
) -> None:
    stranger = register()
    foreign = gateway.token(stranger, grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert error(foreign) == (400, "invalid_grant")
    assert gateway.resource(pair["access_token"]).status_code == 200
    assert gateway.token(client, grant_type="refresh_token", refresh_token=pair["refresh_token"]).status_code == 200


def test_6_scope_may_narrow_but_not_widen(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    refresh = pair["refresh_token"]
    assert error(gateway.token(client, grant_type="refresh_token", refresh_token=refresh, scope="read write")) == (
        400, "invalid_scope",
    )  # fmt: skip
    assert gateway.token(client, grant_type="refresh_token", refresh_token=refresh, scope="read").status_code == 200


def test_6_refresh_needs_client_authentication(gateway: Gateway, pair: dict[str, Any]) -> None:
    answer = post(gateway, f"grant_type=refresh_token&refresh_token={pair['refresh_token']}")
    assert error(answer) == (401, "invalid_client")


def test_10_10_tokens_carry_256_bits_and_do_not_repeat(gateway: Gateway, client: Credential) -> None:
    bodies = [gateway.token(client).json() for _ in range(5)]
    tokens = {body[kind] for body in bodies for kind in ("access_token", "refresh_token")}
    assert len(tokens) == 10
    assert all(re.fullmatch(r"gw[ar]_[A-Za-z0-9_-]{52,}", token) for token in tokens)
