"""The store's failures: each is StoreUnavailable at once, without values, and none outlives its cause."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from gateway.config.model import Store
from gateway.errors import ConfigFault, StoreUnavailable
from gateway.oauth.ports import RefreshOutcome
from gateway.store.connect import connect
from gateway.store.keys import Keys
from tests.servers import ValkeyServer, free_port
from tests.store.stores import (
    DAY,
    HOUR,
    Registered,
    Stores,
    a_pair,
    connected,
    issue,
    refresh,
    register,
    stores_on,
)

KEYS = Keys()
T = TypeVar("T")


@pytest.fixture
async def own() -> AsyncIterator[ValkeyServer]:
    """A server that the test may break."""
    server = ValkeyServer()
    await asyncio.to_thread(server.start)
    yield server
    server.remove()


async def try_issue(stores: Stores, client: Registered) -> bool:
    return await stores.tokens.issue(
        client.client, client.key, a_pair(client), frozenset(), access_ttl_ms=HOUR, refresh_ttl_ms=DAY, max_live_chains=9
    )


async def fails(answer: Awaitable[object]) -> str:
    """The reason of a call that must fail."""
    with pytest.raises(StoreUnavailable) as caught:
        await answer
    assert caught.value.status == 503
    return caught.value.reason


async def eventually(call: Callable[[], Awaitable[T]], seconds: float = 10.0) -> T:
    """Repeat a call until the store answers it."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await call()
        except StoreUnavailable:
            assert asyncio.get_running_loop().time() < deadline, "the store did not come back"
            await asyncio.sleep(0.005)


# --- the server ----------------------------------------------------------------------------------------------------


async def test_f01_a_server_that_is_down_and_back(own: ValkeyServer) -> None:
    async with connected(own) as stores:
        client = await register(stores)
        pair = await issue(stores, client)
        async with connected(own, timeout="200ms") as impatient:
            await eventually(lambda: impatient.clients.now_ms())
            own.kill()
            assert await fails(try_issue(impatient, client)) == "issue: the connection was lost"
            for call, name in (
                (impatient.clients.find_client(client.id), "find_client"),
                (impatient.tokens.find_access(pair.access), "find_with_client"),
                (impatient.clients.now_ms(), "now"),
                (impatient.clients.last_used([client.key]), "last_used"),
            ):
                assert await fails(call) == f"{name}: the connection is down"
            await asyncio.to_thread(own.start)
            assert await eventually(lambda: impatient.tokens.find_access(pair.access)) is not None


async def test_a_restart_between_two_calls_is_not_noticed(own: ValkeyServer) -> None:
    """Idle connections of the pool are stale then, and the scripts are unknown to the new server."""
    async with connected(own) as stores:
        client = await register(stores)
        await asyncio.gather(*(try_issue(stores, client) for _ in range(20)))
        await asyncio.to_thread(own.restart)
        assert await asyncio.gather(*(try_issue(stores, client) for _ in range(20))) == [True] * 20


async def test_f02_a_server_that_does_not_answer(own: ValkeyServer) -> None:
    """Every call gives up in its time, and no late answer reaches another call."""
    async with connected(own) as patient, connected(own, timeout="200ms") as stores:
        clients = [await register(patient) for _ in range(20)]
        await eventually(lambda: stores.clients.now_ms())
        with own.frozen():
            calls = [stores.clients.find_client(client.id) for client in clients]
            answers = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
            assert {type(answer) for answer in answers} == {StoreUnavailable}
        await eventually(lambda: stores.clients.now_ms())
        for client in clients * 5:
            found = await eventually(lambda client=client: stores.clients.find_client(client.id))  # type: ignore[misc]
            assert found.client_id == client.id


async def test_a_burst_shares_one_connection(valkey: ValkeyServer) -> None:
    async with connected(valkey) as stores:
        client = await register(stores)
        assert all(await asyncio.gather(*(try_issue(stores, client) for _ in range(1000))))
        names = [entry["name"] for entry in await stores.redis.client_list()]
        assert names.count("gateway-wire") == 1


async def test_f04_a_replica_refuses_writes(own: ValkeyServer) -> None:
    async with connected(own) as stores:
        client = await register(stores)
        own.call("REPLICAOF", "127.0.0.1", str(free_port()))
        own.call("CONFIG", "SET", "replica-serve-stale-data", "yes")
        assert "READONLY" in await fails(try_issue(stores, client))
        assert await stores.clients.find_client(client.id) is not None
        own.call("CONFIG", "SET", "replica-serve-stale-data", "no")
        assert "MASTERDOWN" in await fails(stores.clients.find_client(client.id))


