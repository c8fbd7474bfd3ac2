"""What connections share: the limit, descriptors, draining, the route cache, the log and the counters."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest

from gateway.accept import acceptor as acceptor_module
from gateway.edge import listener
from gateway.errors import StoreUnavailable
from gateway.oauth.tokens import digest_access
from tests.edge.rig import OK, Client, OriginConnection, Rig, a_token, a_verdict, get, post


def counted(rig: Rig, name: str) -> dict[str, float]:
    series: dict[str, float] = rig.registry.snapshot()[name]["series"]
    return series


async def test_x04_at_the_limit_newcomers_wait_in_the_backlog(unstarted: Rig) -> None:
    """Exactly as many as may be are open; each end lets one in; nothing spins."""
    rig = await unstarted.start(listen={"max_connections": 3})
    first = [await rig.client() for _ in range(3)]
    for client in first:
        await client.assert_kept()
    late = [await rig.client() for _ in range(5)]
    for client in late:
        await client.send(get("/public/late"))
    await first[0].assert_kept()
    assert rig.edge.connections == 3
    assert rig.edge._acceptor is not None
    await rig.eventually(lambda: rig.edge._acceptor is not None and rig.edge._acceptor._paused)
    assert len(rig.origin.requests) == 4
    first[0].close()
    assert (await late[0].response()).status == 200
    await first[1].assert_kept()
    assert rig.edge.connections == 3
    for client in (*first[1:], *late[:2]):
        client.close()
    assert [(await client.response()).status for client in late[2:]] == [200] * 3


async def test_a_burst_does_not_overshoot_the_limit(unstarted: Rig) -> None:
    """Connections on their way count."""
    rig = await unstarted.start(listen={"max_connections": 5})
    sockets = []
    for _ in range(50):
        sock = socket.create_connection(("127.0.0.1", rig.port))
        sockets.append(sock)
    await rig.eventually(lambda: rig.edge.connections == 5)
    for _ in range(20):
        await asyncio.sleep(0)
        assert rig.edge.connections <= 5
    for sock in sockets:
        sock.close()
    await rig.eventually(lambda: rig.edge.connections == 0)
    await rig.assert_unharmed()


async def test_a_limit_of_one_serves_one_after_another(unstarted: Rig) -> None:
    """A newcomer that waited is accepted as soon as there is room, though nothing else happens."""
    rig = await unstarted.start(listen={"max_connections": 1})
    for _ in range(10):
        client = await rig.client()
        assert (await client.ask(get("/public/x", "Connection: close"))).status == 200
        await client.assert_closed()
        client.close()


async def test_f26_without_descriptors_accepting_pauses(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """One log line, no spinning; it goes on after a while."""
    acceptor = rig.edge._acceptor
    assert acceptor is not None
    monkeypatch.setattr(acceptor_module, "RETRY", 0.05)
    attempts = 0

    class Exhausted:
        def accept(self) -> None:
            nonlocal attempts
            attempts += 1
            raise OSError(errno.EMFILE, "too many open files")

    acceptor._accept(Exhausted())  # type: ignore[arg-type]
    assert (attempts, acceptor._paused) == (1, True)
    client = await rig.client()
    assert (await client.ask(get("/public/x"))).status == 200
    assert attempts == 1
    assert not acceptor._paused


async def test_f26_an_end_lets_accepting_go_on_at_once(rig: Rig) -> None:
    """A connection that ends gives its descriptor back."""
    acceptor = rig.edge._acceptor
    assert acceptor is not None
    client = await rig.client()
    await client.assert_kept()
    acceptor.pause()
    client.close()
    await rig.eventually(lambda: not acceptor._paused)


async def test_f20_draining_finishes_what_is_in_flight(rig: Rig) -> None:
    """Idle connections end, busy ones after their answer, which says so; nobody new comes in."""
    idle, busy = await rig.client(), await rig.client()
    await idle.assert_kept()
    rig.origin.answer = b""
    await busy.send(get("/public/x"))
    await rig.eventually(lambda: len(rig.origin.requests) == 2)
    draining = asyncio.create_task(rig.edge.drain(5))
    await idle.assert_closed()
    with pytest.raises(OSError):
        await rig.client()
    await rig.origin.connections[0].send(OK)
    answer = await busy.response()
    assert (answer.status, answer.one("connection")) == (200, b"close")
    await busy.assert_closed()
    await draining
    assert rig.edge.connections == 0


async def test_f20_a_request_that_crosses_the_drain_is_answered(rig: Rig) -> None:
    """A client on a kept connection can't know: it is told with its answer, and only who stays silent is cut off."""
    asking, silent = await rig.client(), await rig.client()
    await asking.assert_kept()
    await silent.assert_kept()
    draining = asyncio.create_task(rig.edge.drain(5))
    await rig.eventually(lambda: rig.edge.draining)
    answer = await asking.ask(get("/public/x"))
    assert (answer.status, answer.one("connection")) == (200, b"close")
    await asking.assert_closed()
    await silent.assert_closed()
    await draining


