"""RFC 6749 section 4.1, the authorization code grant, with RFC 7636, RFC 9207 and RFC 9700 where they say more; from outside."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from tests.blackbox import ANSWER, Gateway
from tests.rfc.browser import CALLBACK, PASSWORD, VERIFIER, App, Person, came_back, challenge, error

_count = itertools.count()


@pytest.fixture(scope="module")
def ann(people: Gateway) -> Person:
    """Signed in from her first visit on."""
    return Person(people, f"ann-{next(_count)}")


@pytest.fixture(scope="module")
def app(people: Gateway) -> App:
    """A web application, which can keep a secret."""
    return App(people, client_name="Orders")


@pytest.fixture(scope="module")
def native(people: Gateway) -> App:
    """One that can't."""
    return App(people, token_endpoint_auth_method="none", redirect_uris=["http://127.0.0.1/cb", CALLBACK])


@pytest.fixture
def code(app: App, ann: Person) -> str:
    return app.code(ann)


# --- the authorization endpoint -----------------------------------------------------------------------------------


def test_4_1_from_the_link_to_the_resource(people: Gateway, app: App, ann: Person) -> None:
    came = came_back(ann.visit(app.link(scope="read")))
    assert came.keys() == {"code", "state", "iss"}
    answer = app.exchange(came["code"])
    assert answer.status_code == 200
    said = answer.json()
    assert (said["token_type"].lower(), said["expires_in"], said["scope"]) == ("bearer", 3600, "read")
    assert people.resource(said["access_token"]).content == ANSWER


def test_4_1_2_state_comes_back_as_it_was_sent(app: App, ann: Person) -> None:
    for state in ("s t&a=te", "%2B+", "é", "x" * 500):
        assert came_back(ann.visit(app.link(state=state)))["state"] == state
    assert "state" not in came_back(ann.visit(app.link(state="")))


def test_rfc9207_2_the_answer_says_who_answers(people: Gateway, app: App, ann: Person) -> None:
    """Errors too; the metadata promises it."""
    assert came_back(ann.visit(app.link()))["iss"] == people.url
    assert came_back(ann.visit(app.link(response_type="token")))["iss"] == people.url
    metadata = httpx.get(f"{people.url}/.well-known/oauth-authorization-server").json()
    assert metadata["issuer"] == people.url
    assert metadata["authorization_response_iss_parameter_supported"] is True


def test_rfc9700_4_12_after_a_post_it_is_303(app: App, people: Gateway) -> None:
    """Of a denial and a consent: a browser never sends the form on; a sign-in on the way there redirects nowhere."""
    bob = Person(people, f"bob-{next(_count)}")
    page = bob.http.get(bob.http.get(app.link()).headers["location"])
    signed = bob.submit(page, "/sign-in", username=bob.username, password=PASSWORD)
    assert (signed.status_code, "location" in signed.headers) == (200, False)
    assert bob.visit(app.link(), "deny").status_code == 303
    assert bob.visit(app.link()).status_code == 303


def test_4_1_2_1_whoever_denies_is_access_denied(people: Gateway, app: App) -> None:
    came = came_back(Person(people, f"denies-{next(_count)}").visit(app.link(), "deny"))
    assert (came["error"], came["state"], "code" in came) == ("access_denied", "s t&a=te", False)


@pytest.mark.parametrize("changes", [
    {"client_id": "gwc_abc" + "A" * 22}, {"client_id": "x"}, {"client_id": ""}, {"redirect_uri": "https://evil.example/cb"},
    {"redirect_uri": CALLBACK + "/"}, {"redirect_uri": CALLBACK + "?x=1"}, {"redirect_uri": CALLBACK + "#f"},
    {"redirect_uri": "https://app.example.com/CB"}, {"redirect_uri": "https://app.example.com:443/cb"},
    {"redirect_uri": "http://app.example.com/cb"}, {"redirect_uri": "https://app.example.com/cb/../cb"},
    {"redirect_uri": "https://app.example.com/%63b"}, {"redirect_uri": "https://u@app.example.com/cb"},
    {"redirect_uri": "https://app.example.com.evil.example/cb"}, {"redirect_uri": "https://app.example.com/cb;x"},
    {"redirect_uri": "javascript:alert(1)"}, {"redirect_uri": "https://app.example.com/cb "},
    {"redirect_uri": "//app.example.com/cb"},
])  # fmt: skip
def test_4_1_2_1_rfc9700_4_1_3_an_unknown_client_or_uri_is_an_error_page(app: App, ann: Person, changes: dict[str, str]) -> None:
    """Nobody is ever sent there: the URI is compared to the letter (O28)."""
    answer = ann.visit(app.link(**changes))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert answer.headers["content-type"].startswith("text/html")


