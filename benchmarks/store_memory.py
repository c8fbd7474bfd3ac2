"""
What the store holds per live pair: bytes, everything counted, for N pairs issued by the product's own scripts.

    .venv/bin/python -m benchmarks.store_memory [PAIRS]        # 1,000,000 pairs take about two minutes

A pair is an access token, its chain with the refresh token, and the chain's place in the index.  ``used`` is the server's
own count (INFO used_memory), ``rss`` what the kernel gave it; both less what the empty server had.  "refreshed" are pairs
after their first refresh: then a chain keeps the sealed successor for the grace.
"""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

from gateway.oauth.pairs import FIRST_ENTROPY, NEXT_ENTROPY, mint_first, mint_next
from gateway.oauth.ports import NewTokens
from gateway.oauth.records import Client, Credential
from gateway.oauth.tokens import digest_secret, mint_client_id, mint_client_key, mint_partition
from gateway.store.clients import RedisClients
from gateway.store.dial import Address
from gateway.store.handshake import Login
from gateway.store.tokens import RedisTokens
from gateway.store.wire import Wire
from gateway.telemetry.metrics import Registry
from tests.servers import ValkeyServer

EACH = 500
"""Pairs of one client; so a client's own records are counted too."""
SEALED = 147
"""Bytes of a sealed successor: nonce, two tokens, tag."""


async def a_client(clients: RedisClients, number: int) -> tuple[Client, str]:
    """Register one."""
    partition = mint_partition(os.urandom(2))
    client = Client(mint_client_id(partition, os.urandom(16)), f"account{number}")
    key = mint_client_key(partition, os.urandom(16))
    await clients.create_client(client, Credential(key, client.client_id, digest_secret(os.urandom(32))), provisional=False)
    return client, key


async def issue(tokens: RedisTokens, client: Client, key: str) -> NewTokens:
    """One pair."""
    minted = mint_first(client.client_id[4:7], os.urandom(FIRST_ENTROPY), refresh=True)[1]
    stored = await tokens.issue(
        client, key, minted, frozenset(), access_ttl_ms=3_600_000, refresh_ttl_ms=86_400_000, max_live_chains=1000
    )
    assert stored
    return minted


async def refresh(tokens: RedisTokens, client: Client, key: str, first: NewTokens) -> None:
    """Its first refresh."""
    assert first.refresh is not None
    minted = mint_next(first.refresh, os.urandom(NEXT_ENTROPY))[1]
    following = NewTokens(minted.access, minted.refresh, os.urandom(SEALED))
    await tokens.refresh(
        client.client_id, key, first.refresh, following, None, access_ttl_ms=3_600_000, grace_ms=30_000
    )


def weight(server: ValkeyServer) -> tuple[int, int]:
    """Bytes: what the server counts, and its resident set."""
    info = server.call("INFO", "memory")
    return int(info["used_memory"]), int(info["used_memory_rss"])


async def main(pairs: int) -> None:
    """Issue, weigh, refresh one in ten, weigh again."""
    server = ValkeyServer("--appendonly", "no").start()
    try:
        wire = Wire(Address(path=str(server.socket)), Login(), timeout=60, registry=Registry())
        await wire.start()
        tokens, clients = RedisTokens(wire), RedisClients(wire)
        await issue_one_away(tokens, clients)
        empty = weight(server)
        kept: list[tuple[Client, str, NewTokens]] = []
        for number in range(pairs // EACH):
            client, key = await a_client(clients, number)
            made = await asyncio.gather(*(issue(tokens, client, key) for _ in range(EACH)))
            kept += [(client, key, one) for one in made[: EACH // 10]]
        used, rss = (after - before for after, before in zip(weight(server), empty, strict=True))
        print(f"{pairs} fresh pairs of {pairs // EACH} clients: {used / pairs:.0f} B used, {rss / pairs:.0f} B rss, each")
        before = weight(server)[0]
        for at in range(0, len(kept), EACH):
            await asyncio.gather(*(refresh(tokens, *one) for one in kept[at : at + EACH]))
        grown = weight(server)[0] - before
        print(f"{len(kept)} of them refreshed once: {grown / len(kept):+.0f} B used, each (two live access tokens then)")
        await wire.close()
    finally:
        server.remove()


async def issue_one_away(tokens: RedisTokens, clients: RedisClients) -> None:
    """What is loaded once (scripts) is no pair's."""
    client, key = await a_client(clients, -1)
    await refresh(tokens, client, key, await issue(tokens, client, key))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
