"""A Redis Cluster of real servers: found by slot, followed as it changes, and never a wrong allow."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from os import urandom

import pytest

from gateway.config.model import Store
from gateway.errors import InvalidToken, StoreUnavailable
from gateway.guard.verdict import Verdict
from gateway.oauth.ports import NewTokens, RefreshOutcome
from gateway.oauth.tokens import AccessRef
from gateway.store.cluster import ClusterLink
from gateway.store.connect import connect
from gateway.store.keys import Keys
from tests.servers import ValkeyServer, wait_for
from tests.store.house import House, a_house
from tests.store.link_bench import once, until
from tests.store.nodes import Nodes
from tests.store.stores import Registered, a_successor, issue, refresh, register

KEYS = Keys()
PARTITIONS = ("aac", "abc", "ddd")
"""One at each primary; a test says so."""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Three primaries without replicas, that tests leave as they were."""
    made = Nodes(replicas=False, args=("--enable-debug-command", "yes", "--cluster-require-full-coverage", "no"))
    yield made
    made.remove()


@pytest.fixture
def failing() -> Iterator[Nodes]:
    """With replicas, for a test to break."""
    made = Nodes(replicas=True)
    yield made
    made.remove()


async def tokens(house: House) -> dict[str, tuple[Registered, NewTokens]]:
    """A client and a token at each primary, in the cache."""
    made = {}
    for partition in PARTITIONS:
        client = await register(house.stores, partition)
        pair = await issue(house.stores, client)
        assert isinstance(await house.fetch(pair), Verdict)
        assert house.find(pair) is not None
        made[partition] = client, pair
    return made


async def eventually_verdict(house: House, pair: NewTokens, seconds: float = 15.0) -> int:
    """Ask until there is a verdict; how many refusals came before, all of them 503."""
    deadline, refused = asyncio.get_running_loop().time() + seconds, 0
    while True:
        found = await house.fetch(pair)
        if isinstance(found, Verdict):
            return refused
        assert isinstance(found, StoreUnavailable), found
        assert asyncio.get_running_loop().time() < deadline
        refused += 1
        await asyncio.sleep(0.01)


def test_the_partitions_lie_apart(nodes: Nodes) -> None:
    places = [nodes.at(KEYS.token(AccessRef(partition, urandom(32)))) for partition in PARTITIONS]
    assert len(set(map(id, places))) == 3


async def test_clients_and_tokens_of_all_partitions_live_where_their_slots_are(nodes: Nodes) -> None:
    """Registration's steps, issuing, refreshing, revoking, deleting: each script finds all its keys in one slot."""
    async with a_house(nodes.url) as house:
        stores = house.stores
        for number in range(30):
            name = f"u{number}{urandom(4).hex()}"
            assert await stores.clients.claim_username(name, "claim")
            client = await register(stores)
            pair = await issue(stores, client)
            assert (await refresh(stores, client, pair.refresh)).outcome is RefreshOutcome.ROTATED
            assert await stores.tokens.revoke_access(client.id, pair.access)
            assert isinstance(await house.fetch(pair), InvalidToken)
            assert await stores.clients.delete_client(client.id)
        assert all(server.call("DBSIZE") > 0 for server in nodes.primaries)


@pytest.mark.parametrize("partition", PARTITIONS)
async def test_a_change_at_any_primary_is_heard(nodes: Nodes, partition: str) -> None:
    """A revocation, a client that is disabled, FLUSHALL there."""
    async with a_house(nodes.url) as house:
        made = await tokens(house)
        client, pair = made[partition]
        assert await house.stores.tokens.revoke_access(client.id, pair.access)
        await house.link.caught_up()
        assert house.find(pair) is None
        assert all(house.find(other) is not None for name, (_, other) in made.items() if name != partition)
        other = await issue(house.stores, client)
        assert isinstance(await house.fetch(other), Verdict)
        await house.stores.clients.change_client(client.id, enabled=False)
        await house.link.caught_up()
        assert house.find(other) is None
        assert isinstance(await house.fetch(other), InvalidToken)
        nodes.at(KEYS.token(other.access)).call("FLUSHALL")
        await until(lambda: all(house.find(pair) is None for _, pair in made.values()))


