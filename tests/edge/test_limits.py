"""``limits`` and ``plans``, seen from a client: on a real store, and on one that went away."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from gateway.config.model import Store
from gateway.guard.leases import Slots
from gateway.guard.limits import Told
from gateway.oauth.tokens import digest_access
from gateway.store.limits import RedisLimits
from gateway.store.wire import Wire
from tests.edge.frames import echo, hello, read_frame, text
from tests.edge.rig import OK, Client, OriginConnection, Response, Rig, a_token, a_verdict, get
from tests.servers import ValkeyServer
from tests.store.stores import a_wire

ME, OTHER, GOLD = a_token(), a_token(7), a_token(8)


@pytest.fixture
async def wire(valkey: ValkeyServer) -> AsyncIterator[Wire]:
    """The store's connection of a worker."""
    async with a_wire(Store(url=valkey.unix_url)) as wire:
        yield wire


@pytest.fixture
def limits(wire: Wire) -> RedisLimits:
    """The limits of a worker."""
    return RedisLimits(wire, "one")


def with_token(path: str, token: bytes = ME, *lines: str) -> bytes:
    return get(path, f"Authorization: Bearer {token.decode()}", *lines)


async def started(rig: Rig, store: RedisLimits | None, *limits: dict[str, Any], **more: Any) -> Client:
    """A client of a gateway with these limits at /l."""
    routes = more.pop("routes", None) or [
        {"path": "/l", "upstream": "a", "limits": limits, **more.pop("route", {})}, {"path": "/free", "upstream": "a"},
    ]  # fmt: skip
    rig.verdicts.warm[digest_access(OTHER)] = a_verdict("gwc_other")
    rig.verdicts.warm[digest_access(GOLD)] = a_verdict("gwc_gold", plan="gold")
    await rig.start(routes=routes, limit_store=store, **more)
    return await rig.client()


async def statuses(client: Client, *requests: bytes) -> list[int]:
    return [(await client.ask(request)).status for request in requests]


async def test_beyond_a_rate_is_429_with_its_fields_and_the_upstream_sees_nothing(unstarted: Rig, limits: RedisLimits) -> None:
    """draft-ietf-httpapi-ratelimit-headers; other clients and other routes do not notice."""
    client = await started(unstarted, limits, {"rate": "3/h"})
    answers = [await client.ask(with_token("/l")) for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.one("ratelimit-policy") for answer in answers] == [b'"rate";q=3;w=3600'] * 4
    assert [(answer.one("ratelimit") or b"").partition(b";t=")[0] for answer in answers] == [
        b'"rate";r=2', b'"rate";r=1', b'"rate";r=0', b'"rate";r=0',
    ]  # fmt: skip
    refused = answers[3]
    assert 1190 < int(refused.one("retry-after") or 0) <= 1200
    assert int((refused.one("ratelimit") or b"").partition(b";t=")[2]) <= 1200
    assert (refused.problem["code"], refused.problem["detail"]) == ("limit_reached", "The limit is reached: 3/h by client")
    assert await statuses(client, with_token("/l", OTHER), with_token("/free"), with_token("/l")) == [200, 200, 429]
    assert len(unstarted.origin.requests) == 5
    assert (await client.ask(with_token("/free"))).one("ratelimit") is None


async def test_two_workers_share_one_rate(unstarted: Rig, wire: Wire, limits: RedisLimits, tmp_path: Any) -> None:
    client = await started(unstarted, limits, {"rate": "40/h"})
    with (tmp_path / "other.log").open("wb+") as log:
        other = Rig(log)
        there = await started(other, RedisLimits(wire, "two"), {"rate": "40/h"})
        counts: dict[int, int] = {}
        for _ in range(30):
            for one in (client, there):
                status = (await one.ask(with_token("/l"))).status
                counts[status] = counts.get(status, 0) + 1
        await other.stop()
    assert counts == {200: 40, 429: 20}


