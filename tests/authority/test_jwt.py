"""Access tokens that are JWTs: RFC 9068, by configuration or for one client."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.authority.conftest import SECRET, House, MakeHouse, by
from tests.store.shift import pass_time

ISSUER = "http://127.0.0.1:8080"
JWKS = "/v1/oauth/jwks.json"
DAY = 24 * 3_600_000
ROUTES = [{"path": "/a/", "upstream": "a"}, {"path": "/b/", "upstream": "a"}]


async def key_set(house: House) -> dict[str, Any]:
    answer = await house.http.get(JWKS)
    assert (answer.status, answer.content_type) == (200, "application/jwk-set+json")
    found: dict[str, Any] = await answer.json(content_type=None)
    return found


async def verified(house: House, token: str) -> dict[str, Any]:
    """The claims, as a resource server elsewhere reads them."""
    decoded = jwt.decode(token, KeySet.import_key_set(await key_set(house)), algorithms=["ES256"])
    assert (decoded.header["typ"], decoded.header["alg"]) == ("at+jwt", "ES256")
    return decoded.claims


@pytest.fixture
async def jwts(house_with: MakeHouse) -> House:
    """Where all tokens are JWTs."""
    return await house_with(
        access_token_format="jwt", scopes={"read": "", "write": ""}, default_scopes=["read"], routes=ROUTES
    )


async def test_a_client_gets_tokens_that_others_can_verify(jwts: House) -> None:
    """RFC 9068 section 2.2: all claims that it requires; sub of a client's own token is the client."""
    client = await jwts.client("read")
    document = await jwts.token(client, scope="read")
    claims = await verified(jwts, document["access_token"])
    assert claims.keys() == {"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope"}
    assert (claims["iss"], claims["aud"], claims["scope"]) == (ISSUER, ISSUER, "read")
    assert claims["sub"] == claims["client_id"] == client.client_id
    assert claims["exp"] - claims["iat"] == document["expires_in"] == 3600
    assert (await verified(jwts, (await jwts.token(client))["access_token"]))["jti"] != claims["jti"]


async def test_introspection_says_what_the_token_says(jwts: House) -> None:
    client = await jwts.client("read")
    token = (await jwts.token(client))["access_token"]
    claims, said = await verified(jwts, token), await jwts.introspect(client, token)
    assert said == {"active": True, "token_type": "Bearer", **claims}


async def test_a_resource_is_its_audience(jwts: House) -> None:
    """RFC 8707 section 2, RFC 9068 section 3; several are a list."""
    client = await jwts.client()
    one = await jwts.token(client, resource=f"{ISSUER}/a/")
    assert (await verified(jwts, one["access_token"]))["aud"] == f"{ISSUER}/a/"
    both = await jwts.http.post("/v1/oauth/token", headers=by(client), data=[
        ("grant_type", "client_credentials"), ("resource", f"{ISSUER}/a/"), ("resource", f"{ISSUER}/b/"),
    ])  # fmt: skip
    assert (await verified(jwts, (await both.json())["access_token"]))["aud"] == [f"{ISSUER}/a/", f"{ISSUER}/b/"]


async def test_a_refresh_gives_a_jwt_with_the_chains_claims(jwts: House) -> None:
    client = await jwts.client("read write")
    pair = await jwts.token(client, scope="read write", resource=f"{ISSUER}/a/")
    status, narrower = await jwts.refresh(client, pair["refresh_token"], scope="read")
    assert status == 200
    assert (await verified(jwts, narrower["access_token"]))["scope"] == "read"
    status, whole = await jwts.refresh(client, narrower["refresh_token"])
    claims = await verified(jwts, whole["access_token"])
    assert (status, claims["scope"], claims["aud"]) == (200, "read write", f"{ISSUER}/a/")


async def test_a_lost_answer_is_repeated_byte_by_byte(jwts: House) -> None:
    """FAPI 2.0: the same request twice gives the same tokens."""
    client = await jwts.client()
    pair = await jwts.token(client)
    first = await jwts.refresh(client, pair["refresh_token"])
    again = await jwts.refresh(client, pair["refresh_token"])
    assert first[1]["access_token"] == again[1]["access_token"]
    assert first[1]["refresh_token"] == again[1]["refresh_token"]
    assert (await jwts.refresh(client, first[1]["refresh_token"]))[0] == 200
    assert (await jwts.refresh(client, pair["refresh_token"]))[0] == 400, "the successor was used"
    assert not await jwts.is_active(client, first[1]["access_token"])


