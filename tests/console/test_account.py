"""My keys: what an account sees and does of its clients, keys, tokens, password and sessions (C01, C04, C06, G08, G10, O18)."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gateway.authority.enrolment import MAX_CLIENTS, MAX_KEYS
from gateway.oauth.secrets import IssuedKey
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by
from tests.console.conftest import ACCOUNT, SIGN_IN, SIGN_OUT, Browser, Page
from tests.console.flow import App

NEW = "another-password"
CLIENT, CLIENTS, KEYS = f"{ACCOUNT}/client", f"{ACCOUNT}/clients", f"{ACCOUNT}/keys"
RETIRE, END, EVERYWHERE, CHANGE = f"{KEYS}/retire", f"{ACCOUNT}/tokens/end", f"{ACCOUNT}/sign-out", f"{ACCOUNT}/password"
STOP, NAME, DELETE = f"{ACCOUNT}/consents/end", f"{CLIENT}/name", f"{CLIENT}/delete"


def of(client: IssuedKey) -> str:
    return f"{CLIENT}?client_id={client.client_id}"


async def mine(ann: Browser) -> IssuedKey:
    """The account's first client, with a key that a test knows the secret of."""
    (client_id,) = [link.partition("=")[2] for link in (await ann.page(ACCOUNT)).links if link.startswith(CLIENT)]
    answer = await ann.post(KEYS, await ann.form(f"{CLIENT}?client_id={client_id}", KEYS))
    return created(await answer.text())


def created(text: str) -> IssuedKey:
    """What a page shows once."""
    words = Page(text).words
    at = words.index("Client id")
    assert (words[at + 2], words[at + 4]) == ("Client key", "Client secret")
    return IssuedKey(words[at + 1], words[at + 3], words[at + 5])


