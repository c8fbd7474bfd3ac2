"""``POST /v1/oauth/leaks``: what was found is dead, whoever's it was, and nothing else is."""

import logging
from typing import Any

import pytest

from gateway.authority.leaks import MAX_FOUND
from gateway.oauth import tokens as formats
from gateway.oauth.secrets import IssuedKey
from tests.authority.conftest import House, basic, by


async def report(house: House, reporter: IssuedKey, *found: object) -> tuple[int, dict[str, Any]]:
    """What a report is answered."""
    answer = await house.http.post("/v1/oauth/leaks", headers=by(reporter), json={"found": list(found)})
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status, await answer.json()


async def test_an_access_token_dies_alone(house: House) -> None:
    """Anybody's: the reporter holds the whole string."""
    victim, reporter = await house.client(), await house.client()
    pair, other = await house.token(victim), await house.token(victim)
    assert await report(house, reporter, pair["access_token"]) == (200, {"found": 1, "revoked": 1})
    assert not await house.is_active(victim, pair["access_token"])
    assert await house.is_active(victim, pair["refresh_token"])
    assert await house.is_active(victim, other["access_token"])


async def test_a_refresh_token_takes_its_chain_along(house: House) -> None:
    """The spent one too, which would still be answered within the grace."""
    victim, reporter = await house.client(), await house.client()
    first = await house.token(victim)
    _, second = await house.refresh(victim, first["refresh_token"])
    assert await report(house, reporter, first["refresh_token"]) == (200, {"found": 1, "revoked": 1})
    for dead in (first["access_token"], second["access_token"], second["refresh_token"]):
        assert not await house.is_active(victim, dead)
    assert (await house.refresh(victim, first["refresh_token"]))[0] == 400


async def test_a_secret_takes_its_key_and_all_that_was_issued_with_it_along(house: House) -> None:
    """The client itself and its other keys stay."""
    victim, reporter = await house.register(), await house.client()
    pair = await house.token(victim)
    answer = await house.http.post(f"/v1/clients/{victim.client_id}/keys", headers=by(victim))
    second = IssuedKey(**await answer.json())
    kept = await house.token(second)
    assert await report(house, reporter, victim.client_secret) == (200, {"found": 1, "revoked": 1})
    assert (await house.post("token", by(victim), grant_type="client_credentials")).status == 401
    assert not await house.is_active(second, pair["access_token"])
    assert await house.is_active(second, kept["access_token"])


async def test_the_dead_the_unknown_and_the_absurd_are_not_counted(house: House) -> None:
    """200 all the same; a report can be repeated."""
    victim, reporter = await house.client(), await house.client()
    pair = await house.token(victim)
    strangers = [
        formats.mint_access("abc", bytes(32)), formats.mint_refresh("abc", "A" * 22, bytes(32)),
        formats.mint_secret("abc", bytes(32)), formats.mint_secret("", bytes(32)), "", "gwa_", "\ud83d", "x" * 5000,
    ]  # fmt: skip
    found = [*strangers, pair["access_token"], pair["access_token"]]
    assert await report(house, reporter, *found) == (200, {"found": 9, "revoked": 1})
    assert await report(house, reporter, *found) == (200, {"found": 9, "revoked": 0})


async def test_it_is_logged_without_the_secret(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Whose it was, of what kind, and who found it."""
    victim, reporter = await house.client(), await house.client()
    pair = await house.token(victim)
    await report(house, reporter, pair["access_token"])
    (event,) = [record for record in caplog.records if record.message == "leak.revoked"]
    assert event.levelno == logging.WARNING
    facts = event.__dict__["facts"]
    assert facts["kind"] == "access_token"
    assert (facts["client_id"], facts["reported_by"]) == (victim.client_id, reporter.client_id)
    assert pair["access_token"] not in caplog.text


async def test_only_clients_may_report(house: House) -> None:
    """401, and the token lives."""
    victim = await house.client()
    pair = await house.token(victim)
    for headers in ({}, basic(victim.client_key, formats.mint_secret("abc", bytes(32)))):
        answer = await house.http.post("/v1/oauth/leaks", headers=headers, json={"found": [pair["access_token"]]})
        assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")
    assert await house.is_active(victim, pair["access_token"])


@pytest.mark.parametrize(
    "body",
    [{}, {"found": "gwa_x"}, {"found": [1]}, {"found": None}, {"found": ["x"] * (MAX_FOUND + 1)}, {"found": [], "more": 1}, []],
)
async def test_another_body_is_400(house: House, body: object) -> None:
    reporter = await house.client()
    answer = await house.http.post("/v1/oauth/leaks", headers=by(reporter), json=body)
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("broken", ["find_access", "end_leaked_chain", "find_by_secret", "retire_credential"])
async def test_a_store_that_fails_is_503_and_the_report_can_be_repeated(house: House, broken: str) -> None:
    """Never a 200 for what may live on (O19)."""
    victim, reporter = await house.client(), await house.client()
    pair = await house.token(victim)
    found = (pair["access_token"], pair["refresh_token"], victim.client_secret)
    for store in (house.clients, house.tokens):
        store.broken.add(broken)
    assert (await report(house, reporter, *found))[0] == 503
    for store in (house.clients, house.tokens):
        store.broken.clear()
    status, document = await report(house, reporter, *found)
    assert (status, document["found"]) == (200, 3)
    assert document["revoked"] >= 1
    assert (await house.post("token", by(victim), grant_type="client_credentials")).status == 401