async def test_the_command_line_reaches_it_too(nodes: Nodes) -> None:
    """What stands where redis-py stands for one server."""
    client = connect(Store(url=nodes.url), socket_path=None)
    try:
        assert await client.ping()
        assert (await client.info("memory"))["maxmemory_policy"] == "noeviction"
        nodes.primaries[1].call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        assert (await client.info("memory"))["maxmemory_policy"] == "allkeys-lru"
    finally:
        nodes.primaries[1].call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        await client.aclose()


async def test_a_slot_that_moves_is_followed_and_costs_nobody_a_refusal(nodes: Nodes) -> None:
    """ASK while it is on its way, MOVED afterwards; and what was cached of it is looked up anew."""
    async with a_house(nodes.url) as house:
        client = await register(house.stores, "abc")
        pair = await issue(house.stores, client)
        assert isinstance(await house.fetch(pair), Verdict)
        key = KEYS.token(pair.access)
        source = nodes.at(key)
        target = next(server for server in nodes.primaries if server is not source)
        slot = source.call("CLUSTER", "KEYSLOT", "{abc}")
        await asyncio.to_thread(move, slot, source, target)
        try:
            assert isinstance(await house.fetch(pair), Verdict)
            assert (await refresh(house.stores, client, pair.refresh)).outcome is RefreshOutcome.ROTATED
            await until(lambda: house.link.caching)
            assert isinstance(await house.fetch(pair), Verdict)
            assert await house.stores.tokens.revoke_access(client.id, pair.access)
            await house.link.caught_up()
            assert house.find(pair) is None
        finally:
            await asyncio.to_thread(move, slot, target, source)
            await until(lambda: house.link.caching)