async def test_a_client_is_added_and_its_secret_is_shown_in_the_answer_alone(
    ann: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    """G10: not stored by anybody on the way, on no later page, in no log."""
    caplog.set_level(logging.DEBUG)
    answer = await ann.post(CLIENTS, await ann.form(ACCOUNT, CLIENTS))
    text = await answer.text()
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")
    client = created(text)
    assert (await ann.house.token(client))["access_token"]
    page = await ann.page(ACCOUNT)
    assert of(client) in page.links
    for path in (ACCOUNT, of(client)):
        assert client.client_secret not in await (await ann.get(path)).text()
    assert client.client_secret not in caplog.text + str([record.__dict__ for record in caplog.records])


async def test_keys_are_listed_with_their_use_added_and_retired(ann: Browser) -> None:
    client = await mine(ann)
    page = await ann.page(of(client))
    assert page.said.count("never used") == 2
    pair = await ann.house.token(client)
    assert (await ann.page(of(client))).said.count("never used") == 1
    answer = await ann.post(RETIRE, {**(await ann.form(of(client), RETIRE, client_key=client.client_key)), "tokens": "keep"})
    assert (answer.status, answer.headers["Location"]) == (303, of(client))
    assert client.client_key not in [fields.get("client_key") for _, fields in (await ann.page(of(client))).forms]
    assert (await ann.house.post("token", by(client), grant_type="client_credentials")).status == 401
    other = await mine(ann)
    assert await ann.house.is_active(other, pair["access_token"])


async def test_a_key_can_be_made_for_a_while(ann: Browser) -> None:
    client = await mine(ann)
    form = await ann.form(of(client), KEYS)
    assert (await ann.post(KEYS, {**form, "days": "7"})).status == 201
    page = await ann.page(of(client))
    assert "expires 20" in page.said
    for days in ("8", "-1", "x", "7.0", "٧"):
        assert (await ann.post(KEYS, {**form, "days": days})).status == 400
    assert len((await ann.house.clients.find_client(client.client_id)).keys) == 3


async def test_a_key_is_retired_together_with_its_tokens(ann: Browser) -> None:
    client, other = await mine(ann), await mine(ann)
    pair, kept = await ann.house.token(client), await ann.house.token(other)
    form = await ann.form(of(client), RETIRE, client_key=client.client_key)
    assert (await ann.post(RETIRE, {**form, "tokens": "revoke"})).status == 303
    assert not await ann.house.is_active(other, pair["access_token"])
    assert await ann.house.is_active(other, kept["access_token"])


async def test_tokens_are_seen_by_chain_and_ended_one_by_one(ann: Browser) -> None:
    """When begun, until when, which scopes and key; never a token."""
    client = await mine(ann)
    one, two = await ann.house.token(client), await ann.house.token(client)
    text = await (await ann.get(of(client))).text()
    assert not any(token in text for pair in (one, two) for token in (pair["access_token"], pair["refresh_token"]))
    chains = [fields for to, fields in Page(text).forms if to == END and "chain_id" in fields]
    assert {fields["chain_id"] for fields in chains} == {pair["refresh_token"][7:29] for pair in (one, two)}
    (form,) = [fields for fields in chains if fields["chain_id"] == one["refresh_token"][7:29]]
    assert (await ann.post(END, form)).status == 303
    assert not await ann.house.is_active(client, one["access_token"])
    assert (await ann.house.refresh(client, one["refresh_token"]))[0] == 400
    assert await ann.house.is_active(client, two["access_token"])
    assert (await ann.post(END, form)).status == 303  # over already: that is what was asked for
    assert form["chain_id"] not in await (await ann.get(of(client))).text()


async def test_all_tokens_of_a_client_end_at_once_and_no_other_one_s(ann: Browser) -> None:
    first = await mine(ann)
    second = created(await (await ann.post(CLIENTS, await ann.form(ACCOUNT, CLIENTS))).text())
    ended, kept = await ann.house.token(first), await ann.house.token(second)
    assert (await ann.post(END, await ann.form(of(first), END, all="1"))).status == 303
    assert not await ann.house.is_active(first, ended["access_token"])
    assert await ann.house.is_active(second, kept["access_token"])
    page = await ann.page(of(first))
    assert "There are none that can be refreshed." in page.said
    assert await ann.house.token(first)


async def test_g08_a_client_is_named_and_an_empty_name_is_none(ann: Browser) -> None:
    client, name = await mine(ann), "Ünï “Orders” <b>"
    answer = await ann.post(NAME, {**await ann.form(of(client), NAME), "client_name": f" {name} "})
    assert (answer.status, answer.headers["Location"]) == (303, of(client))
    for path in (of(client), ACCOUNT):
        assert name in (await ann.page(path)).said
    form = await ann.form(of(client), NAME)
    assert form["client_name"] == name
    assert (await ann.post(NAME, {**form, "client_name": ""})).status == 303
    assert (await ann.house.clients.find_client(client.client_id)).name == ""
    assert await ann.house.token(client)


@pytest.mark.parametrize("name", ["a\r\nb", "x" * 201, "a\u202eb"])
async def test_g08_a_name_that_is_none_is_said_beside_the_form(ann: Browser, name: str) -> None:
    client = await mine(ann)
    answer = await ann.post(NAME, {**await ann.form(of(client), NAME), "client_name": name})
    page = Page(await answer.text())
    assert (answer.status, answer.content_type) == (400, "text/html")
    assert "client_name" in page.said
    assert page.form(NAME)["client_name"] == ""
    assert (await ann.house.clients.find_client(client.client_id)).name == ""


async def test_a_client_is_deleted_after_a_page_has_asked(ann: Browser) -> None:
    """A link to a page with a form, as no page has a script; opening it changes nothing."""
    first = await mine(ann)
    other = created(await (await ann.post(CLIENTS, await ann.form(ACCOUNT, CLIENTS))).text())
    pair, kept = await ann.house.token(first), await ann.house.token(other)
    ask = f"{DELETE}?client_id={first.client_id}"
    assert ask in (await ann.page(of(first))).links
    page = await ann.page(ask)
    assert first.client_id in page.said
    assert of(first) in page.links
    assert await ann.house.is_active(first, pair["access_token"])
    answer = await ann.post(DELETE, page.form(DELETE))
    assert (answer.status, answer.headers["Location"]) == (303, f"{ACCOUNT}?done=client")
    page = await ann.page(answer.headers["Location"])
    assert "The client is deleted" in page.said
    assert [link for link in page.links if link.startswith(CLIENT)] == [of(other)]
    assert (await ann.house.post("token", by(first), grant_type="client_credentials")).status == 401
    assert not await ann.house.is_active(other, pair["access_token"])
    assert await ann.house.is_active(other, kept["access_token"])
    assert [(await ann.get(path)).status for path in (of(first), ask)] == [404, 404]


async def test_a_deletion_that_failed_half_way_can_be_repeated(ann: Browser) -> None:
    client = await mine(ann)
    form = await ann.form(f"{DELETE}?client_id={client.client_id}", DELETE)
    ann.house.clients.broken = {"unlink_client"}
    assert (await ann.post(DELETE, form)).status == 503
    ann.house.clients.broken = set()
    assert (await ann.post(DELETE, form)).status == 303
    assert (await ann.house.clients.find_account("ann")).client_ids == ()


async def test_the_password_changes_by_the_old_one_and_all_other_sessions_end(ann: Browser) -> None:
    """C02: this browser's session is a new one."""
    other, before = Browser(ann.house), dict(ann.cookies)
    await other.sign_in()
    form = {**await ann.form(ACCOUNT, CHANGE), "password": PASSWORD, "new": NEW, "again": NEW}
    answer = await ann.post(CHANGE, form)
    assert (answer.status, answer.headers["Location"]) == (303, f"{ACCOUNT}?done=password")
    assert "Your password is changed" in (await ann.page(answer.headers["Location"])).said
    assert ann.cookies != before
    assert not await other.is_signed_in()
    assert not await Browser(ann.house, cookies=before).is_signed_in()
    assert (await other.sign_in()).status == 403
    assert (await other.sign_in(password=NEW)).status == 303


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"password": "wrong-password"}, 403, "The present password is wrong."),
        ({"again": "something-else"}, 400, "The new password was not typed alike twice."),
        ({"new": "short", "again": "short"}, 400, "password must be 8 to 256 characters long."),
        ({"new": "", "again": ""}, 400, "password must be 8 to 256 characters long."),
    ],
)
async def test_g04_a_change_that_is_refused_changes_nothing(
    ann: Browser, change: dict[str, str], status: int, said: str
) -> None:
    form = {**await ann.form(ACCOUNT, CHANGE), "password": PASSWORD, "new": NEW, "again": NEW, **change}
    answer = await ann.post(CHANGE, form)
    text = await answer.text()
    assert (answer.status, answer.content_type) == (status, "text/html")
    assert said in Page(text).said
    assert not any(value in text for value in (PASSWORD, NEW, "something-else", "wrong-password"))
    assert await ann.is_signed_in()
    assert (await Browser(ann.house).sign_in()).status == 303


