"""RFC 7591, dynamic client registration, and RFC 7592, its management, from outside."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway

WEB = {"redirect_uris": ["https://app.example.com/cb"], "client_name": "Orders"}


def register(gateway: Gateway, metadata: Any = None, **headers: str) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/oauth/register", json={} if metadata is None else metadata, headers=headers)


def manage(document: dict[str, Any], method: str = "GET", token: str | None = None, **more: Any) -> httpx.Response:
    """A request to ``registration_client_uri`` by its token."""
    authorization = {"Authorization": f"Bearer {document['registration_access_token'] if token is None else token}"}
    return httpx.request(method, document["registration_client_uri"], headers=authorization, **more)


@pytest.fixture
def registered(people: Gateway) -> dict[str, Any]:
    answer = register(people, WEB)
    assert answer.status_code == 201
    document: dict[str, Any] = answer.json()
    return document


def token_of(document: dict[str, Any], gateway: Gateway) -> httpx.Response:
    return httpx.post(
        f"{gateway.url}/v1/oauth/token", data={"grant_type": "client_credentials"},
        auth=(document["client_id"], document["client_secret"]),
    )  # fmt: skip


# --- RFC 7591 -----------------------------------------------------------------------------------------------------


def test_3_2_1_201_with_id_secret_and_whatever_was_registered(people: Gateway) -> None:
    """``client_secret_expires_at`` is required where there is a secret; 0: never.  Nobody may store the answer."""
    answer = register(people, {**WEB, "client_uri": "https://app.example.com", "contacts": ["a@example.com"]})
    said = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert said["client_id"]
    assert said["client_secret"]
    assert said["client_secret_expires_at"] == 0
    assert isinstance(said["client_id_issued_at"], int)
    assert (said["redirect_uris"], said["client_name"]) == (WEB["redirect_uris"], "Orders")
    assert said["token_endpoint_auth_method"] == "client_secret_basic"
    assert isinstance(said["grant_types"], list)
    assert token_of(said, people).status_code == 200


def test_2_unknown_metadata_is_ignored(people: Gateway) -> None:
    answer = register(people, {**WEB, "x_unknown": {"deep": [1]}, "client_id": "mine", "client_secret": "mine"})
    said = answer.json()
    assert answer.status_code == 201
    assert "x_unknown" not in said
    assert (said["client_id"], said["client_secret"]) != ("mine", "mine")


def test_2_a_public_client_gets_no_secret(people: Gateway) -> None:
    said = register(people, {**WEB, "token_endpoint_auth_method": "none"}).json()
    assert not {"client_secret", "client_secret_expires_at"} & said.keys()


@pytest.mark.parametrize("uri", [
    "", "x", "/cb", "https://", "https://app.example.com/cb#f", "javascript:alert(1)", "data:text/html,x", "http://app.example.com/cb",
    "https://*.example.com/cb", "https://u:p@app.example.com/cb", "https://app.example.com/a b",
])  # fmt: skip
def test_3_2_2_a_bad_redirect_uri_is_invalid_redirect_uri(people: Gateway, uri: str) -> None:
    answer = register(people, {"redirect_uris": [uri]})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("metadata", [
    [], "x", 7, {"redirect_uris": "https://app.example.com/cb"}, {"client_name": 7}, {"client_name": "a\r\nb"},
    {"token_endpoint_auth_method": "client_secret_jwt"}, {"token_endpoint_auth_method": "private_key_jwt"},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}, {"grant_types": "x"}, {"scope": 7}, {"jwks": []},
    {"jwks": {"keys": []}, "jwks_uri": "https://app.example.com/jwks"},
])  # fmt: skip
def test_3_2_2_bad_metadata_is_invalid_client_metadata(people: Gateway, metadata: Any) -> None:
    answer = register(people, metadata)
    assert (answer.status_code, answer.json()["error"]) in ((400, "invalid_client_metadata"), (400, "invalid_redirect_uri"))


def test_3_1_only_post_of_json(people: Gateway) -> None:
    url = f"{people.url}/v1/oauth/register"
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        refused = httpx.request(method, url)
        assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert httpx.post(url, data={"a": "b"}).status_code == 415
    assert httpx.post(url, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert httpx.post(url, content=b'{"a":1,"a":2}', headers={"Content-Type": "application/json"}).status_code == 400


def test_3_a_scope_beyond_what_is_on_offer_is_left_out(people: Gateway) -> None:
    """Section 2: the server may replace what it does not offer, and says so."""
    said = register(people, {**WEB, "scope": "read admin"}).json()
    assert said["scope"].split() == ["read"]


def test_2_a_client_that_registers_fewer_grants_gets_no_others(people: Gateway) -> None:
    """RFC 6749 section 5.2, unauthorized_client."""
    said = register(people, {**WEB, "grant_types": ["authorization_code"]}).json()
    refused = token_of(said, people)
    assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")


# --- RFC 7592 -----------------------------------------------------------------------------------------------------


def test_rfc7592_3_the_answer_leads_to_the_management(people: Gateway, registered: dict[str, Any]) -> None:
    assert registered["registration_client_uri"].startswith(people.url)
    assert registered["registration_access_token"]


def test_rfc7592_2_1_get_shows_what_is_registered(registered: dict[str, Any]) -> None:
    answer = manage(registered)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    said = answer.json()
    assert (said["client_id"], said["client_name"]) == (registered["client_id"], "Orders")
    assert said["redirect_uris"] == WEB["redirect_uris"]
    assert registered["client_secret"] not in answer.text


def test_rfc7592_2_2_put_replaces_all(registered: dict[str, Any]) -> None:
    new = {"client_id": registered["client_id"], "redirect_uris": ["https://other.example.com/cb"]}
    said = manage(registered, "PUT", json=new).json()
    assert said["redirect_uris"] == new["redirect_uris"]
    assert "client_name" not in said, "what is left out is gone"
    assert manage(registered).json()["redirect_uris"] == new["redirect_uris"]


@pytest.mark.parametrize("forbidden", [
    {"registration_access_token": "x"}, {"registration_client_uri": "https://x.example"}, {"client_secret_expires_at": 0},
    {"client_id_issued_at": 0},
])  # fmt: skip
def test_rfc7592_2_2_what_a_put_may_not_carry(registered: dict[str, Any], forbidden: dict[str, Any]) -> None:
    refused = manage(registered, "PUT", json={**WEB, "client_id": registered["client_id"], **forbidden})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")
    assert manage(registered).json()["client_name"] == "Orders"


@pytest.mark.parametrize("client_id", [None, "gwc_abc" + "A" * 22])
def test_rfc7592_2_2_the_client_id_of_a_put_is_the_clients_own(registered: dict[str, Any], client_id: str | None) -> None:
    refused = manage(registered, "PUT", json={**WEB, **({"client_id": client_id} if client_id else {})})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")


def test_rfc7592_2_2_a_secret_in_a_put_is_the_one_it_has(registered: dict[str, Any]) -> None:
    """No client chooses its own secret."""
    same = {**WEB, "client_id": registered["client_id"], "client_secret": registered["client_secret"]}
    assert manage(registered, "PUT", json=same).status_code == 200
    assert manage(registered, "PUT", json={**same, "client_secret": "mine"}).status_code == 400


def test_rfc7592_2_3_delete_ends_the_client_and_all_its_tokens(people: Gateway, registered: dict[str, Any]) -> None:
    token = token_of(registered, people).json()["access_token"]
    assert people.resource(token).status_code == 200
    gone = manage(registered, "DELETE")
    assert (gone.status_code, gone.content) == (204, b"")
    assert people.resource(token).status_code == 401
    assert token_of(registered, people).status_code == 401
    assert manage(registered).status_code == 401


def test_rfc7592_2_an_unknown_client_and_a_wrong_token_are_401(people: Gateway, registered: dict[str, Any]) -> None:
    """Never 404, which would tell who is a client; another client's token is a wrong one."""
    other = register(people, WEB).json()
    unknown = {**registered, "registration_client_uri": f"{people.url}/v1/oauth/register/gwc_abc{'A' * 22}"}
    answers = [
        manage(registered, token="x"), manage(registered, token=other["registration_access_token"]), manage(unknown),
        manage(registered, token=registered["client_secret"]),
    ]  # fmt: skip
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert len({answer.text for answer in answers}) == 1
    bare = httpx.get(registered["registration_client_uri"])
    assert (bare.status_code, "error" in bare.headers["www-authenticate"]) == (401, False)


