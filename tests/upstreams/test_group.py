"""Which address a request goes to, and where to when that one fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.oauth.tokens import digest_access
from tests.edge.rig import OK, OriginConnection, Rig, a_token, a_verdict, get, post
from tests.servers import free_port
from tests.upstreams.conftest import Start
from tests.upstreams.several import black_hole, bodies, crowd, metric, targets

AT_ONCE = {"shortest": "50ms", "longest": "100ms", "ramp": "0s"}
"""An ejection that tests can wait for."""


async def dies(connection: OriginConnection) -> None:
    """Read a request and reset the connection."""
    await connection.request()
    connection.reset()


async def test_requests_take_turns_by_weight(unstarted: Rig, another: Start) -> None:
    rig = await unstarted.start(targets=targets(await another(), await another()), upstream={"weights": [3, 1]})
    assert await bodies(await rig.client(), 8) == "00100010"


async def test_the_same_client_comes_to_the_same_target(unstarted: Rig, another: Start) -> None:
    """By its id, whatever its connection and token; other clients are spread."""
    origins = [await another() for _ in range(3)]
    rig = await unstarted.start(targets=targets(*origins), upstream={"balance": "hash"})
    chosen = []
    for number in range(40):  # ports are random: of twelve clients, one run in fifty would leave a target out
        for token in (number * 2, number * 2 + 1):
            rig.verdicts.warm[digest_access(a_token(token))] = a_verdict(f"gwc_{number}")
        seen = set()
        for token in (number * 2, number * 2 + 1):
            line = f"Authorization: Bearer {a_token(token).decode()}"
            seen |= set(await bodies(await rig.client(), 2, line, target="/v1/resource"))
        assert len(seen) == 1
        chosen += seen
    assert set(chosen) == {"0", "1", "2"}


async def test_a_header_chooses_the_target(unstarted: Rig, another: Start) -> None:
    """Whatever the case of its name; without it the peer's address does, on a public route."""
    origins = [await another() for _ in range(3)]
    rig = await unstarted.start(targets=targets(*origins), upstream={"balance": "hash", "hash_on": "header:x-session"})
    client = await rig.client()
    answers = [await bodies(client, 3, f"X-Session: {number}", "Accept: */*") for number in range(40)]
    assert {len(set(answer)) for answer in answers} == {1}
    assert set("".join(answers)) == {"0", "1", "2"}
    assert len(set(await bodies(client, 5))) == len(set(await bodies(client, 5, "X-Session-Other: 7"))) == 1


async def test_the_less_busy_target_is_taken(unstarted: Rig, another: Start) -> None:
    """While one of two sits on a request, the other gets all."""
    first, second = await another(), await another()
    rig = await unstarted.start(targets=targets(first, second), upstream={"balance": "least_loaded"})
    first.answer = second.answer = b""
    busy = await rig.client()
    await busy.send(get("/public/slow"))
    await rig.eventually(lambda: first.requests or second.requests)
    slow, quick = (first, second) if first.requests else (second, first)
    quick.answer = OK
    assert await bodies(await rig.client(), 20) == "ok" * 20
    assert (len(slow.requests), len(quick.requests)) == (1, 20)


async def test_a_target_that_is_full_is_passed_over(unstarted: Rig, another: Start) -> None:
    """As long as another one has room."""
    first, second = await another(), await another()
    rig = await unstarted.start(targets=targets(first, second), upstream={"max_connections": 1})
    first.answer = b""
    busy = await rig.client()
    await busy.send(get("/public/slow"))
    await rig.eventually(lambda: first.requests)
    assert await bodies(await rig.client(), 6) == "111111"


async def test_x10_other_upstreams_are_unaffected(unstarted: Rig, another: Start) -> None:
    """One whose connections and queue are full refuses at once, with Retry-After; another one serves."""
    slow, well = await another(), await another()
    slow.answer = b""
    limits = {"max_connections": 2, "max_queue": 3}
    rig = await unstarted.start(
        upstreams={"a": {"targets": targets(slow), **limits}, "b": {"targets": targets(well), **limits}},
        routes=[{"path": "/slow/", "upstream": "a", "public": True}, {"path": "/public/", "upstream": "b", "public": True}],
    )
    waiting = [await rig.client() for _ in range(5)]
    for client in waiting:
        await client.send(get("/slow/x"))
    await rig.eventually(lambda: len(slow.requests) == 2)
    assert metric(rig, "queue") == 3
    late = await rig.client()
    answer = await late.ask(get("/slow/x"))
    assert (answer.status, answer.problem["code"], answer.one("retry-after")) == (503, "overloaded", b"1")
    assert await crowd(rig, 4, 10) == {"1": 40}


