"""``/v1/clients/{client_id}/keys``."""

import time

import pytest

from gateway.authority.enrolment import MAX_KEYS
from gateway.oauth import tokens as formats
from gateway.oauth.secrets import IssuedKey
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by
from tests.store.shift import pass_time


async def add(house: House, client: IssuedKey, headers: dict[str, str] | None = None) -> IssuedKey:
    answer = await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=headers or by(client))
    assert answer.status == 201, await answer.text()
    return IssuedKey(**await answer.json())


async def test_the_list_tells_everything_but_secrets(house: House) -> None:
    """Oldest first; times in whole seconds, null for never."""
    client = await house.register()
    second = await add(house, client)
    await house.token(second)
    answer = await house.http.get(f"/v1/clients/{client.client_id}/keys", headers=basic("ann", PASSWORD))
    assert answer.headers["Cache-Control"] == "no-store"
    text = await answer.text()
    assert client.client_secret not in text
    assert second.client_secret not in text
    one, two = (await answer.json())["keys"]
    assert set(one) == {"client_key", "created", "last_used", "sources", "expires", "retires"}
    assert one["client_key"] == client.client_key
    assert (one["last_used"], one["sources"], one["expires"], one["retires"]) == (None, 0, None, None)
    assert two["client_key"] == second.client_key
    assert abs(two["created"] - time.time()) < 60
    assert abs(two["last_used"] - time.time()) < 60


async def test_a_new_key_works_beside_the_old_one(house: House) -> None:
    """Shown once, in the registration's form, by whoever owns the client: a secret is rotated without an outage (G10)."""
    client = await house.register()
    for headers in (basic("ann", PASSWORD), by(client), basic(client.client_id, client.client_secret)):
        answer = await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=headers, json={})
        document = await answer.json()
        assert (answer.status, list(document)) == (201, ["client_id", "client_key", "client_secret"])
        assert answer.headers["Location"] == f"/v1/clients/{client.client_id}/keys/{document['client_key']}"
        assert document["client_id"] == client.client_id
        assert document["client_key"][4:7] == client.client_id[4:7]
        await house.token(IssuedKey(**document))
    await house.token(client)


async def test_the_way_back_for_who_lost_a_secret(house: House) -> None:
    """Retire the last key, add one by the account's password."""
    client = await house.register()
    path = f"/v1/clients/{client.client_id}/keys"
    assert (await house.http.delete(f"{path}/{client.client_key}", headers=by(client))).status == 204
    assert (await house.http.get(path, headers=by(client))).status == 401
    assert await (await house.http.get(path, headers=basic("ann", PASSWORD))).json() == {"keys": []}
    await house.token(await add(house, client, basic("ann", PASSWORD)))


async def test_a_client_has_ten_keys_at_most(house: House) -> None:
    """409; retiring one makes room."""
    client = await house.client()
    keys = [await add(house, client) for _ in range(MAX_KEYS - 1)]
    path = f"/v1/clients/{client.client_id}/keys"
    answer = await house.http.post(path, headers=by(client))
    assert (answer.status, (await answer.json())["code"]) == (409, "conflict")
    assert (await house.http.delete(f"{path}/{keys[0].client_key}", headers=by(client))).status == 204
    await add(house, client)


async def test_retiring_stops_new_tokens_and_leaves_the_old_ones(house: House) -> None:
    """Without ``tokens=revoke``."""
    client = await house.client()
    second = await add(house, client)
    pair = await house.token(second)
    path = f"/v1/clients/{client.client_id}/keys/{second.client_key}"
    answer = await house.http.delete(path, headers=by(client))
    assert (answer.status, await answer.read()) == (204, b"")
    assert (await house.post("token", by(second), grant_type="client_credentials")).status == 401
    assert await house.is_active(client, pair["access_token"])
    assert (await house.http.delete(path, headers=by(client))).status == 404


async def test_retiring_with_the_tokens(house: House) -> None:
    """``?tokens=revoke``: access and refresh tokens of that key end, those of others live."""
    client = await house.client()
    second = await add(house, client)
    pair, kept = await house.token(second), await house.token(client)
    path = f"/v1/clients/{client.client_id}/keys/{second.client_key}?tokens=revoke"
    assert (await house.http.delete(path, headers=by(client))).status == 204
    assert not await house.is_active(client, pair["access_token"])
    assert (await house.refresh(client, pair["refresh_token"]))[0] == 400
    assert await house.is_active(client, kept["access_token"])


@pytest.mark.parametrize("query", ["tokens=revok", "tokens=", "token=revoke", "tokens=revoke&x=1", "tokens=revoke&tokens=revoke"])
async def test_a_typo_in_the_query_is_400(house: House, query: str) -> None:
    """It must not be taken for no; nothing was retired."""
    client = await house.client()
    path = f"/v1/clients/{client.client_id}/keys/{client.client_key}"
    assert (await house.http.delete(f"{path}?{query}", headers=by(client))).status == 400
    await house.token(client)


async def test_foreign_and_unknown_keys_are_404(house: House) -> None:
    """A stranger's key is not retired through one's own client."""
    client, stranger = await house.client(), await house.client()
    for key in (stranger.client_key, formats.mint_client_key(client.client_id[4:7], bytes(16)), "x", client.client_id, "%00"):
        path = f"/v1/clients/{client.client_id}/keys/{key}?tokens=revoke"
        assert (await house.http.delete(path, headers=by(client))).status == 404
    await house.token(stranger)