def test_rfc7592_2_the_secret_of_the_client_opens_nothing_there(registered: dict[str, Any]) -> None:
    auth = (registered["client_id"], registered["client_secret"])
    for method in ("GET", "PUT", "DELETE"):
        assert httpx.request(method, registered["registration_client_uri"], auth=auth).status_code == 401


def test_rfc7592_2_1_reading_shows_all_but_the_secret(registered: dict[str, Any]) -> None:
    secret = ("client_secret", "client_key", "client_secret_expires_at")
    assert manage(registered).json() == {name: value for name, value in registered.items() if name not in secret}


def test_rfc7592_2_whatever_fails_is_one_answer(people: Gateway, registered: dict[str, Any]) -> None:
    """An access token, a wrong token, an unknown client; without a token the challenge is bare."""
    url = registered["registration_client_uri"]
    right = registered["registration_access_token"]
    access = token_of(registered, people).json()["access_token"]
    wrong = [(url, access), (url, "x"), (f"{people.url}/v1/oauth/register/none", right)]
    answers = [httpx.get(asked, headers={"Authorization": f"Bearer {token}"}) for asked, token in wrong]
    assert {(answer.status_code, answer.content, answer.headers["www-authenticate"]) for answer in answers} == {
        (401, answers[0].content, answers[0].headers["www-authenticate"])
    }
    bare = httpx.get(url)
    assert bare.status_code == 401
    assert "error=" not in bare.headers["www-authenticate"]
    other = httpx.post(url, json={})
    assert other.status_code == 405
    assert {"GET", "PUT", "DELETE"} <= set(other.headers["allow"].replace(" ", "").split(","))


