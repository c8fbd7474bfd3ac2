"""Wrong secrets and floods at every endpoint that authenticates (O10, O11, G01, G05, G06)."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import ClientResponse

from gateway.authority import throttle
from gateway.authority.hasher import SHARE, Hasher, Verification
from gateway.oauth import tokens as formats
from gateway.oauth.assertions import ASSERTION_TYPE
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by
from tests.authority.test_assertion import register as register_key
from tests.authority.test_assertion import sign
from tests.authority.test_describe import register

ME, STRANGER = "192.0.2.1", "198.51.100.7"
SECRET = formats.mint_secret("abc", bytes(32))
FORM = {"grant_type": "client_credentials", "token": "x"}

KEY_USERS, ACCOUNT, MANAGER = "key", "account", "manager"
ENDPOINTS = [
    ("POST", "/v1/oauth/token", KEY_USERS), ("POST", "/v1/oauth/revoke", KEY_USERS), ("POST", "/v1/oauth/introspect", KEY_USERS),
    ("POST", "/v1/oauth/leaks", KEY_USERS),
    ("GET", "/v1/oauth/account", ACCOUNT), ("DELETE", "/v1/oauth/account", ACCOUNT),
    ("PUT", "/v1/oauth/account/password", ACCOUNT), ("POST", "/v1/oauth/account/sign-out", ACCOUNT),
    ("POST", "/v1/register", ACCOUNT), ("POST", "/v1/clients", ACCOUNT), ("GET", "/v1/clients", ACCOUNT),
    *(
        (method, f"/v1/clients/{{client_id}}{suffix}", who)
        for who in (KEY_USERS, ACCOUNT)
        for method, suffix in (
            ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/keys"), ("POST", "/keys"), ("PATCH", "/keys/{client_key}"),
            ("DELETE", "/keys/{client_key}"),
        )
    ),
    *((method, "/v1/oauth/register/{client_id}", MANAGER) for method in ("GET", "PUT", "DELETE")),
]  # fmt: skip
"""Everything that authenticates, with whom."""
OPEN = {("POST", "/v1/oauth/register"), ("GET", "/v1/oauth/jwks.json")}
"""And metadata."""


def of(source: str, headers: dict[str, str]) -> dict[str, str]:
    """As the edge would say it."""
    return {**headers, "X-Gateway-Peer": source}


async def ask(house: House, method: str, path: str, headers: dict[str, str]) -> ClientResponse:
    """With the body that the endpoint takes."""
    if path.rpartition("/")[2] in ("token", "revoke", "introspect"):
        return await house.http.request(method, path, headers=headers, data=FORM)
    body: dict[str, Any] | None = {"password": "another-password"} if path.endswith("password") else None
    if method == "PATCH":
        body = {"client_name": "x"}
    return await house.http.request(method, path, headers=headers, json=body)


class Clock:
    """Event-loop seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Argon2 left out: who counts is to be seen, not what it costs."""

    async def verify(_self: Hasher, stored: str, password: str, *, source: bytes) -> Verification:
        return Verification(right=bool(stored) and password == PASSWORD)

    monkeypatch.setattr(Hasher, "verify", verify)
    return


def wrong(who: str, user: str) -> dict[str, str]:
    if who == MANAGER:
        return {"Authorization": f"Bearer {formats.mint_manager(user, bytes(32))}"}
    return basic(user, SECRET if who == KEY_USERS else "wrong-password")


@pytest.mark.usefixtures("quick")
async def test_o11_every_endpoint_that_authenticates_has_the_limit_and_unknown_and_wrong_are_one_answer(
    house_with: MakeHouse, clock: Clock,
) -> None:
    """Three tries, then 429 before anything is looked up, whatever is known of the user (O10)."""
    house = await house_with(clock=clock, attempts={"per_credential": 3, "registrations": 0})
    client, described = await house.register(), await register(house)
    nobody = formats.mint_client_id("abc", bytes(16))
    users = {
        KEY_USERS: (client.client_key, client.client_id, "gwk_abc" + "A" * 22, nobody),
        ACCOUNT: ("ann", "nobody"),
        MANAGER: (described["client_id"], nobody),
    }
    for number, (method, template, who) in enumerate(ENDPOINTS):
        answers = set()
        for user in users[who]:
            path = template.replace("{client_id}", user if who == MANAGER else client.client_id)
            path = path.replace("{client_key}", client.client_key)
            headers = of(f"192.0.2.{number}", wrong(who, user))
            series = []
            for _ in range(3):
                answer = await ask(house, method, path, headers)
                series.append((answer.status, answer.headers.get("WWW-Authenticate"), await answer.text()))
            house.clients.calls.clear()
            answer = await ask(house, method, path, headers)
            assert house.clients.calls == []
            series.append((answer.status, answer.headers["Retry-After"], await answer.text()))
            document = await answer.json(content_type=answer.content_type)
            if path.startswith("/v1/oauth/") and "account" not in path:
                assert (answer.content_type, document["error"]) == ("application/json", "temporarily_unavailable")
            else:
                assert (answer.content_type, document["code"]) == ("application/problem+json", "too_many_requests")
            assert [status for status, *_ in series] == [401, 401, 401, 429], (method, path)
            answers.add(tuple(series))
        assert len(answers) == 1, (method, template)
    throttled = house.count("gateway_attempts_throttled_total", 'limit="per_credential"')
    assert throttled == sum(len(users[who]) for *_, who in ENDPOINTS)


async def test_no_endpoint_was_left_out(house: House) -> None:
    """A new one that authenticates stands above, or is open to anybody."""
    assert house.http.app is not None
    served = {
        (route.method, route.resource.canonical)
        for route in house.http.app.router.routes()
        if route.resource is not None and route.method != "HEAD" and not route.resource.canonical.startswith("/.well-known/")
    }
    assert served == {(method, path) for method, path, _ in ENDPOINTS} | OPEN


async def test_o11_whoever_was_right_passes_beside_an_attacker_at_the_same_address(house_with: MakeHouse, clock: Clock) -> None:
    """By key, by id and by password; and elsewhere whoever was never seen."""
    house = await house_with(clock=clock, attempts={"per_credential": 10})
    client = await house.register()
    right = {
        "/v1/oauth/token": (by(client), basic(client.client_id, client.client_secret)),
        "/v1/clients": (basic("ann", PASSWORD),),
    }

    async def works(path: str, headers: dict[str, str], source: str) -> int:
        return (await ask(house, "POST" if "oauth" in path else "GET", path, of(source, headers))).status

    async def attack(source: str) -> None:
        for user in (client.client_key, client.client_id):
            for _ in range(12):
                await works("/v1/oauth/token", basic(user, SECRET), source)
        for _ in range(12):
            await works("/v1/clients", basic("ann", "wrong-password"), source)

    for path, all_headers in right.items():
        for headers in all_headers:
            assert await works(path, headers, ME) == 200
    await attack(ME)
    await attack(STRANGER)
    for path, all_headers in right.items():
        for headers in all_headers:
            assert await works(path, headers, ME) == 200
            assert await works(path, headers, STRANGER) == 429
            assert await works(path, headers, "203.0.113.9") == 200


async def test_o11_the_limit_is_for_every_grant_and_shared_by_all_endpoints(house_with: MakeHouse, clock: Clock) -> None:
    """CVE-2026-9798 and its like: no way in is left out of the count."""
    house = await house_with(clock=clock, attempts={"per_credential": 4}, client_secret_post=True)
    client = await house.client()
    bad, me = basic(client.client_key, SECRET), {"X-Gateway-Peer": ME}
    form = {"client_id": client.client_key, "client_secret": SECRET}
    answers = [
        await house.post("token", of(ME, bad), grant_type="client_credentials"),
        await house.post("token", of(ME, bad), grant_type="refresh_token", refresh_token="x"),
        await house.post("introspect", of(ME, bad), token="x"),
        await house.post("revoke", me, token="x", **form),
        await house.post("token", me, grant_type="client_credentials", **form),
        await house.http.get(f"/v1/clients/{client.client_id}", headers=of(ME, bad)),
    ]
    assert [answer.status for answer in answers] == [401, 401, 401, 401, 429, 429]


async def test_o11_assertions_count_and_the_client_s_own_goes_on(house_with: MakeHouse, clock: Clock) -> None:
    """Another's signature, and a spent one."""
    house = await house_with(clock=clock, attempts={"per_credential": 3})
    document = await register_key(house)
    me = document["client_id"]

    async def post(source: str, assertion: str) -> int:
        asked = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, "grant_type": "client_credentials"}
        return (await house.post("token", {"X-Gateway-Peer": source}, **asked)).status

    spent = sign(me)
    assert await post(ME, spent) == 200
    forged = sign(me)[:-8] + "AAAAAAAA"
    assert [await post(STRANGER, forged) for _ in range(4)] == [401, 401, 401, 429]
    assert await post(STRANGER, sign(me)) == 429
    assert {await post(ME, spent) for _ in range(20)} == {401}
    assert await post(ME, sign(me)) == 200
    half_a_pair = "e30." + b64encode(b'{"sub": "\\ud800"}').decode().rstrip("=") + ".AAAA"
    assert [await post(STRANGER, half_a_pair) for _ in range(4)] == [401, 401, 401, 429]