def test_rfc8252_7_3_a_loopback_port_is_any_and_nothing_else_is(native: App, ann: Person) -> None:
    for port in (1024, 51004):
        uri = f"http://127.0.0.1:{port}/cb"
        code = native.code(ann, redirect_uri=uri)
        assert error(native.exchange(code, redirect_uri="http://127.0.0.1/cb")) == (400, "invalid_grant")
        assert native.exchange(native.code(ann, redirect_uri=uri), redirect_uri=uri).status_code == 200
    for uri in ("http://localhost:1024/cb", "http://127.0.0.2/cb", "http://127.0.0.1:1024/cb2", "https://127.0.0.1:1024/cb"):
        assert ann.visit(native.link(redirect_uri=uri)).status_code == 400


def test_rfc9700_2_1_2_there_is_no_implicit_grant(people: Gateway, app: App, ann: Person) -> None:
    for kind in ("token", "id_token", "code token", "none"):
        assert came_back(ann.visit(app.link(response_type=kind)))["error"] == "unsupported_response_type"
    metadata = httpx.get(f"{people.url}/.well-known/oauth-authorization-server").json()
    assert metadata["response_types_supported"] == ["code"]
    assert "implicit" not in metadata["grant_types_supported"]


def test_rfc9700_2_4_there_is_no_password_grant(app: App, ann: Person) -> None:
    answer = app.ask("token", grant_type="password", username=ann.username, password=PASSWORD)
    assert error(answer) == (400, "unsupported_grant_type")


def test_3_1_parameters_are_not_repeated_and_empty_ones_are_absent(app: App, ann: Person) -> None:
    assert came_back(ann.visit(app.link() + "&scope=read&scope=read"))["error"] == "invalid_request"
    assert ann.visit(app.link() + f"&client_id={app.client_id}").status_code == 400
    assert "code" in came_back(ann.visit(app.link() + "&scope=&nonsense=1"))


def test_3_3_a_scope_that_the_client_may_not_have_is_invalid_scope(app: App, ann: Person) -> None:
    for scope in ("admin", "read admin", 'a"b', "read  write\t"):
        assert came_back(ann.visit(app.link(scope=scope)))["error"] == "invalid_scope"


# --- PKCE ---------------------------------------------------------------------------------------------------------


def test_rfc7636_4_4_1_a_challenge_is_required_of_everybody(app: App, native: App, ann: Person) -> None:
    """RFC 9700 section 2.1.1: confidential clients too."""
    for client in (app, native):
        came = came_back(ann.visit(client.link(code_challenge="", code_challenge_method="")))
        assert (came["error"], came["state"]) == ("invalid_request", "s t&a=te")


def test_rfc7636_4_2_only_s256(people: Gateway, app: App, ann: Person) -> None:
    """``plain`` is what a missing method means, too (section 4.3)."""
    for changes in ({"code_challenge_method": "plain"}, {"code_challenge_method": ""}, {"code_challenge_method": "s256"}):
        assert came_back(ann.visit(app.link(**changes)))["error"] == "invalid_request"
    metadata = httpx.get(f"{people.url}/.well-known/oauth-authorization-server").json()
    assert metadata["code_challenge_methods_supported"] == ["S256"]


@pytest.mark.parametrize("said", ["short", "x" * 42, "x" * 44, "x" * 42 + "=", "x" * 42 + "+", "x" * 42 + " "])
def test_rfc7636_4_2_a_challenge_is_a_sha_256(app: App, ann: Person, said: str) -> None:
    assert came_back(ann.visit(app.link(code_challenge=said)))["error"] == "invalid_request"


@pytest.mark.parametrize("verifier", ["", "x" * 42, "x" * 129, "x" * 43 + "+", "x" * 43 + "é", "x" * 43 + " "])
def test_rfc7636_4_1_a_verifier_is_43_to_128_unreserved_characters(app: App, code: str, verifier: str) -> None:
    """Section 4.5: without one it is malformed; the code is not burned by a request that could not be one."""
    assert error(app.exchange(code, code_verifier=verifier)) == (400, "invalid_request")
    assert app.exchange(code).status_code == 200


def test_rfc7636_4_1_the_longest_verifier_with_every_character_is_good(app: App, ann: Person) -> None:
    verifier = ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~" * 2)[:128]
    code = app.code(ann, code_challenge=challenge(verifier))
    assert app.exchange(code, code_verifier=verifier).status_code == 200


def test_rfc7636_4_6_another_verifier_is_invalid_grant_and_burns_the_code(app: App, code: str) -> None:
    assert error(app.exchange(code, code_verifier="x" * 43)) == (400, "invalid_grant")
    assert error(app.exchange(code)) == (400, "invalid_grant")


def test_rfc7636_4_6_the_challenge_is_no_verifier(app: App, code: str) -> None:
    assert error(app.exchange(code, code_verifier=challenge(VERIFIER))) == (400, "invalid_grant")


