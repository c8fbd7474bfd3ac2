"""``/v1/oauth/account``."""

from __future__ import annotations

import time

import pytest

from gateway.oauth.secrets import IssuedKey
from tests.authority.conftest import PASSWORD, House, basic, by

PATH = "/v1/oauth/account"
ANN = basic("ann", PASSWORD)
NEW = "another-password"


async def second_client(house: House) -> IssuedKey:
    answer = await house.http.post("/v1/clients", headers=ANN)
    return IssuedKey(**await answer.json())


async def test_an_account_sees_itself(house: House) -> None:
    first = await house.register()
    second = await second_client(house)
    answer = await house.http.get(PATH, headers=basic("ANN", PASSWORD))
    document = await answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert abs(document.pop("created") - time.time()) < 60
    assert document == {"username": "ann", "clients": [first.client_id, second.client_id]}


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("DELETE", ""), ("PUT", "/password"), ("POST", "/sign-out")])
async def test_only_the_password_opens_it(house: House, method: str, suffix: str) -> None:
    """No key of a client does, and unknown and wrong are one answer (O10)."""
    client = await house.register()
    pair = await house.token(client)
    seen = set()
    for headers in ({}, by(client), basic("ann", "wrong-password"), basic("nobody", PASSWORD)):
        answer = await house.http.request(method, PATH + suffix, headers=headers, json={"password": NEW})
        seen.add((answer.status, answer.headers["WWW-Authenticate"], await answer.text()))
    assert len(seen) == 1
    assert seen.pop()[0] == 401
    assert await house.is_active(client, pair["access_token"])
    assert (await house.http.get(PATH, headers=ANN)).status == 200


async def test_a_new_password_replaces_the_old_one_and_ends_no_token(house: House) -> None:
    client = await house.register()
    pair = await house.token(client)
    assert (await house.http.put(f"{PATH}/password", headers=ANN, json={"password": NEW})).status == 204
    assert (await house.http.get(PATH, headers=ANN)).status == 401
    assert (await house.http.get(PATH, headers=basic("ann", NEW))).status == 200
    assert await house.is_active(client, pair["access_token"])


@pytest.mark.parametrize(
    "body", [{}, {"password": "short"}, {"password": "x" * 257}, {"password": None}, {"password": NEW, "username": "bob"}, []]
)
async def test_a_bad_new_password_is_400_and_changes_nothing(house: House, body: object) -> None:
    """Refused before anything is hashed (G04)."""
    await house.register()
    answer = await house.http.put(f"{PATH}/password", headers=ANN, json=body)
    assert (answer.status, (await answer.json())["code"]) == (400, "invalid_input")
    assert (await house.http.get(PATH, headers=ANN)).status == 200


async def test_of_two_changes_at_once_one_wins(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one is told: nobody believes in a password that is not there."""
    await house.register()
    change = house.clients.change_password_hash

    async def meanwhile(username: str, old: str, new: str) -> bool:
        await change(username, old, await house.hasher.hash("somebody-faster"))
        return bool(await change(username, old, new))

    monkeypatch.setattr(house.clients, "change_password_hash", meanwhile, raising=False)
    answer = await house.http.put(f"{PATH}/password", headers=ANN, json={"password": NEW})
    assert (answer.status, (await answer.json())["code"]) == (409, "conflict")
    assert (await house.http.get(PATH, headers=basic("ann", "somebody-faster"))).status == 200


async def test_signing_out_ends_all_tokens_of_all_clients_and_nobody_else_s(house: House) -> None:
    first, stranger = await house.register(), await house.register("bob")
    second = await second_client(house)
    mine = [await house.token(first), await house.token(second)]
    theirs = await house.token(stranger)
    assert (await house.http.post(f"{PATH}/sign-out", headers=ANN)).status == 204
    for client, pair in zip((first, second), mine, strict=True):
        assert not await house.is_active(client, pair["access_token"])
        assert (await house.refresh(client, pair["refresh_token"]))[0] == 400
        assert await house.token(client)
    assert await house.is_active(stranger, theirs["access_token"])


async def test_a_deleted_account_takes_its_clients_along_and_frees_its_name(house: House) -> None:
    first, stranger = await house.register(), await house.register("bob")
    second = await second_client(house)
    pair = await house.token(second)
    assert (await house.http.delete(PATH, headers=ANN)).status == 204
    assert (await house.http.get(PATH, headers=ANN)).status == 401
    assert not await house.is_active(stranger, pair["access_token"])
    for client in (first, second):
        assert (await house.post("token", by(client), grant_type="client_credentials")).status == 401
    again = await house.register(password=NEW)
    assert again.client_id not in (first.client_id, second.client_id)
    assert (await house.http.get(PATH, headers=basic("bob", PASSWORD))).status == 200


async def test_a_client_that_was_added_meanwhile_is_deleted_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """No client of a name that is free may stay behind."""
    await house.register()
    delete, added = house.clients.delete_client, []

    async def meanwhile(client_id: str) -> bool:
        if not added:
            added.append(await second_client(house))
        return bool(await delete(client_id))

    monkeypatch.setattr(house.clients, "delete_client", meanwhile, raising=False)
    assert (await house.http.delete(PATH, headers=ANN)).status == 204
    assert (await house.post("token", by(added[0]), grant_type="client_credentials")).status == 401


@pytest.mark.parametrize("broken", ["find_account", "delete_client", "unlink_client", "delete_account", "change_client"])
async def test_a_store_that_fails_is_503_and_it_can_be_repeated(house: House, broken: str) -> None:
    """Never a 204 for what may still live (O19)."""
    client = await house.register()
    house.clients.broken.add(broken)
    method, path = ("POST", f"{PATH}/sign-out") if broken == "change_client" else ("DELETE", PATH)
    assert (await house.http.request(method, path, headers=ANN)).status == 503
    house.clients.broken.clear()
    assert (await house.http.request(method, path, headers=ANN)).status == 204
    status = (await house.post("token", by(client), grant_type="client_credentials")).status
    assert status == (200 if broken == "change_client" else 401)
