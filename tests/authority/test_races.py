"""What happens at once, on a real Valkey: over HTTP, with as many connections as requests."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.config.model import Store
from gateway.store.connect import connect
from tests.authority.conftest import PASSWORD, House, MakeHouse, by
from tests.servers import ValkeyServer


@pytest.fixture
async def real(house_with: MakeHouse, valkey: ValkeyServer) -> AsyncIterator[House]:
    """A house on Valkey, by the connections that the gateway makes."""
    redis = connect(Store.model_validate({"url": valkey.unix_url, "timeout": "5s"}), socket_path=None)
    yield await house_with(redis)
    await redis.aclose()


async def test_fifty_refreshes_of_one_token_get_one_pair(real: House) -> None:
    """The same bytes for all, and the pair works (O02)."""
    client = await real.client()
    pair = await real.token(client)
    answers = await asyncio.gather(*(real.refresh(client, pair["refresh_token"]) for _ in range(50)))
    assert {status for status, _ in answers} == {200}
    assert len({(answer["access_token"], answer["refresh_token"]) for _, answer in answers}) == 1
    assert await real.is_active(client, answers[0][1]["access_token"])
    assert (await real.refresh(client, answers[0][1]["refresh_token"]))[0] == 200


async def test_one_winner_of_fifty_registrations(real: House) -> None:
    """All others 409 (G02)."""
    body = {"username": "ann@example.com", "password": PASSWORD}
    answers = await asyncio.gather(*(real.http.post("/v1/register", json=body) for _ in range(50)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 49


async def test_a_refresh_racing_a_revocation_leaves_no_living_token(real: House) -> None:
    """Whoever comes first."""
    client = await real.client()
    for _ in range(20):
        pair = await real.token(client)
        (status, new), revoked = await asyncio.gather(
            real.refresh(client, pair["refresh_token"]), real.post("revoke", by(client), token=pair["refresh_token"])
        )
        assert revoked.status == 200
        living = [pair["access_token"]] + ([new["access_token"], new["refresh_token"]] if status == 200 else [])
        assert [await real.is_active(client, token) for token in living] == [False] * len(living)


async def test_an_account_never_gets_more_clients_than_it_may(real: House) -> None:
    """Twenty-five at once, one is there already."""
    from gateway.authority.enrolment import MAX_CLIENTS

    await real.client(username="ann")
    results = await asyncio.gather(*(real.client(username="ann") for _ in range(25)), return_exceptions=True)
    assert sum(not isinstance(result, Exception) for result in results) == MAX_CLIENTS - 1
    assert len((await real.clients.find_account("ann")).client_ids) == MAX_CLIENTS


async def test_no_secret_in_the_store(real: House, valkey: ValkeyServer) -> None:
    """Digests only: every value of every key, raw."""
    client = await real.register("ann@example.com")
    pair = await real.token(client)
    await real.refresh(client, pair["refresh_token"])
    keys = valkey.call("KEYS", "*")
    assert len(keys) >= 6
    dump = b"\n".join([*keys, *(valkey.call("GET", key) for key in keys if valkey.call("TYPE", key) in (b"string", "string"))])
    assert client.client_id.encode() in dump
    for secret in [*real.issued, PASSWORD]:
        assert secret.encode() not in dump
        assert secret[7:50].encode() not in dump
