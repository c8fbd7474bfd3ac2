"""``/v1/clients/{client_id}``."""

import time

import pytest

from gateway.oauth import tokens as formats
from gateway.oauth.secrets import IssuedKey
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by


async def test_who_owns_a_client_sees_it(house_with: MakeHouse) -> None:
    """By username:password, client_key:secret or client_id:secret."""
    house = await house_with(scopes={"a": "", "b": ""}, default_scopes=["b", "a"])
    client = await house.register()
    for headers in (basic("ANN", PASSWORD), by(client), basic(client.client_id, client.client_secret)):
        answer = await house.http.get(f"/v1/clients/{client.client_id}", headers=headers)
        document = await answer.json()
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        assert abs(document.pop("created") - time.time()) < 60
        assert document == {"client_id": client.client_id, "enabled": True, "scope": "a b", "keys": [client.client_key]}


async def test_foreign_and_unknown_clients_are_one_404(house: House) -> None:
    """For an account and for a client, siblings included: nothing tells which ids exist."""
    mine, foreign = await house.register("ann"), await house.register("bob")
    sibling = await house.client(username="ann")
    ids = [foreign.client_id, formats.mint_client_id("abc", bytes(16)), "x", "gwc_", "%00", "*", "a" * 300]
    seen = set()
    for headers in (basic("ann", PASSWORD), by(mine)):
        for client_id in ids:
            for method, suffix in (("GET", ""), ("DELETE", ""), ("GET", "/keys"), ("POST", "/keys"), ("DELETE", "/keys/x")):
                answer = await house.http.request(method, f"/v1/clients/{client_id}{suffix}", headers=headers)
                seen.add((answer.status, await answer.text()))
    assert len(seen) == 1
    assert seen.pop()[0] == 404
    assert (await house.http.get(f"/v1/clients/{sibling.client_id}", headers=by(mine))).status == 404
    assert (await house.http.get(f"/v1/clients/{sibling.client_id}", headers=basic("ann", PASSWORD))).status == 200
    assert await house.clients.find_client(foreign.client_id) is not None


async def test_wrong_credentials_are_one_401(house: House) -> None:
    """For existing and unknown clients alike, with a Basic challenge and a pointer to the token endpoint."""
    client, other = await house.register(), await house.client()
    seen = set()
    for client_id in (client.client_id, formats.mint_client_id("abc", bytes(16))):
        for headers in (
            {}, basic("ann", "wrong-password"), basic("nobody", PASSWORD), basic("ann", ""), basic("", ""), basic("ann", "short"),
            basic(client.client_key, other.client_secret), basic(client.client_key, PASSWORD), basic("ann", client.client_secret),
            basic(formats.mint_client_key("abc", bytes(16)), client.client_secret), {"Authorization": "Basic !!!"},
            {"Authorization": "Bearer x"}, basic("é\x00", PASSWORD), basic("ann", "x" * 257),
        ):
            answer = await house.http.get(f"/v1/clients/{client_id}", headers=headers)
            seen.add((answer.status, answer.headers["WWW-Authenticate"], await answer.text()))
    assert len(seen) == 1
    status, challenge, text = seen.pop()
    assert (status, challenge) == (401, 'Basic realm="gateway", charset="UTF-8"')
    assert '"token_endpoint":"http://127.0.0.1:8080/v1/oauth/token"' in text


