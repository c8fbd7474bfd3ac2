"""The verdict link on real servers: right answers, changes in order, and nothing believed that is not confirmed."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import replace

import pytest
import uvloop

from gateway.errors import InvalidToken, StoreUnavailable
from gateway.guard.verdict import Verdict
from gateway.oauth.records import AccessToken
from gateway.store.codec import encode_client, encode_token
from gateway.store.dial import Address
from gateway.store.handshake import Login
from tests.servers import ValkeyServer
from tests.store.link_bench import CLIENT, CLIENT_ID, KEYS, PATIENT, TIMEOUT, a_link, a_ref, a_token, once, until, write

RACES = 1000
"""On Valkey; a third of it on Debian's redis-server."""


@pytest.fixture(params=["valkey", "debian_redis"])
def server(request: pytest.FixtureRequest) -> ValkeyServer:
    """Both kinds of server, emptied."""
    found: ValkeyServer = request.getfixturevalue(request.param)
    return found


def unix(server: ValkeyServer) -> Address:
    return Address(path=str(server.socket))


async def test_a_record_or_none(server: ValkeyServer) -> None:
    """Over the unix socket and over TCP."""
    write(server, 1)
    for address in (unix(server), Address("127.0.0.1", server.port)):
        async with a_link(address) as bench:
            token = await once(bench.link.fetch_token, a_ref(1))
            assert isinstance(token, AccessToken)
            assert token.chain_id == a_token(1).chain_id
            assert await once(bench.link.fetch_token, a_ref(2)) is None
            assert await once(bench.link.fetch_client, CLIENT_ID) == CLIENT
            assert bench.link.caching
            assert bench.metric("gateway_store_link_up") == 1


async def test_look_ups_made_before_the_link_stands_wait_for_it(server: ValkeyServer) -> None:
    """A worker that has just started refuses nobody."""
    write(server, 1)
    async with a_link(unix(server)) as bench:
        assert not bench.link.up
        assert isinstance(await bench.fetch(), Verdict)


@pytest.mark.parametrize("how", ["token", "client", "everything"])
async def test_a_change_drops_the_verdict(server: ValkeyServer, how: str) -> None:
    """By hand, too: DEL, a rewritten client, FLUSHALL."""
    write(server, 1, 2)
    async with a_link(unix(server)) as bench:
        await bench.keep(1)
        await bench.keep(2)
        if how == "token":
            server.call("DEL", KEYS.token(a_ref(1)))
        elif how == "client":
            server.call("SET", KEYS.client(CLIENT_ID), encode_client(replace(CLIENT, enabled=False)))
        else:
            server.call("FLUSHALL")
        await bench.fence()
        assert bench.find(1) is None
        assert (bench.find(2) is None) is (how != "token")
        assert isinstance(await bench.fetch(1), InvalidToken)


async def test_revoke_against_first_look_up(server: ValkeyServer, request: pytest.FixtureRequest) -> None:
    """A thousand times: once the change is acknowledged and its push carried out, no live verdict is kept."""
    dice = random.Random(1)
    alive, client, key = 0, server.client(), KEYS.token(a_ref())
    races = RACES if request.node.callspec.id == "valkey" else RACES // 3
    async with a_link(unix(server), timeout=PATIENT) as bench, client:
        await bench.fence()
        for _ in range(races):
            async with client.pipeline(transaction=False) as pipe:
                await pipe.set(KEYS.client(CLIENT_ID), encode_client(CLIENT)).set(key, encode_token(a_token())).execute()
            change = client.delete(dice.choice((key, KEYS.client(CLIENT_ID))))
            answer = None
            if dice.random() < 0.5:
                answer = bench.fetch()
                if dice.random() < 0.1:  # the look-up has won, however busy the machine is
                    await asyncio.shield(answer)
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
            revoked = asyncio.ensure_future(change)
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)
            answer = answer or bench.fetch()
            await revoked
            await bench.fence()
            assert bench.find() is None, "a revoked token is kept"
            alive += isinstance(await answer, Verdict)
            assert bench.find() is None, "a revoked token is kept"
            assert isinstance(await bench.fetch(), InvalidToken)
    assert 0 < alive < races, "the race was never a race"