@pytest.mark.parametrize(("send", "status"), [
    ({"json": {"scopes": ["admin"]}}, 400), ({"json": []}, 400), ({"data": b"x"}, 415),
    ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400), ({"data": {"a": "b"}}, 415),
])
async def test_adding_a_key_takes_no_wishes(house: House, send: dict[str, object], status: int) -> None:
    """Nothing is ignored silently."""
    client = await house.client()
    headers = {**by(client), **send.pop("headers", {})}  # type: ignore[dict-item]
    answer = await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=headers, **send)  # type: ignore[arg-type]
    assert answer.status == status


@pytest.mark.parametrize("broken", ["add_credential", "retire_credential", "last_used"])
async def test_a_store_that_is_down_is_503(house: House, broken: str) -> None:
    """For each of the three."""
    client = await house.client()
    path = f"/v1/clients/{client.client_id}/keys"
    house.clients.broken = {broken}
    method, path = {
        "add_credential": ("POST", path),
        "retire_credential": ("DELETE", f"{path}/{client.client_key}"),
        "last_used": ("GET", path),
    }[broken]
    assert (await house.http.request(method, path, headers=by(client))).status == 503


async def test_methods(house: House) -> None:
    """405 with what is allowed."""
    for path, allow in (("/v1/clients/x/keys", {"GET", "HEAD", "POST"}), ("/v1/clients/x", {"DELETE", "GET", "HEAD", "PATCH"}),
                        ("/v1/clients/x/keys/y", {"DELETE", "PATCH"})):  # fmt: skip
        answer = await house.http.put(path)
        assert (answer.status, set(answer.headers["Allow"].split(", "))) == (405, allow)


DAY = 24 * 3_600_000


async def test_g10_an_old_secret_dies_on_schedule(house: House) -> None:
    """Beside its successor, and with its tokens alive; until then it works."""
    client = await house.register()
    path = f"/v1/clients/{client.client_id}/keys"
    second = await add(house, client)
    answer = await house.http.patch(f"{path}/{client.client_key}", headers=by(second), json={"expires_in": 86400})
    said = await answer.json()
    assert (answer.status, said["client_key"]) == (200, client.client_key)
    assert abs(said["expires"] - time.time() - 86400) < 60
    listed = await (await house.http.get(path, headers=by(second))).json()
    assert [key["expires"] for key in listed["keys"]] == [said["expires"], None]
    await pass_time(house.redis, DAY - 60_000)
    fresh = await house.token(client)
    await pass_time(house.redis, 60_000)
    for headers in (by(client), basic(client.client_id, client.client_secret)):
        assert (await house.post("token", headers, grant_type="client_credentials")).status == 401
    assert (await house.http.get(path, headers=by(client))).status == 401
    assert await house.is_active(second, fresh["access_token"])
    assert (await house.refresh(second, fresh["refresh_token"]))[0] == 200
    assert [key["client_key"] for key in (await (await house.http.get(path, headers=by(second))).json())["keys"]] == [
        second.client_key
    ]  # fmt: skip
    assert not await house.redis.keys(f"gw:ck:*{client.client_key}")


async def test_a_key_that_expires_can_be_made_and_be_kept_after_all(house: House) -> None:
    client = await house.register()
    path = f"/v1/clients/{client.client_id}/keys"
    made = await (await house.http.post(path, headers=by(client), json={"expires_in": 3600})).json()
    other = IssuedKey(**made)
    await house.token(other)
    assert (await house.http.patch(f"{path}/{other.client_key}", headers=by(client), json={"expires_in": None})).status == 200
    await pass_time(house.redis, DAY)
    await house.token(other)
    short = IssuedKey(**await (await house.http.post(path, headers=by(client), json={"expires_in": 3600})).json())
    await pass_time(house.redis, DAY)
    assert (await house.post("token", by(short), grant_type="client_credentials")).status == 401


async def test_a_key_of_an_unused_registration_goes_with_it_whatever_it_says(house_with: MakeHouse) -> None:
    house = await house_with(unused_registration_ttl="1d")
    client = await house.register()
    path = f"/v1/clients/{client.client_id}/keys"
    for body in ({"expires_in": 10 * 86400}, {"expires_in": 3600}):
        await house.http.post(path, headers=by(client), json=body)
    for expires_in in (10 * 86400, None):
        changed = await house.http.patch(f"{path}/{client.client_key}", headers=by(client), json={"expires_in": expires_in})
        assert changed.status == 200
    await pass_time(house.redis, DAY + 1000)
    assert await house.redis.keys("gw:ck:*") == await house.redis.keys("gw:sd:*") == []


@pytest.mark.parametrize("value", [0, -1, 34_560_001, 1.5, "60", True, [], {}])
async def test_an_expiry_that_is_none_is_400_and_changes_nothing(house: House, value: object) -> None:
    client = await house.register()
    path = f"/v1/clients/{client.client_id}/keys"
    for method, url in (("POST", path), ("PATCH", f"{path}/{client.client_key}")):
        answer = await house.http.request(method, url, headers=by(client), json={"expires_in": value})
        assert (answer.status, (await answer.json())["code"]) == (400, "invalid_input")
    (key,) = (await (await house.http.get(path, headers=by(client))).json())["keys"]
    assert key["expires"] is None


async def test_the_expiry_of_somebody_elses_key_is_not_ours_to_say(house: House) -> None:
    client, other = await house.register(), await house.client()
    path = f"/v1/clients/{client.client_id}/keys"
    for key in (other.client_key, "gwk_abc" + "A" * 22, "x"):
        answer = await house.http.patch(f"{path}/{key}", headers=by(client), json={"expires_in": 60})
        assert answer.status == 404
    answer = await house.http.patch(f"{path}/{client.client_key}", headers=by(other), json={"expires_in": 60})
    assert answer.status == 404
    for body in ({}, {"expires": 60}, {"expires_in": 60, "x": 1}, []):
        answer = await house.http.patch(f"{path}/{client.client_key}", headers=by(client), json=body)
        assert answer.status == 400