async def test_o11_many_passwords_at_once_gain_nothing(house_with: MakeHouse, clock: Clock) -> None:
    """CVE-2024-4629: of 40 at once, no more than 10 are tried, and of those no more than fit."""
    house = await house_with(clock=clock, attempts={"per_credential": 10})
    await house.register()
    answers = await asyncio.gather(*(
        house.http.get("/v1/clients", headers=of(ME, basic("ann", f"wrong-password-{number}"))) for number in range(40)
    ))  # fmt: skip
    statuses = [answer.status for answer in answers]
    assert statuses.count(401) + statuses.count(429) == 40
    assert SHARE <= statuses.count(401) <= 10


async def test_a_client_may_ask_sixty_times_at_once_from_the_start(house: House) -> None:
    client = await house.client()
    answers = await asyncio.gather(*(
        house.post("token", of(ME, by(client)), grant_type="client_credentials") for _ in range(60)
    ))  # fmt: skip
    assert {answer.status for answer in answers} == {200}


async def test_it_passes_with_time(house_with: MakeHouse, clock: Clock) -> None:
    """Retry-After is what it says."""
    house = await house_with(clock=clock, attempts={"per_credential": 2})
    client = await house.client()
    bad = of(ME, basic(client.client_key, SECRET))
    assert [(await house.post("token", bad, **FORM)).status for _ in range(3)] == [401, 401, 429]
    waiting = await house.post("token", of(ME, by(client)), grant_type="client_credentials")
    assert (waiting.status, waiting.headers["Retry-After"], waiting.headers["Cache-Control"]) == (429, "30", "no-store")
    clock.now += 30
    assert (await house.post("token", of(ME, by(client)), grant_type="client_credentials")).status == 200