async def test_a_token_dies_at_its_expiry(server: ValkeyServer) -> None:
    """The store's clock counts; the kept deadline is at most its expiry, and early by no more than a round trip."""
    write(server)
    token = a_token(lives=0.3)
    server.call("SET", KEYS.token(a_ref()), encode_token(token), "PXAT", token.expires_at)
    async with a_link(unix(server)) as bench:
        await bench.keep()
        verdict = bench.find()
        assert verdict is not None
        loop = asyncio.get_running_loop()
        # Same machine: the store's clock is time.time().
        expiry = loop.time() + token.expires_at / 1000 - time.time()
        assert expiry - 0.1 < verdict.deadline < expiry + 0.001
        await until(lambda: bench.find() is None)
        assert loop.time() >= verdict.deadline
        assert isinstance(await bench.fetch(), InvalidToken)


async def test_a_store_clock_that_leaps_ahead_drops_everything(valkey: ValkeyServer) -> None:
    """It was set, or our machine slept: deadlines reckoned before are too late."""
    write(valkey, 1)
    async with a_link(unix(valkey)) as bench:
        await bench.keep()
        now = asyncio.get_running_loop().time()
        bench.link.set_clock(now, time.time())
        assert bench.find() is not None
        bench.link.set_clock(now, time.time() + 60)
        assert bench.find() is None


@pytest.mark.parametrize("record", ["token", "client"])
@pytest.mark.parametrize("wrong", ["type", "value", "client id"])
async def test_f09_a_wrong_record_is_an_outage_of_that_token_only(
    server: ValkeyServer, caplog: pytest.LogCaptureFixture, record: str, wrong: str
) -> None:
    """Wrong type, garbage, a client id that is none: 503 and one log line with the kind, and the link lives on."""
    write(server, 1, 2)
    key = KEYS.token(a_ref(1)) if record == "token" else KEYS.client(CLIENT_ID)
    server.call("DEL", key)
    if wrong == "type":
        server.call("RPUSH", key, "x")
    elif wrong == "value":
        server.call("SET", key, b"\x81\x91\x01\x02 secret-value")
    else:
        server.call("SET", KEYS.token(a_ref(1)), encode_token(a_token(client_id="{x}:\r\n")))
    async with a_link(unix(server)) as bench:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert isinstance(await bench.fetch(1), StoreUnavailable)
        events = [entry for entry in caplog.records if entry.message == "record.unreadable"]
        assert len(events) == 1
        assert events[0].facts["kind"] in ("token", "client")  # type: ignore[attr-defined]
        assert "secret-value" not in repr([vars(entry) for entry in caplog.records])
        assert bench.link.up
        if record == "token" or wrong == "client id":
            write(server)
            assert isinstance(await bench.fetch(2), Verdict)


@pytest.mark.parametrize("how", ["CLIENT KILL", "restart", "kill -9"])
async def test_f01_a_lost_link_confirms_nothing_and_comes_back(valkey: ValkeyServer, how: str) -> None:
    """A revocation that happened while the link was down is seen by the next use; no look-up fails over a short loss."""
    write(valkey, 1, 2)
    async with a_link(unix(valkey)) as bench:
        await bench.keep(1)
        await bench.keep(2)
        if how == "CLIENT KILL":
            valkey.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        elif how == "restart":
            valkey.stop()
        else:
            valkey.call("WAITAOF", 1, 0, 5000)
            valkey.kill()
        await until(lambda: bench.find(1) is None)
        assert bench.find(2) is None
        if how != "CLIENT KILL":
            assert not bench.link.caching
            valkey.start()
        valkey.call("DEL", KEYS.token(a_ref(1)))
        assert await until(lambda: bench.link.caching) < 2.0
        assert isinstance(await bench.fetch(1), InvalidToken)
        await bench.keep(2)
        assert bench.metric("gateway_store_link_lost_total") == 1