async def test_o11_guessing_the_present_password_is_limited_too(house_with: MakeHouse) -> None:
    """Whoever finds a browser that is signed in has as few tries as anybody."""
    house = await house_with(sign_in=True, attempts={"per_credential": 3, "registrations": 0})
    await house.register()
    ann = Browser(house)
    await ann.sign_in()
    form = {**await ann.form(ACCOUNT, CHANGE), "new": NEW, "again": NEW}
    statuses = [(await ann.post(CHANGE, {**form, "password": f"wrong-{number}-word"})).status for number in range(5)]
    assert statuses == [403, 403, 403, 429, 429]


async def test_c06_sessions_are_listed_and_signing_out_everywhere_ends_them_and_all_tokens(ann: Browser) -> None:
    client, other = await mine(ann), Browser(ann.house)
    await other.sign_in()
    pair = await ann.house.token(client)
    said = (await ann.page(ACCOUNT)).said
    assert (said.count("(this one)"), said.count(", last seen ")) == (1, 1)
    answer = await ann.post(EVERYWHERE, await ann.form(ACCOUNT, EVERYWHERE))
    assert (answer.status, answer.headers["Location"]) == (303, SIGN_IN)
    assert ann.cookies == {}
    assert not await other.is_signed_in()
    assert not await ann.house.is_active(client, pair["access_token"])
    assert await ann.house.token(client)


ABSENT = "gwc_abc" + "A" * 22


async def test_what_is_somebody_else_s_is_a_404_page_and_stays_as_it_is(ann: Browser) -> None:
    """Foreign, unknown and malformed are one answer (P-like for pages); a foreign chain below an own client is untouched."""
    bob = await ann.house.register("bob")
    pair, client = await ann.house.token(bob), await mine(ann)
    csrf = {"csrf": (await ann.form(ACCOUNT, SIGN_OUT))["csrf"]}
    seen = set()
    for client_id in (bob.client_id, ABSENT, "", "../x", "<script>"):
        answers = [
            await ann.get(f"{CLIENT}?client_id={client_id}"),
            await ann.get(f"{DELETE}?client_id={client_id}"),
            await ann.post(DELETE, {**csrf, "client_id": client_id}),
            await ann.post(NAME, {**csrf, "client_id": client_id, "client_name": "mine"}),
            await ann.post(NAME, {**csrf, "client_id": client_id, "client_name": "x" * 201}),
            await ann.post(KEYS, {**csrf, "client_id": client_id}),
            await ann.post(RETIRE, {**csrf, "client_id": client_id, "client_key": bob.client_key, "tokens": "revoke"}),
            await ann.post(END, {**csrf, "client_id": client_id, "all": "1"}),
            await ann.post(END, {**csrf, "client_id": client_id, "chain_id": pair["refresh_token"][7:29]}),
        ]
        seen |= {(answer.status, await answer.text()) for answer in answers}
    ((status, text),) = seen
    assert status == 404
    assert "There is no such client" in text
    for chain_id in (pair["refresh_token"][7:29], "x", "{" * 22):
        assert (await ann.post(END, {**csrf, "client_id": client.client_id, "chain_id": chain_id})).status == 303
    retired = await ann.post(RETIRE, {**csrf, "client_id": client.client_id, "client_key": bob.client_key})
    assert retired.status == 404
    assert (await ann.house.clients.find_client(bob.client_id)).name == ""
    assert await ann.house.is_active(bob, pair["access_token"])