async def test_f06_out_of_memory_refuses_tokens_but_not_look_ups_and_revocation(own: ValkeyServer) -> None:
    async with connected(own) as stores:
        client, second = await register(stores), await register(stores)
        pair, other = await issue(stores, client), await issue(stores, client)
        own.call("CONFIG", "SET", "maxmemory", "1mb", "maxmemory-policy", "noeviction")
        own.call("CONFIG", "SET", "maxmemory", "1")
        assert "OOM" in await fails(try_issue(stores, client))
        assert "OOM" in await fails(refresh(stores, client, pair.refresh))
        assert "OOM" in await fails(stores.clients.claim_username("a@b.c", "claim"))
        assert await stores.tokens.find_access(pair.access) is not None
        assert await stores.tokens.revoke_access(client.id, pair.access)
        assert other.refresh is not None
        assert await stores.tokens.revoke_refresh(client.id, other.refresh)
        assert await stores.clients.retire_credential(second.id, second.key, end_tokens=True)
        assert await stores.clients.delete_client(client.id)
        own.call("CONFIG", "SET", "maxmemory", "0")
        assert await register(stores)


async def test_a_refused_refresh_has_changed_nothing(own: ValkeyServer) -> None:
    async with connected(own) as stores:
        client = await register(stores)
        pair = await issue(stores, client)
        own.call("CONFIG", "SET", "maxmemory", "1")
        await fails(refresh(stores, client, pair.refresh))
        own.call("CONFIG", "SET", "maxmemory", "0")
        assert (await refresh(stores, client, pair.refresh)).outcome is RefreshOutcome.ROTATED


async def test_f05_wrong_and_missing_passwords(own: ValkeyServer) -> None:
    own.call("CONFIG", "SET", "requirepass", "right-password")
    for password in (None, SecretStr("wrong-password")):
        async with connected(own, timeout="200ms", password=password) as stores:
            assert await fails(stores.clients.now_ms()) == "now: the connection is down"
    async with connected(own, password=SecretStr("right-password")) as stores:
        assert await stores.clients.now_ms() > 0


async def test_f05_a_user_who_may_not(valkey: ValkeyServer) -> None:
    valkey.call("ACL", "SETUSER", "reader", "reset", "on", ">pw", "~*", "+get")
    try:
        async with connected(valkey, username="reader", password=SecretStr("pw")) as stores:
            assert "NOPERM" in await fails(stores.clients.claim_username("a@b.c", "claim"))
            assert await stores.clients.find_account("a@b.c") is None
    finally:
        valkey.call("ACL", "DELUSER", "reader")


async def test_scripts_are_sent_again_to_a_server_that_forgot_them(real_stores: Stores) -> None:
    client = await register(real_stores)
    assert await try_issue(real_stores, client)
    await real_stores.redis.script_flush()
    assert await try_issue(real_stores, client)


# --- what lies in the store ----------------------------------------------------------------------------------------


async def everything(stores: Stores, client: Registered, pair: Any) -> dict[str, Callable[[], Awaitable[object]]]:
    """A call for each kind of record that it reads first."""
    return {
        "client": lambda: try_issue(stores, client),
        "credential": lambda: stores.clients.find_credential(client.key),
        "token": lambda: stores.tokens.find_access(pair.access),
        "chain": lambda: refresh(stores, client, pair.refresh),
        "account": lambda: stores.clients.link_client("a@b.c", client.id, at_most=3),
    }


@pytest.mark.parametrize("kind", ["client", "credential", "token", "chain", "account"])
@pytest.mark.parametrize("damage", ["garbage", "another msgpack", "another type"])
async def test_f09_a_corrupt_record_is_named_by_its_kind(stores: Stores, kind: str, damage: str) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    assert pair.refresh is not None
    key = {
        "client": KEYS.client(client.id),
        "credential": KEYS.credential(client.key),
        "token": KEYS.token(pair.access),
        "chain": KEYS.chain(pair.refresh.partition, pair.refresh.chain_id),
        "account": KEYS.account("a@b.c"),
    }[kind]
    await stores.redis.delete(key)
    if damage == "another type":
        await stores.redis.rpush(key, "secret-value")
    else:
        await stores.redis.set(key, b"\xc1secret-value" if damage == "garbage" else b"\xacsecret-value")
    reason = await fails((await everything(stores, client, pair))[kind]())
    assert reason.endswith(f"corrupt {kind} record"), reason


