"""Clients with names, lives and limits of their own, and how many may register (G05, G08)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by
from tests.store.shift import pass_time

DAY = 24 * 3_600_000
REGISTER = "/v1/oauth/register"


async def show(house: House, client: Any) -> dict[str, Any]:
    found: dict[str, Any] = await (await house.http.get(f"/v1/clients/{client.client_id}", headers=by(client))).json()
    return found


async def test_a_client_has_what_the_operator_set_for_it(house: House) -> None:
    """New tokens at once; live ones keep their time."""
    client = await house.client()
    before = await house.token(client)
    await house.clients.change_client(client.client_id, access_ttl_ms=600_000, refresh_ttl_ms=2 * DAY, max_live_chains=2)
    after = await house.token(client)
    assert (before["expires_in"], after["expires_in"]) == (3600, 600)
    status, refreshed = await house.refresh(client, before["refresh_token"])
    assert (status, refreshed["expires_in"]) == (200, 600)
    shown = await show(house, client)
    assert {name: shown[name] for name in ("access_token_ttl", "refresh_token_ttl", "max_live_chains")} == {
        "access_token_ttl": 600, "refresh_token_ttl": 2 * 86400, "max_live_chains": 2,
    }  # fmt: skip
    await pass_time(house.redis, DAY + 1)
    assert (await house.refresh(client, refreshed["refresh_token"]))[0] == 400, "begun under a day"
    assert (await house.refresh(client, after["refresh_token"]))[0] == 200, "begun under two"


async def test_max_live_chains_of_a_client(house: House) -> None:
    """The oldest loses its refresh token, never its access token."""
    client, other = await house.client(), await house.client()
    await house.clients.change_client(client.client_id, max_live_chains=1)
    first, second = await house.token(client), await house.token(client)
    assert (await house.refresh(client, first["refresh_token"]))[0] == 400
    assert await house.is_active(client, first["access_token"])
    assert (await house.refresh(client, second["refresh_token"]))[0] == 200
    kept = [await house.token(other) for _ in range(2)]
    assert (await house.refresh(other, kept[0]["refresh_token"]))[0] == 200


async def test_max_live_tokens_of_a_client_or_of_all(house_with: MakeHouse) -> None:
    """G05, memory: 429 until one has expired; nothing that is refused is spent, and others are not touched."""
    house = await house_with(max_live_tokens=3)
    client, other = await house.client(), await house.client()
    first = await house.token(client)
    await pass_time(house.redis, 600_000)
    tokens = [first] + [await house.token(client) for _ in range(2)]
    for _ in range(2):
        refused = await house.post("token", by(client), grant_type="client_credentials")
        assert (refused.status, (await refused.json())["error"]) == (429, "temporarily_unavailable")
        assert 3000 <= int(refused.headers["Retry-After"]) <= 3000 + 3600 / 16
    status, document = await house.refresh(client, first["refresh_token"])
    assert (status, document["error"]) == (429, "temporarily_unavailable")
    assert [await house.is_active(client, token["access_token"]) for token in tokens] == [True] * 3
    await house.token(other)
    await pass_time(house.redis, 3_600_000 + 3_600_000 // 16)
    assert (await house.refresh(client, first["refresh_token"]))[0] == 200, "it was refused, not spent"
    assert house.count("gateway_token_refusals_total", 'error="temporarily_unavailable"') == 3

    await house.clients.change_client(other.client_id, max_live_tokens=1)
    assert (await house.post("token", by(other), grant_type="client_credentials")).status == 200
    assert (await house.post("token", by(other), grant_type="client_credentials")).status == 429
    assert (await show(house, other))["max_live_tokens"] == 1


async def test_what_is_as_configured_is_not_shown(house: House) -> None:
    client = await house.client()
    assert (await show(house, client)).keys() == {"client_id", "enabled", "scope", "created", "keys"}
    await house.clients.change_client(client.client_id, access_ttl_ms=600_000)
    await house.clients.change_client(client.client_id, access_ttl_ms=0)
    assert (await house.token(client))["expires_in"] == 3600
    assert "access_token_ttl" not in await show(house, client)


async def test_g08_an_owner_names_a_client(house: House) -> None:
    client = await house.register()
    path, name = f"/v1/clients/{client.client_id}", "Ünï “Orders” <b>"
    for headers in (by(client), basic("ann", PASSWORD)):
        answer = await house.http.patch(path, json={"client_name": name}, headers=headers)
        assert answer.status == 200
        assert (await answer.json())["client_name"] == name
    assert (await show(house, client))["client_name"] == name
    assert (await house.http.patch(path, json={"client_name": ""}, headers=by(client))).status == 200
    assert "client_name" not in await show(house, client)


@pytest.mark.parametrize("body", [
    {}, {"client_name": 1}, {"client_name": "a\r\nb"}, {"client_name": "x" * 201}, {"client_name": "a\u202eb"},
    {"client_name": " "}, {"client_name": "a", "enabled": True}, {"scope": "admin"},
])  # fmt: skip
async def test_g07_g08_a_name_that_is_none_and_anything_else_is_400(house: House, body: dict[str, Any]) -> None:
    client = await house.register()
    answer = await house.http.patch(f"/v1/clients/{client.client_id}", json=body, headers=by(client))
    assert (answer.status, (await answer.json())["code"]) == (400, "invalid_input")
    assert "client_name" not in await show(house, client)


async def test_somebody_elses_client_is_not_renamed(house: House) -> None:
    client, stranger = await house.register(), await house.client()
    path = f"/v1/clients/{client.client_id}"
    assert (await house.http.patch(path, json={"client_name": "x"}, headers=by(stranger))).status == 404
    assert (await house.http.patch(path, json={"client_name": "x"})).status == 401


async def test_rfc7591_2_the_name_of_a_registration_is_the_clients(house: House) -> None:
    """Kept once: whoever changes it, everybody sees it."""
    answer = await house.http.post(REGISTER, json={"client_name": "Orders"})
    said = await answer.json()
    assert said["client_name"] == "Orders"
    client = await house.clients.find_client(said["client_id"])
    assert client.name == "Orders"
    manager = {"Authorization": f"Bearer {said['registration_access_token']}"}
    await house.clients.change_client(said["client_id"], name="Other")
    path = f"{REGISTER}/{said['client_id']}"
    assert (await (await house.http.get(path, headers=manager)).json())["client_name"] == "Other"
    replaced = await house.http.put(path, json={"client_id": said["client_id"]}, headers=manager)
    assert "client_name" not in await replaced.json()
    assert (await house.clients.find_client(said["client_id"])).name == ""


# --- how many may register -----------------------------------------------------------------------------------------


def user(number: int) -> dict[str, str]:
    return {"username": f"user-{number}", "password": PASSWORD}


async def test_g05_of_fifty_at_the_edge_of_the_cap_as_many_as_there_is_room_for(house_with: MakeHouse) -> None:
    """By either way in."""
    house = await house_with(max_clients=3, attempts={"registrations": 0})
    answers = await asyncio.gather(*(house.http.post(REGISTER, json={}) for _ in range(50)))
    assert sorted(answer.status for answer in answers) == [201] * 3 + [503] * 47
    (refused,) = {answer.headers["Retry-After"] for answer in answers if answer.status == 503}
    assert refused == "60"
    answer = await house.http.post("/v1/register", json=user(1))
    assert (answer.status, (await answer.json())["code"]) == (503, "overloaded")
    assert await house.redis.keys("gw:a[cm]:*") == [], "the name is free"
    assert len(await house.redis.keys("gw:cl:*")) == 3


async def test_g05_what_is_deleted_or_has_vanished_makes_room(house_with: MakeHouse) -> None:
    house = await house_with(max_clients=2, unused_registration_ttl="1d")
    first, unused = await house.register("ann"), await house.register("bob")
    await house.token(first)
    assert (await house.http.post("/v1/register", json=user(1))).status == 503
    await pass_time(house.redis, DAY)
    third = await house.register("eve")
    assert (await house.http.post("/v1/register", json=user(1))).status == 503, "who got a token stays, and counts"
    assert await house.clients.find_client(unused.client_id) is None
    assert (await house.http.delete(f"/v1/clients/{first.client_id}", headers=by(first))).status == 204
    await house.register("joe")
    assert await house.clients.find_client(third.client_id) is not None


async def test_g05_a_registration_that_comes_to_nothing_counts_two_minutes(house_with: MakeHouse) -> None:
    house = await house_with(max_clients=1)
    house.clients.broken = {"confirm_username"}
    assert (await house.http.post("/v1/register", json=user(1))).status == 503
    house.clients.broken = set()
    await pass_time(house.redis, 120_000)
    await house.register("ann")


async def test_g05_the_operators_clients_do_not_count(house_with: MakeHouse) -> None:
    house = await house_with(max_clients=1)
    for _ in range(3):
        await house.client()
    await house.register("ann")
    await house.client()
    assert await house.redis.zcard("gw:rs") == 1
