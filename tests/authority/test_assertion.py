"""private_key_jwt at the OAuth endpoints: RFC 7523 sections 2.2 and 3."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey

from gateway.oauth import tokens as formats
from gateway.oauth.assertions import ASSERTION_TYPE
from tests.authority.conftest import House, MakeHouse, basic, by

ISSUER = "http://127.0.0.1:8080"
KEY, OTHER = ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
COUNT = iter(range(10**9))


def jwk(key: Any) -> dict[str, Any]:
    return dict(key.as_dict(private=False))


def sign(client_id: str, key: Any = KEY, alg: str = "ES256", **claims: Any) -> str:
    said = {"iss": client_id, "sub": client_id, "aud": ISSUER, "exp": int(time.time()) + 60, "jti": str(next(COUNT)), **claims}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode({"alg": alg}, said, key, algorithms=[alg])


async def register(house: House, *keys: Any) -> dict[str, Any]:
    metadata = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk(key) for key in keys or (KEY,)]}}
    answer = await house.http.post("/v1/oauth/register", json=metadata)
    assert answer.status == 201, await answer.text()
    document: dict[str, Any] = await answer.json()
    return document


async def post(house: House, assertion: str, name: str = "token", **form: str) -> tuple[int, dict[str, Any]]:
    asked = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, **form}
    if name == "token":
        asked = {"grant_type": "client_credentials", **asked}
    answer = await house.post(name, {}, **asked)
    return answer.status, await answer.json() if await answer.read() else {}


async def test_a_client_without_a_secret_does_everything_with_its_key(house: House) -> None:
    """Token, refresh, introspection, revocation; each assertion once."""
    document = await register(house)
    assert "client_secret" not in document
    me = document["client_id"]
    status, pair = await post(house, sign(me))
    assert status == 200
    status, pair = await post(house, sign(me), grant_type="refresh_token", refresh_token=pair["refresh_token"])
    assert status == 200
    assert (await post(house, sign(me), "introspect", token=pair["access_token"]))[1]["client_id"] == me
    assert (await post(house, sign(me), "revoke", token=pair["access_token"]))[0] == 200
    assert (await post(house, sign(me), "introspect", token=pair["access_token"]))[1] == {"active": False}


async def test_rfc7523_3_a_jti_is_used_once(house: House) -> None:
    """Of twenty at once one wins; another client may use the same jti."""
    first, second = await register(house), await register(house)
    assertion = sign(first["client_id"], jti="same")
    assert (await post(house, assertion))[0] == 200
    status, refused = await post(house, assertion)
    assert (status, refused["error"]) == (401, "invalid_client")
    assert (await post(house, sign(second["client_id"], jti="same")))[0] == 200


async def test_an_assertion_that_is_refused_spends_no_jti(house: House) -> None:
    """Or a stranger could spend those of others."""
    me = (await register(house))["client_id"]
    assert (await post(house, sign(me, OTHER, "EdDSA", jti="mine")))[0] == 401
    assert (await post(house, sign(me, jti="mine")))[0] == 200


async def test_unknown_clients_and_wrong_keys_are_one_answer(house: House) -> None:
    """O10; a client with a secret alone has no key."""
    me, plain = (await register(house))["client_id"], await house.client()
    unknown = formats.mint_client_id("abc", bytes(16))
    seen = set()
    for assertion in (sign(unknown), sign(me, OTHER, "EdDSA"), sign(plain.client_id), sign("x"), "a.b.c", sign(me, aud="x")):
        answer = await house.post(
            "token", {}, grant_type="client_credentials", client_assertion_type=ASSERTION_TYPE, client_assertion=assertion
        )
        seen.add((answer.status, await answer.text()))
    assert len(seen) == 1
    assert seen.pop()[0] == 401


async def test_rfc6749_2_3_one_way_to_authenticate(house: House) -> None:
    """Basic and a secret in the form beside it are 400; another client_id too; another type of assertion is 401."""
    me, other = (await register(house))["client_id"], await house.client()
    for more, headers in (({}, by(other)), ({"client_secret": "x"}, {}), ({"client_id": other.client_id}, {})):
        asked = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": sign(me), **more}
        answer = await house.post("token", headers, grant_type="client_credentials", **asked)
        assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")
    assert (await post(house, sign(me), client_assertion_type="urn:x"))[0] == 401
    assert (await post(house, sign(me), client_id=me))[0] == 200


async def test_the_token_endpoint_as_audience_only_by_option(house: House, house_with: MakeHouse) -> None:
    endpoint = f"{ISSUER}/v1/oauth/token"
    assert (await post(house, sign((await register(house))["client_id"], aud=endpoint)))[0] == 401
    lenient = await house_with(assertion_for_token_endpoint=True)
    me = (await register(lenient))["client_id"]
    assert (await post(lenient, sign(me, aud=endpoint)))[0] == 200
    assert (await post(lenient, sign(me)))[0] == 200


async def test_a_disabled_client_is_refused(house: House) -> None:
    me = (await register(house))["client_id"]
    await house.clients.change_client(me, enabled=False)
    assert (await post(house, sign(me)))[0] == 401


async def test_keys_are_rotated_by_an_update_without_an_outage(house: House) -> None:
    """RFC 7592: the new one works, the old one no longer; tokens live on."""
    document = await register(house)
    me = document["client_id"]
    _, pair = await post(house, sign(me))
    headers = {"Authorization": f"Bearer {document['registration_access_token']}"}
    change = {"client_id": me, "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk(OTHER)]}}
    assert (await house.http.put(f"/v1/oauth/register/{me}", headers=headers, json=change)).status == 200
    assert (await post(house, sign(me)))[0] == 401
    assert (await post(house, sign(me, OTHER, "EdDSA")))[0] == 200
    assert (await post(house, sign(me, OTHER, "EdDSA"), "introspect", token=pair["access_token"]))[1]["active"] is True
    plain = await house.http.put(f"/v1/oauth/register/{me}", headers=headers, json={"client_id": me})
    assert (plain.status, (await plain.json())["error"]) == (400, "invalid_client_metadata")
    assert (await post(house, sign(me, OTHER, "EdDSA")))[0] == 200


async def test_a_client_with_a_secret_adds_a_public_key_and_retires_it(house: House) -> None:
    """``POST …/keys {"jwk"}``: a key like any other, with a name, without a secret."""
    client = await house.register()
    keys = f"/v1/clients/{client.client_id}/keys"
    answer = await house.http.post(keys, headers=by(client), json={"jwk": jwk(KEY)})
    document = await answer.json()
    assert (answer.status, answer.headers["Location"]) == (201, f"{keys}/{document['client_key']}")
    assert set(document) == {"client_id", "client_key"}
    _, pair = await post(house, sign(client.client_id))
    listed = (await (await house.http.get(keys, headers=by(client))).json())["keys"]
    assert [key["client_key"] for key in listed] == [client.client_key, document["client_key"]]
    assert listed[1]["last_used"] is not None
    mixed = basic(document["client_key"], client.client_secret)
    assert (await house.post("token", mixed, grant_type="client_credentials")).status == 401
    assert (await house.http.delete(f"{keys}/{document['client_key']}?tokens=revoke", headers=by(client))).status == 204
    assert not await house.is_active(client, pair["access_token"])
    assert (await post(house, sign(client.client_id)))[0] == 401


@pytest.mark.parametrize("key", [None, {}, {"kty": "oct", "k": "x"}, {**jwk(KEY), "d": "x"}, "x"])
async def test_a_bad_public_key_is_400(house: House, key: object) -> None:
    client = await house.register()
    answer = await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=by(client), json={"jwk": key})
    assert (answer.status, (await answer.json())["code"]) == (400, "invalid_input")


@pytest.mark.parametrize("broken", ["find_credentials", "now_ms", "use_once"])
async def test_a_store_that_fails_is_503(house: House, broken: str) -> None:
    me = (await register(house))["client_id"]
    house.clients.broken.add(broken)
    assert (await post(house, sign(me)))[0] == 503
