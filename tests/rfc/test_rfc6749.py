"""RFC 6749, the OAuth 2.0 framework: the token endpoint from outside."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway
from tests.rfc.asking import Credential, basic, error, own, post, refresh


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


@pytest.mark.parametrize("scheme", ["basic", "BASIC", "bAsIc"])
def test_2_3_1_the_name_of_the_scheme_has_no_case(gateway: Gateway, client: Credential, scheme: str) -> None:
    value = basic(*own(client))["Authorization"].replace("Basic", scheme)
    assert post(gateway, "grant_type=client_credentials", ("Authorization", value)).status_code == 200


def test_2_3_1_only_the_first_colon_separates(gateway: Gateway, client: Credential) -> None:
    """What follows a second one belongs to the secret, which is then another; passwords of people may hold colons."""
    key, secret = own(client)
    for wrong in (f"{secret}:", f"{secret}:x", f":{secret}"):
        assert error(post(gateway, "grant_type=client_credentials", *basic(key, wrong).items())) == (401, "invalid_client")
    username, password = f"colon-{key.lower()}@example.com"[:100], "pass:word:with:colons:"
    client_id = gateway.register(username, password)["client_id"]
    assert httpx.get(f"{gateway.url}/v1/clients", auth=(username, password)).json() == {"clients": [client_id]}


def test_2_3_1_both_parts_may_be_form_encoded(gateway: Gateway, client: Credential) -> None:
    key, secret = ("".join(f"%{ord(letter):02x}" for letter in part) for part in own(client))
    assert post(gateway, "grant_type=client_credentials", *basic(key, secret).items()).status_code == 200


def test_2_3_1_a_secret_in_the_body_is_off_unless_configured(gateway: Gateway, client: Credential) -> None:
    key, secret = own(client)
    body = f"grant_type=client_credentials&client_id={key}&client_secret={secret}"
    answer = post(gateway, body)
    assert error(answer) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


def test_2_3_a_client_id_that_names_another_client_is_refused(gateway: Gateway, client: Credential) -> None:
    """The client's own, by id or key, is repetition."""
    for own_name in (client["client_id"], client["client_key"]):
        assert gateway.token(client, client_id=own_name).status_code == 200
    assert error(gateway.token(client, client_id="somebody")) == (400, "invalid_request")


@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_3_2_only_post_at_each_endpoint(gateway: Gateway, endpoint: str, method: str) -> None:
    answer = httpx.request(method, f"{gateway.url}/v1/oauth/{endpoint}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("content_type", [
    "application/x-www-form-urlencoded; charset=UTF-8", "application/x-www-form-urlencoded;charset=utf-8",
    "Application/X-WWW-Form-Urlencoded",
])  # fmt: skip
def test_3_2_the_type_may_have_parameters_and_any_case(gateway: Gateway, client: Credential, content_type: str) -> None:
    headers = {**basic(*own(client)), "content-type": content_type}
    answer = httpx.post(f"{gateway.url}/v1/oauth/token", content="grant_type=client_credentials", headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("body", ["scope=&scope=", "scope&scope=read", "%73cope=read&scope=read", "x=%zz", "x=%ff", "x=%"])
def test_3_2_what_can_be_read_in_two_ways_is_refused(gateway: Gateway, client: Credential, body: str) -> None:
    answer = post(gateway, f"grant_type=client_credentials&{body}", *basic(*own(client)).items())
    assert error(answer) == (400, "invalid_request")


def test_3_3_a_scope_named_twice_is_one(gateway: Gateway, client: Credential) -> None:
    token = gateway.token(client, scope="read read").json()["access_token"]
    assert gateway.introspect(client, token).json()["scope"] == "read"


@pytest.mark.parametrize("scope", ["read  read", " read", "read "])
def test_3_3_one_space_stands_between_scopes_and_none_around(gateway: Gateway, client: Credential, scope: str) -> None:
    """As the grammar has it."""
    assert error(gateway.token(client, scope=scope)) == (400, "invalid_scope")


def test_3_3_the_order_of_scopes_does_not_matter(people: Gateway) -> None:
    client = people.register("order@example.com")
    for scope in ("read write", "write read"):
        answer = people.token(client, scope=scope).json()
        assert "scope" not in answer  # it is what was asked for
        assert set(people.introspect(client, answer["access_token"]).json()["scope"].split()) == {"read", "write"}
    assert people.token(client, scope="write").json().get("scope", "write") == "write"
    assert set(people.token(client).json()["scope"].split()) == {"read", "write"}


def test_4_4_3_the_refresh_token_can_be_switched_off(guarded: Gateway, invited: Credential) -> None:
    """``oauth.refresh_for_client_credentials: false``: then no refresh grant is on offer either."""
    pair = guarded.token(invited).json()
    assert set(pair) == {"access_token", "token_type", "expires_in"}
    assert error(guarded.token(invited, grant_type="refresh_token", refresh_token="x")) == (400, "unsupported_grant_type")


def test_5_1_no_credential_is_ever_stored_on_its_way(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    """MUST: registrations, rotation, tokens, introspection."""
    auth, base = own(client), f"{gateway.url}/v1"
    answers = [
        httpx.post(f"{base}/register", json={"username": f"s-{client['client_id'].lower()}", "password": "a-long-password"}),
        httpx.post(f"{base}/oauth/register", json={}),
        httpx.post(f"{base}/clients/{client['client_id']}/keys", auth=auth),
        httpx.get(f"{base}/clients/{client['client_id']}/keys", auth=auth),
        gateway.token(client), refresh(gateway, client, pair), gateway.introspect(client, pair["access_token"]),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [201, 201, 201, 200, 200, 200, 200]
    for answer in answers:
        assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


def test_5_1_expires_in_is_an_integer(gateway: Gateway, client: Credential, pair: dict[str, Any]) -> None:
    assert type(pair["expires_in"]) is int
    assert type(refresh(gateway, client, pair).json()["expires_in"]) is int


def test_5_2_a_grant_that_the_client_may_not_use_is_unauthorized_client(gateway: Gateway) -> None:
    answer = httpx.post(f"{gateway.url}/v1/oauth/register", json={"grant_types": ["client_credentials"]}).json()
    pair = gateway.token(answer).json()
    assert "refresh_token" not in pair
    assert error(gateway.token(answer, grant_type="refresh_token", refresh_token="x")) == (400, "unauthorized_client")


@pytest.mark.parametrize("grant", ["password", "implicit", "authorization_code", "Client_Credentials", "client_credentials "])
def test_5_2_what_is_not_on_offer_is_unsupported_grant_type(gateway: Gateway, client: Credential, grant: str) -> None:
    assert error(gateway.token(client, grant_type=grant)) == (400, "unsupported_grant_type")


def test_6_the_next_refresh_token_carries_the_scope_of_the_one_presented(people: Gateway) -> None:
    """A narrowed access token leaves the grant as it was; nothing named is all of it."""
    client = people.register("narrow@example.com")
    first = people.token(client).json()
    second = refresh(people, client, first, scope="read").json()
    assert people.introspect(client, second["access_token"]).json()["scope"] == "read"
    assert second.get("scope", "read") == "read"
    third = refresh(people, client, second).json()
    assert set(third["scope"].split()) == {"read", "write"}
    small = people.token(client, scope="read").json()
    assert error(refresh(people, client, small, scope="read write")) == (400, "invalid_scope")
    assert refresh(people, client, small).status_code == 200  # nothing was spent