async def test_f20_who_waits_in_the_backlog_is_served(unstarted: Rig) -> None:
    """To close a listener resets everybody whom the kernel has connected already, the requests that they sent included."""
    rig = await unstarted.start(listen={"max_connections": 3})
    held = [await rig.client() for _ in range(3)]
    for client in held:
        await client.assert_kept()
    waiting = [await rig.client() for _ in range(20)]
    for client in waiting:
        await client.send(get("/public/x"))
    draining = asyncio.create_task(rig.edge.drain(5))
    for client in waiting:
        answer = await client.response()
        assert (answer.status, answer.one("connection")) == (200, b"close")
        await client.assert_closed()
    await draining
    with pytest.raises(OSError):
        await rig.client()
    for client in held:
        await client.assert_closed()


async def test_f20_a_connection_that_was_just_accepted_is_served(rig: Rig) -> None:
    """It is a task for a moment, and nobody's connection yet."""
    sock = socket.create_connection(("127.0.0.1", rig.port))
    sock.sendall(get("/public/x"))
    acceptor = rig.edge._acceptor
    assert acceptor is not None
    acceptor._accept(acceptor._sockets[0])
    assert (rig.edge.handshakes, rig.edge.connections) == (1, 0)
    await rig.edge.drain(5)
    answer = sock.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nConnection: close\r\n" in answer
    sock.close()


