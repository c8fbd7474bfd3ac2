"""Signing in and out: one answer for unknown and wrong, limits, and what ends a session (G01, G06, C02, C03, C06, C09, O11)."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.authority.hasher import Hasher
from gateway.console.identity import digest_session
from gateway.errors import Overloaded
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic
from tests.console.conftest import ACCOUNT, ORIGIN, SIGN_IN, SIGN_OUT, Browser, Page
from tests.store.shift import pass_time

NEW = "another-password"
MINUTE = 60_000


async def test_somebody_signs_in_sees_the_account_and_signs_out(browser: Browser) -> None:
    answer = await browser.get(ACCOUNT)
    assert (answer.status, answer.headers["Location"]) == (303, f"{SIGN_IN}?next=%2Fv1%2Faccount")
    answer = await browser.sign_in("ANN", path=answer.headers["Location"])
    assert (answer.status, answer.headers["Location"]) == (303, ACCOUNT)
    page = await browser.page(ACCOUNT)
    assert "ann" in page.said
    answer = await browser.get(SIGN_IN)
    assert (answer.status, answer.headers["Location"]) == (303, ACCOUNT)
    answer = await browser.post(SIGN_OUT, page.form(SIGN_OUT))
    assert (answer.status, answer.headers["Location"]) == (303, SIGN_IN)
    assert not await browser.is_signed_in()
    assert browser.house.count("gateway_sign_ins_total") == 1


async def test_without_the_switch_there_are_no_pages(house_with: MakeHouse) -> None:
    house = await house_with()
    for path in (SIGN_IN, SIGN_OUT, ACCOUNT):
        assert (await house.http.get(path)).status == 404


async def test_g06_unknown_wrong_and_malformed_are_one_answer(browser: Browser) -> None:
    """The same status, headers and page; a password that is no password costs as little whoever it is for (G04)."""
    fields = await browser.form(SIGN_IN)
    for tried in (("ann", "wrong-password"), ("nobody", "wrong-password")), (("ann", "short"), ("nobody", "x" * 300), ("", "")):
        seen = set()
        for username, password in tried:
            answer = await browser.post(SIGN_IN, {**fields, "username": username, "password": password})
            headers = {name: value for name, value in answer.headers.items() if name != "Date"}
            seen.add((answer.status, tuple(headers.items()), await answer.text()))
        ((status, _, text),) = seen
        assert status == 403
        assert "Username or password is wrong." in Page(text).said
    assert "WWW-Authenticate" not in headers


async def test_g06_an_unknown_name_costs_a_hash_too(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same path, so in the same time; failures are answered on the beat of the throttle (O10)."""
    verified: list[bool] = []
    verify = Hasher._verify

    def counting(self: Hasher, stored: str, password: str) -> object:
        verified.append(bool(stored))
        return verify(self, stored, password)

    monkeypatch.setattr(Hasher, "_verify", counting)
    for username in ("ann", "nobody"):
        assert (await browser.sign_in(username, "wrong-password")).status == 403
    assert verified == [True, False]


async def test_o11_wrong_passwords_are_limited_together_with_those_of_the_endpoints(house_with: MakeHouse) -> None:
    """429 before anything is looked up, a page that says when; others, and who was right before, pass."""
    house = await house_with(sign_in=True, attempts={"per_credential": 3})
    await house.register()
    at_home, away = Browser(house, "198.51.100.7"), Browser(house)
    assert (await at_home.sign_in()).status == 303
    me = {"X-Gateway-Peer": away.source}
    assert (await house.http.get("/v1/clients", headers={**me, **basic("ann", "wrong-password")})).status == 401
    assert [(await away.sign_in(password="wrong-password")).status for _ in range(2)] == [403, 403]
    house.clients.calls.clear()
    answer = await away.sign_in(password="wrong-password")
    assert (answer.status, answer.content_type) == (429, "text/html")
    assert int(answer.headers["Retry-After"]) > 0
    assert "too_many_requests" in await answer.text()
    assert house.clients.calls == []
    assert (await away.sign_in("nobody", "wrong-password")).status == 403
    assert (await Browser(house, "198.51.100.7").sign_in()).status == 303


