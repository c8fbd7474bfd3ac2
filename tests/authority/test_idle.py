"""Keys that say where they are used, and retire by themselves when they are not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.oauth.secrets import IssuedKey
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by
from tests.store.shift import pass_time

DAY = 24 * 3_600_000


async def keys(house: House, client: IssuedKey) -> list[dict[str, Any]]:
    answer = await house.http.get(f"/v1/clients/{client.client_id}/keys", headers=basic("ann", PASSWORD))
    assert answer.status == 200
    found: list[dict[str, Any]] = (await answer.json())["keys"]
    return found


async def use(house: House, client: IssuedKey, name: str = "token", source: str = "192.0.2.1", **form: str) -> int:
    form = form or {"grant_type": "client_credentials"}
    headers = {**by(client), "X-Gateway-Peer": source}
    return (await house.http.post(f"/v1/oauth/{name}", data=form, headers=headers)).status


SETTINGS = {"idle_key_ttl": "30d", "access_token_ttl": "90d", "refresh_token_ttl": "90d", "unused_registration_ttl": "0s"}
Later = Callable[[int], Awaitable[House]]


@pytest.fixture
async def house(house_with: MakeHouse) -> House:
    return await house_with(**SETTINGS)


@pytest.fixture
def later(house: House, house_with: MakeHouse) -> Later:
    """The same store after some days, and a worker that has not looked at any key yet: time passes in the store alone here."""

    async def wait(days: int) -> House:
        await pass_time(house.redis, days * DAY)
        return await house_with(house.redis, **SETTINGS)

    return wait


async def test_a_key_that_nobody_uses_retires_and_its_tokens_live_on(house: House, later: Later) -> None:
    client = await house.register("ann")
    token = await house.token(client)
    other = await (await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=by(client))).json()
    assert len(await keys(house, client)) == 2
    house = await later(30)
    assert await keys(house, client) == []
    assert await use(house, client) == 401
    fresh = IssuedKey(client.client_id, other["client_key"], other["client_secret"])
    assert await use(house, fresh) == 401, "never used counts from when it was made"
    answer = await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=basic("ann", PASSWORD))
    new = await answer.json()
    assert answer.status == 201
    assert await house.is_active(IssuedKey(client.client_id, new["client_key"], new["client_secret"]), token["access_token"])


async def test_a_use_is_each_token_and_anything_else_that_asks_for_the_key(house: House, later: Later) -> None:
    """So nobody who only introspects is locked out."""
    client, watcher, manager = [await house.register(name) for name in ("ann", "bob", "eve")]
    token = (await house.token(client))["access_token"]
    for _ in range(4):
        house = await later(29)
        assert await use(house, client) == 200
        assert await use(house, watcher, "introspect", token=token) == 200
        answer = await house.http.get(f"/v1/clients/{manager.client_id}", headers=by(manager))
        assert answer.status == 200
    (key,) = await keys(house, client)
    assert key["retires"] == key["last_used"] + 30 * 86400


async def test_who_manages_a_client_by_an_idle_key_is_refused_too(house: House, later: Later) -> None:
    client = await house.register("ann")
    house = await later(30)
    assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=by(client))).status == 401


async def test_a_wrong_secret_retires_nothing(house: House, later: Later) -> None:
    client, other = await house.register("ann"), await house.register("bob")
    wrong = IssuedKey(client.client_id, client.client_key, other.client_secret)
    house = await later(31)
    assert await use(house, wrong) == 401
    assert await house.clients.find_credential(client.client_key) is not None
    assert await use(house, client) == 401
    assert await house.clients.find_credential(client.client_key) is None


async def test_by_default_none_retires(house_with: MakeHouse) -> None:
    house = await house_with()
    client = await house.register("ann")
    await house.token(client)
    await pass_time(house.redis, 399 * DAY)
    assert await use(house, client) == 200
    (key,) = await keys(house, client)
    assert key["retires"] is None


async def test_a_key_tells_from_how_many_addresses_it_was_used(house: House) -> None:
    """IPv6 by /64; the same one counts once, and what is kept leads back to none."""
    client = await house.register("ann")
    for source in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"):
        assert await use(house, client, source=source) == 200
    (key,) = await keys(house, client)
    assert key["sources"] == 4
    value = await house.redis.get(f"gw:lu:{{{client.client_id[4:7]}}}:{client.client_key}")
    assert len(value.partition(b" ")[2]) == 8
    tokens = await house.token(client)
    await house.refresh(client, tokens["refresh_token"])
    assert (await keys(house, client))[0]["sources"] == 4, "of a request that comes from nowhere, nothing is noted"


async def test_g05_however_many_addresses_there_are_64_are_noted(house: House) -> None:
    client = await house.register("ann")
    for number in range(70):
        await use(house, client, source=f"198.51.100.{number}")
    (key,) = await keys(house, client)
    assert 60 <= key["sources"] <= 64


@pytest.mark.parametrize("name", ["last_used", "retire_credential", "note_use", "now_ms"])
async def test_a_store_that_is_down_is_503_and_not_401(house: House, later: Later, name: str) -> None:
    client = await house.register("ann")
    house = await later(31 if name == "retire_credential" else 1)
    house.clients.broken = {name}
    assert await use(house, client) == 503
