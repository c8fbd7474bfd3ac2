"""``POST /v1/oauth/introspect``: RFC 7662."""

import pytest

from gateway.oauth import tokens as formats
from tests.authority.conftest import House, MakeHouse, basic, by


async def test_rfc7662_2_2_an_own_access_token(house_with: MakeHouse) -> None:
    """All members; never stored."""
    house = await house_with(scopes={"a": "", "b": ""})
    client = await house.client("a b")
    pair = await house.token(client, scope="b")
    answer = await house.post("introspect", by(client), token=pair["access_token"])
    document = await answer.json()
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/json"
    assert document.pop("exp") - document.pop("iat") in (3599, 3600, 3601)
    assert document == {
        "active": True, "client_id": client.client_id, "sub": client.client_id, "iss": "http://127.0.0.1:8080",
        "token_type": "Bearer", "scope": "b",
    }


async def test_an_own_refresh_token(house: House) -> None:
    """Active while it is the current one, and no longer."""
    client = await house.client()
    pair = await house.token(client)
    document = await house.introspect(client, pair["refresh_token"])
    assert (document["active"], "token_type" in document) == (True, False)
    await house.refresh(client, pair["refresh_token"])
    assert await house.introspect(client, pair["refresh_token"]) == {"active": False}


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "unknown_kind", "é"])
async def test_rfc7662_2_1_a_wrong_hint_changes_nothing(house: House, hint: str) -> None:
    """Both kinds are found."""
    client = await house.client()
    pair = await house.token(client)
    for token in (pair["access_token"], pair["refresh_token"]):
        answer = await house.post("introspect", by(client), token=token, token_type_hint=hint)
        assert (await answer.json())["active"] is True


async def test_rfc7662_2_2_everything_else_is_exactly_inactive(house: House) -> None:
    """Unknown, foreign, revoked, malformed, secrets of other kinds (O16)."""
    client, stranger = await house.client(), await house.client()
    pair, revoked = await house.token(client), await house.token(client)
    await house.post("revoke", by(client), token=revoked["access_token"])
    for caller, token in [
        (stranger, pair["access_token"]), (stranger, pair["refresh_token"]), (client, revoked["access_token"]),
        (client, formats.mint_access(client.client_id[4:7], bytes(32))), (client, "x"), (client, pair["access_token"][:-1]),
        (client, client.client_secret), (client, client.client_key), (client, "*"), (client, "\x00"), (client, "é" * 1000),
    ]:
        answer = await house.post("introspect", by(caller), token=token)
        assert (answer.status, await answer.read()) == (200, b'{"active":false}')


async def test_a_client_with_the_permission_sees_all(house: House) -> None:
    """``introspect:any``, granted by the operator."""
    client, watcher = await house.client(), await house.client(permissions="introspect:any")
    pair = await house.token(client)
    assert (await house.introspect(watcher, pair["access_token"]))["client_id"] == client.client_id
    assert await house.is_active(watcher, pair["refresh_token"])


async def test_a_retired_key_ends_what_was_issued_with_it(house: House) -> None:
    """Only with ``end_tokens``, and only that key's tokens."""
    client = await house.client()
    added = await (await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=by(client))).json()
    with_second = await (await house.post(
        "token", basic(added["client_key"], added["client_secret"]), grant_type="client_credentials"
    )).json()  # fmt: skip
    with_first = await house.token(client)
    path = f"/v1/clients/{client.client_id}/keys/{added['client_key']}?tokens=revoke"
    assert (await house.http.delete(path, headers=by(client))).status == 204
    assert not await house.is_active(client, with_second["access_token"])
    assert await house.is_active(client, with_first["access_token"])


@pytest.mark.parametrize("form", [{}, {"token": ""}, {"token_type_hint": "access_token"}])
async def test_rfc7662_2_1_no_token_is_invalid_request(house: House, form: dict[str, str]) -> None:
    """An empty one is none."""
    answer = await house.post("introspect", by(await house.client()), **form)
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


async def test_a_token_in_the_url_is_refused(house: House) -> None:
    """Section 4, and twice in the body too."""
    client = await house.client()
    pair = await house.token(client)
    answer = await house.http.post(f"/v1/oauth/introspect?token={pair['access_token']}", headers=by(client), data={"token": "x"})
    assert answer.status == 400
    twice = f"token={pair['access_token']}&token={pair['access_token']}"
    headers = {**by(client), "Content-Type": "application/x-www-form-urlencoded"}
    assert (await house.http.post("/v1/oauth/introspect", headers=headers, data=twice)).status == 400


async def test_rfc7662_2_1_the_caller_must_be_a_client(house: House) -> None:
    """401 for nobody and for a wrong secret; a bearer token is no client authentication."""
    client = await house.client()
    pair = await house.token(client)
    wrong = basic(client.client_key, formats.mint_secret("abc", bytes(32)))
    for headers in ({}, wrong, {"Authorization": f"Bearer {pair['access_token']}"}):
        answer = await house.post("introspect", headers, token=pair["access_token"])
        assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")


async def test_a_store_that_is_down_is_never_inactive(house: House) -> None:
    """503, not a no (O17)."""
    client = await house.client()
    pair = await house.token(client)
    house.tokens.broken = {"find_access"}
    answer = await house.post("introspect", by(client), token=pair["access_token"])
    assert answer.status == 503
    assert "active" not in await answer.text()