def test_3_an_initial_access_token_is_checked_as_a_bearer_token(guarded: Gateway, invitation: str) -> None:
    """RFC 6750: none, a wrong one, the right one; at both registrations."""
    for path, body in (("oauth/register", {}), ("register", {"username": "guest@example.com", "password": "a-long-password"})):
        url = f"{guarded.url}/v1/{path}"
        bare = httpx.post(url, json=body)
        assert bare.status_code == 401
        assert bare.headers["www-authenticate"].startswith("Bearer ")
        assert "error=" not in bare.headers["www-authenticate"]
        wrong = httpx.post(url, json=body, headers={"Authorization": "Bearer x"})
        assert wrong.status_code == 401
        assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
        assert httpx.post(url, json=body, headers={"Authorization": f"Bearer {invitation}"}).status_code == 201


def test_5_one_address_registers_so_often_and_no_more(brief: Gateway) -> None:
    """429 with Retry-After, and others go on; the operator's own machine is not counted."""
    def ask(address: str) -> httpx.Response:
        return eager.post("/v1/oauth/register", json={}, headers={"X-Forwarded-For": address})

    with httpx.Client(base_url=brief.url) as eager:
        answers = [ask("192.0.2.7")]
        while answers[-1].status_code == 201 and len(answers) < 120:  # some come back while this goes on
            answers.append(ask("192.0.2.7"))
        assert len(answers) > 60
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert ask("192.0.2.8").status_code == 201
