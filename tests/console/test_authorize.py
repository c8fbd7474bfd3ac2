"""The authorization endpoint and the consent page, with what becomes of the codes (RFC 6749 section 4.1)."""

from __future__ import annotations

import asyncio
import logging
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.authority import consents
from gateway.oauth.access import read_claims
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by
from tests.console.conftest import ACCOUNT, ORIGIN, SIGN_IN, Browser, Page
from tests.console.flow import AUTHORIZE, STATE, VERIFIER, WEB, App, agree
from tests.store.shift import pass_time

SCOPES = {"read": "Read your orders.", "write": "Change <b>your</b> orders.", "admin": "All."}


@pytest.fixture
async def house(house_with: MakeHouse) -> House:
    """With scopes; one account."""
    house = await house_with(sign_in=True, scopes=SCOPES, default_scopes=["read", "write"])
    await house.register()
    return house


@pytest.fixture
async def app(house: House) -> App:
    """A web application."""
    return await App.register(house, client_name="Orders & more")


async def subject_of(app: App, token: str) -> str:
    answer = await app.house.http.post(
        "/v1/oauth/introspect", data={"token": token}, headers=basic(app.client_id, app.secret)
    )
    said = await answer.json()
    return str(said["sub"]) if said["active"] else ""


async def test_rfc6749_4_1_from_the_link_to_the_tokens(browser: Browser, app: App) -> None:
    """Sign in, agree, come back with code, state and iss by a 303 (O29, RFC 9207), exchange."""
    answer = await browser.get(app.link(scope="read"))
    assert answer.status == 303
    assert urlsplit(answer.headers["Location"]).path == SIGN_IN
    signed = await browser.sign_in(path=answer.headers["Location"])
    (link,) = Page(await signed.text()).links
    assert parse_qs(urlsplit(link).query) == parse_qs(urlsplit(app.link(scope="read")).query)

    page = await browser.page(link)
    for words in ("Orders & more", "Read your orders.", "read", app.client_id, "app.example.com", "ann"):
        assert words in page.said
    assert "write" not in page.said
    said = app.came_back(await agree(browser, link))
    assert said.keys() == {"code", "state"}
    assert said["state"] == STATE
    assert re.fullmatch(r"gwo_[a-z2-7]{3}[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}", said["code"])

    status, tokens = await app.exchange(said["code"])
    assert status == 200
    assert tokens.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert tokens["scope"] == "read"
    assert re.fullmatch(r"gwu_[A-Za-z0-9_-]{22}", await subject_of(app, tokens["access_token"]))
    assert await subject_of(app, tokens["refresh_token"]) == await subject_of(app, tokens["access_token"])
    status, refreshed = await app.refresh(tokens["refresh_token"])
    assert (status, refreshed["scope"]) == (200, "read")
    assert await subject_of(app, refreshed["access_token"])


async def test_a_subject_is_one_accounts_with_every_client_and_nobody_elses(ann: Browser, app: App) -> None:
    """RFC 9700 section 4.15: nor can it be chosen, or be a client's id."""
    other = await App.register(ann.house)
    bob = Browser(ann.house)
    await ann.house.register("bob")
    await bob.sign_in("bob")
    subjects = [
        await subject_of(app, (await app.tokens(ann))["access_token"]),
        await subject_of(other, (await other.tokens(ann))["access_token"]),
        await subject_of(app, (await app.tokens(bob))["access_token"]),
    ]
    assert subjects[0] == subjects[1] != subjects[2]


async def test_a_consent_is_remembered_for_what_it_covers(ann: Browser, app: App) -> None:
    assert (await app.tokens(ann, scope="read"))["scope"] == "read"
    assert (await ann.get(app.link(scope="read"))).status == 303
    page = await ann.page(app.link(scope="read write"))
    assert "Change <b>your</b> orders." in page.said, "as it was written, not as it would look"
    assert "allowed before" in page.said
    await app.tokens(ann, scope="read write")
    for scope in ("read", "write", "read write", ""):
        assert (await ann.get(app.link(scope=scope))).status == 303
    other = Browser(ann.house)
    await ann.house.register("bob")
    await other.sign_in("bob")
    assert (await other.get(app.link(scope="read"))).status == 200, "of another account"


