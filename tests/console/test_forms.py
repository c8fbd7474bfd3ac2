"""Whose form it is (C01, O30), and where it leads (C07)."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from gateway.console.destination import MAX_DESTINATION, local
from tests.authority.conftest import PASSWORD
from tests.console.conftest import ACCOUNT, ORIGIN, SIGN_IN, SIGN_OUT, Browser

FOREIGN = [
    pytest.param({"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}, id="foreign"),
    pytest.param({"Origin": "https://evil.example", "Sec-Fetch-Site": ""}, id="foreign, an old browser"),
    pytest.param({"Origin": "https://evil.example"}, id="foreign, though it says same-origin"),
    pytest.param({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, id="a sandboxed frame"),
    pytest.param({"Origin": "null", "Sec-Fetch-Site": ""}, id="null, an old browser"),
    pytest.param({"Origin": "", "Sec-Fetch-Site": ""}, id="nobody says"),
    pytest.param({"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}, id="cross-site"),
    pytest.param({"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"}, id="a sibling domain"),
    pytest.param({"Origin": ORIGIN, "Sec-Fetch-Site": "none"}, id="none"),
    pytest.param({"Origin": "http://127.0.0.1:8081", "Sec-Fetch-Site": "same-site"}, id="another port"),
    pytest.param({"Origin": f"{ORIGIN}.evil.example"}, id="a longer one"),
]
OURS = [
    pytest.param({}, id="a browser of today"),
    pytest.param({"Origin": "null"}, id="under no-referrer, as the Fetch standard says"),
    pytest.param({"Sec-Fetch-Site": ""}, id="an old browser"),
    pytest.param({"Origin": ""}, id="the other one alone"),
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_c01_a_form_from_elsewhere_is_403_even_with_the_right_token(ann: Browser, headers: dict[str, str]) -> None:
    form = await ann.form(ACCOUNT, SIGN_OUT)
    answer = await ann.post(SIGN_OUT, form, **headers)
    assert (answer.status, answer.content_type) == (403, "text/html")
    assert "form_refused" in await answer.text()
    assert "Location" not in answer.headers
    assert await ann.is_signed_in()


@pytest.mark.parametrize("headers", OURS)
async def test_c01_our_own_forms_pass(ann: Browser, headers: dict[str, str]) -> None:
    form = await ann.form(ACCOUNT, SIGN_OUT)
    assert (await ann.post(SIGN_OUT, form, **headers)).status == 303
    assert not await ann.is_signed_in()


async def test_c01_a_form_without_the_token_of_this_session_is_403(ann: Browser) -> None:
    """None, an empty one, another session's, a longer one, the cookie itself."""
    stranger = Browser(ann.house)
    theirs = (await stranger.form(SIGN_IN))["csrf"]
    mine = (await ann.form(ACCOUNT, SIGN_OUT))["csrf"]
    for sent in ({}, {"csrf": ""}, {"csrf": theirs}, {"csrf": mine + "A"}, {"csrf": ann.cookies["gateway"]}, {"csrf": "\xe4"}):
        assert (await ann.post(SIGN_OUT, sent)).status == 403
    assert await ann.is_signed_in()
    assert (await ann.post(SIGN_OUT, {"csrf": mine})).status == 303


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data", ""])
async def test_c01_what_is_no_form_is_refused(ann: Browser, kind: str) -> None:
    """JSON in text/plain is what a foreign page can send without asking."""
    form = await ann.form(ACCOUNT, SIGN_OUT)
    headers = {"Origin": ORIGIN, "Content-Type": kind, "Cookie": f"gateway={ann.cookies['gateway']}"}
    answer = await ann.house.http.post(SIGN_OUT, data=f"csrf={form['csrf']}".encode(), headers=headers)
    assert answer.status == 400
    assert await ann.is_signed_in()


@pytest.mark.parametrize("path", [SIGN_IN, SIGN_OUT])
async def test_c01_a_get_changes_nothing(ann: Browser, path: str) -> None:
    answer = await ann.get(f"{path}?csrf=x&username=bob")
    assert answer.status in (303, 405)
    if answer.status == 405:
        assert (answer.headers["Allow"], answer.content_type) == ("POST", "text/html")
    assert await ann.is_signed_in()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=["a script", "a picture", "a frame"],
)
async def test_c08_a_page_is_opened_by_a_person_not_read_by_a_script(ann: Browser, headers: dict[str, str]) -> None:
    """An upstream's pages are of the same origin: a script in them could read the form's token and send it."""
    form = await ann.form(ACCOUNT, SIGN_OUT)
    answers = [await ann.get(ACCOUNT, **headers), await ann.get(SIGN_IN, **headers), await ann.post(SIGN_OUT, form, **headers)]
    for answer in answers:
        assert (answer.status, answer.content_type) == (403, "text/html")
        assert form["csrf"] not in await answer.text()
    opened = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}
    assert (await ann.get(ACCOUNT, **opened)).status == 200


