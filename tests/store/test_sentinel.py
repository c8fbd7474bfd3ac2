"""A master that sentinels know, real ones: found, followed when it dies or hands over, and never a wrong allow."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import hiredis
import pytest

from gateway.config.model import Store
from gateway.errors import InvalidToken, StoreUnavailable
from gateway.guard.verdict import Verdict
from gateway.oauth.ports import RefreshOutcome
from gateway.store.connect import connect
from gateway.store.dial import Address
from gateway.store.handshake import Refused
from gateway.store.sentinel import STARTED_OVER, Belief, Sentinels, read_master
from tests.servers import ValkeyServer, free_port, wait_for
from tests.store.house import a_house
from tests.store.link_bench import until
from tests.store.stores import a_successor, issue, refresh, register
from tests.store.watched import NAME, Watched

ASKED = Address("h", 1)


@pytest.fixture
def watched() -> Iterator[Watched]:
    """For a test to break."""
    made = Watched()
    yield made
    made.remove()


async def acknowledged(act: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Repeat what is refused with 503 until it is done."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                assert await act()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_f04_a_killed_master_costs_bounded_refusals_and_lets_nobody_in(watched: Watched) -> None:
    async with a_house(watched.url) as house:
        client = await register(house.stores)
        pair, dead = await issue(house.stores, client), await issue(house.stores, client)
        assert isinstance(await house.fetch(pair), Verdict)
        assert await house.stores.tokens.revoke_access(client.id, dead.access)
        wait_for(lambda: watched.master.call("WAIT", 1, 100) == 1)
        watched.master.kill()
        await until(lambda: not house.link.caching)
        assert isinstance(await house.fetch(pair), StoreUnavailable)
        await until(lambda: house.link.caching, 20)
        assert isinstance(await house.fetch(pair), Verdict)
        assert isinstance(await house.fetch(dead), InvalidToken)

        async def rotates() -> bool:  # the wire has a connection of its own, and may be a moment later
            return (await refresh(house.stores, client, pair.refresh)).outcome is RefreshOutcome.ROTATED

        await acknowledged(rotates)


async def test_f04_a_master_that_hands_over_is_left(watched: Watched) -> None:
    """SENTINEL FAILOVER: revocations are made at the new one, and are heard."""
    async with a_house(watched.url) as house:
        client = await register(house.stores)
        pair = await issue(house.stores, client)
        assert isinstance(await house.fetch(pair), Verdict)
        wait_for(lambda: watched.master.call("WAIT", 1, 100) == 1)
        watched.ask(watched.ports[0], "SENTINEL", "FAILOVER", NAME)
        await asyncio.to_thread(wait_for, lambda: watched.place(watched.ports[0]) == watched.replica.port, 20)

        await acknowledged(lambda: house.stores.tokens.revoke_access(client.id, pair.access))
        await until(lambda: house.find(pair) is None)
        await until(lambda: house.link.caching)
        assert isinstance(await house.fetch(pair), InvalidToken)


async def test_g5_a_master_that_lost_its_place_while_it_hung_is_left_within_two_seconds(watched: Watched) -> None:
    """It wakes up and still takes itself for the master, until sentinels reach it; they are asked every second."""
    async with a_house(watched.url) as house:
        client = await register(house.stores)
        pair = await issue(house.stores, client)
        assert isinstance(await house.fetch(pair), Verdict)
        wait_for(lambda: watched.master.call("WAIT", 1, 100) == 1)
        os.kill(watched.master.pid, signal.SIGSTOP)
        try:
            await asyncio.to_thread(wait_for, lambda: watched.place(watched.ports[0]) == watched.replica.port, 20)
            await until(lambda: house.link.caching, 10)
            await acknowledged(lambda: house.stores.tokens.revoke_access(client.id, pair.access))
        finally:
            os.kill(watched.master.pid, signal.SIGCONT)
        assert isinstance(await house.fetch(pair), InvalidToken)


async def test_what_a_replica_has_acknowledged_survives_its_master(watched: Watched) -> None:
    """``durability: replicated``: of revocations under way at the kill, those that were acknowledged are dead afterwards."""
    async with a_house(watched.url, durability="replicated") as house:
        client = await register(house.stores)
        pairs = [await issue(house.stores, client) for _ in range(60)]
        acknowledged = []
        for pair in pairs[:50]:
            assert await house.stores.tokens.revoke_access(client.id, pair.access)
            acknowledged.append(pair)
        watched.master.kill()
        with pytest.raises(StoreUnavailable):
            await house.stores.tokens.revoke_access(client.id, pairs[50].access)
        await until(lambda: house.link.caching, 20)
        for pair in acknowledged:
            assert isinstance(await house.fetch(pair), InvalidToken)
        assert isinstance(await house.fetch(pairs[-1]), Verdict)


async def test_f04_50_clients_that_refresh_through_a_failover_have_one_child_each(watched: Watched) -> None:
    """``durability: replicated``: none is refused, none has two; what was not answered is asked again, with the same answer."""
    async with a_house(watched.url, durability="replicated") as house:
        stores = house.stores
        clients = [await register(stores) for _ in range(50)]
        pairs = [await issue(stores, client) for client in clients]
        stop = asyncio.Event()

        async def refreshes(number: int) -> int:
            turns, offered, unanswered = 0, {}, False
            while unanswered or not stop.is_set():
                presented = pairs[number].refresh
                assert presented is not None
                successor = a_successor(presented)
                offered[successor.sealed] = successor
                try:
                    done = await refresh(stores, clients[number], presented, successor)
                except StoreUnavailable:
                    unanswered = True
                    await asyncio.sleep(0.05)
                    continue
                unanswered = False
                assert done.outcome in (RefreshOutcome.ROTATED, RefreshOutcome.REPEATED)
                pairs[number] = offered[done.sealed] if done.outcome is RefreshOutcome.REPEATED else successor
                turns += 1
                await asyncio.sleep(0.02)
            return turns

        running = [asyncio.create_task(refreshes(number)) for number in range(50)]
        await asyncio.sleep(0.3)
        watched.master.kill()
        await until(lambda: not house.link.caching)
        # No other replica is left, so nothing is acknowledged by WAIT until the old master is back as one.
        await until(lambda: house.link.caching, 20)
        await asyncio.to_thread(watched.master.start)
        await asyncio.to_thread(wait_for, lambda: watched.replica.call("WAIT", 1, 50) == 1, 20)
        await asyncio.sleep(0.5)
        stop.set()
        assert min(await asyncio.gather(*running)) > 0
        for number, client in enumerate(clients):
            ref = pairs[number].refresh
            assert ref is not None
            assert await stores.tokens.find_refresh(ref) is not None, client.id


async def test_the_command_line_finds_the_master_too(watched: Watched) -> None:
    client = connect(Store(url=watched.url), socket_path=None)
    try:
        assert await client.ping()
        assert (await client.info("replication"))["role"].strip() == "master"
    finally:
        await client.aclose()


async def test_what_sentinels_do_not_know_is_said() -> None:
    with pytest.raises(OSError, match="no sentinel answers"):
        await Sentinels([Address(port=free_port())], NAME).address()
    plain = await asyncio.to_thread(ValkeyServer().start)
    try:
        with pytest.raises((Refused, OSError)):
            await Sentinels([Address(port=plain.port)], NAME).address()
    finally:
        plain.remove()


async def test_sentinels_that_ask_for_a_password_get_theirs(watched: Watched) -> None:
    """Not the master's; and a wrong one is told from no answer."""
    watched.ask(watched.ports[0], "ACL", "SETUSER", "default", "resetpass", ">sentinel-secret")
    places = [Address(port=watched.ports[0])]
    assert (await Sentinels(places, NAME, "sentinel-secret").address()).port == watched.master.port
    with pytest.raises((Refused, OSError)) as caught:
        await Sentinels(places, NAME, "wrong-secret").address()
    assert "secret" not in str(caught.value)