@pytest.mark.parametrize("form", [{}, {"chain_id": "x", "all": "1"}, {"all": "yes"}])
async def test_what_is_to_end_has_to_be_said(ann: Browser, form: dict[str, str]) -> None:
    client = await mine(ann)
    known = await ann.form(of(client), END, all="1")
    known.pop("all")
    assert (await ann.post(END, {**known, **form})).status == 400
    retire = await ann.form(of(client), RETIRE, client_key=client.client_key)
    assert (await ann.post(RETIRE, {**retire, "tokens": "perhaps"})).status == 400
    assert await ann.house.token(client)


async def test_limits_are_those_of_the_endpoints(ann: Browser) -> None:
    """A page with the reason; nothing half-made stays."""
    client = await mine(ann)
    form = await ann.form(of(client), KEYS)
    answers = [await ann.post(KEYS, form) for _ in range(MAX_KEYS - 1)]
    assert [answer.status for answer in answers] == [201] * (MAX_KEYS - 2) + [409]
    assert "conflict" in await answers[-1].text()
    form = await ann.form(ACCOUNT, CLIENTS)
    answers = [await ann.post(CLIENTS, form) for _ in range(MAX_CLIENTS)]
    assert [answer.status for answer in answers] == [201] * (MAX_CLIENTS - 1) + [409]
    assert len([link for link in (await ann.page(ACCOUNT)).links if link.startswith(CLIENT)]) == MAX_CLIENTS


@pytest.mark.parametrize(
    ("registration", "offered", "status"),
    [("open", True, 201), ("approval", True, 201), ("token", False, 403), ("closed", False, 403)],
)
async def test_clients_are_added_where_accounts_may(
    house_with: MakeHouse, registration: str, offered: bool, status: int
) -> None:
    house = await house_with(sign_in=True, registration="open")
    await house.register()
    house = await house_with(redis=house.redis, sign_in=True, registration=registration)
    ann = Browser(house)
    await ann.sign_in()
    page = await ann.page(ACCOUNT)
    assert (CLIENTS in [to for to, _ in page.forms]) is offered
    answer = await ann.post(CLIENTS, page.form(SIGN_OUT))
    assert answer.status == status
    assert ("waits for the operator" in (await ann.page(ACCOUNT)).said) is (registration == "approval")


async def test_a_client_that_vanished_is_not_listed(ann: Browser) -> None:
    client = await mine(ann)
    assert (await ann.house.http.delete(f"/v1/clients/{client.client_id}", headers=basic("ann", PASSWORD))).status == 204
    assert "You have no client." in (await ann.page(ACCOUNT)).said
    assert (await ann.get(of(client))).status == 404


async def test_c04_g08_what_others_named_is_shown_and_not_run(house_with: MakeHouse) -> None:
    """A scope may hold what HTML is made of (RFC 6749 section 3.3)."""
    evil = "<script>alert(1)</script>'onload=x"
    house = await house_with(sign_in=True, scopes={evil: "x"}, default_scopes=[evil])
    client = await house.register()
    await house.token(client)
    ann = Browser(house)
    await ann.sign_in()
    text = await (await ann.get(of(client))).text()
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;&#39;onload=x") == 2
    assert "script" not in Page(text).tags


async def posts(house: House) -> list[str]:
    """Every path where a form of the account is sent."""
    assert house.http.app is not None
    return [
        route.resource.canonical for route in house.http.app.router.routes()
        if route.method == "POST" and route.resource is not None and route.resource.canonical.startswith(f"{ACCOUNT}/")
    ]  # fmt: skip


