"""``gateway clients add``."""

import pytest

from gateway.authority.enrolment import MAX_CLIENTS
from gateway.authority.operators import add_client
from gateway.errors import Conflict, InvalidInput
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic


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