async def test_an_unknown_account_costs_the_hash_of_a_wrong_password(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every well-formed attempt runs argon2 exactly once; a malformed one never (O10)."""
    client = await house.register()
    runs: list[str] = []
    original = house.hasher._argon2.verify

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(argon2, name)

        def verify(self, stored: str, password: str) -> bool:
            runs.append(stored[:31])
            return original(stored, password)

    argon2 = house.hasher._argon2
    monkeypatch.setattr(house.hasher, "_argon2", Counting())
    for user, password, expected in (("ann", "wrong-password", 1), ("nobody", PASSWORD, 1), ("x", PASSWORD, 0), ("ann", "s", 0)):
        runs.clear()
        await house.http.get(f"/v1/clients/{client.client_id}", headers=basic(user, password))
        assert runs == ["$argon2id$v=19$m=19456,t=2,p=1$"] * expected


async def test_rfc7617_a_password_is_not_form_decoded(house: House) -> None:
    """Percent signs, pluses, colons and NFD letters."""
    password = "50%+1:pässwört"
    client = await house.register("ann", password)
    for spelling in (password, "50%+1:pa\u0308sswo\u0308rt"):
        assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=basic("ann", spelling))).status == 200
    assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=basic("ann", "50% 1:pässwört"))).status == 401


async def test_two_authorization_headers_are_400(house: House) -> None:
    """Even if both are right."""
    client = await house.register()
    header = by(client)["Authorization"]
    answer = await house.http.get(
        f"/v1/clients/{client.client_id}", headers=[("Authorization", header), ("Authorization", header)]
    )
    assert (answer.status, (await answer.json())["code"]) == (400, "bad_request")


@pytest.mark.parametrize("who", ["account", "client"])
async def test_a_deleted_client_is_gone_with_its_tokens(house: House, who: str) -> None:
    """Before the answer goes out (O22); its siblings stay; the account has room again."""
    client = await house.register()
    sibling = await house.client(username="ann", permissions="introspect:any")
    pair, kept = await house.token(client), await house.token(sibling)
    headers = basic("ann", PASSWORD) if who == "account" else by(client)
    assert (await house.http.delete(f"/v1/clients/{client.client_id}", headers=headers)).status == 204
    assert not await house.is_active(sibling, pair["access_token"])
    assert await house.is_active(sibling, kept["access_token"])
    assert (await house.refresh(client, pair["refresh_token"]))[0] == 401
    assert (await house.clients.find_account("ann")).client_ids == (sibling.client_id,)
    assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=basic("ann", PASSWORD))).status == 404


async def test_a_deletion_that_failed_half_way_can_be_repeated(house: House) -> None:
    """503 first; the tokens are dead already."""
    client = await house.register()
    house.clients.broken = {"unlink_client"}
    headers = basic("ann", PASSWORD)
    assert (await house.http.delete(f"/v1/clients/{client.client_id}", headers=headers)).status == 503
    house.clients.broken = set()
    assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=headers)).status == 404
    assert (await house.http.delete(f"/v1/clients/{client.client_id}", headers=headers)).status == 204
    assert (await house.clients.find_account("ann")).client_ids == ()


async def test_an_account_without_a_password_lets_nobody_in(house: House) -> None:
    """The operator made it; its clients manage themselves."""
    client: IssuedKey = await house.client(username="ann")
    for password in (PASSWORD, "", " " * 8):
        assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=basic("ann", password))).status == 401
    assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=by(client))).status == 200


@pytest.mark.parametrize("broken", ["find_account", "find_credential"])
async def test_a_store_that_is_down_is_503(house: House, broken: str) -> None:
    """Never 401."""
    client = await house.register()
    house.clients.broken = {broken}
    headers = basic("ann", PASSWORD) if broken == "find_account" else by(client)
    answer = await house.http.get(f"/v1/clients/{client.client_id}", headers=headers)
    assert (answer.status, (await answer.json())["code"]) == (503, "store_unavailable")


async def test_a_password_is_rehashed_when_the_parameters_changed(house: House) -> None:
    """At the next login, once (G09)."""
    from argon2 import PasswordHasher

    client = await house.register()
    account = await house.clients.find_account("ann")
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    assert await house.clients.change_password_hash("ann", account.password_hash, weak)
    assert not await house.clients.change_password_hash("ann", "another", "x")
    for _ in range(2):
        assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=basic("ann", PASSWORD))).status == 200
    account = await house.clients.find_account("ann")
    assert account.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert house.clients.calls.count("change_password_hash") == 3


async def test_an_account_finds_its_clients(house: House) -> None:
    """Whoever kept only username and password finds the id, adds a key, and is in again; nobody else sees it."""
    client = await house.register()
    mine = basic("ann", PASSWORD)
    listed = await house.http.get("/v1/clients", headers=mine)
    assert (listed.status, await listed.json()) == (200, {"clients": [client.client_id]})
    assert listed.headers["Cache-Control"] == "no-store"
    added = await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=mine)
    assert added.status == 201
    for headers in ({}, by(client), basic("ann", "wrong-password"), basic("nobody", PASSWORD)):
        assert (await house.http.get("/v1/clients", headers=headers)).status == 401
