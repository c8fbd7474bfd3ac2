"""``/v1/oauth/register``: RFC 7591 and RFC 7592."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.authority import operators
from gateway.oauth import tokens as formats
from tests.authority.conftest import House, MakeHouse, basic

PATH = "/v1/oauth/register"


async def register(house: House, **metadata: object) -> dict[str, Any]:
    """A client that registered itself."""
    answer = await house.http.post(PATH, json=metadata)
    assert answer.status == 201, await answer.text()
    document: dict[str, Any] = await answer.json()
    house.issued += [document["client_secret"], document["registration_access_token"]]
    return document


def manager(document: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {document['registration_access_token']}"}


def path(document: dict[str, Any]) -> str:
    return f"{PATH}/{document['client_id']}"


async def get_token(house: House, document: dict[str, Any], user: str = "client_id", **form: str) -> tuple[int, dict[str, Any]]:
    headers = basic(document[user], document["client_secret"])
    answer = await house.post("token", headers, **{"grant_type": "client_credentials", **form})
    return answer.status, await answer.json()


async def test_rfc7591_3_2_1_the_answer(house: House) -> None:
    """All that is registered, a secret that never expires, no-store."""
    answer = await house.http.post(PATH, json={"client_name": "Orders", "contacts": ["a@b.c"], "odd": 1})
    document = await answer.json()
    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers["Location"] == document["registration_client_uri"] == f"http://127.0.0.1:8080{path(document)}"
    assert document["client_secret_expires_at"] == 0
    assert isinstance(document["client_id_issued_at"], int)
    assert (document["client_name"], document["contacts"], "odd" in document) == ("Orders", ["a@b.c"], False)
    assert formats.find_manager(document["registration_access_token"].encode()) is not None
    assert house.count("gateway_registrations_total") == 1


@pytest.mark.parametrize("user", ["client_id", "client_key"])
async def test_a_registered_client_gets_tokens_and_refreshes(house: House, user: str) -> None:
    document = await register(house)
    status, pair = await get_token(house, document, user)
    assert status == 200
    form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    assert (await get_token(house, document, user, **form))[0] == 200


async def test_rfc6749_5_2_a_grant_that_was_not_registered_is_unauthorized_client(house: House) -> None:
    """And no refresh token is handed out that could not be used."""
    document = await register(house, grant_types=["client_credentials"])
    status, pair = await get_token(house, document)
    assert (status, "refresh_token" in pair) == (200, False)
    status, refused = await get_token(house, document, grant_type="refresh_token", refresh_token="x")
    assert (status, refused["error"]) == (400, "unauthorized_client")


async def test_scopes_are_those_of_a_self_registered_client_at_most(house_with: MakeHouse) -> None:
    house = await house_with(scopes={"a": "", "b": "", "admin": ""}, default_scopes=["a", "b"])
    document = await register(house, scope="a admin")
    assert document["scope"] == "a"
    assert (await get_token(house, document))[1]["scope"] == "a"
    assert (await get_token(house, document, scope="b"))[1]["error"] == "invalid_scope"


@pytest.mark.parametrize(("body", "error"), [
    ({"client_name": ""}, "invalid_client_metadata"), ({"redirect_uris": ["x"]}, "invalid_redirect_uri"),
    ([], "invalid_client_metadata"),
])  # fmt: skip
async def test_rfc7591_3_2_2_the_error(house: House, body: object, error: str) -> None:
    answer = await house.http.post(PATH, json=body)
    assert (answer.status, (await answer.json())["error"]) == (400, error)
    assert answer.headers["Cache-Control"] == "no-store"


async def test_rfc7591_3_1_only_json(house: House) -> None:
    assert (await house.http.post(PATH, data={"client_name": "x"})).status == 415


async def test_closed_is_closed_for_both_ways_in(house_with: MakeHouse) -> None:
    """Management goes on: who has a client may keep it."""
    house = await house_with(registration="closed")
    assert (await house.http.post(PATH, json={})).status == 403


async def test_rfc7592_2_1_read(house: House) -> None:
    """Everything but the secret, which nobody knows any more."""
    document = await register(house, client_name="Orders")
    answer = await house.http.get(path(document), headers=manager(document))
    assert answer.status == 200
    shown = await answer.json()
    assert shown == {name: value for name, value in document.items() if name not in (
        "client_key", "client_secret", "client_secret_expires_at",
    )}  # fmt: skip


async def test_rfc7592_2_2_update_replaces_all(house: House) -> None:
    document = await register(house, client_name="Orders", contacts=["a@b.c"])
    change = {"client_id": document["client_id"], "client_name": "New", "grant_types": ["client_credentials"]}
    answer = await house.http.put(path(document), headers=manager(document), json=change)
    assert answer.status == 200
    changed = await answer.json()
    assert (changed["client_name"], "contacts" in changed) == ("New", False)
    assert changed == await (await house.http.get(path(document), headers=manager(document))).json()
    assert "refresh_token" not in (await get_token(house, document))[1]


async def test_rfc7592_2_2_update_with_the_secret(house: House) -> None:
    document = await register(house)
    for secret, status in ((document["client_secret"], 200), (formats.mint_secret("abc", bytes(32)), 400)):
        change = {"client_id": document["client_id"], "client_secret": secret}
        assert (await house.http.put(path(document), headers=manager(document), json=change)).status == status


async def test_an_update_takes_nothing_that_the_operator_granted(house_with: MakeHouse) -> None:
    house = await house_with(scopes={"a": "", "admin": ""}, default_scopes=["a"])
    document = await register(house)
    await house.clients.change_client(document["client_id"], scopes=frozenset({"a", "admin"}))
    change = {"client_id": document["client_id"], "scope": "a"}
    assert (await house.http.put(path(document), headers=manager(document), json=change)).status == 200
    assert (await get_token(house, document, scope="admin"))[0] == 200


async def test_rfc7592_2_3_delete_ends_all_tokens(house: House) -> None:
    document, other = await register(house), await house.client()
    _, pair = await get_token(house, document)
    assert (await house.http.delete(path(document), headers=manager(document))).status == 204
    assert not await house.is_active(other, pair["access_token"])
    assert (await get_token(house, document))[0] == 401
    assert (await house.http.get(path(document), headers=manager(document))).status == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_rfc7592_2_another_token_is_401_and_an_unknown_client_too(house: House, method: str) -> None:
    """Never 404; without a token the challenge has no error (RFC 6750 section 3)."""
    document, other = await register(house), await register(house)
    unknown = formats.mint_client_id("abc", bytes(16))
    absent = {"client_id": unknown, "registration_access_token": formats.mint_manager(unknown, bytes(32))}
    forged = {**document, "registration_access_token": formats.mint_manager(document["client_id"], bytes(32))}
    for at, headers in (
        (path(document), manager(other)), (path(document), manager(forged)), (path(absent), manager(absent)),
        (path(document), basic(document["client_id"], document["client_secret"])), (path(document), {}),
        (f"{PATH}/x", manager(document)),
    ):  # fmt: skip
        answer = await house.http.request(method, at, headers=headers, json={})
        refused = await answer.json()
        assert (answer.status, refused["error"]) == (401, "invalid_token")
        challenge = answer.headers["WWW-Authenticate"]
        assert challenge.startswith('Bearer realm="gateway"')
        assert ("error=" in challenge) == ("Bearer" in headers.get("Authorization", ""))
    assert (await house.http.get(path(document), headers=manager(document))).status == 200


async def test_a_client_of_the_plain_registration_has_nothing_here(house: House) -> None:
    client = await house.register()
    forged = {"registration_access_token": formats.mint_manager(client.client_id, bytes(32))}
    assert (await house.http.get(f"{PATH}/{client.client_id}", headers=manager(forged))).status == 401


async def test_a_leaked_registration_access_token_is_ended_alone(house: House) -> None:
    """Client and tokens stay; the operator helps whoever wants to manage it again."""
    document, reporter = await register(house), await house.client()
    headers = basic(reporter.client_key, reporter.client_secret)
    for revoked in (1, 0):
        found = [document["registration_access_token"]]
        answer = await house.http.post("/v1/oauth/leaks", headers=headers, json={"found": found})
        assert (await answer.json())["revoked"] == revoked
    assert (await house.http.get(path(document), headers=manager(document))).status == 401
    assert (await get_token(house, document))[0] == 200


@pytest.mark.parametrize("broken", ["create_client", "save_registration", "keep_client", "find_registration", "change_client"])
async def test_a_store_that_fails_is_503_and_nothing_is_half_done(house: House, broken: str) -> None:
    document = await register(house)
    house.clients.broken.add(broken)
    if broken in ("find_registration", "change_client"):
        change = {"client_id": document["client_id"], "client_name": "New"}
        answer = await house.http.put(path(document), headers=manager(document), json=change)
    else:
        answer = await house.http.post(PATH, json={})
    assert (answer.status, (await answer.json())["error"]) == (503, "temporarily_unavailable")
    house.clients.broken.clear()
    shown = await (await house.http.get(path(document), headers=manager(document))).json()
    assert "client_name" not in shown


async def test_no_secret_shows_in_a_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    document = await register(house)
    await house.http.get(path(document), headers=manager(document))
    await house.http.delete(path(document), headers={"Authorization": "Bearer " + document["registration_access_token"][:-1]})
    assert caplog.records
    for secret in house.issued:
        assert secret not in caplog.text


async def test_what_was_registered_is_told_though_the_store_goes_meanwhile(house: House) -> None:
    """Its secret is shown in this answer and in no other; when it was issued is optional (RFC 7591 section 3.2.1)."""
    house.clients.broken = {"find_client"}
    document = await register(house)
    assert document["client_secret"].startswith("gws_")
    assert "client_id_issued_at" not in document


async def test_rfc7592_2_2_1_what_the_operator_has_set_a_client_does_not_undo(house_with: MakeHouse) -> None:
    """Else whoever was approved for little would take the rest himself; the answers say how it is."""
    house = await house_with(scopes={"a": "", "b": ""}, default_scopes=["a", "b"], sign_in=True)
    uris = ["https://app.example.com/cb"]
    document = await register(house, redirect_uris=uris)
    own = {"headers": manager(document)}
    little = {"scopes": frozenset({"a"}), "grants": frozenset({"client_credentials"}), "redirect_uris": ()}
    await operators.set_client(house.clients, document["client_id"], little)
    wide = {"client_id": document["client_id"], "redirect_uris": uris, "scope": "a b"}
    replaced = await (await house.http.put(path(document), json=wide, **own)).json()
    shown = await (await house.http.get(path(document), **own)).json()
    for said in (replaced, shown):
        assert (said["scope"], said["grant_types"]) == ("a", ["client_credentials"])
        assert (said["redirect_uris"], said["response_types"]) == ([], [])
    client = await house.clients.find_client(document["client_id"])
    assert {name: getattr(client, name) for name in little} == little
    await operators.set_client(house.clients, document["client_id"], {"grants": frozenset()})
    await house.http.put(path(document), json=wide, **own)
    client = await house.clients.find_client(document["client_id"])
    assert (client.may_use("authorization_code"), client.redirect_uris, client.scopes) == (True, (), {"a"})