def move(slot: int, source: ValkeyServer, target: ValkeyServer) -> None:
    """As ``redis-cli --cluster reshard`` does it."""
    ids = {server: str(server.call("CLUSTER", "MYID"), "ascii") for server in (source, target)}
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
        source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    for server in (target, source):
        server.call("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


async def test_keys_that_went_ahead_are_asked_for_where_they_went(nodes: Nodes) -> None:
    async with a_house(nodes.url) as house:
        client = await register(house.stores, "abc")
        pair = await issue(house.stores, client)
        source = nodes.at(KEYS.token(pair.access))
        target = next(server for server in nodes.primaries if server is not source)
        slot = source.call("CLUSTER", "KEYSLOT", "{abc}")
        ids = {server: str(server.call("CLUSTER", "MYID"), "ascii") for server in (source, target)}
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        try:
            keys = source.call("CLUSTER", "GETKEYSINSLOT", slot, 100)
            source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            found = await house.stores.clients.find_client(client.id)
            assert found is not None
            assert found.client_id == client.id
        finally:
            for server in (target, source):
                server.call("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
            await asyncio.to_thread(move, slot, target, source)
            await until(lambda: house.link.caching)


async def test_f04_a_killed_primary_costs_bounded_refusals_and_nobody_elsewhere_notices(failing: Nodes) -> None:
    """Its replica takes over: 503 meanwhile for what lies there, all others are served, and no token comes to life again."""
    async with a_house(failing.url) as house:
        made = await tokens(house)
        client, pair = made["abc"]
        dead = await issue(house.stores, client)
        assert await house.stores.tokens.revoke_access(client.id, dead.access)
        await house.link.caught_up()
        victim = failing.at(KEYS.token(pair.access))
        wait_for(lambda: victim.call("WAIT", 1, 100) == 1)
        victim.kill()
        await until(lambda: not house.link.caching)
        assert house.find(pair) is None
        for name, (_, other) in made.items():
            if name != "abc":
                assert isinstance(await house.fetch(other), Verdict), "elsewhere nothing has happened"
        assert await eventually_verdict(house, pair) > 0
        assert isinstance(await house.fetch(dead), InvalidToken)
        assert (await refresh(house.stores, client, pair.refresh)).outcome is RefreshOutcome.ROTATED
        await until(lambda: house.link.caching, 15)


async def test_f04_a_primary_that_hands_over_is_not_believed_any_more(failing: Nodes) -> None:
    """CLUSTER FAILOVER: the old one lives on as a replica, with its connections; revocations are made elsewhere now."""
    async with a_house(failing.url) as house:
        made = await tokens(house)
        client, pair = made["ddd"]
        index = failing.primaries.index(failing.at(KEYS.token(pair.access)))
        failing.replicas[index].call("CLUSTER", "FAILOVER")
        wait_for(lambda: failing.replicas[index].call("INFO", "replication")["role"] == "master")
        assert await house.stores.tokens.revoke_access(client.id, pair.access)
        await until(lambda: house.find(pair) is None)
        assert isinstance(await house.fetch(pair), InvalidToken)
        await until(lambda: house.link.caching)
        assert isinstance(house.link, ClusterLink)
        assert ("127.0.0.1", failing.replicas[index].port) in house.link.cluster.primaries


async def test_g5_a_primary_that_is_cut_off_from_the_others_confirms_nothing(failing: Nodes) -> None:
    """It answers TIME as ever, and its changes may be made elsewhere by now: within a node timeout and two looks it is out."""
    async with a_house(failing.url) as house:
        made = await tokens(house)
        _, pair = made["abc"]
        alone = failing.at(KEYS.token(pair.access))
        others = [server for server in failing.all if server is not alone]
        for server in others:
            os.kill(server.pid, signal.SIGSTOP)
        try:
            await until(lambda: house.find(pair) is None, 15)
            found = await house.fetch(pair)
            assert isinstance(found, StoreUnavailable) or not house.link.caching
            await until(lambda: not house.link.caching)
        finally:
            for server in others:
                os.kill(server.pid, signal.SIGCONT)
        await eventually_verdict(house, pair)


async def test_g5_a_primary_that_hears_the_others_no_more_confirms_nothing(nodes: Nodes) -> None:
    """All are up and answer the gateway, and nothing changes in the layout: only its own CLUSTER INFO tells."""
    async with a_house(nodes.url) as house:
        made = await tokens(house)
        _, pair = made["abc"]
        alone = nodes.at(KEYS.token(pair.access))
        alone.call("DEBUG", "DROP-CLUSTER-PACKET-FILTER", -2)  # all
        try:
            await until(lambda: house.find(pair) is None, 10)
            assert not house.link.caching
            assert isinstance(await house.fetch(pair), StoreUnavailable)
            for name, (_, other) in made.items():
                if name != "abc":
                    assert isinstance(await house.fetch(other), Verdict), "elsewhere nothing has happened"
        finally:
            alone.call("DEBUG", "DROP-CLUSTER-PACKET-FILTER", -1)
            await until(lambda: house.link.caching, 15)
        assert isinstance(await house.fetch(pair), Verdict)


async def test_what_was_known_of_a_primary_that_is_away_goes_on_and_of_others_the_store_decides(failing: Nodes) -> None:
    """``on_store_failure: cached``."""
    async with a_house(failing.url, keeps_stale=True) as house:
        made = await tokens(house)
        now = asyncio.get_running_loop().time
        victim = failing.at(KEYS.token(made["abc"][1].access))
        victim.kill()
        await until(lambda: not house.link.caching)
        stale = {name: house.verdicts.stale(pair.access.digest, now(), 60.0) for name, (_, pair) in made.items()}
        assert {name for name, verdict in stale.items() if verdict is not None} == {"abc"}


async def test_f04_failover_while_50_clients_refresh_keeps_every_chain(failing: Nodes) -> None:
    """Each ends with one live child, or with a clean refusal where the write was lost; never with two."""
    async with a_house(failing.url) as house:
        stores = house.stores
        clients = [await register(stores) for _ in range(50)]
        pairs = [await issue(stores, client) for client in clients]
        for server in failing.primaries:
            wait_for(lambda server=server: server.call("WAIT", 1, 100) == 1)  # type: ignore[misc]
        stop = asyncio.Event()

        async def refreshes(client: Registered, pair: NewTokens) -> tuple[NewTokens, int]:
            """What it holds at last, and how often it got a new one; -1 when it was refused."""
            turns, offered = 0, {}
            while not stop.is_set():
                assert pair.refresh is not None
                successor = a_successor(pair.refresh)
                offered[successor.sealed] = successor
                try:
                    done = await refresh(stores, client, pair.refresh, successor)
                except StoreUnavailable:  # it may have been done all the same: the next answer is then that pair again
                    await asyncio.sleep(0.02)
                    continue
                if done.outcome is RefreshOutcome.REPEATED:
                    pair = offered[done.sealed]
                elif done.outcome is RefreshOutcome.ROTATED:
                    pair = successor
                else:
                    return pair, -1
                turns += 1
                await asyncio.sleep(0.01)
            return pair, turns

        running = [asyncio.create_task(refreshes(*one)) for one in zip(clients, pairs, strict=True)]
        await asyncio.sleep(0.2)
        failing.primaries[0].kill()
        await until(lambda: not house.link.caching)
        await until(lambda: house.link.caching, 15)
        stop.set()
        ended = await asyncio.gather(*running)
        assert sum(turns > 0 for _, turns in ended) > 25
        for client, (pair, turns) in zip(clients, ended, strict=True):
            if turns >= 0:
                found = await stores.tokens.find_refresh(pair.refresh)
                assert found is not None, client.id


async def test_f04_what_a_replica_has_acknowledged_survives_its_primary(failing: Nodes) -> None:
    """``durability: replicated``: 100 revocations, those that were acknowledged before the kill are dead at the successor."""
    async with a_house(failing.url, durability="replicated") as house:
        stores = house.stores
        client = await register(stores, "abc")
        pairs = [await issue(stores, client) for _ in range(100)]
        victim = failing.at(KEYS.token(pairs[0].access))
        acknowledged = []

        async def revoke() -> None:
            for pair in pairs:
                try:
                    assert await stores.tokens.revoke_access(client.id, pair.access)
                except StoreUnavailable:
                    return
                acknowledged.append(pair)
                if len(acknowledged) == 50:
                    await asyncio.to_thread(victim.kill)

        await revoke()
        assert len(acknowledged) == 50
        await until(lambda: house.link.caching, 15)
        for pair in acknowledged:
            assert isinstance(await house.fetch(pair), InvalidToken)
        assert isinstance(await house.fetch(pairs[-1]), Verdict)


async def test_f04_without_a_replica_nothing_is_acknowledged(nodes: Nodes) -> None:
    """``durability: replicated``: 503, and reads go on."""
    async with a_house(nodes.url, durability="replicated") as house:
        with pytest.raises(StoreUnavailable) as caught:
            await register(house.stores, "abc")
        assert caught.value.reason.endswith("no replica has the change")
        assert await house.stores.clients.find_client(f"gwc_abc{'A' * 22}") is None


async def test_a_primary_that_hangs_does_not_delay_what_others_say(failing: Nodes) -> None:
    """Each look asks all of them; who waits for one after MOVED waits a tenth of a second for those that are silent."""
    async with a_house(failing.url) as house:
        assert isinstance(house.link, ClusterLink)
        cluster, loop = house.link.cluster, asyncio.get_running_loop()
        os.kill(failing.primaries[0].pid, signal.SIGSTOP)
        try:
            began = loop.time()
            await cluster.look()
            await cluster.look()
            assert loop.time() - began < 0.45  # of 0.5 that a command has, twice
            await until(lambda: not cluster.whole)  # and its time is up in the end
        finally:
            os.kill(failing.primaries[0].pid, signal.SIGCONT)


async def test_a_closed_cluster_is_not_asked_again(nodes: Nodes) -> None:
    """What is under way fails, and nothing connects anew."""
    async with a_house(nodes.url) as house:
        pairs = await tokens(house)
        assert isinstance(house.link, ClusterLink)
        cluster, link = house.link.cluster, house.link
        looking = asyncio.create_task(cluster.look())
        await asyncio.sleep(0)
        await link.close()
        with pytest.raises(StoreUnavailable):
            await looking
        with pytest.raises(StoreUnavailable):
            await cluster.look()
        for _, pair in pairs.values():
            assert isinstance(await once(link.fetch_token, pair.access), StoreUnavailable)
        assert cluster.primaries == {}


async def test_the_command_line_listens_for_no_verdicts(nodes: Nodes) -> None:
    client = connect(Store(url=nodes.url), socket_path=None)
    try:
        assert await client.ping()
        listed = b"".join(node.call("CLIENT", "LIST") for node in nodes.primaries)
        assert b"name=gateway-wire " in listed
        assert b"name=gateway-verdict-link " not in listed
    finally:
        await client.aclose()
    with pytest.raises(StoreUnavailable):
        await client.execute_command("GET", "gw:x")
