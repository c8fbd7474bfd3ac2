"""``POST /v1/oauth/revoke``: RFC 7009."""

import pytest

from gateway.oauth import tokens as formats
from tests.authority.conftest import House, basic, by


async def test_rfc7009_2_an_access_token(house: House) -> None:
    """Dead at once; its chain lives.  The body says nothing, as JSON, for clients that parse what they should ignore."""
    client = await house.client()
    pair = await house.token(client)
    answer = await house.post("revoke", by(client), token=pair["access_token"])
    assert (answer.status, await answer.json()) == (200, {})
    assert answer.headers["Cache-Control"] == "no-store"
    assert not await house.is_active(client, pair["access_token"])
    assert (await house.refresh(client, pair["refresh_token"]))[0] == 200


async def test_rfc7009_2_1_a_refresh_token_takes_its_access_tokens_along(house: House) -> None:
    """The whole chain, and no other (O18)."""
    client = await house.client()
    first, other = await house.token(client), await house.token(client)
    _, second = await house.refresh(client, first["refresh_token"])
    assert (await house.post("revoke", by(client), token=second["refresh_token"])).status == 200
    assert not await house.is_active(client, first["access_token"])
    assert not await house.is_active(client, second["access_token"])
    assert (await house.refresh(client, second["refresh_token"]))[0] == 400
    assert await house.is_active(client, other["access_token"])


async def test_rfc7009_2_1_a_foreign_token_stays_alive(house: House) -> None:
    """200 all the same: nothing tells that it exists."""
    client, stranger = await house.client(), await house.client()
    pair = await house.token(client)
    for token in (pair["access_token"], pair["refresh_token"]):
        assert (await house.post("revoke", by(stranger), token=token)).status == 200
    assert await house.is_active(client, pair["access_token"])
    assert await house.is_active(client, pair["refresh_token"])


async def test_a_foreign_token_of_the_same_partition_stays_alive(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner is compared, not only the slot."""
    monkeypatch.setattr("gateway.authority.enrolment.mint_partition", lambda _entropy: "abc")
    client, stranger = await house.client(), await house.client()
    assert client.client_id[4:7] == stranger.client_id[4:7] == "abc"
    pair = await house.token(client)
    for token in (pair["access_token"], pair["refresh_token"]):
        assert (await house.post("revoke", by(stranger), token=token)).status == 200
    assert (await house.refresh(stranger, pair["refresh_token"]))[0] == 400
    assert not await house.is_active(stranger, pair["access_token"])
    assert await house.is_active(client, pair["access_token"])
    assert await house.is_active(client, pair["refresh_token"])


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "unknown"])
async def test_rfc7009_2_1_a_wrong_hint_changes_nothing(house: House, hint: str) -> None:
    """Both kinds are found."""
    client = await house.client()
    for name in ("access_token", "refresh_token"):
        pair = await house.token(client)
        assert (await house.post("revoke", by(client), token=pair[name], token_type_hint=hint)).status == 200
        assert not await house.is_active(client, pair[name])


async def test_rfc7009_2_2_dead_and_unknown_tokens_are_200(house: House) -> None:
    """Twice the same, never issued, malformed."""
    client = await house.client()
    pair = await house.token(client)
    never = formats.mint_access(client.client_id[4:7], bytes(32))
    for token in (pair["access_token"], pair["access_token"], never, "x", client.client_secret, "é\x00*"):
        assert (await house.post("revoke", by(client), token=token)).status == 200


async def test_rfc7009_2_1_refusals(house: House) -> None:
    """No token: 400; nobody: 401, and nothing happens."""
    client = await house.client()
    pair = await house.token(client)
    assert (await house.post("revoke", by(client), token="")).status == 400
    for headers in ({}, basic(client.client_key, formats.mint_secret("abc", bytes(32)))):
        assert (await house.post("revoke", headers, token=pair["access_token"])).status == 401
    assert await house.is_active(client, pair["access_token"])


@pytest.mark.parametrize(("broken", "name"), [("revoke_access", "access_token"), ("revoke_refresh", "refresh_token")])
async def test_rfc7009_2_2_1_a_revocation_that_was_not_stored_is_503(house: House, broken: str, name: str) -> None:
    """It means: still valid (O19)."""
    client = await house.client()
    pair = await house.token(client)
    house.tokens.broken = {broken}
    answer = await house.post("revoke", by(client), token=pair[name])
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert await house.is_active(client, pair[name])
