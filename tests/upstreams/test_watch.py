"""Who is out of service, and how it comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.edge.rig import OK, OriginConnection, Rig, get
from tests.servers import free_port
from tests.upstreams.conftest import Start
from tests.upstreams.several import black_hole, bodies, crowd, events, metric, targets

QUICK = {"path": "/public/", "upstream": "a", "public": True, "timeouts": {"connect": "200ms", "first_byte": "200ms"}}


def pools(rig: Rig) -> list[Any]:
    return list(rig.edge.groups["a"].pools)


async def dies(connection: OriginConnection) -> None:
    """Read a request and reset the connection."""
    await connection.request()
    connection.reset()


async def stalls(connection: OriginConnection) -> None:
    """Read a request and never answer."""
    await connection.request()
    await connection.rest()


async def test_f10_a_restarted_single_target_is_served_at_once(unstarted: Rig, another: Start) -> None:
    """However long it refused: it is never ejected, each answer is 502 at once."""
    port = free_port()
    rig = await unstarted.start(targets=targets(port))
    client = await rig.client()
    assert await bodies(client, 30) == "b" * 30
    assert metric(rig, "addresses", state="in_service") == 1
    assert metric(rig, "connect_failures_total") == 30
    await another(port)
    assert await bodies(client, 3) == "000"


async def test_f10_a_black_hole_piles_nothing_up(unstarted: Rig, another: Start, caplog: pytest.LogCaptureFixture) -> None:
    """After some timeouts requests are 503 at once; the gateway looks by itself, and serves within a second of its return."""
    loop = asyncio.get_running_loop()
    well = await another()
    with black_hole() as port:
        rig = await unstarted.start(
            upstreams={
                "a": {"targets": targets(port), "ejection": {"failures": 2, "shortest": "30s"}},
                "b": {"targets": targets(well)},
            },
            routes=[QUICK, {"path": "/other/", "upstream": "b", "public": True}],
        )
        clients = [await rig.client() for _ in range(20)]
        for client in clients:
            await client.send(get("/public/x"))
        assert {(await client.response()).status for client in clients} == {504}
        began = loop.time()
        for client in clients:
            answer = await client.ask(get("/public/x"))
            assert (answer.status, answer.problem["code"]) == (503, "upstream_unavailable")
            assert answer.one("retry-after") == b"1"
        assert loop.time() - began < 0.5
        assert await bodies(clients[0], 5, target="/other/x") == "00000"
        assert events(caplog) == [
            ("upstream.ejected", {"upstream": "a", "target": targets(port)[0], "cause": "connect_timeout", "for_s": 30.0})
        ]
    back = await another(port)
    began = loop.time()
    await rig.eventually(lambda: metric(rig, "addresses", state="in_service") == 1)
    assert loop.time() - began < 1.7  # a look each second, and the one that was under way when it came back
    assert back.requests == []
    assert await bodies(clients[0], 2) == "11"


async def test_an_ejected_one_comes_back_by_a_connection_of_the_gateway_s_own(unstarted: Rig, another: Start) -> None:
    """No request is risked on it."""
    port, well = free_port(), await another()
    ejection = {"failures": 2, "shortest": "100ms", "ramp": "0s"}
    rig = await unstarted.start(targets=targets(port, well), upstream={"ejection": ejection})
    client = await rig.client()
    await bodies(client, 4)
    assert pools(rig)[0].standing.out
    returned = await another(port)
    await rig.eventually(lambda: not pools(rig)[0].standing.out)
    assert (len(returned.connections), returned.requests) == (1, [])
    assert set(await bodies(client, 4)) == {"0", "1"}


async def test_one_that_can_t_be_connected_to_stays_out_longer_each_time(unstarted: Rig, another: Start) -> None:
    """Without a request on it."""
    rig = await unstarted.start(targets=targets(free_port(), await another()), upstream={"ejection": {"failures": 1}})
    client = await rig.client()
    await bodies(client, 2)
    standing, group = pools(rig)[0].standing, rig.edge.groups["a"]
    length = []
    for _ in range(4):
        before = standing.breaker.until
        standing.breaker.until = 0.0
        group.tick(asyncio.get_running_loop().time())
        await rig.eventually(lambda: standing.breaker.until)
        length.append(round(standing.breaker.until - asyncio.get_running_loop().time()))
        assert before
    assert length == [2, 4, 8, 16]
    assert metric(rig, "connect_failures_total") == metric(rig, "ejections_total") == 1


async def test_resets_eject_one_of_several(unstarted: Rig, another: Start, caplog: pytest.LogCaptureFixture) -> None:
    """On new connections, before an answer; the requests are served by the other one."""
    first, second = await another(), await another()
    first.script = dies
    rig = await unstarted.start(targets=targets(first, second), upstream={"ejection": {"failures": 3, "shortest": "30s"}})
    assert await bodies(await rig.client(), 20) == "1" * 20
    assert len(first.connections) == 3
    assert [(name, facts["cause"]) for name, facts in events(caplog)] == [("upstream.ejected", "reset")]


async def test_silence_ejects_one_of_several(unstarted: Rig, another: Start) -> None:
    """No answer within timeouts.first_byte, which is 504; an answer that is slow within has begun."""
    first, second = await another(), await another()
    first.script = stalls
    rig = await unstarted.start(targets=targets(first, second), upstream={"ejection": {"failures": 2}}, routes=[QUICK])
    clients = [await rig.client() for _ in range(4)]
    for client in clients:
        await client.send(get("/public/x"))
    assert sorted([(await client.response()).status for client in clients]) == [200, 200, 504, 504]
    assert await bodies(clients[0], 6) == "1" * 6


@pytest.mark.parametrize("end", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
async def test_x10_slow_requests_of_one_client_eject_nobody_while_others_are_answered(
    unstarted: Rig, another: Start, end: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """However many run out of time at once: it is the request that is slow, not the target."""
    first, second = await another(), await another()

    async def script(connection: OriginConnection) -> None:
        while (await connection.request()).target != b"/public/slow":
            await connection.send(OK.replace(b"\r\n\r\n", b"\r\n" + end + b"\r\n"))
            if end:
                connection.close()
                return
        await connection.rest()

    first.script = second.script = script
    route = QUICK | {"timeouts": {"first_byte": "1s"}}  # longer than a busy machine keeps both targets unheard
    rig = await unstarted.start(targets=targets(first, second), upstream={"ejection": {"failures": 2}}, routes=[route])
    slow, client = [await rig.client() for _ in range(12)], await rig.client()
    for each in slow:
        await each.send(get("/public/slow"))
    answers = [asyncio.ensure_future(each.response()) for each in slow]
    while not all(answer.done() for answer in answers):
        if end:
            client = await rig.client()
        assert (await client.ask(get("/public/x"))).status == 200
    assert {answer.result().status for answer in answers} == {504}
    assert [facts for event, facts in events(caplog) if event == "upstream.ejected"] == []
    assert metric(rig, "ejections_total") == 0


async def test_the_last_one_in_service_stays_there(unstarted: Rig, another: Start) -> None:
    """Both reset everything: one is ejected, the other is tried on and on."""
    first, second = await another(), await another()
    first.script = second.script = dies
    upstream = {"ejection": {"failures": 2, "shortest": "30s"}, "retry_budget": 0}
    rig = await unstarted.start(targets=targets(first, second), upstream=upstream)
    assert await bodies(await rig.client(), 20) == "b" * 20
    assert metric(rig, "addresses", state="in_service") == 1
    assert metric(rig, "ejections_total") == 1


async def test_an_answer_ends_the_row(unstarted: Rig, another: Start) -> None:
    """Two failures, an answer, two failures: no ejection at three."""
    first, second = await another(), await another()
    rig = await unstarted.start(targets=targets(first, second), upstream={"ejection": {"failures": 3}})
    pool, group = pools(rig)[0], rig.edge.groups["a"]
    client = await rig.client()
    for _ in range(3):
        group.failed(pool, "reset")
        group.failed(pool, "reset")
        assert pool.watching
        assert "0" in await bodies(client, 2)
        assert not pool.watching
    assert metric(rig, "ejections_total") == 0


async def test_an_answer_brings_an_ejected_one_back(unstarted: Rig, another: Start) -> None:
    """One that was under way when it was ejected, here."""
    first, second = await another(), await another()
    first.answer = b""
    rig = await unstarted.start(targets=targets(first, second), upstream={"ejection": {"failures": 1, "shortest": "30s"}})
    client = await rig.client()
    await client.send(get("/public/x"))
    await rig.eventually(lambda: first.requests)
    rig.edge.groups["a"].failed(pools(rig)[0], "reset")
    assert pools(rig)[0].standing.out
    await first.connections[0].send(OK)
    assert (await client.response()).status == 200
    assert not pools(rig)[0].standing.out


@pytest.mark.parametrize("counts", [False, True])
async def test_error_statuses_count_only_where_they_are_said_to(unstarted: Rig, another: Start, counts: bool) -> None:
    """They are the application's, as a rule."""
    first, second = await another(), await another()
    first.answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    ejection = {"failures": 2, "server_errors": counts, "shortest": "30s"}
    rig = await unstarted.start(targets=targets(first, second), upstream={"ejection": ejection})
    client = await rig.client()
    statuses = [(await client.ask(get("/public/x"))).status for _ in range(10)]
    assert statuses.count(503) == (2 if counts else 5)