async def test_look_ups_on_their_way_survive_a_killed_connection(valkey: ValkeyServer) -> None:
    """They are asked again on the next connection; each gets its own answer."""
    numbers = range(1, 51)
    write(valkey, *numbers)
    async with a_link(unix(valkey)) as bench:
        await bench.fence()
        with valkey.frozen():
            answers = [once(bench.link.fetch_token, a_ref(number)) for number in numbers]
            await asyncio.sleep(0)
            assert bench.link._line.connection is not None
            bench.link._line.connection.drop("test")
        assert [(await answer).chain_id for answer in answers] == [a_token(number).chain_id for number in numbers]


async def test_f02_a_frozen_store_costs_each_look_up_its_budget_at_most(valkey: ValkeyServer) -> None:
    """503 in time, at once after the first, nothing piles up, and all is well within 2 s of its return."""
    write(valkey, 1, 2)
    loop = asyncio.get_running_loop()
    async with a_link(unix(valkey)) as bench:
        await bench.keep(2)
        with valkey.frozen():
            began = loop.time()
            first = await bench.fetch(1)
            assert TIMEOUT / 2 < loop.time() - began <= TIMEOUT + 0.1
            assert isinstance(first, StoreUnavailable)
            began = loop.time()
            for number in range(1000):
                assert isinstance(await bench.fetch(number + 10), StoreUnavailable)
            assert loop.time() - began < TIMEOUT
            assert bench.link._line.connection is not None
            assert len(bench.link._line.connection.asks) < 5, "look-ups pile up"
            await until(lambda: not bench.link.up)
            assert bench.find(2) is None, "an unconfirmed verdict is used"
            assert not bench.link.caching
            await until(lambda: loop.time() - began > 2 * TIMEOUT)
            assert isinstance(await bench.fetch(1), StoreUnavailable)
        assert await until(lambda: bench.link.caching) < 2.0
        await bench.keep(1)


async def test_a_short_freeze_costs_nothing(valkey: ValkeyServer) -> None:
    """Shorter than the time-out: late answers are answers."""
    write(valkey, 1)
    async with a_link(unix(valkey)) as bench:
        await bench.fence()
        with valkey.frozen():
            answer = bench.fetch()
            await asyncio.sleep(TIMEOUT / 4)
        assert isinstance(await answer, Verdict)


def test_a_loop_that_stood_still_does_not_blame_the_store(valkey: ValkeyServer) -> None:
    """The answer lies in the socket, unread.  On uvloop, where timers come before it, as in production."""
    write(valkey, 1, 2)

    async def stand_still() -> None:
        async with a_link(unix(valkey)) as bench:
            await bench.keep(2)
            answer = bench.fetch(1)
            for _ in range(3):
                await asyncio.sleep(0)
            time.sleep(2.2)  # noqa: ASYNC251  this is the fault
            assert isinstance(await answer, Verdict)
            await bench.fence()
            assert bench.metric("gateway_store_link_lost_total") == 0
            assert bench.find(2) is not None

    uvloop.run(stand_still())


async def test_f01_a_store_that_was_never_there(valkey: ValkeyServer) -> None:
    """Refused in time, then at once; up without a restart when it comes."""
    valkey.stop()
    loop = asyncio.get_running_loop()
    try:
        async with a_link(unix(valkey)) as bench:
            began = loop.time()
            assert isinstance(await bench.fetch(), StoreUnavailable)
            assert loop.time() - began <= TIMEOUT + 0.1
            await until(lambda: loop.time() - began > TIMEOUT)
            began = loop.time()
            assert isinstance(await bench.fetch(), StoreUnavailable)
            assert loop.time() - began < TIMEOUT / 4
            assert not bench.link.seen
            valkey.start()
            write(valkey, 1)
            assert await until(lambda: bench.link.seen) < 2.0
            await bench.keep()
    finally:
        if not valkey.running:
            valkey.start()


async def test_f02_closing_fails_what_waits(valkey: ValkeyServer) -> None:
    """Nobody waits for an answer that can't come any more."""
    async with a_link(unix(valkey)) as bench:
        await bench.fence()
        with valkey.frozen():
            answer = bench.fetch()
            await bench.link.close()
            assert isinstance(await answer, StoreUnavailable)
            assert isinstance(await bench.fetch(), StoreUnavailable)