async def test_without_a_queue_nobody_waits_but_connections_are_opened(unstarted: Rig) -> None:
    """``max_queue: 0``: as many as there may be connections, and no more."""
    rig = await unstarted.start(upstream={"max_connections": 3, "max_queue": 0})
    rig.origin.answer = b""
    waiting = [await rig.client() for _ in range(3)]
    for client in waiting:
        await client.send(get("/public/x"))
    await rig.eventually(lambda: len(rig.origin.requests) == 3)
    assert (await (await rig.client()).ask(get("/public/x"))).status == 503


async def test_f17_a_dead_one_among_three_harms_nobody(unstarted: Rig, another: Start) -> None:
    """Refused connections are passed over, for GET and for POST with a body; then it is left alone."""
    first, second = await another(), await another()
    rig = await unstarted.start(targets=targets(first, free_port(), second))
    taken = await crowd(rig, 10, 30)
    assert set(taken) == {"0", "1"}
    assert sum(taken.values()) == 300
    assert metric(rig, "ejections_total") == 1
    assert metric(rig, "addresses", state="out") == 1
    client = await rig.client()
    assert {(await client.ask(post("/public/x", b"hello"))).status for _ in range(9)} == {200}


async def test_f17_one_that_dies_among_three_harms_nobody(unstarted: Rig, another: Start) -> None:
    """With requests under way on it: GETs go to another one."""
    origins = [await another() for _ in range(3)]
    rig = await unstarted.start(targets=targets(*origins))

    async def kill() -> None:
        await rig.eventually(lambda: len(origins[1].requests) >= 20)
        await origins[1].stop()

    taken, _ = await asyncio.gather(crowd(rig, 12, 30), kill())
    assert set(taken) <= {"0", "1", "2"}
    assert sum(taken.values()) == 360


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "PUT"])
async def test_x11_a_request_that_broke_off_is_sent_to_another_target(unstarted: Rig, another: Start, method: str) -> None:
    """On a new connection, before any byte of an answer, once."""
    first, second = await another(), await another()
    first.script = dies
    second.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    rig = await unstarted.start(targets=targets(first, second))
    client = await rig.client()
    assert (await client.ask(get("/public/x", method=method), method)).status == 200
    assert [len(origin.connections) for origin in (first, second)] == [1, 1]
    assert metric(rig, "retries_total", kind="other_target") == 1


@pytest.mark.parametrize(
    "message",
    [
        get("/public/x", method="POST"),
        post("/public/x", b"hello"),
        get("/public/x", "Content-Length: 5", method="PUT") + b"hello",
    ],
    ids=["POST", "POST-body", "PUT-body"],
)
async def test_x11_another_request_is_not(unstarted: Rig, another: Start, message: bytes) -> None:
    """The first target may have acted on it, or has part of its body."""
    first, second = await another(), await another()
    first.script = dies
    rig = await unstarted.start(targets=targets(first, second))
    assert (await (await rig.client()).ask(message)).status == 502
    assert second.connections == []