async def test_loopback_and_one_network_of_ipv6_are_sources_like_any(house_with: MakeHouse, clock: Clock) -> None:
    """And behind a trusted proxy it is the client that counts, as the edge says."""
    house = await house_with(clock=clock, attempts={"per_credential": 2})
    client = await house.client()
    bad = basic(client.client_key, SECRET)

    async def statuses(*headers: dict[str, str]) -> list[int]:
        return [(await house.post("token", {**bad, **more}, **FORM)).status for more in headers]

    assert await statuses(*[{"X-Gateway-Peer": "127.0.0.1"}] * 3) == [401, 401, 429]
    assert await statuses(*[{"X-Gateway-Peer": f"2001:db8::{number}"} for number in range(3)]) == [401, 401, 429]
    assert await statuses({"X-Gateway-Peer": "2001:db8:0:1::1"}) == [401]
    proxied = [{"X-Gateway-Peer": "10.0.0.1", "X-Gateway-Client": f"192.0.2.{number}"} for number in (1, 2, 1, 2, 1)]
    assert await statuses(*proxied) == [401, 401, 401, 401, 429]


async def test_an_outage_is_nobody_s_failure(house: House) -> None:
    """503 as often as one asks, and none of it is held against anybody (O17)."""
    client = await house.client()
    house.clients.broken = {"*"}
    bad = [(await house.post("token", of(ME, basic(client.client_key, SECRET)), **FORM)).status for _ in range(30)]
    house.clients.broken = set()
    assert set(bad) == {503}
    assert (await house.post("token", of(ME, by(client)), **FORM)).status == 200