async def test_rfc8252_8_6_an_app_that_anybody_could_be_asks_each_time(ann: Browser) -> None:
    native = await App.register(ann.house, "http://127.0.0.1/cb", token_endpoint_auth_method="none")
    assert native.secret == ""
    here = "http://127.0.0.1:51004/cb"
    for _ in range(2):
        assert (await ann.get(native.link(redirect_uri=here))).status == 200
        code = (await native.ask(ann, redirect_uri=here))["code"]
        status, tokens = await native.exchange(code, redirect_uri=here)
        assert status == 200
    assert (await native.refresh(tokens["refresh_token"]))[0] == 200


async def test_rfc6749_4_1_2_1_who_denies_goes_back_with_an_error(ann: Browser, app: App) -> None:
    for answer in ("deny", "x"):
        said = app.came_back(await agree(ann, app.link(), answer))
        assert said.pop("error_description")
        assert said == {"error": "access_denied", "state": STATE}
    assert (await ann.get(app.link())).status == 200, "and nothing is remembered"


@pytest.mark.parametrize(("error", "changes"), [
    ("unsupported_response_type", {"response_type": "token"}), ("invalid_request", {"response_type": ""}),
    ("invalid_request", {"code_challenge": ""}), ("invalid_request", {"code_challenge_method": "plain"}),
    ("invalid_scope", {"scope": "admin"}), ("invalid_scope", {"scope": "unknown"}), ("invalid_request", {"request": "e30"}),
])  # fmt: skip
async def test_rfc6749_4_1_2_1_what_is_wrong_goes_back_to_the_client(
    ann: Browser, app: App, error: str, changes: dict[str, str]
) -> None:
    said = app.came_back(await ann.get(app.link(**changes)))
    assert said.pop("error_description")
    assert said == {"error": error, "state": STATE}


async def test_rfc6749_4_1_2_1_a_client_that_may_not_use_codes(ann: Browser, app: App) -> None:
    await ann.house.clients.change_client(app.client_id, grants=frozenset({"client_credentials"}))
    assert app.came_back(await ann.get(app.link()))["error"] == "unauthorized_client"


async def test_rfc6749_3_1_a_parameter_is_not_repeated(ann: Browser, app: App) -> None:
    assert app.came_back(await ann.get(app.link() + "&scope=read&scope=read"))["error"] == "invalid_request"
    assert "state" not in app.came_back(await ann.get(app.link() + "&state=other"))


async def test_rfc9700_4_11_2_nobody_is_sent_anywhere_before_signing_in(browser: Browser, app: App) -> None:
    for changes in ({}, {"response_type": "token"}, {"scope": "unknown"}):
        answer = await browser.get(app.link(**changes))
        assert urlsplit(answer.headers["Location"]).path == SIGN_IN


@pytest.mark.parametrize("changes", [
    {"redirect_uri": "https://app.example.com/cb"}, {"redirect_uri": WEB + "&x=1"}, {"redirect_uri": "https://evil.example/"},
    {"redirect_uri": "javascript:alert(1)"}, {"client_id": "gwc_abcAAAAAAAAAAAAAAAAAAAAAA"}, {"client_id": ""},
])  # fmt: skip
async def test_o28_where_no_redirect_is_safe_there_is_a_page(ann: Browser, app: App, changes: dict[str, str]) -> None:
    """For those who are signed in and those who are not."""
    for browser in (ann, Browser(ann.house)):
        answer = await browser.get(app.link(**changes))
        assert answer.status == 400
        assert "Location" not in answer.headers
        assert answer.content_type == "text/html"
        assert "evil" not in await answer.text()