async def test_g01_a_full_pool_is_a_503_page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(self: Hasher, stored: str, password: str, *, source: bytes) -> object:
        raise Overloaded(reason="argon2_pool_full")

    monkeypatch.setattr(Hasher, "verify", full)
    answer = await browser.sign_in()
    assert (answer.status, answer.content_type, answer.headers["Retry-After"]) == (503, "text/html", "1")
    assert "overloaded" in await answer.text()
    assert not await browser.is_signed_in()


@pytest.mark.parametrize("broken", ["begin_session", "use_session", "find_account"])
async def test_f01_a_store_that_is_away_is_a_503_page(browser: Browser, broken: str) -> None:
    """Nobody is signed in by an outage, and nobody is told that a password is wrong."""
    fields = await browser.form(SIGN_IN)
    for store in (browser.house.sessions, browser.house.clients):
        store.broken.add(broken)
    answer = await browser.post(SIGN_IN, {**fields, "username": "ann", "password": PASSWORD})
    assert (answer.status, answer.content_type, answer.headers["Retry-After"]) == (503, "text/html", "1")
    assert "Set-Cookie" not in answer.headers
    for store in (browser.house.sessions, browser.house.clients):
        store.broken.clear()
    assert not await browser.is_signed_in()


@pytest.mark.parametrize("broken", ["end_session", "use_session"])
async def test_o19_nobody_is_told_to_be_signed_out_who_is_not(ann: Browser, broken: str) -> None:
    form = await ann.form(ACCOUNT, SIGN_OUT)
    ann.house.sessions.broken.add(broken)
    assert (await ann.post(SIGN_OUT, form)).status == 503
    ann.house.sessions.broken.clear()
    assert await ann.is_signed_in()