async def test_a_password_that_was_right_is_not_hashed_again_until_it_changes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has an account can't fill the pool with it (G01); the change, the deletion and another address are noticed."""
    await house.register()
    verified: list[str] = []
    verify = Hasher.verify

    async def counting(self: Hasher, stored: str, password: str, *, source: bytes) -> Verification:
        verified.append(password)
        return await verify(self, stored, password, source=source)

    monkeypatch.setattr(Hasher, "verify", counting)

    async def status(password: str, source: str = ME) -> int:
        return (await house.http.get("/v1/clients", headers=of(source, basic("ann", password)))).status

    assert [await status(PASSWORD) for _ in range(50)] == [200] * 50
    assert verified == [PASSWORD]
    assert await status(PASSWORD, STRANGER) == 200
    assert verified == [PASSWORD] * 2
    headers = of(STRANGER, basic("ann", PASSWORD))
    assert (await house.http.put("/v1/oauth/account/password", headers=headers, json={"password": "another-one"})).status == 204
    assert (await status(PASSWORD), await status(PASSWORD, STRANGER), await status("another-one")) == (401, 401, 200)
    assert (await house.http.delete("/v1/oauth/account", headers=of(ME, basic("ann", "another-one")))).status == 204
    assert await status("another-one") == 401


async def test_g05_registrations_of_one_address(house_with: MakeHouse, clock: Clock) -> None:
    """Taken names count, as each answer says which are taken (G06); what is malformed costs nothing and does not."""
    house = await house_with(clock=clock, attempts={"registrations": 4})

    async def post(path: str, body: dict[str, Any], source: str = ME) -> ClientResponse:
        return await house.http.post(path, json=body, headers={"X-Gateway-Peer": source})

    ann = {"username": "ann", "password": PASSWORD}
    assert [(await post("/v1/register", {"username": "a"})).status for _ in range(9)] == [400] * 9
    assert [(await post("/v1/register", ann)).status for _ in range(2)] == [201, 409]
    assert (await post("/v1/clients", {**ann, "username": "bob"})).status == 201
    assert (await post("/v1/oauth/register", {})).status == 201
    refused = await post("/v1/register", {**ann, "username": "eve"})
    assert (refused.status, (await refused.json())["code"], refused.headers["Retry-After"]) == (429, "too_many_requests", "15")
    refused = await post("/v1/oauth/register", {})
    assert (refused.status, (await refused.json())["error"]) == (429, "temporarily_unavailable")
    changed = await house.http.put(
        "/v1/oauth/account/password", headers=of(ME, basic("ann", PASSWORD)), json={"password": "another-one"}
    )
    assert changed.status == 429
    assert (await post("/v1/register", {**ann, "username": "eve"}, STRANGER)).status == 201
    for source in ("127.0.0.1", "::1"):  # this machine's own, or a proxy's that nobody named
        assert {(await post("/v1/oauth/register", {}, source)).status for _ in range(9)} == {201}
    clock.now += 15
    assert (await post("/v1/oauth/register", {})).status == 201
    assert house.count("gateway_attempts_throttled_total", 'limit="registrations"') == 3


async def test_o10_failures_are_answered_on_a_beat(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a record that is there and one that is not take as long; who is right does not wait."""
    client = await house.client()
    slept: list[float] = []
    sleep = asyncio.sleep

    async def noting(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(throttle.asyncio, "sleep", noting)
    for user in (client.client_key, client.client_id, "gwk_abc" + "A" * 22, "x"):
        assert (await house.post("token", basic(user, SECRET), **FORM)).status == 401
    assert len(slept) == 4
    assert all(0 < seconds <= throttle.SLOT for seconds in slept)
    assert (await house.post("token", by(client), **FORM)).status == 200
    assert len(slept) == 4


async def test_it_is_counted_and_logged_without_what_was_sent(
    house_with: MakeHouse, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """The event at most once a second; each refusal has its reason as ever."""
    house = await house_with(clock=clock, attempts={"per_credential": 2})
    client = await house.client()
    for _ in range(5):
        await house.post("token", of(ME, basic(client.client_key, SECRET)), **FORM)
    assert house.count("gateway_attempts_failed_total", 'kind="client"') == 2
    assert house.count("gateway_attempts_throttled_total", 'limit="per_credential"') == 3
    (event,) = [record for record in caplog.records if record.message == "attempts.throttled"]
    assert event.facts == {"address": ME, "limit": "per_credential", "times": 1}  # type: ignore[attr-defined]
    refusals = [record.facts for record in caplog.records if record.message == "request.refused"]  # type: ignore[attr-defined]
    assert [(facts["status"], facts["reason"]) for facts in refusals[2:]] == [(429, "per_credential")] * 3
    assert SECRET not in caplog.text + str([record.__dict__ for record in caplog.records])