@pytest.mark.parametrize(
    "query", ["", "x", "client_id=%", "client_id=%FF", "a=b&" * 80, "client_id=" + "x" * 5000, "client_id=é"]
)
async def test_a_link_that_can_not_be_read_is_a_page(browser: Browser, query: str) -> None:
    answer = await browser.get(f"{AUTHORIZE}?{query}")
    assert answer.status == 400
    assert answer.content_type == "text/html"


async def test_o26_a_code_is_used_once(ann: Browser, app: App) -> None:
    """RFC 6749 section 4.1.2: and its second use ends what the first one got."""
    code = (await app.ask(ann))["code"]
    _, tokens = await app.exchange(code)
    status, said = await app.exchange(code)
    assert (status, said["error"]) == (400, "invalid_grant")
    assert await subject_of(app, tokens["access_token"]) == ""
    assert (await app.refresh(tokens["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_o26_of_many_exchanges_at_once_none_survives(ann: Browser, app: App) -> None:
    code = (await app.ask(ann))["code"]
    answers = await asyncio.gather(*(app.exchange(code) for _ in range(10)))
    (first,) = [said for status, said in answers if status == 200]
    assert await subject_of(app, first["access_token"]) == ""


async def test_o26_a_code_of_another_client_is_nobodys(ann: Browser, app: App) -> None:
    """Who has it can neither use it nor spoil it."""
    thief, code = await App.register(ann.house), (await app.ask(ann))["code"]
    assert (await thief.exchange(code))[1]["error"] == "invalid_grant"
    assert (await app.exchange(code))[0] == 200


async def test_o26_a_code_lives_a_minute(ann: Browser, app: App) -> None:
    code = (await app.ask(ann))["code"]
    await pass_time(ann.house.redis, 60_000)
    assert (await app.exchange(code))[1]["error"] == "invalid_grant"


@pytest.mark.parametrize("changes", [
    {"redirect_uri": "https://app.example.com/cb"}, {"redirect_uri": ""}, {"code_verifier": "a" * 43},
    {"code_verifier": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"},
])  # fmt: skip
async def test_o27_rfc7636_4_6_a_code_that_is_presented_wrong_is_burned(ann: Browser, app: App, changes: dict[str, str]) -> None:
    code = (await app.ask(ann))["code"]
    status, said = await app.exchange(code, **changes)
    assert (status, said["error"]) == (400, "invalid_grant")
    assert (await app.exchange(code))[1]["error"] == "invalid_grant"


@pytest.mark.parametrize("changes", [
    {"code": ""}, {"code_verifier": ""}, {"code_verifier": "a" * 42}, {"code_verifier": "a" * 129}, {"code_verifier": "ä" * 43},
])  # fmt: skip
async def test_o27_rfc7636_4_5_a_request_without_code_or_verifier_is_invalid(
    ann: Browser, app: App, changes: dict[str, str]
) -> None:
    """And nothing is burned by it."""
    code = (await app.ask(ann))["code"]
    status, said = await app.exchange(**{"code": code, **changes})
    assert (status, said["error"]) == (400, "invalid_request")
    assert (await app.exchange(code))[0] == 200


async def test_o09_a_code_is_no_token_and_a_token_no_code(ann: Browser, app: App) -> None:
    code = (await app.ask(ann))["code"]
    tokens = await app.tokens(ann)
    assert (await app.refresh(code))[1]["error"] == "invalid_grant"
    mistyped = code[:-1] + ("1" if code[-1] == "0" else "0")
    for other in (tokens["access_token"], tokens["refresh_token"], app.secret, mistyped, "x"):
        assert (await app.exchange(other))[1]["error"] == "invalid_grant"
    assert await subject_of(app, code) == ""


async def test_rfc6749_3_2_1_only_a_public_client_needs_no_secret(ann: Browser, app: App) -> None:
    """RFC 6749 section 5.2: and any other gets the same answer, known or not."""
    code = (await app.ask(ann))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": WEB, "code_verifier": VERIFIER}
    for client_id in (app.client_id, "gwc_abcAAAAAAAAAAAAAAAAAAAAAA"):
        answer = await ann.house.http.post("/v1/oauth/token", data={**form, "client_id": client_id})
        assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")
    assert (await app.exchange(code))[0] == 200


async def test_a_public_client_can_do_nothing_else_by_its_name(ann: Browser) -> None:
    """But revoke what it holds (RFC 7009 section 2.1)."""
    native = await App.register(ann.house, "com.example.app:/cb", token_endpoint_auth_method="none")
    tokens = await native.tokens(ann)
    http, name = ann.house.http, {"client_id": native.client_id}
    answer = await http.post("/v1/oauth/token", data={"grant_type": "client_credentials", **name})
    assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")
    answer = await http.post("/v1/oauth/introspect", data={"token": tokens["access_token"], **name})
    assert answer.status == 401
    other = await App.register(ann.house, "com.example.app:/cb", token_endpoint_auth_method="none")
    stranger = {"token": tokens["refresh_token"], "client_id": other.client_id}
    assert (await http.post("/v1/oauth/revoke", data=stranger)).status == 200
    status, tokens = await native.refresh(tokens["refresh_token"])
    assert status == 200
    assert (await http.post("/v1/oauth/revoke", data={"token": tokens["refresh_token"], **name})).status == 200
    assert (await native.refresh(tokens["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_fapi_a_lost_answer_to_a_public_client_is_given_again(ann: Browser) -> None:
    """RFC 9700 section 2.2.2: rotated, and the same request twice gets the same tokens."""
    native = await App.register(ann.house, token_endpoint_auth_method="none")
    tokens = await native.tokens(ann)
    (_, first), (_, second) = [await native.refresh(tokens["refresh_token"]) for _ in range(2)]
    assert first["refresh_token"] == second["refresh_token"] != tokens["refresh_token"]


async def test_without_the_refresh_grant_there_is_no_refresh_token(ann: Browser) -> None:
    app = await App.register(ann.house, grant_types=["authorization_code"])
    assert "refresh_token" not in await app.tokens(ann)


@pytest.mark.parametrize("spoiled", [
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, {"Origin": "null", "Sec-Fetch-Site": ""},
    {"Origin": "", "Sec-Fetch-Site": ""},
])  # fmt: skip
async def test_o30_c01_a_consent_can_not_be_forged(ann: Browser, app: App, spoiled: dict[str, str]) -> None:
    answer = await agree(ann, app.link(), **spoiled)
    assert (answer.status, answer.headers.get("Location")) == (403, None)
    assert (await ann.get(app.link())).status == 200, "nothing was agreed to"


async def test_o30_a_consent_form_of_another_session_is_good_for_nothing(ann: Browser, app: App) -> None:
    fields = await ann.form(app.link(), AUTHORIZE)
    bob = Browser(ann.house)
    await ann.house.register("bob")
    await bob.sign_in("bob")
    assert (await bob.post(AUTHORIZE, {**fields, "answer": "allow"})).status == 403
    again = Browser(ann.house)
    await again.sign_in()
    assert (await again.post(AUTHORIZE, {**fields, "answer": "allow"})).status == 403


async def test_a_consent_page_left_open_until_the_session_is_over_asks_to_sign_in(ann: Browser, app: App) -> None:
    fields = await ann.form(app.link(), AUTHORIZE)
    await pass_time(ann.house.redis, 31 * 60_000)
    answer = await ann.post(AUTHORIZE, {**fields, "answer": "allow"})
    assert answer.status == 303
    assert answer.headers["Location"].startswith(SIGN_IN)


async def test_what_the_form_says_is_checked_again(ann: Browser, app: App) -> None:
    """Whoever edits the page gets no further than by a link."""
    fields = await ann.form(app.link(), AUTHORIZE)
    forged = app.link(redirect_uri="https://evil.example/").partition("?")[2]
    answer = await ann.post(AUTHORIZE, {**fields, "request": forged, "answer": "allow"})
    assert (answer.status, answer.headers.get("Location")) == (400, None)
    wider = app.link(scope="admin").partition("?")[2]
    answer = await ann.post(AUTHORIZE, {**fields, "request": wider, "answer": "allow"})
    assert app.came_back(answer)["error"] == "invalid_scope"


@pytest.mark.parametrize(("redirect_uri", "source"), [
    (WEB, "https://app.example.com"), ("https://app.example.com:8443/", "https://app.example.com:8443"),
    ("http://127.0.0.1:51004/cb", "http://127.0.0.1:51004"), ("http://[::1]:51004/cb", "http:"),
    ("com.example.app:/cb", "com.example.app:"),
])  # fmt: skip
async def test_o30_c05_the_page_may_lead_to_its_client_and_stand_in_no_frame(
    ann: Browser, redirect_uri: str, source: str
) -> None:
    app = await App.register(ann.house, redirect_uri)
    policy = (await ann.get(app.link())).headers["Content-Security-Policy"]
    assert f"form-action 'self' {source};" in policy
    assert "frame-ancestors 'none'" in policy


async def test_c04_g08_a_clients_name_is_shown_as_it_is(ann: Browser) -> None:
    name = "<script>alert(1)</script>\" onload='x' =cmd|'/c'!A1"
    app = await App.register(ann.house, client_name=name)
    answer = await ann.get(app.link())
    assert "<script" not in await answer.text()
    assert name in Page(await answer.text()).said


async def test_so_many_clients_act_for_one_account(ann: Browser, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consents, "MAX_CONSENTS", 1)
    await app.tokens(ann)
    answer = await agree(ann, (await App.register(ann.house)).link())
    assert (answer.status, answer.content_type) == (409, "text/html")
    assert (await app.tokens(ann))["access_token"]


async def test_a_client_that_is_gone_leaves_room_for_another(
    ann: Browser, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its consent is on no list any more, so nobody could take it back."""
    monkeypatch.setattr(consents, "MAX_CONSENTS", 1)
    await app.tokens(ann)
    await ann.house.clients.delete_client(app.client_id)
    other = await App.register(ann.house)
    assert (await other.tokens(ann))["access_token"]
    assert await ann.house.redis.hkeys("gw:cn:{ann}") == [other.client_id.encode()]


async def test_g11_the_store_down_is_a_page_and_no_redirect(ann: Browser, app: App) -> None:
    """RFC 7009 section 2.2.1 by analogy: nobody knows, so nobody is told anything."""
    fields = await ann.form(app.link(), AUTHORIZE)
    for name in ("give_consent", "add_code"):
        ann.house.authorizations.broken = {name}
        answer = await ann.post(AUTHORIZE, {**fields, "answer": "allow"})
        assert (answer.status, answer.headers.get("Location")) == (503, None)
        assert answer.headers["Retry-After"] == "1"
    ann.house.authorizations.broken = set()
    assert "code" in app.came_back(await ann.post(AUTHORIZE, {**fields, "answer": "allow"}))


async def test_o31_no_code_state_or_challenge_in_any_log(ann: Browser, app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = await app.ask(ann, state="state-of-the-client")
    await app.exchange(said["code"])
    await app.exchange(said["code"])
    logged = "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    assert "authorization.granted" in logged
    assert "authorization_code.replayed" in logged
    for secret in (said["code"], said["code"][7:50], "state-of-the-client", VERIFIER):
        assert secret not in logged


# --- consents, and the end of what rests on them -------------------------------------------------------------------

CONSENTS = "/v1/oauth/account/consents"


async def test_an_account_sees_its_consents_and_takes_one_back(ann: Browser, app: App) -> None:
    """All its tokens are dead before the answer, and the next time it is asked again."""
    http, own = ann.house.http, basic("ann", PASSWORD)
    tokens, other = await app.tokens(ann, scope="read"), await App.register(ann.house)
    kept = await other.tokens(ann)
    (first, _second) = (await (await http.get(CONSENTS, headers=own)).json())["consents"]
    assert (first["client_id"], first["scope"]) == (app.client_id, "read")
    code = (await app.ask(ann, scope="read"))["code"]
    assert (await http.delete(f"{CONSENTS}/{app.client_id}", headers=own)).status == 204
    assert await subject_of(app, tokens["access_token"]) == ""
    assert (await app.refresh(tokens["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await app.exchange(code))[1]["error"] == "invalid_grant"
    assert await subject_of(other, kept["access_token"])
    assert (await http.delete(f"{CONSENTS}/{app.client_id}", headers=own)).status == 404
    assert (await ann.get(app.link(scope="read"))).status == 200


async def test_the_same_on_the_accounts_page(ann: Browser, app: App) -> None:
    tokens = await app.tokens(ann, scope="read")
    page = await ann.page(ACCOUNT)
    assert "Orders & more" in page.said
    end = f"{ACCOUNT}/consents/end"
    fields = page.form(end, client=app.client_id)
    assert (await ann.post(end, {**fields, "csrf": "x"})).status == 403
    assert (await ann.post(end, fields)).status == 303
    assert await subject_of(app, tokens["access_token"]) == ""
    assert (await ann.post(end, fields)).status == 404
    assert "Orders & more" not in (await ann.page(ACCOUNT)).said


async def test_signing_out_everywhere_ends_what_clients_hold_but_not_the_consents(ann: Browser, app: App) -> None:
    http, own = ann.house.http, basic("ann", PASSWORD)
    tokens, code = await app.tokens(ann), (await app.ask(ann))["code"]
    assert (await http.post("/v1/oauth/account/sign-out", headers=own)).status == 204
    assert await subject_of(app, tokens["access_token"]) == ""
    assert (await app.refresh(tokens["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await app.exchange(code))[1]["error"] == "invalid_grant"
    assert len((await (await http.get(CONSENTS, headers=own)).json())["consents"]) == 1
    await ann.sign_in()
    assert (await ann.get(app.link())).status == 303


async def test_deleting_an_account_ends_what_clients_hold(ann: Browser, app: App) -> None:
    """And whoever takes its name is somebody else."""
    http, own = ann.house.http, basic("ann", PASSWORD)
    tokens, code = await app.tokens(ann), (await app.ask(ann))["code"]
    subject = await subject_of(app, tokens["access_token"])
    assert (await http.delete("/v1/oauth/account", headers=own)).status == 204
    assert await subject_of(app, tokens["access_token"]) == ""
    assert (await app.exchange(code))[1]["error"] == "invalid_grant"
    await ann.house.register("ann")
    await ann.sign_in()
    assert (await ann.get(app.link())).status == 200
    assert await subject_of(app, (await app.tokens(ann))["access_token"]) not in ("", subject)


async def test_an_account_that_is_deleted_between_the_button_and_the_code_gets_none(
    ann: Browser, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields, store = await ann.form(app.link(), AUTHORIZE), ann.house.authorizations
    give = store._store.give_consent

    async def deleted_first(account: object, *args: object, **more: object) -> object:
        consent = await give(account, *args, **more)
        assert (await ann.house.http.delete("/v1/oauth/account", headers=basic("ann", PASSWORD))).status == 204
        return consent

    monkeypatch.setattr(store._store, "give_consent", deleted_first)
    answer = await ann.post(AUTHORIZE, {**fields, "answer": "allow"})
    assert answer.headers["Location"].startswith(SIGN_IN)
    assert await ann.house.redis.keys("gw:c[os]:*") == []


async def test_a_client_that_is_ended_ends_what_it_holds_for_others(ann: Browser, app: App) -> None:
    tokens = await app.tokens(ann)
    await ann.house.clients.change_client(app.client_id, enabled=False)
    assert (await ann.get(app.link())).status == 400
    assert (await app.refresh(tokens["refresh_token"]))[0] == 401


async def test_a_client_without_a_redirect_uri_can_not_be_used_so(ann: Browser) -> None:
    """Those of the plain registration have none."""
    issued = await ann.house.client()
    answer = await ann.get(App(ann.house, issued.client_id, issued.client_secret, WEB).link())
    assert answer.status == 400
    form = {"grant_type": "authorization_code", "code": "x", "code_verifier": VERIFIER}
    answer = await ann.house.http.post("/v1/oauth/token", data=form, headers=by(issued))
    assert (await answer.json())["error"] == "invalid_grant"


async def test_where_nobody_signs_in_there_are_no_codes(house_with: MakeHouse) -> None:
    """Neither endpoint, nor grant, nor clients without a secret; and the metadata says so."""
    house = await house_with()
    assert (await house.http.get(AUTHORIZE)).status == 404
    issued = await house.client()
    form = {"grant_type": "authorization_code", "code": "x"}
    answer = await house.http.post("/v1/oauth/token", data=form, headers=by(issued))
    assert (await answer.json())["error"] == "unsupported_grant_type"
    answer = await house.http.post("/v1/oauth/register", json={"token_endpoint_auth_method": "none", "redirect_uris": [WEB]})
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_client_metadata")
    said = await (await house.http.get("/.well-known/oauth-authorization-server")).json()
    assert "authorization_endpoint" not in said
    assert said["response_types_supported"] == []


async def test_rfc8414_2_rfc9207_3_the_metadata_says_what_works(house: House) -> None:
    said = await (await house.http.get("/.well-known/oauth-authorization-server")).json()
    assert said["authorization_endpoint"] == f"{ORIGIN}{AUTHORIZE}"
    assert said["response_types_supported"] == ["code"]
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["authorization_response_iss_parameter_supported"] is True
    assert said["grant_types_supported"] == ["client_credentials", "authorization_code", "refresh_token"]
    assert "none" in said["token_endpoint_auth_methods_supported"]
    assert "none" in said["revocation_endpoint_auth_methods_supported"]
    assert "none" not in said["introspection_endpoint_auth_methods_supported"]


async def test_after_signing_in_somewhere_else_the_link_still_works(ann: Browser, app: App) -> None:
    assert (await ann.get(ACCOUNT)).status == 200
    assert parse_qs(urlsplit((await agree(ann, app.link())).headers["Location"]).query)["code"]


async def test_rfc9068_2_2_the_subject_of_a_jwt_is_the_account(house_with: MakeHouse) -> None:
    """From the code and from a refresh; a code that was not good signs nothing."""
    house = await house_with(sign_in=True, scopes=SCOPES, default_scopes=["read", "write"], access_token_format="jwt")
    await house.register()
    browser = Browser(house)
    await browser.sign_in()
    app = await App.register(house)
    tokens = await app.tokens(browser, scope="read")
    _, refreshed = await app.refresh(tokens["refresh_token"])
    for token in (tokens["access_token"], refreshed["access_token"]):
        claims = read_claims(token.encode())
        assert re.fullmatch(r"gwu_[A-Za-z0-9_-]{22}", claims["sub"])
        assert claims["sub"] == await subject_of(app, token)
        assert (claims["client_id"], claims["scope"]) == (app.client_id, "read")
    code = (await app.ask(browser))["code"]
    await house.redis.delete("gw:jk")
    status, refused = await app.exchange(code, code_verifier="x" * 43)
    assert (status, refused["error"]) == (400, "invalid_grant")