async def test_f01_a_fault_of_ours_is_a_page_that_tells_nothing(ann: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(username: str) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(ann.house.clients, "find_account", broken, raising=False)
    answer = await ann.get(ACCOUNT)
    text = await answer.text()
    assert (answer.status, answer.content_type) == (500, "text/html")
    assert "internal_error" in text
    assert "secret detail" not in text


async def test_c02_a_sign_in_has_a_new_id_and_the_old_one_is_dead(browser: Browser) -> None:
    """Whatever was planted in the browser before: nobody's id, or that of somebody who is signed in."""
    await browser.get(SIGN_IN)
    planted = dict(browser.cookies)
    assert (await browser.sign_in()).status == 303
    first = dict(browser.cookies)
    assert first != planted
    assert not await Browser(browser.house, cookies=planted).is_signed_in()
    again = Browser(browser.house, cookies=dict(first))
    fields = (await browser.page(ACCOUNT)).form(SIGN_OUT)
    answer = await again.post(SIGN_IN, {"csrf": fields["csrf"], "username": "ann", "password": PASSWORD})
    assert answer.status == 303
    assert again.cookies != first
    assert await again.is_signed_in()
    assert not await browser.is_signed_in()


async def test_c02_the_id_is_random_and_the_store_has_its_digest_only(house: House) -> None:
    ids = set()
    for _ in range(3):
        browser = Browser(house)
        await browser.sign_in()
        ids.add(browser.cookies["gateway"])
    assert len(ids) == 3
    keys = [key async for key in house.redis.scan_iter(b"gw:ss:*")]
    assert {key[6:] for key in keys} == {digest_session(session_id) for session_id in ids}
    values = b"".join([key + (await house.redis.get(key)) for key in keys])
    assert not any(session_id.encode() in values for session_id in ids)


@pytest.mark.parametrize(
    ("issuer", "attributes"),
    [
        ("http://127.0.0.1:8080", ["gateway", "HttpOnly", "Path=/", "SameSite=Lax"]),
        ("https://api.example.com", ["__Host-gateway", "HttpOnly", "Path=/", "SameSite=Lax", "Secure"]),
    ],
)
async def test_c03_the_cookie_is_host_only_http_only_and_secure(
    house_with: MakeHouse, issuer: str, attributes: list[str]
) -> None:
    """When it is set for nobody, for somebody, and when it is taken away: with other attributes a browser would keep it."""
    house = await house_with(sign_in=True, issuer=issuer)
    await house.register()
    browser = Browser(house)
    fields = await browser.form(SIGN_IN)
    await browser.post(SIGN_IN, {**fields, "username": "ann", "password": PASSWORD}, Origin=issuer)
    await browser.post(SIGN_OUT, await browser.form(ACCOUNT, SIGN_OUT), Origin=issuer)
    assert len(browser.set_cookies) == 3
    for line in browser.set_cookies:
        first, *rest = line.split("; ")
        lasting = [part for part in rest if not part.lower().startswith(("max-age", "expires"))]
        assert sorted([first.partition("=")[0], *lasting]) == sorted(attributes)


async def test_c06_a_sign_out_ends_the_session_in_the_store_and_no_other_one(house: House) -> None:
    one, other = Browser(house), Browser(house)
    await one.sign_in()
    await other.sign_in()
    kept = Browser(house, cookies=dict(one.cookies))
    await one.post(SIGN_OUT, await one.form(ACCOUNT, SIGN_OUT))
    assert one.cookies == {}
    assert not await kept.is_signed_in()
    assert await other.is_signed_in()


async def test_c06_idle_and_absolute_lives_are_the_configuration_s(house_with: MakeHouse) -> None:
    house = await house_with(sign_in=True, session_idle="10m", session_life="30m")
    await house.register()
    used, idle = Browser(house), Browser(house)
    await used.sign_in()
    await idle.sign_in()
    for _ in range(3):
        await pass_time(house.redis, 9 * MINUTE)
        assert await used.is_signed_in()
    assert not await idle.is_signed_in()
    await pass_time(house.redis, 3 * MINUTE)
    assert not await used.is_signed_in()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/v1/oauth/account/password", {"password": NEW}),
        ("POST", "/v1/oauth/account/sign-out", None),
        ("DELETE", "/v1/oauth/account", None),
    ],
)
async def test_c06_all_sessions_end_with_the_password_the_account_and_everywhere(
    house: House, method: str, path: str, body: dict[str, str] | None
) -> None:
    """And somebody else's do not."""
    await house.register("bob")
    browsers = [Browser(house), Browser(house)]
    for browser in browsers:
        await browser.sign_in()
    bob = Browser(house)
    await bob.sign_in("bob")
    assert (await house.http.request(method, path, headers=basic("ann", PASSWORD), json=body)).status == 204
    assert [await browser.is_signed_in() for browser in browsers] == [False, False]
    assert await bob.is_signed_in()
    assert [key async for key in house.redis.scan_iter(b"gw:sx:*")] == [b"gw:sx:{bob}"]


async def test_c06_a_session_belongs_to_the_password_that_it_was_begun_with(ann: Browser) -> None:
    """A sign-in that was under way while the password changed, or the name became somebody else's, is none."""
    house = ann.house
    (kept,) = [key async for key in house.redis.scan_iter(b"gw:ss:*")]
    value = await house.redis.get(kept)
    assert (await house.http.delete("/v1/oauth/account", headers=basic("ann", PASSWORD))).status == 204
    await house.register("ann", PASSWORD)
    await house.redis.set(kept, value)
    assert not await ann.is_signed_in()