def test_a_master_is_read_in_both_protocols() -> None:
    found = 3, Address("10.0.0.1", 6379)
    assert read_master({b"ip": b"10.0.0.1", b"port": b"6379", b"config-epoch": b"3"}, ASKED) == found
    assert read_master([b"ip", b"10.0.0.1", b"port", b"6379", b"config-epoch", b"3"], ASKED) == found
    assert read_master(hiredis.ReplyError("ERR No such master with that name"), ASKED) is None
    for reply in (None, b"OK", {b"ip": b"x"}, [b"ip"], hiredis.ReplyError("NOAUTH Authentication required.")):
        with pytest.raises(Refused):
            read_master(reply, ASKED)


OLD, NEW = (7, Address("old")), (8, Address("new"))


def test_the_newest_configuration_counts_and_no_older_one_after_it() -> None:
    belief = Belief(3)
    assert not belief.hear([OLD, NEW, OLD], 0.0)
    assert belief.master == NEW[1]
    for now in (1.0, 100.0, 1000.0):
        assert not belief.hear([OLD], now)  # one alone, for however long
    assert belief.master == NEW[1]


def test_sentinels_that_were_set_up_anew_are_believed_once_most_of_them_agree_for_a_while() -> None:
    """They count configurations from zero; news of a failover reaches all others in two seconds."""
    belief, anew = Belief(3), (0, Address("anew"))
    belief.hear([NEW], 0.0)
    assert not belief.hear([anew, anew], 100.0)
    assert not belief.hear([anew, anew], 100.0 + STARTED_OVER - 0.1)
    assert belief.master == NEW[1]
    assert belief.hear([anew, anew], 100.0 + STARTED_OVER)
    assert (belief.epoch, belief.master) == anew
    assert not belief.hear([(1, Address("next"))], 101.0 + STARTED_OVER)
    assert belief.master == Address("next")


