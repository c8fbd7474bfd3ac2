"""Builders for the store's tests: clients, credentials and tokens with fresh entropy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from os import urandom
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from gateway.config.model import Store
from gateway.oauth import tokens as forms
from gateway.oauth.ports import NewTokens, Refreshed
from gateway.oauth.records import Client, Credential, is_live
from gateway.oauth.tokens import AccessRef, RefreshRef
from gateway.store.caller import Caller, RedisCaller
from gateway.store.clients import RedisClients
from gateway.store.connect import connect
from gateway.store.dial import find_address
from gateway.store.tokens import RedisTokens
from gateway.store.wire import Wire
from gateway.telemetry.metrics import Registry
from tests.servers import ValkeyServer

HOUR = 3_600_000
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Stores:
    """Both ports on one caller, and a client of redis-py for a look behind them."""

    redis: Any
    caller: Caller
    clients: RedisClients
    tokens: RedisTokens


def stores_on(redis: Redis, caller: Caller | None = None) -> Stores:
    """Both ports on a caller, by default one over redis-py."""
    caller = caller or RedisCaller(redis)
    return Stores(redis, caller, RedisClients(caller), RedisTokens(caller))


@asynccontextmanager
async def a_wire(store: Store, socket: Path | None = None, registry: Registry | None = None) -> AsyncIterator[Wire]:
    """A wire that is started and, after the test, closed."""
    address, login = find_address(store, socket)
    wire = Wire(address, login, timeout=store.timeout.total_seconds(), registry=registry or Registry())
    await wire.start()
    try:
        yield wire
    finally:
        await wire.close()


@asynccontextmanager
async def connected(server: ValkeyServer, timeout: str = "5s", **section: Any) -> AsyncIterator[Stores]:
    """Both ports on a real server, over a wire as the gateway does; a generous timeout, as the machine may be busy."""
    store = Store(url=server.unix_url, timeout=timeout, **section)
    async with server.client() as redis, a_wire(store) as wire:
        yield stores_on(redis, wire)


@asynccontextmanager
async def pooled(server: ValkeyServer, timeout: str = "5s", **section: Any) -> AsyncIterator[Stores]:
    """Both ports on a real server, over redis-py as the command line does."""
    redis = connect(Store(url=server.unix_url, timeout=timeout, **section), socket_path=None)
    try:
        yield stores_on(redis)
    finally:
        await redis.aclose()


@asynccontextmanager
async def embedded(socket: Path) -> AsyncIterator[Stores]:
    """Both ports on the socket of an embedded store."""
    redis = connect(Store(), socket_path=socket)
    try:
        async with a_wire(Store(), socket) as wire:
            yield stores_on(redis, wire)
    finally:
        await redis.aclose()


@dataclass(frozen=True, slots=True)
class Registered:
    """A client with its first credential."""

    client: Client
    credential: Credential

    @property
    def id(self) -> str:
        return self.client.client_id

    @property
    def key(self) -> str:
        return self.credential.client_key


def a_credential(client: Client, **changes: Any) -> Credential:
    """A further credential of a client."""
    client_key = forms.mint_client_key(client.client_id[4:7], urandom(16))
    return replace(Credential(client_key, client.client_id, urandom(32)), **changes)


def a_client(partition: str | None = None, **changes: Any) -> Registered:
    """A client that is not stored yet."""
    partition = partition or forms.mint_partition(urandom(2))
    client = Client(forms.mint_client_id(partition, urandom(16)), "a@b.c")
    credential = a_credential(client)
    return Registered(replace(client, keys=(credential.client_key,), **changes), credential)


async def register(stores: Stores, partition: str | None = None, **changes: Any) -> Registered:
    """A client that is stored."""
    new = a_client(partition, **changes)
    await stores.clients.create_client(new.client, new.credential, provisional=False)
    return new


def a_pair(client: Registered) -> NewTokens:
    """A new access token with a refresh token of a new chain."""
    partition = client.id[4:7]
    return NewTokens(
        forms.AccessRef(partition, urandom(32)),
        RefreshRef(partition, forms.mint_chain_id(urandom(16)), urandom(32)),
    )


def a_successor(presented: RefreshRef) -> NewTokens:
    """The pair that a refresh may hand out."""
    return NewTokens(
        forms.AccessRef(presented.partition, urandom(32)),
        RefreshRef(presented.partition, presented.chain_id, urandom(32)),
        sealed=b"sealed" + urandom(16),
    )


async def issue(
    stores: Stores, client: Registered, pair: NewTokens | None = None, *, scopes: frozenset[str] = frozenset(),
    access_ttl_ms: int = HOUR, refresh_ttl_ms: int = DAY, max_live_chains: int = 1000, client_key: str = "",
    max_live_tokens: int = 1000,
) -> NewTokens:  # fmt: skip
    """Issue a pair and say that it worked."""
    pair = pair or a_pair(client)
    assert await stores.tokens.issue(
        client.client, client_key or client.key, pair, scopes,
        access_ttl_ms=access_ttl_ms, refresh_ttl_ms=refresh_ttl_ms, max_live_chains=max_live_chains,
        max_live_tokens=max_live_tokens,
    )  # fmt: skip
    return pair


async def refresh(
    stores: Stores, client: Registered, presented: RefreshRef | None, successor: NewTokens | None = None, *,
    scopes: frozenset[str] | None = None, access_ttl_ms: int = HOUR, grace_ms: int = 30_000, client_key: str = "",
) -> Refreshed:  # fmt: skip
    """Present a refresh token."""
    assert presented is not None
    return await stores.tokens.refresh(
        client.id, client_key or client.key, presented, successor or a_successor(presented), scopes,
        access_ttl_ms=access_ttl_ms, grace_ms=grace_ms,
    )  # fmt: skip


async def lives(stores: Stores, ref: AccessRef) -> bool:
    """Whether an access token would be let through now."""
    found = await stores.tokens.find_access(ref)
    return found is not None and is_live(*found)
