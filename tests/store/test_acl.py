"""The ACL user that docs/store.md prescribes: enough for everything, and nothing beyond; also over TLS, on a real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from os import urandom
from pathlib import Path

import pytest
from pydantic import SecretStr

import gateway.store
from gateway import modes
from gateway.config.model import Config, Store
from gateway.errors import StoreUnavailable
from gateway.guard.leases import Quota, Rate, Slots
from gateway.guard.reports import Finding
from gateway.oauth.ports import RefreshOutcome
from gateway.oauth.records import SignIn
from gateway.store.connect import connect
from gateway.store.dial import find_address
from gateway.store.findings import RedisFindings
from gateway.store.limits import RedisLimits
from gateway.store.link import VerdictLink
from gateway.store.sessions import RedisSessions
from gateway.telemetry.metrics import Registry
from tests.servers import DEBIAN_REDIS, ValkeyServer, free_port
from tests.store.link_bench import until
from tests.store.stores import HOUR, Stores, a_credential, a_wire, issue, lives, refresh, register, stores_on
from tests.store.test_failures import certified

SOURCES = Path(gateway.store.__file__).parent
RULE = next(
    line for line in Path("docs/store.md").read_text().splitlines() if line.startswith("ACL SETUSER gateway ")
).split()
GIVEN = {word[1:].upper() for word in RULE if word.startswith("+")}
NEEDED_OUTSIDE = {"CLUSTER|INFO", "CLUSTER|SLOTS", "CLIENT|SETNAME", "CLIENT|TRACKING", "EVAL", "EVALSHA", "INFO"}
"""What no plain call names: the handshakes, the scripts themselves, redis-py's ``info()``."""


def allowed(server: ValkeyServer, password: str) -> None:
    """Make the user of the docs."""
    server.call(*(f">{password}" if word == ">PASSWORD" else word for word in RULE))


@pytest.fixture
async def guarded(valkey: ValkeyServer) -> AsyncIterator[ValkeyServer]:
    """A server with that user."""
    allowed(valkey, "pass-word")
    yield valkey
    valkey.call("ACL", "DELUSER", "gateway")


@pytest.fixture
async def tls_server(tmp_path: Path) -> AsyncIterator[tuple[ValkeyServer, Store]]:
    """Debian's redis-server, which has TLS, with that user; and the section that reaches it."""
    if DEBIAN_REDIS is None:
        pytest.skip("no /usr/bin/redis-server here, and the bundled Valkey is built without TLS")
    certificate, key = certified(tmp_path, "store")
    port = free_port()
    server = ValkeyServer(
        "--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no",
        binary=DEBIAN_REDIS,
    )  # fmt: skip
    await asyncio.to_thread(server.start)
    allowed(server, "pass-word")
    url = f"rediss://localhost:{port}/0"
    yield server, Store(url=url, ca_file=certificate, username="gateway", password=SecretStr("pass-word"), timeout="5s")
    server.remove()


async def everything_works(stores: Stores) -> None:
    """One of each kind: the life of a client, its tokens, a session, an account's name, what was found."""
    client = await register(stores)
    pair = await issue(stores, client)
    assert await lives(stores, pair.access)
    assert pair.refresh is not None
    assert (await refresh(stores, client, pair.refresh)).outcome is RefreshOutcome.ROTATED
    assert await stores.tokens.revoke_access(client.id, pair.access)
    second = a_credential(client.client)
    assert await stores.clients.add_credential(second, at_most=5)
    assert await stores.clients.retire_credential(client.id, second.client_key, end_tokens=True)
    assert await stores.clients.claim_username("a@b.c", "claim")
    await stores.clients.release_username("a@b.c", "claim")
    sessions = RedisSessions(stores.caller)
    session = SignIn(urandom(32), "a@b.c", urandom(32))
    await sessions.begin_session(session, idle_ms=HOUR, life_ms=HOUR, at_most=2)
    assert await sessions.use_session(session.digest, idle_ms=HOUR, life_ms=HOUR)
    await sessions.end_sessions("a@b.c")
    findings = RedisFindings(stores.caller)
    await findings.add({Finding("GET", "/x", "", ""): 1})
    await findings.forget()
    limits, said = RedisLimits(stores.caller, "worker"), []
    limits.take_rate("a", Rate(1, 1, 1), 1, said.append)
    limits.take_quota("a", Quota(1, "day"), 1, 0, said.append)
    limits.hold_slots("a", Slots(1, 1), 1, said.append)
    limits.hold_slots("a", Slots(1, 1), 0, said.append)
    await limits.settle()
    assert [getattr(grant, "granted", grant) for grant in said] == [1, 1, 1, 0]
    assert await stores.clients.delete_client(client.id)


async def reached(store: Store) -> None:
    """Start-up passes, the verdict link caches, and everything works."""
    redis = connect(store, socket_path=None)
    try:
        assert await modes.reach(Config(store=store), redis)
        async with a_wire(store) as wire:
            await everything_works(stores_on(redis, wire))
    finally:
        await redis.aclose()
    address, login = find_address(store)
    link = VerdictLink(address, login, prefix="gw", timeout=5, registry=Registry())
    await link.start()
    try:
        await until(lambda: link.caching)
    finally:
        await link.close()


def test_the_user_may_do_what_is_asked_of_the_store_and_nothing_else() -> None:
    """Each command of the scripts and adapters stands in the rule, and each of the rule is used somewhere."""
    lua = "\n".join(path.read_text() for path in SOURCES.glob("scripts/*.lua"))
    python = "\n".join(path.read_text() for path in SOURCES.glob("*.py"))
    asked = set(re.findall(r'redis\.call\("([A-Z]+)"', lua)) | set(re.findall(r'call\(\s*"([A-Z]+)"', python))
    asked |= set(re.findall(r'pack\(\("([A-Z]+)"', python))
    assert (asked - {"CLIENT", "CLUSTER", "SENTINEL"}) | NEEDED_OUTSIDE == GIVEN


async def test_the_user_of_the_docs_is_enough(guarded: ValkeyServer) -> None:
    """Start, look-ups with caching, all kinds of changes."""
    await reached(Store(url=guarded.unix_url, username="gateway", password=SecretStr("pass-word"), timeout="5s"))


async def test_the_user_of_the_docs_reaches_no_other_keys(guarded: ValkeyServer) -> None:
    """Nor what ends the server."""
    store = Store(url=guarded.unix_url, username="gateway", password=SecretStr("pass-word"), timeout="5s")
    async with a_wire(store) as wire:
        for words in (("GET", "other"), ("FLUSHALL",), ("CONFIG", "GET", "*"), ("KEYS", "*"), ("SHUTDOWN",)):
            with pytest.raises(StoreUnavailable) as caught:
                await wire.call(*words)
            assert caught.value.reason == "NOPERM"


async def test_a_real_server_over_tls_with_that_user(tls_server: tuple[ValkeyServer, Store]) -> None:
    """``rediss`` with ``ca_file``: redis-py's connections, the wire and the link."""
    _, store = tls_server
    await reached(store)


async def test_a_real_server_whose_certificate_nobody_vouches_for_is_not_used(tls_server: tuple[ValkeyServer, Store]) -> None:
    """The system's authorities do not."""
    _, store = tls_server
    redis = connect(store.model_copy(update={"ca_file": None}), socket_path=None)
    try:
        with pytest.raises(Exception, match="can't be used"):
            await modes.reach(Config(store=store), redis)
    finally:
        await redis.aclose()
