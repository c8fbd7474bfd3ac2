"""Who calls, signed for one upstream: what it says, who can verify it, and what it is no good for."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from gateway.authority.identity_assertions import PAUSE, SHOWN, IdentityAssertions
from gateway.authority.signing import KEPT, SigningKeys
from gateway.errors import GatewayError, StoreUnavailable
from gateway.oauth.access import find_access
from gateway.oauth.assertions import ASSERTION_TYPE
from gateway.oauth.identity_assertion import LIFE, identity_claims
from gateway.store.caller import RedisCaller
from gateway.store.signing_keys import RedisSigningKeys
from tests.authority.conftest import SECRET, Breakable, House

ISSUER = "http://127.0.0.1:8080"
LEGACY = "https://legacy.internal"
CALLER = {"client_id": b"gwc_me", "scope": b"a b", "sub": b"gwc_me"}


class Time:
    """Seconds that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """The assertions of a worker beside a house, on the same store."""

    def __init__(self, house: House) -> None:
        self.clock = Time()
        self.store = Breakable(RedisSigningKeys(RedisCaller(house.redis)))
        self.now_ms = house.tokens.now_ms
        keys = SigningKeys(
            self.store, [SECRET], life_ms=30 * 24 * 3_600_000, now=self._now, clock=self.clock, entropy=os.urandom
        )  # fmt: skip
        self.assertions = IdentityAssertions(keys, ISSUER, clock=self.clock, entropy=os.urandom)

    async def _now(self) -> int:
        if "*" in self.store.broken:
            raise StoreUnavailable("test")
        return await self.now_ms()  # type: ignore[no-any-return]

    async def ready(self) -> GatewayError | None:
        """Wait for the key."""
        done = asyncio.get_running_loop().create_future()
        self.assertions.wait(done.set_result)
        async with asyncio.timeout(5):
            return await done  # type: ignore[no-any-return]

    def write(self, audience: str = LEGACY, **more: bytes) -> str:
        return self.assertions.write(audience, {**CALLER, **more}, self.clock.now)[0].decode()


@pytest.fixture
async def desk(house: House) -> Desk:
    return Desk(house)


async def verified(house: House, token: str, audience: str = LEGACY) -> dict[str, Any]:
    """As an upstream reads it, with nothing but the published keys."""
    found = await (await house.http.get("/v1/oauth/jwks.json")).json(content_type=None)
    decoded = jwt.decode(token, KeySet.import_key_set(found), algorithms=["ES256"])
    assert decoded.header == {"alg": "ES256", "typ": "JWT", "kid": decoded.header["kid"]}
    wanted = {name: {"essential": True, "value": value} for name, value in (("iss", ISSUER), ("aud", audience))}
    jwt.JWTClaimsRegistry(leeway=10, **wanted).validate(decoded.claims)  # type: ignore[arg-type]  # its options are such mappings
    return decoded.claims


async def test_an_upstream_can_verify_who_calls(house: House, desk: Desk) -> None:
    """Access tokens are opaque here, and the keys are published all the same; its times are the store's."""
    assert await desk.ready() is None
    claims = await verified(house, desk.write())
    assert claims.keys() == {"iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti"}
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("gwc_me", "gwc_me", "a b")
    assert claims["exp"] - claims["iat"] == LIFE == 60
    assert abs(claims["iat"] - time.time()) < 5
    desk.clock.now += 7
    later = await verified(house, desk.write())
    assert claims["iat"] + 6 <= later["iat"] <= claims["iat"] + 8
    assert later["jti"] != claims["jti"]


async def test_for_whom_a_client_acts_is_the_subject(house: House, desk: Desk) -> None:
    await desk.ready()
    claims = await verified(house, desk.write(subject=b"gwu_1", scope=b""))
    assert (claims["sub"], claims["client_id"]) == ("gwu_1", "gwc_me")
    assert "scope" not in claims


async def test_it_is_good_for_its_upstream_alone(house: House, desk: Desk) -> None:
    """Not at another one, not here as a token, not as a client's assertion, not in introspection."""
    await desk.ready()
    client = await house.client()
    token = desk.write(client_id=client.client_id.encode())
    with pytest.raises(Exception, match="aud"):
        await verified(house, token, "https://other.internal")
    assert find_access(token.encode()) is None
    assert not await house.is_active(client, token)
    # Even if it were for the issuer and said what a client's own assertion says, nobody has noted its key as the client's.
    sneaky = identity_claims(
        issuer=client.client_id, audience=ISSUER, client_id=client.client_id, subject="", scope="",
        now_ms=await desk.now_ms(), jti="x",
    )  # fmt: skip
    signer = desk.assertions._signer
    assert signer is not None
    for assertion in (token, signer.sign(sneaky, "JWT")):
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, "grant_type": "client_credentials"}
        assert (await house.post("token", {}, **form)).status == 401


async def test_it_is_shown_for_half_its_life_at_most(desk: Desk) -> None:
    """So that a minute's clock difference to come is not what decides."""
    await desk.ready()
    _, until = desk.assertions.write(LEGACY, CALLER, desk.clock.now)
    assert until == desk.clock.now + SHOWN == desk.clock.now + LIFE / 2


async def test_the_first_one_waits_for_the_key_once_for_all(desk: Desk) -> None:
    assert desk.write() == ""
    assert await asyncio.gather(*(desk.ready() for _ in range(20))) == [None] * 20
    assert desk.store.calls.count("find_ring") == 1
    assert desk.write()


async def test_without_a_key_nothing_is_said_and_the_store_is_left_alone(desk: Desk) -> None:
    """For a second; then it is asked again."""
    desk.store.broken.add("*")
    assert isinstance(await desk.ready(), StoreUnavailable)
    desk.store.broken.clear()
    with pytest.raises(StoreUnavailable):
        desk.write()
    desk.clock.now += PAUSE
    assert desk.write() == ""
    assert await desk.ready() is None
    assert desk.write()


async def test_the_last_key_signs_on_while_the_store_is_away(desk: Desk) -> None:
    """On routes that go on then, and public keys are cached by who verifies."""
    await desk.ready()
    desk.store.broken.add("*")
    for _ in range(3):
        desk.clock.now += KEPT
        assert desk.write()
        await desk.ready()
    assert desk.write()


async def test_the_key_is_looked_after_in_the_background(desk: Desk) -> None:
    """Once a minute, and no request waits for it."""
    await desk.ready()
    desk.write()
    assert desk.store.calls.count("find_ring") == 1
    desk.clock.now += KEPT
    assert desk.write()
    await desk.ready()
    assert desk.store.calls.count("find_ring") == 2
