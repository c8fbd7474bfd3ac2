"""``gateway clients``."""

from datetime import timedelta

import pytest

from gateway.authority import operators
from gateway.authority.enrolment import MAX_CLIENTS
from gateway.authority.operators import add_client
from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.oauth import tokens as formats
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by


async def test_a_client_without_an_account(house_with: MakeHouse) -> None:
    """Works while registration is closed, with any scopes."""
    house = await house_with(registration="closed", scopes={"a": "", "b": ""})
    client = await house.client("a b")
    assert (await house.token(client))["scope"] == "a b"
    assert (await house.clients.find_client(client.client_id)).account == ""


async def test_a_client_of_a_new_account(house: House) -> None:
    """With a password the account can log in."""
    client = await add_client(house.clients, house.hasher, username="Ann", password=PASSWORD)
    assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=basic("ann", PASSWORD))).status == 200


async def test_a_client_of_an_existing_account(house: House) -> None:
    """It keeps its password, so one may not be given."""
    first = await house.register("ann")
    second = await add_client(house.clients, house.hasher, username="ANN", scopes=frozenset({"a"}))
    assert (await house.clients.find_account("ann")).client_ids == (first.client_id, second.client_id)
    assert (await house.clients.find_client(second.client_id)).account == "ann"
    with pytest.raises(Conflict):
        await add_client(house.clients, house.hasher, username="ann", password="another-password")


async def test_the_rules_hold_for_operators_too(house: House) -> None:
    """Username, password, permissions, clients of an account."""
    unknown = frozenset({"introspect:all"})
    for wrong in ({"username": "a"}, {"username": "ann", "password": "short"}, {"username": None, "permissions": unknown}):
        with pytest.raises(InvalidInput):
            await add_client(house.clients, house.hasher, **wrong)
    for _ in range(MAX_CLIENTS):
        await house.client(username="ann")
    with pytest.raises(Conflict):
        await house.client(username="ann")


async def test_what_the_operator_makes_waits_for_nobody(house_with: MakeHouse) -> None:
    house = await house_with(registration="approval")
    assert await house.token(await house.client(username="ann"))


async def test_a_disabled_client_is_dead_until_it_is_enabled(house: House) -> None:
    """Its tokens with it; what lives once more has not expired meanwhile."""
    client, other = await house.client(), await house.client()
    pair = await house.token(client)
    await operators.disable_client(house.clients, house.admissions, client.client_id)
    assert (await house.post("token", by(client), grant_type="client_credentials")).status == 401
    assert not await house.is_active(other, pair["access_token"])
    await operators.enable_client(house.clients, house.admissions, client.client_id)
    assert await house.is_active(client, pair["access_token"])


async def test_a_deleted_client_is_off_its_account(house: House) -> None:
    first, second = await house.client(username="ann"), await house.client(username="ann")
    pair = await house.token(first)
    await operators.delete_client(house.clients, house.admissions, first.client_id)
    assert (await house.clients.find_account("ann")).client_ids == (second.client_id,)
    assert not await house.is_active(second, pair["access_token"])


async def test_nobody_can_be_decided_on_twice_or_by_another_word(house_with: MakeHouse) -> None:
    """Who waits is approved, not enabled; who does not wait is neither approved nor refused."""
    house = await house_with(registration="approval")
    waiting, client, gone = await house.register(), await house.client(), formats.mint_client_id("abc", bytes(16))
    stores = house.clients, house.admissions
    with pytest.raises(Conflict):
        await operators.enable_client(*stores, waiting.client_id)
    await operators.approve_client(*stores, waiting.client_id)
    for client_id in (waiting.client_id, client.client_id, gone, "x"):
        for act in (operators.approve_client, operators.refuse_client):
            with pytest.raises(Conflict):
                await act(*stores, client_id)
    for act in (operators.disable_client, operators.enable_client, operators.delete_client):
        for client_id in (gone, "x"):
            with pytest.raises(NotFound):
                await act(*stores, client_id)
    assert await house.token(client)


async def test_an_initial_access_token_is_good_for_something_and_not_for_ever(house: House) -> None:
    day = timedelta(days=1)
    for uses, life in ((0, day), (-1, day), (operators.MAX_USES + 1, day), (1, 0 * day), (1, 401 * day)):
        with pytest.raises(InvalidInput):
            await operators.add_initial(house.admissions, uses=uses, life=life)
    made = await operators.add_initial(house.admissions, uses=2, life=day)
    assert (made["uses"], made["expires_in"]) == (2, 86_400)
    assert await operators.end_initial(house.admissions, str(made["initial_access_token"])) == {"ended": made["token_id"]}
    for over in (str(made["initial_access_token"]), "x", "é"):
        with pytest.raises(NotFound):
            await operators.end_initial(house.admissions, over)
