"""A copy of the store gives nobody a token: neither its keys and values nor its append-only file hold one."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from os import urandom

import pytest

from gateway.oauth import tokens as forms
from gateway.oauth.ports import NewTokens, RefreshOutcome
from gateway.oauth.records import Account
from tests.servers import ValkeyServer
from tests.store.stores import Stores, a_client, connected, issue, refresh

NAME, PASSWORD = "someone@example.com", "correct horse battery staple"


@pytest.fixture
async def server() -> AsyncIterator[ValkeyServer]:
    """A server of its own, so that its files are this test's alone."""
    server = ValkeyServer().start()
    yield server
    server.remove()


async def live_a_little(stores: Stores) -> list[str]:
    """Register, issue, refresh and retry with real tokens; returns all that was secret."""
    client, secret = a_client("abc"), forms.mint_secret("abc", urandom(32))
    client = replace(client, credential=replace(client.credential, secret_digest=forms.digest_secret(secret.encode())))
    assert await stores.clients.claim_username(NAME, "claim")
    await stores.clients.create_client(client.client, client.credential, provisional=True)
    assert await stores.clients.confirm_username(Account(NAME, "$argon2id$v=19$hash", (client.id,)), "claim")
    assert await stores.clients.keep_client(client.id)

    partition, chain_id = client.id[4:7], forms.mint_chain_id(urandom(16))
    minted = [(forms.mint_access(partition, urandom(32)), forms.mint_refresh(partition, chain_id, urandom(32))) for _ in range(2)]
    pairs = []
    for access, token in minted:
        found, held = forms.find_opaque(access.encode()), forms.find_refresh(token.encode())
        assert found is not None
        pairs.append(NewTokens(found, held, sealed=urandom(200)))
    await issue(stores, client, pairs[0])
    for outcome in (RefreshOutcome.ROTATED, RefreshOutcome.REPEATED):
        assert (await refresh(stores, client, pairs[0].refresh, pairs[1])).outcome is outcome
    return [secret, PASSWORD, *(token for pair in minted for token in pair)]


def traces(secret: str) -> list[bytes]:
    """A secret as it is written, its random part alone, and the bytes that this part encodes."""
    if not secret.startswith("gw"):
        return [secret.encode()]
    random = secret[-49:-6]
    return [secret.encode(), random.encode(), urlsafe_b64decode(random + "=")]


async def test_no_secret_lies_in_the_store_or_its_files(server: ValkeyServer) -> None:
    async with connected(server) as stores:
        secrets = await live_a_little(stores)
        server.call("CONFIG", "SET", "rdbcompression", "no")  # also of DUMP's strings
        heap = [part for key in server.call("KEYS", "*") for part in (key, server.call("DUMP", key))]
        assert len(heap) == 2 * 10
    server.stop()
    files = [path.read_bytes() for path in server.directory.rglob("*") if path.is_file()]
    everything = b"\n".join([*heap, *files])
    for place in (heap, files):
        assert any(b"gw:ch:" in content for content in place), "the search must find what is there"
    for secret in secrets:
        for trace in traces(secret):
            assert trace not in everything