async def test_zero_failures_eject_nobody(unstarted: Rig, another: Start) -> None:
    rig = await unstarted.start(targets=targets(free_port(), await another()), upstream={"ejection": {"failures": 0}})
    assert await bodies(await rig.client(), 40) == "0" * 40
    assert metric(rig, "addresses", state="out") == 0


async def test_who_waits_at_an_ejected_one_is_served_by_another(unstarted: Rig, another: Start, hole: int) -> None:
    """Not only the requests whose connections failed."""
    rig = await unstarted.start(
        targets=targets(hole, await another()), upstream={"ejection": {"failures": 1}, "max_connections": 1},
    )  # fmt: skip
    clients = [await rig.client() for _ in range(10)]
    for client in clients:
        await client.send(get("/public/x"))
    await rig.eventually(lambda: pools(rig)[0].waiting)
    rig.edge.groups["a"].failed(pools(rig)[0], "connect_timeout")
    assert {(await client.response()).status for client in clients} == {200}
    assert pools(rig)[0].waiting == 0


CHECKS = {"path": "/healthz", "interval": "100ms", "timeout": "100ms", "healthy": 2, "unhealthy": 2}


def checked(origin: Any, status: bytes) -> None:
    """Answer checks with a status, requests with 200."""
    body = origin.answer[-1:]

    def answer(request: Any) -> bytes:
        if request.target == b"/healthz":
            return b"HTTP/1.1 %b X\r\nContent-Length: 0\r\n\r\n" % status
        return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body

    origin.answer = answer