@pytest.mark.parametrize("between", [
    [NEW], [(9, Address("newer"))], [(0, Address("anew"))], [(0, Address("anew")), (0, Address("another"))],
], ids=["as before", "a failover", "one alone", "two that differ"])  # fmt: skip
def test_what_contradicts_an_older_configuration_meanwhile_makes_its_time_begin_anew(between: list[tuple[int, Address]]) -> None:
    belief, anew = Belief(3), (0, Address("anew"))
    belief.hear([NEW], 0.0)
    belief.hear([anew, anew], 100.0)
    belief.hear(between, 105.0)
    assert not belief.hear([anew, anew], 100.0 + STARTED_OVER)
    assert belief.epoch >= NEW[0]


@asynccontextmanager
async def silent() -> AsyncIterator[Address]:
    """One that accepts connections and says nothing."""
    ended = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield Address(port=server.sockets[0].getsockname()[1])
    finally:
        ended.set()
        server.close()
        await server.wait_closed()


async def test_one_sentinel_that_hangs_delays_nobody(watched: Watched) -> None:
    """Nor does one that refuses connections."""
    loop = asyncio.get_running_loop()
    async with silent() as hung:
        places = [hung, *(Address(port=port) for port in watched.ports[:2])]
        began = loop.time()
        assert (await Sentinels(places, NAME).address()).port == watched.master.port
        assert loop.time() - began < 0.3  # of 0.5 that sentinels have


async def test_a_look_that_is_under_way_ends_with_its_connection() -> None:
    async with silent() as hung:
        sentinels = Sentinels([hung], NAME)
        before = asyncio.all_tasks()
        assert not sentinels.moved()
        await asyncio.sleep(0)
        await sentinels.close()
        assert [task for task in asyncio.all_tasks() - before if "sentinel" in str(task.get_coro())] == []