async def test_o30_nobody_can_be_signed_in_to_somebody_else_s_account(ann: Browser) -> None:
    """Login CSRF: the attacker's password and token, the victim's browser, with a cookie or without one."""
    house = ann.house
    await house.register("eve", PASSWORD)
    eve = Browser(house)
    theirs = {**await eve.form(SIGN_IN), "username": "eve", "password": PASSWORD}
    victim = Browser(house)
    assert (await victim.post(SIGN_IN, theirs)).status == 403
    assert "Set-Cookie" not in (await victim.post(SIGN_IN, theirs)).headers
    await victim.get(SIGN_IN)
    for browser in (victim, ann):
        assert (await browser.post(SIGN_IN, theirs)).status == 403
    assert not await victim.is_signed_in()
    assert "ann" in (await ann.page(ACCOUNT)).said


async def test_o11_a_forged_form_costs_its_victim_no_attempt(ann: Browser) -> None:
    ann.house.clients.calls.clear()
    for _ in range(70):
        await Browser(ann.house).post(SIGN_IN, {"username": "ann", "password": "wrong-password"})
    assert ann.house.clients.calls == []
    assert (await Browser(ann.house).sign_in()).status == 303


async def test_two_tabs_sign_in_one_after_the_other(browser: Browser) -> None:
    """The second form is too old by then, and says so; nothing is lost."""
    first, second = await browser.form(SIGN_IN), await browser.form(SIGN_IN)
    assert first == second
    right = {"username": "ann", "password": PASSWORD}
    assert (await browser.post(SIGN_IN, {**first, **right})).status == 303
    assert (await browser.post(SIGN_IN, {**second, **right})).status == 403
    assert await browser.is_signed_in()


LOCAL = [
    "/", "/v1/account", "/v1/oauth/authorize?a=b&c=https://x.example/cb?d&e=%2F%0D%0A", "/a/b/", "/@user:80/x",
    "/%2Fevil.example",
]  # fmt: skip
ELSEWHERE = [
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\\/evil.example", "https:evil.example",
    "https://evil.example", "HTTPS://evil.example", "javascript:alert(1)", "evil.example", "", " /x", "/x ", "/\t/evil.example",
    "/\n/evil.example", "/x\r\nSet-Cookie: a=b", "/x\x00", "/a//evil.example", "/x#y", '/x"><script>', "/x'\u2028",
    "/\u2215evil.example", "?next=//evil", "data:text/html,x", "/" + "a" * MAX_DESTINATION, "./x", "@evil.example", "/x y",
]


@pytest.mark.parametrize("path", LOCAL)
def test_c07_a_path_of_this_host_is_one(path: str) -> None:
    assert local(path, "/default") == path


@pytest.mark.parametrize("path", ELSEWHERE)
def test_c07_everything_else_is_not(path: str) -> None:
    assert local(path, "/default") == "/default"


def test_c07_deciding_it_takes_no_time() -> None:
    """However it is made: no backtracking over 4 KiB."""
    for path in ("/" + "a" * 4090 + " ", "/" + "a/" * 2040 + " ", "/?" + "?" * 4090 + " "):
        assert local(path, "/default") == "/default"


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https:evil.example", "/x\r\nSet-Cookie: a=b"])
async def test_c07_neither_the_page_nor_the_form_leads_elsewhere(browser: Browser, path: str) -> None:
    fields = await browser.form(f"{SIGN_IN}?{urlencode({'next': path})}", SIGN_IN)
    assert fields["next"] == ACCOUNT
    answer = await browser.post(SIGN_IN, {**fields, "next": path, "username": "ann", "password": PASSWORD})
    assert (answer.status, answer.headers["Location"]) == (303, ACCOUNT)
    answer = await browser.get(f"{SIGN_IN}?{urlencode({'next': path})}")
    assert (answer.status, answer.headers["Location"]) == (303, ACCOUNT)
    assert (await browser.get(f"{SIGN_IN}?next=/a&next=/b")).headers["Location"] == ACCOUNT


async def test_another_destination_is_led_to_by_a_page_not_by_a_redirect(browser: Browser) -> None:
    """A browser holds form-action against redirects too, and a client's redirect URI is another origin."""
    asked = "/v1/oauth/authorize?client_id=x&redirect_uri=https://app.example/cb"
    fields = await browser.form(f"{SIGN_IN}?{urlencode({'next': asked})}", SIGN_IN)
    assert fields["next"] == asked
    answer = await browser.post(SIGN_IN, {**fields, "username": "ann", "password": PASSWORD})
    text = await answer.text()
    assert answer.status == 200
    assert f'content="0; url={asked.replace("&", "&amp;")}"' in text
    answer = await browser.get(f"{SIGN_IN}?next=/v1/x")
    assert (answer.status, answer.headers["Location"]) == (303, "/v1/x")