async def test_checks_take_a_target_out_and_bring_it_back(
    unstarted: Rig, another: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """By status, after so many in a row; requests go on meanwhile."""
    caplog.set_level("INFO")
    first, second = await another(), await another()
    checked(first, b"200")
    checked(second, b"204")
    rig = await unstarted.start(targets=targets(first, second), upstream={"health": CHECKS})
    client = await rig.client()
    assert set(await bodies(client, 4)) == {"0", "1"}
    answer, first.answer = first.answer, b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
    await rig.eventually(lambda: pools(rig)[0].standing.out)
    assert await bodies(client, 6) == "111111"
    first.answer = answer
    await rig.eventually(lambda: not pools(rig)[0].standing.out)
    assert set(await bodies(client, 4)) == {"0", "1"}
    found = [(name, facts["status"]) for name, facts in events(caplog)]
    assert found == [("upstream.unhealthy", 500), ("upstream.healthy", 200)]


async def test_a_check_is_a_request_of_its_own(unstarted: Rig, another: Start) -> None:
    """GET with the target's Host on a connection that no client's request uses."""
    origin = await another()
    checked(origin, b"200")
    await unstarted.start(targets=targets(origin), upstream={"health": CHECKS})
    await unstarted.eventually(lambda: len(origin.requests) == 3)
    assert await bodies(await unstarted.client(), 1) == "0"
    asked = [request for request in origin.requests if request.target == b"/healthz"]
    for request in asked:
        assert request.first == b"GET /healthz HTTP/1.1"
        assert request.one("host") == b"127.0.0.1:%d" % origin.port
        assert request.one("connection") == b"close"
    assert len(origin.connections) == len(origin.requests)


async def test_targets_begin_healthy(unstarted: Rig, another: Start) -> None:
    """Requests are served before the first check is through."""
    origin = await another()
    rig = await unstarted.start(targets=targets(origin), upstream={"health": {"path": "/healthz"}})
    assert await bodies(await rig.client(), 2) == "00"


async def test_when_no_target_is_healthy_all_are_tried(unstarted: Rig, another: Start) -> None:
    """Better than refusing everybody for what a check says."""
    first, second = await another(), await another()
    checked(first, b"500")
    checked(second, b"404")
    rig = await unstarted.start(targets=targets(first, second), upstream={"health": CHECKS})
    await rig.eventually(lambda: all(pool.standing.out for pool in pools(rig)))
    assert set(await crowd(rig, 2, 4)) == {"0", "1"}


async def test_no_check_or_probe_outlives_the_gateway(unstarted: Rig, another: Start, hole: int) -> None:
    """Counted: tasks and connections."""
    origin = await another()
    origin.script = stalls
    ejection = {"failures": 1, "shortest": "50ms"}
    health = {**CHECKS, "interval": "5s", "timeout": "5s"}
    rig = await unstarted.start(targets=targets(origin, hole), upstream={"health": health, "ejection": ejection})
    group = rig.edge.groups["a"]
    group.failed(pools(rig)[1], "connect_timeout")
    await rig.eventually(lambda: len(group._tasks) == 3 and origin.connections)
    tasks = set(group._tasks)
    await rig.edge.drain(0)
    await rig.eventually(lambda: all(task.done() for task in tasks) and not group._tasks)
    await rig.eventually(origin.connections[0].reader.at_eof)