async def test_refresh_tokens_that_are_not_good_are_refused_as_ever(jwts: House) -> None:
    """Before and after the chain is read; a stranger learns and changes nothing."""
    client, stranger = await jwts.client("read"), await jwts.client("read write")
    pair = await jwts.token(client)
    for who, form in ((stranger, {}), (client, {"scope": "write"}), (client, {"resource": f"{ISSUER}/c/"})):
        status, refused = await jwts.refresh(who, pair["refresh_token"], **form)
        assert (status, refused["error"]) == (400, {0: "invalid_grant"}.get(len(form)) or (
            "invalid_scope" if "scope" in form else "invalid_target"
        ))  # fmt: skip
    assert (await jwts.refresh(client, pair["refresh_token"]))[0] == 200
    assert (await jwts.refresh(client, "gwr_" + "a" * 90))[1]["error"] == "invalid_grant"


async def test_a_jwt_is_revoked_and_reported_like_any_token(jwts: House) -> None:
    client, finder = await jwts.client(), await jwts.client()
    one, two, three = [(await jwts.token(client)) for _ in range(3)]
    assert (await jwts.post("revoke", by(finder), token=one["access_token"])).status == 200
    assert await jwts.is_active(client, one["access_token"]), "a stranger's word ends nothing"
    assert (await jwts.post("revoke", by(client), token=one["access_token"])).status == 200
    assert not await jwts.is_active(client, one["access_token"])
    leaks = await jwts.http.post("/v1/oauth/leaks", headers=by(finder), json={"found": [two["access_token"]]})
    assert await leaks.json() == {"found": 1, "revoked": 1}
    assert not await jwts.is_active(client, two["access_token"])
    assert (await jwts.post("revoke", by(client), token=three["refresh_token"])).status == 200
    assert not await jwts.is_active(client, three["access_token"]), "RFC 7009 section 2.1"


async def test_a_token_with_another_signature_is_unknown(jwts: House) -> None:
    """Even one that verifies: what was not issued here is not alive here."""
    client = await jwts.client()
    token = (await jwts.token(client))["access_token"]
    head, payload, signature = token.split(".")
    flipped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
    for other in (f"{head}.{payload}.{flipped}", f"{head}.{payload}.{signature[:-1]}{chr(ord(signature[-1]) ^ 1)}"):
        assert await jwts.introspect(client, other) == {"active": False}


async def test_a_token_that_would_be_too_long_is_refused_before_anything_is_issued(house_with: MakeHouse) -> None:
    scopes = {f"{number:03}{'x' * 120}": "" for number in range(40)}
    house = await house_with(access_token_format="jwt", scopes=scopes)
    client = await house.client(" ".join(scopes))
    answer = await house.post("token", by(client), grant_type="client_credentials", scope=" ".join(scopes))
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_scope")
    assert not [name async for name in house.redis.scan_iter("gw:at:*")]
    few = await house.token(client, scope=" ".join(list(scopes)[:20]))
    assert await house.is_active(client, few["access_token"])


# --- which format ------------------------------------------------------------------------------------------------


async def test_the_operator_sets_the_format_of_one_client(house_with: MakeHouse) -> None:
    """Over the configuration, both ways; what lives stays as it is."""
    for default, other in (("opaque", "jwt"), ("jwt", "opaque")):
        house = await house_with(access_token_format=default)
        client, plain = await house.client(), await house.client()
        before = await house.token(client)
        await house.clients.change_client(client.client_id, access_token_format=other)
        after = await house.token(client)
        status, refreshed = await house.refresh(client, before["refresh_token"])
        assert status == 200
        forms = [token["access_token"][:4] for token in (before, after, refreshed, await house.token(plain))]
        own, changed = ("gwa_", "eyJh") if other == "jwt" else ("eyJh", "gwa_")
        assert forms == [own, changed, changed, own]
        assert await house.is_active(client, before["access_token"])
        shown = await (await house.http.get(f"/v1/clients/{client.client_id}", headers=by(client))).json()
        assert shown["access_token_format"] == other
        await house.clients.change_client(client.client_id, access_token_format="")
        assert (await house.token(client))["access_token"].startswith(own)