@pytest.mark.parametrize("broken", ["end_sessions"])
async def test_o19_an_outage_half_way_is_503_and_can_be_repeated(ann: Browser, broken: str) -> None:
    house = ann.house
    house.sessions.broken.add(broken)
    for method, path in (("POST", "/v1/oauth/account/sign-out"), ("DELETE", "/v1/oauth/account")):
        assert (await house.http.request(method, path, headers=basic("ann", PASSWORD))).status == 503
    house.sessions.broken.clear()
    assert (await house.http.delete("/v1/oauth/account", headers=basic("ann", PASSWORD))).status == 204
    assert not await ann.is_signed_in()


@pytest.mark.parametrize(
    "cookie",
    [
        "gateway=", "gateway", "gateway=short", "gateway=" + "A" * 44, "gateway=" + "A" * 8000, "gateway=\xe4" + "A" * 42,
        'gateway="' + "A" * 43 + '"', "gateway=" + "!" * 43, "; " * 3000, "=" * 500, "a=b; " * 1500 + "gateway=" + "A" * 43,
        "gateway={}; gateway={}", "gateway={}; gateway=x", "__Host-gateway={}", "gateway=..%2f; Path=/",
    ],
)
async def test_c09_a_cookie_that_is_no_session_is_nobody(ann: Browser, cookie: str) -> None:
    """Malformed, huge, thousands, twice: anonymous, never 500 and never somebody; signing in goes on from there."""
    session_id = ann.cookies["gateway"]
    answer = await ann.get(ACCOUNT, Cookie=cookie.replace("{}", session_id))
    assert answer.status in (303, 400)
    if answer.status == 303:
        assert (await ann.get(SIGN_IN, Cookie=cookie.replace("{}", session_id))).status == 200


async def test_c09_the_cookie_counts_in_whatever_company(ann: Browser) -> None:
    mine = f"gateway={ann.cookies['gateway']}"
    for cookie in (f"a=b; {mine}; c=d", f"{mine};", f"a=b;{mine}"):
        assert (await ann.get(ACCOUNT, Cookie=cookie)).status == 200


async def test_many_sign_ins_at_once_are_sessions_of_their_own(house: House) -> None:
    """And requests of one session at once neither end nor double it."""
    browsers = [Browser(house, f"192.0.2.{number}") for number in range(4)]
    answers = await asyncio.gather(*(browser.sign_in() for browser in browsers))
    assert {answer.status for answer in answers} == {303}
    assert len({browser.cookies["gateway"] for browser in browsers}) == 4
    pages = await asyncio.gather(*(browsers[0].get(ACCOUNT) for _ in range(20)))
    assert {page.status for page in pages} == {200}
    assert not any("Set-Cookie" in page.headers for page in pages)


async def test_an_account_without_a_password_is_nobody_s(house: House) -> None:
    await house.client(username="carol")
    browser = Browser(house)
    for password in ("", "x" * 8):
        assert (await browser.sign_in("carol", password)).status == 403


async def test_o31_nothing_secret_is_logged(browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    fields = await browser.form(SIGN_IN)
    await browser.post(SIGN_IN, {**fields, "username": "ann", "password": "wrong-password"})
    await browser.post(SIGN_IN, {**fields, "username": "ann", "password": PASSWORD})
    await browser.get(ACCOUNT)
    said = caplog.text + str([record.__dict__ for record in caplog.records if record.name.startswith("gateway")])
    assert "sign_in.refused" in said
    assert "sign_in.done" in said
    for secret in (PASSWORD, "wrong-password", fields["csrf"], browser.cookies["gateway"]):
        assert secret not in said


async def test_a_password_in_the_address_is_refused(browser: Browser) -> None:
    """It would stand in logs and histories (O08)."""
    fields = await browser.form(SIGN_IN)
    answer = await browser.post(f"{SIGN_IN}?password=x", {**fields, "username": "ann", "password": PASSWORD})
    assert (answer.status, answer.content_type) == (400, "text/html")
    assert ORIGIN not in answer.headers.get("Location", "")
