"""``oauth.unused_registration_ttl``: who registers and never gets a token is gone, name and all (G05)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.authority.enrolment import MAX_CLIENTS
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by
from tests.authority.test_describe import get_token, manager, path, register
from tests.servers import fake_redis
from tests.store.shift import pass_time

DAY = 24 * 3600 * 1000
LIFE = {"unused_registration_ttl": "2d"}


async def attach(house: House) -> dict[str, Any]:
    answer = await house.http.post("/v1/clients", headers=basic("ann", PASSWORD))
    assert answer.status == 201, await answer.text()
    document: dict[str, Any] = await answer.json()
    return document


async def test_an_unused_registration_is_gone_with_its_account(house_with: MakeHouse) -> None:
    """Nothing of it stays in the store; the name can be registered again."""
    redis = fake_redis()
    house = await house_with(redis, **LIFE)
    await house.register("ann")
    await register(house)
    await pass_time(redis, 2 * DAY)
    assert await redis.keys("*") == []
    await house.register("ann")


async def test_at_the_last_moment_it_still_lives(house_with: MakeHouse) -> None:
    redis = fake_redis()
    house = await house_with(redis, **LIFE)
    client = await house.register("ann")
    await pass_time(redis, 2 * DAY - 60_000)
    assert await house.token(client)


async def test_a_token_keeps_the_client_for_ever(house_with: MakeHouse) -> None:
    """With all that belongs to it: account, keys that were added before, and what it said of itself."""
    redis = fake_redis()
    house = await house_with(redis, **LIFE)
    client, described = await house.register("ann"), await register(house)
    added = await (await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=by(client))).json()
    await house.token(client)
    assert (await get_token(house, described))[0] == 200
    await pass_time(redis, 500 * DAY)
    assert (await house.http.get("/v1/clients", headers=basic("ann", PASSWORD))).status == 200
    assert (await get_token(house, added, "client_key"))[0] == 200
    assert (await get_token(house, described))[0] == 200
    assert (await house.http.get(path(described), headers=manager(described))).status == 200


async def test_what_the_operator_makes_stays(house_with: MakeHouse) -> None:
    """So does an account that the operator gave a client."""
    redis = fake_redis()
    house = await house_with(redis, **LIFE)
    alone, of_bob = await house.client(), await house.client(username="bob")
    await house.register("ann")
    of_ann = await house.client(username="ann")
    await pass_time(redis, 500 * DAY)
    for client in (alone, of_bob, of_ann):
        assert await house.token(client)
    assert (await house.http.get("/v1/clients", headers=basic("ann", PASSWORD))).status == 200


async def test_zero_is_for_ever(house_with: MakeHouse) -> None:
    redis = fake_redis()
    house = await house_with(redis, unused_registration_ttl="0s")
    client = await house.register("ann")
    await pass_time(redis, 3650 * DAY)
    assert await house.token(client)


async def test_an_account_lives_as_long_as_the_last_of_its_clients(house_with: MakeHouse) -> None:
    """A client that was added on the account's last day does not lose it."""
    redis = fake_redis()
    house = await house_with(redis, **LIFE)
    first = await house.register("ann")
    await pass_time(redis, DAY)
    second = await attach(house)
    await pass_time(redis, DAY)
    assert (await house.post("token", by(first), grant_type="client_credentials")).status == 401
    listed = await (await house.http.get("/v1/clients", headers=basic("ann", PASSWORD))).json()
    assert listed == {"clients": [second["client_id"]]}
    account = await (await house.http.get("/v1/oauth/account", headers=basic("ann", PASSWORD))).json()
    assert account["clients"] == [second["client_id"]]


async def test_clients_that_are_gone_leave_room_for_others(house_with: MakeHouse) -> None:
    """Only those that live count."""
    redis = fake_redis()
    house = await house_with(redis, **LIFE)
    await house.token(await house.register("ann"))
    for _ in range(MAX_CLIENTS - 1):
        await attach(house)
    assert (await house.http.post("/v1/clients", headers=basic("ann", PASSWORD))).status == 409
    await pass_time(redis, 2 * DAY)
    await attach(house)


@pytest.mark.parametrize("broken", ["keep_account", "keep_client"])
async def test_nobody_gets_a_token_of_a_client_that_would_vanish(house_with: MakeHouse, broken: str) -> None:
    """503, and the next try keeps it."""
    redis = fake_redis()
    house = await house_with(redis, **LIFE)
    client = await house.register("ann")
    house.clients.broken.add(broken)
    assert (await house.post("token", by(client), grant_type="client_credentials")).status == 503
    house.clients.broken.clear()
    await house.token(client)
    await pass_time(redis, 500 * DAY)
    await house.token(client)
    assert await house.clients.find_account("ann") is not None


async def test_only_the_first_token_pays_for_it(house_with: MakeHouse) -> None:
    """Then the store is asked no more than before."""
    house = await house_with(**LIFE)
    client = await house.register("ann")
    for kept in (2, 0):
        house.clients.calls.clear()
        await house.token(client)
        assert sum(call.startswith("keep_") for call in house.clients.calls) == kept


async def test_who_waits_longer_than_that_is_gone(house_with: MakeHouse) -> None:
    """Approval alone is no use: a token is."""
    redis = fake_redis()
    house = await house_with(redis, registration="approval", **LIFE)
    await house.register("ann")
    client = await house.register("bob")
    assert await house.admissions.decide(client.client_id, approved=True)
    await pass_time(redis, DAY)
    await house.token(client)
    await pass_time(redis, DAY)
    assert await house.clients.find_account("ann") is None
    assert await house.token(client)