async def test_without_a_secret_there_are_no_keys_and_no_jwts(house_with: MakeHouse, caplog: pytest.LogCaptureFixture) -> None:
    """A client that has the format from elsewhere gets 503, and not another kind of token than it can read."""
    house = await house_with(secrets=())
    client = await house.client()
    assert (await house.http.get(JWKS)).status == 404
    assert "jwks_uri" not in await (await house.http.get("/.well-known/oauth-authorization-server")).json()
    await house.clients.change_client(client.client_id, access_token_format="jwt")
    assert (await house.post("token", by(client), grant_type="client_credentials")).status == 503
    assert "signing_keys.no_secret" in caplog.text


# --- keys ---------------------------------------------------------------------------------------------------------


async def test_the_key_set_is_found_by_the_metadata_and_cached_for_minutes(jwts: House) -> None:
    metadata = await (await jwts.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["jwks_uri"] == ISSUER + JWKS
    answer = await jwts.http.get(JWKS)
    assert (answer.headers["Cache-Control"], answer.headers["Access-Control-Allow-Origin"]) == ("max-age=300", "*")
    assert len((await key_set(jwts))["keys"]) == 1


async def test_keys_rotate_with_an_overlap(house_with: MakeHouse) -> None:
    """A new key is published before it signs; the old one until its tokens are dead."""
    now = [0.0]
    house = await house_with(clock=lambda: now[0], access_token_format="jwt", signing_key_life="2d")

    async def later(ms: int) -> None:
        await pass_time(house.redis, ms)
        now[0] += ms / 1000

    def kid(token: str) -> str:
        return str(jwt.decode(token, KeySet.import_key_set(keys), algorithms=["ES256"]).header["kid"])

    def kids() -> list[str]:
        return [key["kid"] for key in keys["keys"]]

    client = await house.client()
    keys = await key_set(house)
    first = kid((await house.token(client))["access_token"])
    await later(2 * DAY)
    keys = await key_set(house)
    assert kids()[0] == first
    assert len(kids()) == 2
    last = (await house.token(client))["access_token"]
    assert kid(last) == first, "the next one is not known everywhere yet"
    await later(3_600_000)
    second = kid((await house.token(client))["access_token"])
    assert second != first
    keys = await key_set(house)
    assert kids() == [first, second]
    await later(2 * 3_600_000)
    keys = await key_set(house)
    assert kids() == [second]


async def test_instances_share_keys_and_a_new_secret_reads_the_old_ones(house_with: MakeHouse) -> None:
    """``secrets.previous``: no token is orphaned, and the old secret can go once each instance has the new one."""
    one = await house_with(access_token_format="jwt")
    keys = await key_set(one)
    two = await house_with(one.redis, secrets=(b"n" * 32, SECRET), access_token_format="jwt")
    assert await key_set(two) == keys
    client = await two.client()
    await verified(one, (await two.token(client))["access_token"])
    three = await house_with(one.redis, secrets=(b"n" * 32,), access_token_format="jwt")
    assert await key_set(three) == keys
    await verified(one, (await three.token(client))["access_token"])


async def test_a_secret_that_opens_nothing_makes_a_new_key_and_says_so(
    house_with: MakeHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """The tokens of the lost key stay alive here, and can be verified elsewhere."""
    one = await house_with(access_token_format="jwt")
    client = await one.client()
    token = (await one.token(client))["access_token"]
    two = await house_with(one.redis, secrets=(b"n" * 32,), access_token_format="jwt")
    fresh = (await two.token(client))["access_token"]
    assert "signing_keys.unreadable" in caplog.text
    await verified(two, token)
    await verified(two, fresh)
    assert await two.is_active(client, token)


async def test_a_store_that_does_not_answer_gives_neither_keys_nor_tokens(house_with: MakeHouse) -> None:
    house = await house_with(access_token_format="jwt")
    client = await house.client()
    await house.redis.set("gw:jk", b"not a ring")
    assert (await house.http.get(JWKS)).status == 503
    assert (await house.post("token", by(client), grant_type="client_credentials")).status == 503
    assert not [name async for name in house.redis.scan_iter("gw:at:*")]


async def test_keys_that_were_seen_are_published_while_the_store_is_away(jwts: House) -> None:
    keys = await key_set(jwts)
    jwts.tokens.broken = {"*"}
    assert await key_set(jwts) == keys


async def test_no_private_key_shows_anywhere(jwts: House, caplog: pytest.LogCaptureFixture) -> None:
    client = await jwts.client()
    await jwts.token(client)
    assert '"d"' not in await (await jwts.http.get(JWKS)).text()
    assert "signing_keys.renewed" in caplog.text
    for record in caplog.records:
        assert SECRET.decode() not in str(record.__dict__)
