"""``oauth.registration``: token (initial access tokens, RFC 7591 section 3) and approval, at both ways to register."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientResponse

from gateway.authority import operators
from gateway.authority.hasher import SHARE
from gateway.oauth import tokens as formats
from gateway.oauth.secrets import IssuedKey
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by
from tests.authority.test_assertion import post as post_assertion
from tests.authority.test_assertion import register as register_key
from tests.authority.test_assertion import sign

PLAIN, DESCRIBED = "/v1/register", "/v1/oauth/register"
BOTH = pytest.mark.parametrize("path", [PLAIN, DESCRIBED])
FOREIGN = formats.mint_initial("abc", bytes(32))


async def invite(house: House, uses: int = 1) -> str:
    """An initial access token."""
    made = await operators.add_initial(house.admissions, uses=uses, life=timedelta(days=1))
    house.issued.append(str(made["initial_access_token"]))
    return house.issued[-1]


async def register(house: House, path: str, token: str | None = None, name: str = "ann", **more: Any) -> ClientResponse:
    """A registration, with a token."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    body = {"username": name, "password": PASSWORD} if path == PLAIN else {"client_name": name}
    return await house.http.post(path, headers=headers, json={**body, **more})


async def registered(house: House, path: str, name: str = "ann") -> dict[str, Any]:
    """What a registration is answered."""
    answer = await register(house, path, name=name)
    assert answer.status == 201, await answer.text()
    document: dict[str, Any] = await answer.json()
    return document


def key_of(document: dict[str, Any]) -> IssuedKey:
    return IssuedKey(document["client_id"], document["client_key"], document["client_secret"])