async def test_many_at_once_wait_for_one_question(unstarted: Rig, limits: RedisLimits) -> None:
    """50 requests in one instant, 40 permits: 40 pass, and the store was asked a few times, not 50."""
    await started(unstarted, limits, {"rate": "40/h"})
    clients = [await unstarted.client() for _ in range(50)]
    answers = await asyncio.gather(*(client.ask(with_token("/l")) for client in clients))
    assert sorted(answer.status for answer in answers) == [200] * 40 + [429] * 10
    assert next(iter(unstarted.registry.snapshot()["gateway_limit_store_calls_total"]["series"].values())) < 10


@pytest.mark.parametrize(("by", "mine", "others", "expected"), [
    ("client", with_token("/l"), with_token("/l", OTHER), [200, 429, 200]),
    ("route", with_token("/l"), with_token("/l", OTHER), [200, 429, 429]),
    ("address", with_token("/l"), with_token("/l", OTHER), [200, 429, 429]),
    ("header:X-Tenant", with_token("/l", ME, "X-Tenant: a"), with_token("/l", ME, "X-Tenant: b"), [200, 429, 200]),
    ("header:X-Tenant", with_token("/l", ME, "x-tenant: a"), with_token("/l", ME, "X-Tenant:  a "), [200, 429, 429]),
    ("header:X-Tenant", with_token("/l"), with_token("/l", ME, "X-Tenant: a", "X-Tenant: b"), [200, 429, 429]),
])  # fmt: skip
async def test_what_is_counted_together(
    unstarted: Rig, limits: RedisLimits, by: str, mine: bytes, others: bytes, expected: list[int]
) -> None:
    client = await started(unstarted, limits, {"rate": "1/h", "by": by})
    assert await statuses(client, mine, mine, others) == expected


async def test_a_credential_is_counted_by_itself(unstarted: Rig, limits: RedisLimits) -> None:
    client = await started(unstarted, limits, {"rate": "1/h", "by": "credential"})
    unstarted.verdicts.warm[digest_access(OTHER)] = a_verdict("gwc_me", client_key="gwk_y")
    assert await statuses(client, with_token("/l"), with_token("/l", OTHER), with_token("/l")) == [200, 200, 429]


async def test_h05_an_address_is_the_peers_whatever_a_stranger_says(unstarted: Rig, limits: RedisLimits) -> None:
    client = await started(unstarted, limits, {"rate": "1/h", "by": "address"}, route={"public": True})
    assert await statuses(client, get("/l"), get("/l", "X-Forwarded-For: 198.51.100.7")) == [200, 429]


async def test_behind_a_trusted_proxy_it_is_the_clients(unstarted: Rig, limits: RedisLimits) -> None:
    client = await started(
        unstarted, limits, {"rate": "1/h", "by": "address"}, route={"public": True}, trusted_proxies=["127.0.0.1"]
    )
    one, two = get("/l", "X-Forwarded-For: 198.51.100.7"), get("/l", "X-Forwarded-For: 1.2.3.4, 198.51.100.8")
    assert await statuses(client, one, two, one) == [200, 200, 429]