async def test_x11_nor_one_that_was_answered_in_part(unstarted: Rig, another: Start) -> None:
    """A byte of an answer is one too much."""

    async def begins(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 2")
        connection.close()

    first, second = await another(), await another()
    first.script = begins
    rig = await unstarted.start(targets=targets(first, second))
    assert (await (await rig.client()).ask(get("/public/x"))).status == 502
    assert second.connections == []


async def test_x11_it_is_sent_to_a_second_one_but_not_to_a_third(unstarted: Rig, another: Start) -> None:
    origins = [await another() for _ in range(3)]
    for origin in origins:
        origin.script = dies
    rig = await unstarted.start(targets=targets(*origins))
    assert (await (await rig.client()).ask(get("/public/x"))).status == 502
    assert sum(len(origin.connections) for origin in origins) == 2


async def test_x11_a_stale_connection_at_the_second_one_does_not_lead_back_to_the_first(unstarted: Rig, another: Start) -> None:
    """Both break off whatever is new, and the second one's connection from before has run out: then it is over."""
    first, second = await another(), await another()
    first.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    rig = await unstarted.start(targets=targets(first, second))
    client = await rig.client()
    begun = asyncio.Event()

    async def answers_once(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        second.script = dies
        begun.set()
        await dies(connection)

    second.script = answers_once
    assert [(await client.ask(get("/public/x"))).status for _ in range(2)] == [200, 200]
    await begun.wait()
    first.script = dies
    assert (await client.ask(get("/public/x"))).status == 502
    assert [len(origin.connections) for origin in (first, second)] == [2, 2]
    assert [metric(rig, "retries_total", kind=kind) for kind in ("other_target", "stale_connection")] == [1, 1]


async def test_x11_retries_keep_to_their_budget(unstarted: Rig, another: Start) -> None:
    """All targets reset everything: what they see is a fifth more than there are requests, and ten at the beginning."""
    origins = [await another() for _ in range(2)]
    for origin in origins:
        origin.script = dies
    rig = await unstarted.start(targets=targets(*origins), upstream={"ejection": {"failures": 0}})
    assert await crowd(rig, 4, 50) == {"b": 200}
    seen = sum(len(origin.connections) for origin in origins)
    assert 210 <= seen <= 200 + 10 + 60
    assert metric(rig, "retries_total", kind="over_budget") == 400 - seen


async def test_x11_without_a_budget_nothing_is_sent_twice(unstarted: Rig, another: Start) -> None:
    first, second = await another(), await another()
    first.script = dies
    rig = await unstarted.start(targets=targets(first, second), upstream={"retry_budget": 0})
    assert (await (await rig.client()).ask(get("/public/x"))).status == 502
    assert second.connections == []


async def test_f10_all_targets_together_have_the_time_to_connect(unstarted: Rig, hole: int) -> None:
    """504 within timeouts.connect, not once for each of them."""
    with black_hole() as second, black_hole() as third, black_hole() as fourth:
        rig = await unstarted.start(targets=targets(hole, second, third, fourth), routes=[
            {"path": "/public/", "upstream": "a", "public": True, "timeouts": {"connect": "600ms"}},
        ])  # fmt: skip
        began = asyncio.get_running_loop().time()
        answer = await (await rig.client()).ask(get("/public/x"))
        assert (answer.status, answer.problem["code"]) == (504, "gateway_timeout")
        assert asyncio.get_running_loop().time() - began < 1.1


async def test_f17_a_target_that_hangs_is_passed_over_in_time(unstarted: Rig, another: Start, hole: int) -> None:
    """Within a part of timeouts.connect; no GET fails."""
    rig = await unstarted.start(targets=targets(hole, await another()), upstream={"ejection": {"failures": 2}}, routes=[
        {"path": "/public/", "upstream": "a", "public": True, "timeouts": {"connect": "400ms"}},
    ])  # fmt: skip
    assert await crowd(rig, 6, 3) == {"0": 18}
    assert metric(rig, "ejections_total") == 1


async def test_all_targets_refused_is_502_at_once_and_any_that_returns_is_found_at_once(unstarted: Rig, another: Start) -> None:
    """Nobody has to wait for the end of an ejection while nothing else is there."""
    ports = [free_port(), free_port(), free_port()]
    rig = await unstarted.start(targets=targets(*ports), upstream={"ejection": {"failures": 1, "shortest": "30s"}})
    client = await rig.client()
    assert await bodies(client, 12) == "b" * 12
    assert metric(rig, "addresses", state="out") == 2
    for number in range(3):
        origin = await another(ports[number])
        assert await bodies(client, 2) == str(number) * 2
        await origin.stop()
        await rig.eventually(lambda: rig.edge.groups["a"].open == 0)


async def test_a_stale_connection_to_a_target_that_is_gone_is_replaced_at_another(unstarted: Rig, another: Start) -> None:
    """The new connection is refused: the next target gets the request."""
    first, second = await another(), await another()
    rig = await unstarted.start(targets=targets(first, second))
    client = await rig.client()
    assert await bodies(client, 2) == "01"
    await first.stop()
    assert await bodies(client, 6) == "111111"


async def test_a_returning_target_begins_with_a_small_share(unstarted: Rig, another: Start) -> None:
    """Of a tenth of its weight, beside one of all of it: one in eleven."""
    first, second = await another(), await another()
    rig = await unstarted.start(targets=targets(first, second), upstream={"ejection": {**AT_ONCE, "failures": 1, "ramp": "1h"}})
    group = rig.edge.groups["a"]
    pool: Any = group.pools[0]
    group.failed(pool, "reset")
    assert await bodies(await rig.client(), 4) == "1111"
    await rig.eventually(lambda: not pool.standing.out)
    assert Counter(await bodies(await rig.client(), 100)) == {"0": 9, "1": 91}
