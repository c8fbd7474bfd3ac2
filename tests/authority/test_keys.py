"""``/v1/clients/{client_id}/keys``."""

import time

import pytest

from gateway.authority.enrolment import MAX_KEYS
from gateway.oauth import tokens as formats
from gateway.oauth.secrets import IssuedKey
from tests.authority.conftest import PASSWORD, House, basic, by


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
                        ("/v1/clients/x/keys/y", {"DELETE"})):  # fmt: skip
        answer = await house.http.put(path)
        assert (answer.status, set(answer.headers["Allow"].split(", "))) == (405, allow)