async def test_c01_every_form_of_the_account_is_ours_or_403(ann: Browser) -> None:
    """By the router, so that none is left out; and nothing was written."""
    csrf = (await ann.form(ACCOUNT, SIGN_OUT))["csrf"]
    paths = await posts(ann.house)
    assert len(paths) == 9
    before = await everything(ann.house.redis)
    for path in paths:
        assert (await ann.post(path, {})).status == 403
        assert (await ann.post(path, {"csrf": csrf}, Origin="https://evil.example")).status == 403
        assert (await ann.post(path, {"csrf": csrf}, **{"Sec-Fetch-Site": "cross-site"})).status == 403
    assert await everything(ann.house.redis) == before


async def test_c06_nobody_is_sent_to_sign_in_whatever_is_asked(house: House) -> None:
    browser = Browser(house)
    await browser.get(SIGN_IN)
    before = await everything(house.redis)
    for path in await posts(house):
        answer = await browser.post(path, {"csrf": "x"})
        assert (answer.status, answer.headers["Location"]) == (303, SIGN_IN)
    answer = await browser.get(f"{CLIENT}?client_id={ABSENT}")
    assert answer.status == 303
    assert answer.headers["Location"] == f"{SIGN_IN}?next=%2Fv1%2Faccount%2Fclient%3Fclient_id%3D{ABSENT}"
    assert await everything(house.redis) == before


async def everything(redis: Any) -> dict[bytes, Any]:
    return {key: await redis.dump(key) for key in await redis.keys("*")}


async def test_o18_every_answer_that_ends_something_waits_until_the_guard_knows(house_with: MakeHouse) -> None:
    """And only those: the others end no token."""
    waited: list[int] = []

    async def caught_up() -> None:
        waited.append(1)

    house = await house_with(sign_in=True, caught_up=caught_up)
    await house.register()
    ann = Browser(house)
    await ann.sign_in()
    client = await mine(ann)
    app = await App.register(house)
    await app.tokens(ann)
    forms = {
        STOP: await ann.form(ACCOUNT, STOP),
        CLIENTS: await ann.form(ACCOUNT, CLIENTS), KEYS: await ann.form(of(client), KEYS),
        CHANGE: {**await ann.form(ACCOUNT, CHANGE), "password": "wrong-password", "new": NEW, "again": NEW},
        RETIRE: await ann.form(of(client), RETIRE, client_key=client.client_key) | {"tokens": "revoke"},
        END: await ann.form(of(client), END, all="1"), NAME: await ann.form(of(client), NAME),
        DELETE: await ann.form(f"{DELETE}?client_id={client.client_id}", DELETE), EVERYWHERE: await ann.form(ACCOUNT, EVERYWHERE),
    }  # fmt: skip
    assert set(forms) == set(await posts(house))
    for path, form in forms.items():
        waited.clear()
        assert (await ann.post(path, form)).status in (201, 303, 403)
        assert bool(waited) is (path in (RETIRE, END, DELETE, EVERYWHERE, STOP)), path


@pytest.mark.parametrize(
    ("store", "broken", "path"),
    [
        ("clients", "retire_credential", RETIRE), ("tokens", "revoke_chain", END), ("clients", "change_client", EVERYWHERE),
        ("sessions", "end_sessions", EVERYWHERE), ("clients", "change_password_hash", CHANGE),
        ("clients", "add_credential", KEYS), ("clients", "create_client", CLIENTS), ("sessions", "end_sessions", CHANGE),
        ("clients", "delete_client", DELETE), ("clients", "change_client", NAME),
    ],
)  # fmt: skip
async def test_o19_an_outage_is_a_503_page_and_never_a_success(ann: Browser, store: str, broken: str, path: str) -> None:
    client = await mine(ann)
    pair = await ann.house.token(client)
    form = {
        RETIRE: {"client_id": client.client_id, "client_key": client.client_key, "tokens": "revoke"},
        END: {"client_id": client.client_id, "chain_id": pair["refresh_token"][7:29]},
        KEYS: {"client_id": client.client_id}, DELETE: {"client_id": client.client_id},
        NAME: {"client_id": client.client_id, "client_name": "x"}, CHANGE: {"password": PASSWORD, "new": NEW, "again": NEW},
    }.get(path, {})
    form["csrf"] = (await ann.form(ACCOUNT, SIGN_OUT))["csrf"]
    getattr(ann.house, store).broken.add(broken)
    answer = await ann.post(path, form)
    assert (answer.status, answer.content_type, answer.headers["Retry-After"]) == (503, "text/html", "1")
    getattr(ann.house, store).broken.clear()
    assert await ann.house.is_active(client, pair["access_token"]) is (store != "sessions" or path == CHANGE)