async def get_token(house: House, document: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    answer = await house.post("token", by(key_of(document)), grant_type="client_credentials")
    return answer.status, await answer.json()


# --- registration: token -------------------------------------------------------------------------------------------


@BOTH
async def test_rfc7591_3_a_registration_with_an_initial_access_token(house_with: MakeHouse, path: str) -> None:
    """The answer is that of an open registration, and the client gets tokens."""
    house = await house_with(registration="token")
    answer = await register(house, path, await invite(house))
    document = await answer.json()
    assert (answer.status, "pending" in document) == (201, False)
    assert (await get_token(house, document))[0] == 200


@BOTH
async def test_rfc6750_3_without_a_token_there_is_a_bare_challenge(house_with: MakeHouse, path: str) -> None:
    """An account's credentials are none either: more clients of an account are the operator's to make."""
    house = await house_with(registration="token")
    await house.client(username="ann")
    for headers in ({}, basic("ann", PASSWORD)):
        answer = await house.http.post(path, headers=headers, json={"username": "bob", "password": PASSWORD})
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="gateway"'


@BOTH
@pytest.mark.parametrize("token", [FOREIGN, FOREIGN[:-1], "x", formats.mint_access("abc", bytes(32)), ""])
async def test_rfc6750_3_1_a_wrong_token_is_invalid_token(house_with: MakeHouse, path: str, token: str) -> None:
    """And nothing is told of what else would be wrong."""
    house = await house_with(registration="token")
    answer = await register(house, path, token, odd=1)
    document = await answer.json()
    assert (answer.status, document.get("error", document.get("code"))) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="gateway", error="invalid_token"'
    assert answer.headers["Cache-Control"] == "no-store"


@BOTH
async def test_a_spent_token_registers_nobody(house_with: MakeHouse, path: str) -> None:
    house = await house_with(registration="token")
    token = await invite(house)
    assert [(await register(house, path, token, name=name)).status for name in ("ann", "bob")] == [201, 401]
    assert await house.clients.find_account("bob") is None


@BOTH
async def test_g02_at_once_a_token_is_good_for_its_uses(house_with: MakeHouse, path: str) -> None:
    """Whoever comes second finds it spent, though it was good a moment ago."""
    house = await house_with(registration="token")
    token = await invite(house, uses=2)
    answers = await asyncio.gather(*(register(house, path, token, name=f"user-{n}") for n in range(6)))
    assert sorted(answer.status for answer in answers) == [201, 201, 401, 401, 401, 401]


@BOTH
async def test_what_is_refused_for_its_body_costs_no_use(house_with: MakeHouse, path: str) -> None:
    house = await house_with(registration="token")
    token = await invite(house)
    wrong = {"password": "short"} if path == PLAIN else {"client_name": ""}
    assert (await register(house, path, token, **wrong)).status == 400
    assert (await register(house, path, token)).status == 201


async def test_too_many_passwords_at_a_time_cost_no_use(house_with: MakeHouse) -> None:
    """429 says come again: with the same token."""
    house = await house_with(registration="token", attempts={"registrations": 0})
    token, peer = await invite(house, uses=SHARE + 1), "192.0.2.1"

    async def status(name: str) -> int:
        headers = {"Authorization": f"Bearer {token}", "X-Gateway-Peer": peer}
        return (await house.http.post(PLAIN, headers=headers, json={"username": name, "password": PASSWORD})).status

    statuses = await asyncio.gather(*(status(f"user-{number}") for number in range(SHARE + 1)))
    assert sorted(statuses) == [201] * SHARE + [429]
    assert await status("late") == 201
    assert await status("too-late") == 401


async def test_a_name_that_is_taken_costs_no_use(house_with: MakeHouse) -> None:
    house = await house_with(registration="token")
    await house.client(username="ann")
    token = await invite(house)
    assert (await register(house, PLAIN, token)).status == 409
    assert (await register(house, PLAIN, token, name="bob")).status == 201


@BOTH
async def test_a_store_that_fails_half_way_costs_the_use(house_with: MakeHouse, path: str) -> None:
    """Nobody knows what came into being: one registration less is the safe side."""
    house = await house_with(registration="token")
    token = await invite(house)
    house.clients.broken.add("keep_client")
    assert (await register(house, path, token)).status == 503
    house.clients.broken.clear()
    assert (await register(house, path, token, name="bob")).status == 401


@BOTH
@pytest.mark.parametrize("broken", ["find_initial", "spend_initial"])
async def test_an_unknown_answer_of_the_store_is_no_yes(house_with: MakeHouse, path: str, broken: str) -> None:
    house = await house_with(registration="token")
    token = await invite(house)
    house.admissions.broken.add(broken)
    assert (await register(house, path, token)).status == 503
    house.admissions.broken.clear()
    assert (await register(house, path, token)).status == 201


async def test_an_account_gets_no_more_clients_by_itself(house_with: MakeHouse) -> None:
    """One initial access token is one client, not twenty."""
    house = await house_with(registration="token", registration_paths=["register"])
    await register(house, PLAIN, await invite(house))
    answer = await house.http.post("/v1/clients", headers=basic("ann", PASSWORD))
    assert answer.status == 403


@BOTH
async def test_o11_guessing_tokens_is_limited_per_address(house_with: MakeHouse, path: str) -> None:
    """Somebody else, with a right one, is not in the way of it."""
    house = await house_with(registration="token", attempts={"per_credential": 2})
    statuses = []
    for number in range(3):
        wrong = formats.mint_initial("abc", bytes([number] * 32))
        headers = {"Authorization": f"Bearer {wrong}", "X-Gateway-Peer": "192.0.2.1"}
        statuses.append((await house.http.post(path, headers=headers, json={})).status)
    assert statuses == [401, 401, 429]
    assert (await register(house, path, await invite(house))).status == 201


async def test_a_found_initial_access_token_is_ended(house_with: MakeHouse) -> None:
    house = await house_with(registration="token")
    token, reporter = await invite(house), await house.client()
    for revoked in (1, 0):
        answer = await house.http.post("/v1/oauth/leaks", headers=by(reporter), json={"found": [token]})
        assert (await answer.json())["revoked"] == revoked
    assert (await register(house, PLAIN, token)).status == 401


@BOTH
async def test_the_log_says_which_token_and_not_the_token(
    house_with: MakeHouse, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    house = await house_with(registration="token")
    made = await operators.add_initial(house.admissions, uses=1, life=timedelta(days=1))
    token = str(made["initial_access_token"])
    assert (await register(house, path, token)).status == 201
    assert (await register(house, path, token, name="bob")).status == 401
    events = [record.facts for record in caplog.records if record.msg == "client.registered"]  # type: ignore[attr-defined]
    assert [event["token_id"] for event in events] == [made["token_id"]]
    assert token not in str([record.__dict__ for record in caplog.records])


@pytest.mark.parametrize("mode", ["open", "approval", "token", "closed"])
async def test_rfc8414_2_the_metadata_names_the_endpoint_where_one_may_register(house_with: MakeHouse, mode: str) -> None:
    house = await house_with(registration=mode)
    document = await (await house.http.get("/.well-known/oauth-authorization-server")).json()
    assert ("registration_endpoint" in document) == (mode != "closed")


# --- registration: approval ----------------------------------------------------------------------------------------


@BOTH
async def test_rfc6749_5_2_who_waits_is_unauthorized_client(house_with: MakeHouse, path: str) -> None:
    """Its secret is right, so it is not invalid_client; a wrong one is, and tells nothing."""
    house = await house_with(registration="approval")
    document = await registered(house, path)
    assert document["pending"] is True
    status, refused = await get_token(house, document)
    assert (status, refused["error"]) == (400, "unauthorized_client")
    assert refused["error_description"] == "The client waits for the approval of the operator"
    wrong = basic(document["client_key"], formats.mint_secret("abc", bytes(32)))
    answer = await house.post("token", wrong, grant_type="client_credentials")
    assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("endpoint", ["introspect", "revoke", "leaks"])
async def test_who_waits_is_unauthorized_everywhere(house_with: MakeHouse, endpoint: str) -> None:
    house = await house_with(registration="approval")
    document = await registered(house, PLAIN)
    body: dict[str, Any] = {"json": {"found": ["x"]}} if endpoint == "leaks" else {"data": {"token": "x"}}
    answer = await house.http.post(f"/v1/oauth/{endpoint}", headers=by(key_of(document)), **body)
    assert (answer.status, (await answer.json())["error"]) == (400, "unauthorized_client")


async def test_rfc7523_a_key_that_waits_is_unauthorized_too(house_with: MakeHouse) -> None:
    house = await house_with(registration="approval")
    client_id = (await register_key(house))["client_id"]
    status, refused = await post_assertion(house, sign(client_id))
    assert (status, refused["error"]) == (400, "unauthorized_client")
    await operators.approve_client(house.clients, house.admissions, client_id)
    assert (await post_assertion(house, sign(client_id)))[0] == 200


@BOTH
async def test_an_approved_client_gets_tokens(house_with: MakeHouse, path: str) -> None:
    house = await house_with(registration="approval")
    document = await registered(house, path)
    await operators.approve_client(house.clients, house.admissions, document["client_id"])
    assert (await get_token(house, document))[0] == 200
    assert await operators.list_pending(house.clients, house.admissions) == []


@BOTH
async def test_a_refused_client_is_gone(house_with: MakeHouse, path: str) -> None:
    """Its name is free again, and nothing of it is listed."""
    house = await house_with(registration="approval")
    document = await registered(house, path)
    await operators.refuse_client(house.clients, house.admissions, document["client_id"])
    assert (await get_token(house, document))[0] == 401
    assert await house.clients.find_account("ann") is None
    assert await operators.list_pending(house.clients, house.admissions) == []
    assert (await register(house, path)).status == 201


async def test_another_client_of_an_account_waits_too_and_refusing_it_leaves_the_account(house_with: MakeHouse) -> None:
    """What the operator made for the same account is not touched."""
    house = await house_with(registration="approval")
    first = await registered(house, PLAIN)
    await operators.approve_client(house.clients, house.admissions, first["client_id"])
    answer = await house.http.post("/v1/clients", headers=basic("ann", PASSWORD))
    second = await answer.json()
    assert (answer.status, second["pending"]) == (201, True)
    assert (await get_token(house, second))[1]["error"] == "unauthorized_client"
    await operators.refuse_client(house.clients, house.admissions, second["client_id"])
    assert (await get_token(house, first))[0] == 200
    account = await house.clients.find_account("ann")
    assert account.client_ids == (first["client_id"],)


async def test_the_operator_sees_who_waits(house_with: MakeHouse) -> None:
    """By what each said of itself, who came first first; who is gone or approved meanwhile is not listed."""
    house = await house_with(registration="approval")
    plain, described = await registered(house, PLAIN), await registered(house, DESCRIBED, name="Orders")
    gone, enabled = await registered(house, PLAIN, name="gone"), await registered(house, PLAIN, name="enabled")
    await house.clients.delete_client(gone["client_id"])
    await house.clients.change_client(enabled["client_id"], enabled=True)
    listed = await operators.list_pending(house.clients, house.admissions)
    assert sorted(one.get("username") or one["client_name"] for one in listed) == ["Orders", "ann"]
    assert {one["client_id"] for one in listed} == {plain["client_id"], described["client_id"]}
    assert len(await house.admissions.pending()) == 2


async def test_who_waits_may_look_at_itself_and_leave(house_with: MakeHouse) -> None:
    """By its key, as any client: nobody has to keep what he asked for."""
    house = await house_with(registration="approval")
    document = await registered(house, PLAIN)
    headers, at = by(key_of(document)), f"/v1/clients/{document['client_id']}"
    shown = await (await house.http.get(at, headers=headers)).json()
    assert (shown["enabled"], shown["pending"]) == (False, True)
    assert (await house.http.delete(at, headers=headers)).status == 204
    assert await operators.list_pending(house.clients, house.admissions) == []


async def test_rfc7592_2_1_who_waits_is_told_so(house_with: MakeHouse) -> None:
    """And an update changes nothing of it."""
    house = await house_with(registration="approval")
    document = await registered(house, DESCRIBED)
    at = f"{DESCRIBED}/{document['client_id']}"
    headers = {"Authorization": f"Bearer {document['registration_access_token']}"}
    assert (await (await house.http.get(at, headers=headers)).json())["pending"] is True
    change = {"client_id": document["client_id"], "client_name": "New"}
    assert (await house.http.put(at, headers=headers, json=change)).status == 200
    assert (await get_token(house, document))[1]["error"] == "unauthorized_client"
    await operators.approve_client(house.clients, house.admissions, document["client_id"])
    assert "pending" not in await (await house.http.get(at, headers=headers)).json()


async def test_g05_beyond_what_may_wait_registrations_are_503(house_with: MakeHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is left of them: the name can be registered later."""
    house = await house_with(registration="approval")
    monkeypatch.setattr("gateway.store.admissions.MAX_PENDING", 1)
    await registered(house, PLAIN)
    for path in (PLAIN, DESCRIBED):
        answer = await register(house, path, name="bob")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert await house.clients.find_account("bob") is None
    monkeypatch.undo()
    assert (await register(house, PLAIN, name="bob")).status == 201