async def test_f20_an_answer_that_promised_to_go_on_does(rig: Rig) -> None:
    """Its head was out before the stop: the client may send the next request, and that one's answer says that it was the last."""
    release = asyncio.Event()

    async def slowly(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        await release.wait()
        await connection.send(b"lf")
        await rig.origin.serve(connection)

    rig.origin.script = slowly
    client = await rig.client()
    await client.send(get("/public/x"))
    await client.until(b"ha")
    draining = asyncio.create_task(rig.edge.drain(5))
    await rig.eventually(lambda: rig.edge.draining)
    release.set()
    await client.until(b"lf")
    answer = await client.ask(get("/public/y"))
    assert (answer.status, answer.one("connection")) == (200, b"close")
    await client.assert_closed()
    await draining


async def test_f20_a_request_that_comes_as_its_connection_is_about_to_close_is_answered(rig: Rig) -> None:
    """Unread bytes in the kernel would make a reset of the close."""
    client, down = await rig.connected()
    await client.assert_kept()
    sock = client.writer.get_extra_info("socket")
    os.write(sock.fileno(), get("/public/x"))  # at once, without a turn of the loop
    down.expire()
    assert (await client.response()).status == 200
    await client.assert_kept()


async def test_f20_draining_ends_in_time(rig: Rig) -> None:
    """What is left is cut."""
    rig.origin.answer = b""
    busy = await rig.client()
    await busy.send(get("/public/x"))
    await rig.eventually(lambda: len(rig.origin.requests) == 1)
    await rig.edge.drain(0.05)
    await busy.assert_closed()


async def test_a_fault_in_one_deadline_leaves_the_others(rig: Rig) -> None:
    """Even a bug of ours does not stop the clock."""
    rig.edge.keepalive_timeout = 0.05
    broken = await rig.client()
    await broken.assert_kept()
    ended: list[object] = []

    class Broken:
        deadline = 0.01

        def expire(self) -> None:
            self.deadline = 0.0
            ended.append(self)
            raise RuntimeError("a bug")

    fake = Broken()
    rig.edge._connections.add(fake)  # type: ignore[arg-type]
    await rig.eventually(lambda: ended)
    rig.edge._connections.discard(fake)  # type: ignore[arg-type]
    await broken.assert_closed()
    assert [str(fault["exception"]) for fault in rig.faults] == ["a bug"]
    rig.faults.clear()


HOSTS = [
    {"path": "/x/", "upstream": "a", "hosts": ["open.example"], "public": True},
    {"path": "/x/", "upstream": "a", "hosts": ["closed.example"]},
    {"path": "/x/sub/", "upstream": "a", "methods": ["GET"], "public": True},
    {"path": "/x/sub/", "upstream": "a", "methods": ["POST"]},
]  # fmt: skip


async def test_the_route_cache_keeps_hosts_and_methods_apart(unstarted: Rig) -> None:
    """Whatever order requests come in, none is answered by what another one's route was."""
    rig = await unstarted.start(routes=HOSTS)
    client = await rig.client()
    for _ in range(3):
        assert (await client.ask(get("/x/1", host="open.example"))).status == 200
        assert (await client.ask(get("/x/1", host="closed.example"))).status == 401
        assert (await client.ask(get("/x/1", host="OPEN.example:81"))).status == 200
        assert (await client.ask(get("/x/1", host="CLOSED.example."))).status == 401
        assert (await client.ask(get("/x/1", host="other.example"))).status == 404
        assert (await client.ask(get("/x/sub/1", method="GET"))).status == 200
        assert (await client.ask(get("/x/sub/1", method="POST"))).status == 401
        assert (await client.ask(get("/x/sub/1", method="PUT"))).status == 405
        assert (await client.ask(get("http://open.example/x/1", host="open.example"))).status == 200
        assert (await client.ask(get("http://closed.example/x/1", host="closed.example"))).status == 401


async def test_the_route_cache_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins anew when it is full; long targets and queries never enter."""
    monkeypatch.setattr(listener, "MAX_KNOWN_TARGETS", 3)
    client = await rig.client()
    for number in range(10):
        assert (await client.ask(get(f"/public/{number}"))).status == 200
        assert (await client.ask(get(f"/public/{number}?q"))).status == 200
        assert (await client.ask(get(f"/public/{number}{'a' * 300}"))).status == 200
        assert len(rig.edge._known) <= 3


REPEATED = [
    (get("/v1/resource", auth=True), 200),
    (get("/v1/resource"), 401),
    (get("/v1/orders/1", auth=True), 403),
    (get("/public/x"), 200),
    (get("/nowhere", auth=True), 404),
    (get("/v1/orders/1", auth=True, method="DELETE"), 405),
    (get("/public/../v1/resource", auth=True), 400),
    (get("/admin/x", auth=True), 403),
]  # fmt: skip


@pytest.mark.parametrize("second", range(len(REPEATED)))
@pytest.mark.parametrize("first", range(len(REPEATED)))
async def test_a_request_like_the_last_one_is_decided_by_itself(rig: Rig, first: int, second: int) -> None:
    """Header lines that are the same bytes are not read again; route, token and target are."""
    client = await rig.client()
    for message, status in (REPEATED[first], REPEATED[second], REPEATED[second]):
        if (await client.ask(message)).status != status:
            pytest.fail(f"{message!r}")
        if status == 400:
            client = await rig.client()
    for request in rig.origin.requests:
        expected = b"gwc_me" if request.target == b"/v1/resource" else None
        assert request.one("x-client-id") == expected
    ids = [request.one("x-request-id") for request in rig.origin.requests]
    assert len(set(ids)) == len(ids)


async def test_every_request_is_logged_and_counted_once(rig: Rig) -> None:
    """Forwarded and refused; without query, token or anything else that is secret."""
    client = await rig.client()
    await client.ask(get("/v1/resource?secret=1", auth=True))
    await client.ask(get("/v1/resource?secret=1"))
    await client.ask(post("/public/x", b"hello"))
    await client.ask(get("/nowhere?secret=1"))
    await client.ask(b"rubbish\r\n\r\n")
    await client.assert_closed()
    client.close()
    await rig.eventually(lambda: rig.edge.connections == 0)
    log = rig.logged()
    assert [(line["status"], line["path"], line["refusal"]) for line in log] == [
        (200, "/v1/resource", ""), (401, "/v1/resource", "token_missing"), (200, "/public/x", ""), (404, "/nowhere", "not_found"),
        (400, "", "bad_request"),
    ]  # fmt: skip
    assert (log[0]["client_id"], log[0]["bytes_out"], log[2]["bytes_in"]) == ("gwc_me", 2, 5)
    assert "secret" not in str(log)
    assert counted(rig, "gateway_requests_total") == {
        'route="/v1/resource",code="200"': 1, 'route="/v1/resource",code="401"': 1, 'route="/public/",code="200"': 1,
        'route="",code="404"': 1, 'route="",code="400"': 1,
    }  # fmt: skip
    assert counted(rig, "gateway_refusals_total") == {'code="token_missing"': 1, 'code="not_found"': 1, 'code="bad_request"': 1}
    assert counted(rig, "gateway_connections")[""] == 0
    assert counted(rig, "gateway_upstream_connections")[""] == 1


LISTED = [
    {"path": "/in/", "upstream": "a", "public": True, "ip_allow": ["127.0.0.0/8"]},
    {"path": "/out/", "upstream": "a", "ip_deny": ["127.0.0.1"]},
    {"path": "/far/", "upstream": "a", "public": True, "ip_allow": ["192.0.2.0/24"], "ip_deny": ["192.0.2.7"]},
]  # fmt: skip


async def test_the_lists_of_a_route_come_before_its_token(unstarted: Rig) -> None:
    """403 and not 401, and nothing reaches the upstream; the connection goes on."""
    rig = await unstarted.start(routes=LISTED)
    client = await rig.client()
    assert (await client.ask(get("/in/x"))).status == 200
    for message in (get("/out/x"), get("/out/x", auth=True), get("/far/x", "X-Forwarded-For: 192.0.2.1")):
        answer = await client.ask(message)
        assert (answer.status, answer.problem["code"]) == (403, "forbidden")
    assert len(rig.origin.requests) == 1
    assert rig.verdicts.fetches == 0


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("X-Forwarded-For: 192.0.2.1",), 200),
        (("X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.1"), 200),
        (("X-Forwarded-For: 192.0.2.1, 127.0.0.9",), 200),
        (("X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 203.0.113.9"), 403),
        (("X-Forwarded-For: 192.0.2.7",), 403),
        (("X-Forwarded-For: 192.0.2.1, unknown",), 403),
        (("Forwarded: for=192.0.2.1",), 403),
        ((), 403),
    ],
)
async def test_h05_behind_a_trusted_proxy_the_client_is_who_the_proxy_saw(
    unstarted: Rig, lines: tuple[str, ...], status: int
) -> None:
    """Each request by itself: a proxy's connection carries many clients."""
    rig = await unstarted.start(routes=LISTED, trusted_proxies=["127.0.0.0/8"])
    client = await rig.client()
    for _ in range(2):
        assert (await client.ask(get("/far/x", *lines))).status == status
        assert (await client.ask(get("/far/x", "X-Forwarded-For: 192.0.2.2"))).status == 200


# --- floods of bad tokens -------------------------------------------------------------------------------------------------


def with_token(number: int, target: str = "/v1/resource", *lines: str) -> bytes:
    return get(target, f"Authorization: Bearer {a_token(number).decode()}", *lines)


async def flooded(client: Client, *lines: str, first: int = 1000) -> int:
    """Send unknown tokens until one is not looked up; gives how many were."""
    for number in range(1000):
        answer = await client.ask(with_token(first + number, "/v1/resource", *lines))
        if answer.status == 429:
            assert answer.problem["code"] == "too_many_requests"
            assert int(answer.one("retry-after") or b"") in range(1, 5)
            return number
        assert answer.status == 401
    raise AssertionError("it never ended")


async def test_x12_a_flood_of_bad_tokens_does_not_reach_the_store(
    unstarted: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Kept verdicts, public routes, tokens that can't be ours, and other addresses go on as before."""
    rig = await unstarted.start(listen={"bad_tokens": 3})
    client = await rig.client()
    assert await flooded(client) in range(6, 12)
    asked = rig.verdicts.fetches
    for number in range(2):
        assert (await client.ask(with_token(5000 + number))).status == 429
    assert rig.verdicts.fetches == asked
    assert (await client.ask(get("/v1/resource", auth=True))).status == 200
    assert (await client.ask(get("/public/x"))).status == 200
    assert (await client.ask(get("/v1/resource", "Authorization: Bearer gwa_no_such_thing"))).status == 401
    assert (await client.ask(get("/v1/resource"))).status == 401
    other = Client(*await asyncio.open_connection("127.0.0.1", rig.port, local_addr=("127.0.0.2", 0)))
    assert (await other.ask(with_token(6000))).status == 401
    other.close()
    assert [record.message for record in caplog.records].count("token.flood") == 1


async def test_x12_who_leaves_before_the_answer_has_asked_all_the_same(unstarted: Rig) -> None:
    """Hanging up is no way around."""
    rig = await unstarted.start(listen={"bad_tokens": 3})
    rig.verdicts.held = []
    for number in range(12):
        client = await rig.client()
        await client.send(with_token(1000 + number))
        await rig.eventually(lambda number=number: rig.verdicts.fetches == number + 1)
        client.reset()
    await rig.eventually(lambda: rig.edge.connections == 0)
    rig.verdicts.release()
    assert (await (await rig.client()).ask(with_token(5000))).status == 429


async def test_x12_good_tokens_do_not_count(unstarted: Rig) -> None:
    """However many come that the cache does not know."""
    rig = await unstarted.start(listen={"bad_tokens": 1})
    client = await rig.client()
    for number in range(20):
        rig.verdicts.cold[digest_access(a_token(number))] = a_verdict()
        assert (await client.ask(with_token(number))).status == 200
    rig.verdicts.cold.update({digest_access(a_token(100 + number)): StoreUnavailable() for number in range(20)})
    for number in range(20):
        assert (await client.ask(with_token(100 + number))).status == 503


async def test_h05_x12_behind_a_trusted_proxy_it_is_the_client_that_floods(unstarted: Rig) -> None:
    """A stranger's own X-Forwarded-For makes no new address of it."""
    rig = await unstarted.start(listen={"bad_tokens": 3}, trusted_proxies=["127.0.0.1"])
    proxy = await rig.client()
    await flooded(proxy, "X-Forwarded-For: 192.0.2.1")
    assert (await proxy.ask(with_token(5000, "/v1/resource", "X-Forwarded-For: 192.0.2.2"))).status == 401
    stranger = Client(*await asyncio.open_connection("127.0.0.1", rig.port, local_addr=("127.0.0.2", 0)))
    for number in range(6):
        await stranger.ask(with_token(6000 + number, "/v1/resource", f"X-Forwarded-For: 192.0.2.{number + 10}"))
    assert (await stranger.ask(with_token(7000, "/v1/resource", "X-Forwarded-For: 192.0.2.99"))).status == 429
    stranger.close()


async def test_x12_zero_counts_nobody(unstarted: Rig) -> None:
    rig = await unstarted.start(listen={"bad_tokens": 0})
    client = await rig.client()
    for number in range(300):
        assert (await client.ask(with_token(number + 1000))).status == 401