async def test_f09_a_record_without_its_fields_is_corrupt_too(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    await stores.redis.set(KEYS.client(client.id), b"\x80")
    await stores.redis.set(KEYS.token(pair.access), b"\x81\xa1c\xa1x")
    assert await fails(stores.clients.find_client(client.id)) == "find_client: corrupt client record"
    assert await fails(stores.tokens.find_access(pair.access)) == "find_access: corrupt token record"


async def test_f08_after_flushall_there_is_nobody_and_nothing(stores: Stores) -> None:
    client = await register(stores)
    pair = await issue(stores, client)
    await stores.redis.flushall()
    assert await stores.tokens.find_access(pair.access) is None
    assert await stores.clients.find_credential(client.key) is None
    assert not await try_issue(stores, client)
    assert (await refresh(stores, client, pair.refresh)).outcome is RefreshOutcome.UNKNOWN


# --- a caller that goes away ---------------------------------------------------------------------------------------


async def test_f03_a_cancelled_call_never_leaves_its_answer_to_the_next(valkey: ValkeyServer) -> None:
    """CVE-2023-28858: each client is named by its own id, so an answer that belongs to another call shows."""
    async with connected(valkey) as stores:
        clients = [await register(stores) for _ in range(20)]
        chance = random.Random(7)

        async def ask(client: Registered) -> None:
            if chance.random() < 0.5:
                found = await stores.clients.find_client(client.id)
                assert found is not None
                assert found.client_id == client.id
            else:
                pair = await stores.clients.find_credential(client.key)
                assert pair is not None
                assert pair[1].client_key == client.key

        for _ in range(150):
            calls = [asyncio.create_task(ask(chance.choice(clients))) for _ in range(64)]
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            for call in chance.sample(calls, len(calls) // 2):
                call.cancel()
            for answer in await asyncio.gather(*calls, return_exceptions=True):
                assert answer is None or isinstance(answer, asyncio.CancelledError), answer
        # Nothing was lost on the way.
        await asyncio.gather(*(ask(client) for client in clients * 4))


# --- the store section ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["http://h", "h:6379", "embedded:var/store"])
def test_another_scheme_is_refused(url: str) -> None:
    with pytest.raises(ConfigFault, match="can't connect to"):
        connect(Store(url=url), socket_path=None)


async def test_databases_and_credentials_are_taken_from_the_url(valkey: ValkeyServer) -> None:
    valkey.call("ACL", "SETUSER", "us:er", "reset", "on", ">pass/word", "~*", "+@all")
    url = f"redis://us%3Aer:pass%2Fword@127.0.0.1:{valkey.port}/3"
    redis = connect(Store(url=url, timeout="5s"), socket_path=None)
    try:
        await stores_on(redis).clients.claim_username("a@b.c", "claim")
        assert await redis.acl_whoami() in ("us:er", b"us:er")
        assert valkey.call("DBSIZE") == 0
        assert valkey.call("INFO", "keyspace")["db3"]["keys"] == 1
    finally:
        await redis.aclose()
        valkey.call("ACL", "DELUSER", "us:er")


async def test_no_password_shows_where_connections_are_shown(valkey: ValkeyServer) -> None:
    redis = connect(Store(url=valkey.unix_url, password=SecretStr("pass-word")), socket_path=None)
    assert "pass-word" not in repr(redis)
    await redis.aclose()


async def test_two_prefixes_share_a_server_and_no_token(valkey: ValkeyServer) -> None:
    from gateway.store.clients import RedisClients

    async with connected(valkey) as stores:
        client = await register(stores)
        assert await RedisClients(stores.caller, "other").find_client(client.id) is None


def certified(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for localhost that vouches for itself, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    identity = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    private = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(identity, identity, private.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate.write_bytes(built.public_bytes(pem))
    key.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return certificate, key


async def test_a_server_that_is_not_certified_by_ca_file_is_refused(tmp_path: Path) -> None:
    """Without TLS in the bundled server, a stand-in speaks it: enough to see whom we trust."""
    greetings = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greetings
        while await reader.readuntil(b"TIME\r\n"):
            greetings += 1
            writer.write(b"*2\r\n$1\r\n1\r\n$1\r\n0\r\n")
        writer.close()

    for name, works in (("trusted", True), ("other", False)):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*certified(tmp_path, name))
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
            port = server.sockets[0].getsockname()[1]
            section = Store(url=f"rediss://localhost:{port}", ca_file=tmp_path / "trusted.pem", timeout="5s")
            redis = connect(section, socket_path=None)
            if works:
                assert await stores_on(redis).clients.now_ms() == 1000
            else:
                assert "ConnectionError" in await fails(stores_on(redis).clients.now_ms())
            await redis.aclose()
    assert greetings == 1


async def test_a_successor_of_another_chain_is_a_mistake_of_the_caller(real_stores: Stores) -> None:
    client = await register(real_stores)
    pair = await issue(real_stores, client)
    with pytest.raises(ValueError, match="of the presented token's chain"):
        await refresh(real_stores, client, pair.refresh, a_pair(client))