async def test_many_links_hear_of_one_change(valkey: ValkeyServer) -> None:
    """Every worker has its own link."""
    write(valkey, 1)
    async with a_link(unix(valkey)) as one, a_link(unix(valkey)) as two:
        for bench in (one, two):
            await bench.keep()
        valkey.call("DEL", KEYS.token(a_ref()))
        for bench in (one, two):
            await bench.fence()
            assert bench.find() is None


async def test_a_restored_empty_store_knows_nobody(valkey: ValkeyServer) -> None:
    """F08: FLUSHALL while look-ups are on their way."""
    write(valkey, *range(20))
    async with a_link(unix(valkey)) as bench:
        await bench.fence()
        answers = [bench.fetch(number) for number in range(20)]
        await asyncio.sleep(0)
        valkey.call("FLUSHALL")
        await bench.fence()
        await asyncio.gather(*answers)
        assert [number for number in range(20) if bench.find(number)] == []


# --- who we are to the server ------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(valkey: ValkeyServer) -> ValkeyServer:
    """A server with an ACL user ``gateway`` that may read below gw:, and one that may not track."""
    rights = ("reset", "on", ">pass-word", "~gw:*", "+get", "+time", "+hello")
    valkey.call("ACL", "SETUSER", "gateway", *rights, "+client", "+select")
    valkey.call("ACL", "SETUSER", "untracked", *rights, "-client|tracking")
    return valkey


async def test_a_user_with_few_rights_is_enough(guarded: ValkeyServer) -> None:
    """What the link needs: GET, TIME, CLIENT, HELLO."""
    write(guarded, 1)
    async with a_link(unix(guarded), Login("gateway", "pass-word")) as bench:
        await bench.keep()


async def test_a_wrong_password_is_an_outage_and_is_not_logged(guarded: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    """F05: refused at once after the first moments; the log says WRONGPASS and no more."""
    with caplog.at_level(logging.DEBUG):
        async with a_link(unix(guarded), Login("gateway", "wrong-pass-word")) as bench:
            assert isinstance(await bench.fetch(), StoreUnavailable)
    events = [record for record in caplog.records if record.message == "link.not_connected"]
    assert [event.facts["reason"] for event in events] == ["WRONGPASS"]  # type: ignore[attr-defined]
    assert "wrong-pass-word" not in repr([vars(record) for record in caplog.records])


async def test_a_server_that_refuses_tracking_is_used_without_a_cache(
    guarded: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Right answers, each from the store, one warning and a metric."""
    write(guarded, 1)
    with caplog.at_level(logging.WARNING):
        async with a_link(unix(guarded), Login("untracked", "pass-word")) as bench:
            assert isinstance(await bench.fetch(), Verdict)
            assert bench.find() is None
            guarded.call("DEL", KEYS.token(a_ref()))
            assert isinstance(await bench.fetch(), InvalidToken)
            assert not bench.link.caching
            assert bench.metric("gateway_store_link_up") == 1
            assert bench.metric("gateway_store_link_caching") == 0
    events = [record for record in caplog.records if record.message == "link.caching_refused"]
    assert [event.facts["reason"] for event in events] == ["CLIENT TRACKING: NOPERM"]  # type: ignore[attr-defined]


async def test_another_database(valkey: ValkeyServer) -> None:
    """The link selects it, and hears of its changes."""
    key = KEYS.token(a_ref())
    async with valkey.client(db=3) as client:
        await client.set(key, encode_token(a_token()))
        async with a_link(unix(valkey)) as bench:
            assert await once(bench.link.fetch_token, a_ref()) is None
        async with a_link(unix(valkey), Login(database=3)) as bench:
            assert isinstance(await once(bench.link.fetch_token, a_ref()), AccessToken)


async def test_a_replica_is_refused(valkey: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    """It lags behind: a revocation would be seen late."""
    replica = ValkeyServer("--replicaof", "127.0.0.1", str(valkey.port)).start()
    try:
        with caplog.at_level(logging.WARNING):
            async with a_link(unix(replica)) as bench:
                assert isinstance(await bench.fetch(), StoreUnavailable)
        assert "the server is a replica" in repr([vars(record) for record in caplog.records])
    finally:
        replica.remove()