# --- the code at the token endpoint -------------------------------------------------------------------------------


def test_4_1_2_a_second_use_is_refused_and_ends_what_the_first_one_got(people: Gateway, app: App, code: str) -> None:
    """O26."""
    first = app.exchange(code).json()
    assert people.resource(first["access_token"]).status_code == 200
    assert error(app.exchange(code)) == (400, "invalid_grant")
    assert people.resource(first["access_token"]).status_code == 401
    assert error(app.refresh(first["refresh_token"])) == (400, "invalid_grant")


def test_4_1_3_a_code_is_of_one_client(people: Gateway, app: App, code: str) -> None:
    """A stranger, who proves to be himself, is refused, and burns nothing."""
    assert error(App(people).exchange(code)) == (400, "invalid_grant")
    assert app.exchange(code).status_code == 200


def test_4_1_3_a_confidential_client_authenticates(app: App, code: str) -> None:
    url = f"{app.url}/v1/oauth/token"
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    for extra in ({}, {"client_id": app.client_id}):
        assert error(httpx.post(url, data={**form, **extra})) == (401, "invalid_client")
    assert error(httpx.post(url, data=form, auth=(app.client_id, "wrong"))) == (401, "invalid_client")
    assert app.exchange(code).status_code == 200


@pytest.mark.parametrize("uri", ["", "https://app.example.com/", CALLBACK + "/", "https://evil.example/cb"])
def test_4_1_3_the_redirect_uri_is_that_of_the_request(app: App, code: str, uri: str) -> None:
    assert error(app.exchange(code, redirect_uri=uri)) == (400, "invalid_grant")


def test_4_1_3_where_the_request_named_no_redirect_uri_none_is_asked_for(app: App, ann: Person) -> None:
    """Section 3.1.2.3: the client has one only."""
    code = came_back(ann.visit(app.link(redirect_uri="")))["code"]
    assert app.exchange(code, redirect_uri="").status_code == 200


@pytest.mark.parametrize("wrong", ["", "x", "gwo_abc" + "A" * 49])
def test_5_2_what_is_no_code(app: App, wrong: str) -> None:
    assert error(app.exchange(wrong)) == (400, "invalid_grant" if wrong else "invalid_request")


def test_o09_a_code_is_nothing_else(people: Gateway, app: App, code: str) -> None:
    assert people.resource(code).status_code == 401
    assert error(app.refresh(code)) == (400, "invalid_grant")
    assert app.ask("introspect", token=code).json() == {"active": False}
    assert app.exchange(code).status_code == 200


# --- refresh tokens of public clients -----------------------------------------------------------------------------


def test_rfc9700_2_2_2_a_public_clients_refresh_tokens_rotate(people: Gateway, native: App, ann: Person) -> None:
    """RFC 9700 section 4.14.2: whoever presents a spent one, after its successor was used, ends the chain."""
    first = native.exchange(native.code(ann)).json()
    second = native.refresh(first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    third = native.refresh(second["refresh_token"]).json()
    assert error(native.refresh(first["refresh_token"])) == (400, "invalid_grant")
    assert error(native.refresh(third["refresh_token"])) == (400, "invalid_grant")
    for pair in (first, second, third):
        assert people.resource(pair["access_token"]).status_code == 401


def test_2_1_a_public_client_has_no_secret_and_no_client_credentials(people: Gateway, native: App) -> None:
    assert "client_secret" not in native.metadata
    assert error(native.ask("token", grant_type="client_credentials"))[0] == 401
    assert error(httpx.post(f"{people.url}/v1/oauth/introspect", data={"client_id": native.client_id, "token": "x"}))[0] == 401


def test_rfc9700_4_15_the_subject_is_of_another_kind_than_client_ids(people: Gateway, app: App, ann: Person) -> None:
    """And one for each account, whatever its name is."""
    def subject(person: Person) -> Any:
        return app.ask("introspect", token=app.exchange(app.code(person)).json()["access_token"]).json()["sub"]

    other = Person(people, f"gwc_abc{'a' * 20}{next(_count)}")
    assert subject(ann) == subject(ann) != subject(other)
    for sub in (subject(ann), subject(other)):
        assert sub.startswith("gwu_")
        assert not sub.startswith("gwc_")


def test_rfc9700_4_16_the_pages_are_framed_by_nobody(people: Gateway, ann: Person) -> None:
    """Consent, sign-in and error pages."""
    ann.visit(App(people).link())  # signed in from here on
    link = App(people).link()
    stranger = httpx.get(link, follow_redirects=True)
    for page in (ann.http.get(link), stranger, ann.http.get(link + "&client_id=x")):
        assert page.status_code == (400 if page.url.query.endswith(b"x") else 200)
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-frame-options"] == "DENY"
        assert page.headers["cache-control"] == "no-store"