async def test_a_quota_says_when_it_is_whole_again(unstarted: Rig, limits: RedisLimits) -> None:
    client = await started(unstarted, limits, {"quota": "2/day"}, {"rate": "100/s"})
    answers = [await client.ask(with_token("/l")) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[0].one("ratelimit-policy") == b'"rate";q=100;w=1, "quota";q=2;w=86400'
    assert (answers[0].one("ratelimit") or b"").startswith(b'"rate";r=99;t=1, "quota";r=1;t=')
    assert 0 < int(answers[2].one("retry-after") or 0) <= 86_400


async def test_what_a_refusal_took_of_other_limits_is_given_back(unstarted: Rig, limits: RedisLimits) -> None:
    """The rate lets two pass, and the quota one: the second is refused and leaves its permit to the next client's request."""
    client = await started(unstarted, limits, {"rate": "2/h", "by": "route"}, {"quota": "1/day"})
    assert await statuses(client, *[with_token("/l")] * 3, with_token("/l", OTHER)) == [200, 429, 429, 200]


async def test_requests_that_are_refused_otherwise_do_not_count(unstarted: Rig, limits: RedisLimits) -> None:
    client = await started(unstarted, limits, {"rate": "1/h"}, route={"scopes": ["x"]})
    assert await statuses(client, with_token("/l"), get("/l"), with_token("/l")) == [403, 401, 403]
    unstarted.verdicts.warm[digest_access(ME)] = a_verdict(scopes=["x"])
    assert await statuses(client, with_token("/l"), with_token("/l")) == [200, 429]


async def test_a_plan_counts_on_all_routes_that_ask_a_token(unstarted: Rig, limits: RedisLimits) -> None:
    """``default`` for who has none, or one that is not there any more."""
    routes: list[dict[str, Any]] = [
        {"path": "/a", "upstream": "a"}, {"path": "/b", "upstream": "a"}, {"path": "/p", "upstream": "a", "public": True},
    ]  # fmt: skip
    plans = {"default": {"limits": [{"rate": "2/h"}]}, "gold": {}}
    client = await started(unstarted, limits, routes=routes, plans=plans)
    unstarted.verdicts.warm[digest_access(OTHER)] = a_verdict("gwc_other", plan="gone")
    assert await statuses(client, with_token("/a"), with_token("/b"), with_token("/a"), with_token("/p")) == [200, 200, 429, 200]
    assert await statuses(client, *[with_token("/a", OTHER)] * 3) == [200, 200, 429]
    assert await statuses(client, *[with_token("/a", GOLD)] * 5) == [200] * 5
    refused = await client.ask(with_token("/a"))
    assert refused.one("ratelimit-policy") == b'"plan-rate";q=2;w=3600'


async def holding(rig: Rig, *requests: bytes) -> list[tuple[Client, asyncio.Task[Response]]]:
    """Requests that the origin has and does not answer yet."""
    under_way = []
    for request in requests:
        client = await rig.client()
        before = len(rig.origin.requests)
        under_way.append((client, asyncio.create_task(client.ask(request))))
        await rig.eventually(lambda before=before: len(rig.origin.requests) > before)
    return under_way


def hold_answers(rig: Rig) -> asyncio.Event:
    """Have the origin wait before each answer."""
    go = asyncio.Event()

    async def script(connection: OriginConnection) -> None:
        while True:
            rig.origin.requests.append(await connection.request())
            await go.wait()
            await connection.send(OK)

    rig.origin.script = script
    return go


@pytest.mark.parametrize("end", ["answered", "client gone", "upstream gone"])
async def test_a_slot_is_free_when_its_request_has_ended_in_whatever_way(unstarted: Rig, limits: RedisLimits, end: str) -> None:
    await started(unstarted, limits, {"concurrency": 2})
    go = hold_answers(unstarted)
    under_way = await holding(unstarted, with_token("/l"), with_token("/l"))
    client = await unstarted.client()
    refused = await client.ask(with_token("/l"))
    assert (refused.status, refused.one("retry-after"), refused.one("ratelimit")) == (429, b"1", None)
    if end == "answered":
        go.set()
        assert [(await task).status for _, task in under_way] == [200, 200]
    elif end == "client gone":
        for connection, task in under_way:
            task.cancel()
            connection.reset()
    else:
        for origin_connection in unstarted.origin.connections:
            origin_connection.reset()
        assert {(await task).status for _, task in under_way} == {502}
    go.set()

    async def passes() -> bool:
        return (await client.ask(with_token("/l"))).status == 200

    async with asyncio.timeout(5):
        while not await passes():  # what the gateway noticed last was on its way
            pass


async def test_slots_are_shared_by_workers_and_idle_ones_given_back(
    unstarted: Rig, wire: Wire, limits: RedisLimits, tmp_path: Any
) -> None:
    """One slot: it goes from worker to worker, as one client's requests do."""
    client = await started(unstarted, limits, {"concurrency": 1}, workers=2)
    with (tmp_path / "other.log").open("wb+") as log:
        other = Rig(log)
        there = await started(other, RedisLimits(wire, "two"), {"concurrency": 1}, workers=2)
        go = hold_answers(other)
        go.set()
        for _ in range(10):
            assert await statuses(client, with_token("/l")) == [200]
            await limits.settle()
            assert await statuses(there, with_token("/l")) == [200]
            await wire.call("PING")  # what the other one gave back was on its way before this
        go.clear()
        ((_, task),) = await holding(other, with_token("/l"))
        assert await statuses(client, with_token("/l")) == [429]
        go.set()
        assert (await task).status == 200
        await other.stop()


class Hesitant(RedisLimits):
    """Hears of slots only when the test says so, once ``late`` is a list; the store does as ever."""

    late: list[Callable[[], None]] | None = None

    def hold_slots(self, key: str, slots: Slots, count: int, done: Told) -> None:
        """As for others, but for the moment of the answer."""
        late = self.late
        super().hold_slots(key, slots, count, done if late is None else lambda grant: late.append(lambda: done(grant)))


async def test_slots_that_are_on_their_way_back_are_not_used_meanwhile(unstarted: Rig, wire: Wire, tmp_path: Any) -> None:
    """The store has given the one slot to another worker already; that it took it is not known here yet."""
    limits = Hesitant(wire, "one")
    client = await started(unstarted, limits, {"concurrency": 1}, workers=2)
    with (tmp_path / "other.log").open("wb+") as log:
        other = Rig(log)
        await started(other, RedisLimits(wire, "two"), {"concurrency": 1}, workers=2)
        go, there = hold_answers(unstarted), hold_answers(other)
        ((_, first),) = await holding(unstarted, with_token("/l"))
        limits.late = late = []
        go.set()
        assert (await first).status == 200
        await unstarted.eventually(lambda: late)
        ((_, theirs),) = await holding(other, with_token("/l"))
        second = asyncio.create_task(client.ask(with_token("/l")))
        leases = unstarted.edge.limits._all[0].leases
        await unstarted.eventually(lambda: second.done() or any(lease.waiting for lease in leases.values()))
        limits.late = None
        for tell in late:
            tell()
        assert (await second).status == 429
        there.set()
        assert (await theirs).status == 200
        await other.stop()


async def test_f01_without_the_store_each_limit_does_as_it_says(unstarted: Rig) -> None:
    """local: by itself; allow: all; deny: 503 and never 429; routes without limits do not notice."""
    routes: list[dict[str, Any]] = [
        {"path": f"/{mode}", "upstream": "a", "limits": [{kind: value, "on_store_failure": mode}]}
        for mode, kind, value in [("local", "rate", "2/h"), ("allow", "quota", "2/day"), ("deny", "concurrency", 2)]
    ]
    client = await started(unstarted, None, routes=[*routes, {"path": "/free", "upstream": "a"}])
    assert await statuses(client, *[with_token("/local")] * 3) == [200, 200, 429]
    assert await statuses(client, *[with_token("/allow")] * 4) == [200] * 4
    refused = await client.ask(with_token("/deny"))
    assert (refused.status, refused.problem["code"], refused.one("retry-after")) == (503, "store_unavailable", b"1")
    assert await statuses(client, with_token("/free")) == [200]
    series = unstarted.registry.snapshot()["gateway_limits_without_store_total"]["series"]
    assert series['limit="quota",mode="allow"'] == 4


async def test_f01_a_store_that_goes_and_comes_costs_nobody_more_than_its_timeout(unstarted: Rig, valkey: ValkeyServer) -> None:
    """Who waits when it goes is decided without it; the first request after a second finds it again."""
    async with a_wire(Store(url=valkey.unix_url)) as wire:
        client = await started(unstarted, RedisLimits(wire, "one"), {"rate": "1000000/h", "by": "route"})
        assert await statuses(client, with_token("/l")) == [200]
        valkey.kill()
        began = unstarted.edge.loop.time()
        assert await statuses(client, *[with_token("/l")] * 20) == [200] * 20
        assert unstarted.edge.loop.time() - began < 1.0
        limit = unstarted.edge.limits._all[0]
        assert limit.away
        valkey.start()
        async with asyncio.timeout(5):
            while limit.away:
                assert await statuses(client, with_token("/l")) == [200]


async def test_f02_a_store_that_hangs_holds_requests_for_its_timeout_and_then_none(unstarted: Rig, valkey: ValkeyServer) -> None:
    """100 at once wait for one question, as long as the store's timeout; whoever comes then waits not at all."""
    section = Store.model_validate({"url": valkey.unix_url, "timeout": "1s"})
    async with a_wire(section) as wire:
        await started(unstarted, RedisLimits(wire, "one"), {"rate": "1000/s"})
        await wire.call("PING")
        clients = [await unstarted.client() for _ in range(100)]
        with valkey.frozen():
            began = unstarted.edge.loop.time()
            answers = await asyncio.gather(*(client.ask(with_token("/l")) for client in clients))
            assert {answer.status for answer in answers} == {200}
            waited = unstarted.edge.loop.time() - began
            began = unstarted.edge.loop.time()
            assert await statuses(clients[0], *[with_token("/l")] * 20) == [200] * 20
            assert unstarted.edge.loop.time() - began < waited
            assert 0.9 < waited < 5


async def test_a_client_that_goes_while_the_store_is_asked_leaves_nothing_behind(unstarted: Rig, valkey: ValkeyServer) -> None:
    async with a_wire(Store(url=valkey.unix_url)) as wire:
        client = await started(unstarted, RedisLimits(wire, "one"), {"concurrency": 1}, {"rate": "50/h"})
        await wire.call("PING")
        with valkey.frozen():
            for _ in range(3):
                gone = await unstarted.client()
                await gone.send(with_token("/l"))
                await unstarted.eventually(lambda: any(limit.leases for limit in unstarted.edge.limits._all))
                gone.reset()
        await unstarted.eventually(lambda: unstarted.edge.connections == 1)
        assert await statuses(client, with_token("/l")) == [200]
        assert len(unstarted.origin.requests) == 1


async def test_log_and_metrics_name_the_limit(unstarted: Rig, limits: RedisLimits) -> None:
    client = await started(unstarted, limits, {"rate": "1/h"})
    await statuses(client, with_token("/l"), with_token("/l"))
    snapshot = unstarted.registry.snapshot()
    assert snapshot["gateway_limited_total"]["series"] == {'limit="rate"': 1}
    assert snapshot["gateway_refusals_total"]["series"] == {'code="limit_reached"': 1}
    await unstarted.stop()
    unstarted.log.seek(0)
    assert [json.loads(line).get("refusal", "") for line in unstarted.log.read().splitlines()] == ["", "limit_reached"]


async def test_subjects_that_say_nothing_any_more_are_forgotten(unstarted: Rig, limits: RedisLimits) -> None:
    """X12: whatever strangers send, a worker knows a bounded number, and idle ones not for long."""
    client = await started(unstarted, limits, {"rate": "1000/s", "by": "header:X-Tenant"})
    for number in range(50):
        await client.ask(with_token("/l", ME, f"X-Tenant: {number}"))
    (limit,) = unstarted.edge.limits._all
    assert len(limit.leases) == 50
    later = unstarted.edge.loop.time() + 2.0
    unstarted.edge.limits.tick(later)
    unstarted.edge.limits.tick(later)
    assert limit.leases == {}


async def test_head_http10_cors_and_chunked_answers_carry_the_fields_too(unstarted: Rig, limits: RedisLimits) -> None:
    client = await started(
        unstarted, limits, {"rate": "100/s"}, route={"cors": {"origins": ["https://a.example"], "expose_headers": ["RateLimit"]}}
    )
    answer = await client.ask(with_token("/l", ME, "Origin: https://a.example"))
    assert (answer.one("ratelimit") or b"").startswith(b'"rate";r=99;t=')
    unstarted.origin.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    answer = await client.ask(with_token("/l"))
    assert (answer.one("ratelimit") is not None, answer.body) == (True, b"ok")


@pytest.mark.parametrize("end", ["client closes", "upstream gone", "client gone"])
async def test_a_websocket_holds_its_slot_until_it_has_ended(unstarted: Rig, limits: RedisLimits, end: str) -> None:
    """And counts once towards a rate, however much passes through it."""
    unstarted.origin.script = echo
    await started(unstarted, limits, {"concurrency": 1}, {"rate": "100/h"}, route={"streams": {}})
    tunnel = await unstarted.client()
    await tunnel.send(hello("/l"))
    assert (await tunnel.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    for _ in range(3):
        await tunnel.send(text(b"words"))
        await read_frame(tunnel)
    client = await unstarted.client()
    assert await statuses(client, with_token("/l")) == [429]
    if end == "client closes":
        tunnel.close()
    elif end == "client gone":
        tunnel.reset()
    else:
        unstarted.origin.connections[-1].reset()
    await unstarted.eventually(lambda: not any(lease.in_use for lease in unstarted.edge.limits._all[0].leases.values()))
    await limits.settle()
    unstarted.origin.script = unstarted.origin.serve
    answer = await (await unstarted.client()).ask(with_token("/l"))
    assert (answer.status, (answer.one("ratelimit") or b"").partition(b";t=")[0]) == (200, b'"rate";r=98')


async def test_a_refusal_behind_the_limits_frees_the_slot(unstarted: Rig, limits: RedisLimits) -> None:
    """The second stream of one client is too many for ``streams``; the slot that it had taken is free."""
    unstarted.origin.script = echo
    await started(unstarted, limits, {"concurrency": 5}, route={"streams": {"max_per_client": 1}})
    tunnel = await unstarted.client()
    await tunnel.send(hello("/l"))
    assert (await tunnel.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    client = await unstarted.client()
    for _ in range(10):
        assert await statuses(client, with_token("/l")) == [429]
    (lease,) = unstarted.edge.limits._all[0].leases.values()
    assert lease.in_use == 1


@pytest.mark.parametrize("seed", range(2))
async def test_x13_whatever_clients_do_no_slot_stays_occupied(unstarted: Rig, limits: RedisLimits, seed: int) -> None:
    """300 clients send halves, pipeline, abort at whatever moment, or go on; the upstream answers, breaks off or hesitates."""
    dice, calm = random.Random(seed), asyncio.Event()

    async def moody(connection: OriginConnection) -> None:
        while True:
            request = await connection.request()
            mood = 1.0 if calm.is_set() else dice.random()
            if mood < 0.1:
                connection.reset()
                return
            if mood < 0.2:
                await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
                connection.close()
                return
            if mood < 0.3:
                await asyncio.sleep(0.01)
            await connection.send(OK if request.first[:4] != b"HEAD" else OK[:-2])

    unstarted.origin.script = moody
    await started(unstarted, limits, {"concurrency": 6}, {"rate": "400/s", "burst": 50}, {"quota": "1000000/month"})
    get_l, head = with_token("/l"), with_token("/l").replace(b"GET ", b"HEAD ", 1)
    post = with_token("/l", ME, "Content-Length: 5").replace(b"GET ", b"POST ", 1)
    kinds = [get_l, get_l * 5, head, post + b"12345", post + b"12", get_l[:-10], post + b"12345" + get_l, b"GET /l\r\n\r\n"]

    async def one() -> None:
        client = await unstarted.client()
        await client.send(dice.choice(kinds))
        for _ in range(dice.randrange(6)):
            await asyncio.sleep(0)
        if dice.random() < 0.5:
            client.reset()
        else:
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(0.1):
                    await client.rest()
            client.writer.transport.abort()

    for _ in range(5):
        await asyncio.gather(*(one() for _ in range(60)))
    await unstarted.eventually(lambda: unstarted.edge.connections == 1)  # one that said nothing at all
    slots, leases = unstarted.edge.limits._all[0], [limit.leases for limit in unstarted.edge.limits._all]
    # What the store says may be followed by another question, as what is idle is given back.
    await unstarted.eventually(lambda: not any(one.waiting or one.asking for some in leases for one in some.values()))
    assert [lease.in_use for lease in slots.leases.values() if lease.in_use] == []
    calm.set()
    answers = await asyncio.gather(*[(await unstarted.client()).ask(get_l) for _ in range(6)])
    assert {answer.status for answer in answers} <= {200, 429}
