"""Connections that carry a login belong to one client's connection (NTLM and Negotiate; RFC 4559)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.upstreams.pins import is_login
from tests.edge.rig import OK, Client, OriginConnection, Rig, get, post
from tests.upstreams.conftest import Start
from tests.upstreams.several import targets

OPEN = [{"path": "/", "upstream": "a", "public": True, "forward_authorization": True}]
ASKS = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: %b\r\nContent-Length: 0\r\n\r\n"
LOGIN = "Authorization: NTLM TlRMTVNTUAABAAAA"


@pytest.mark.parametrize(
    ("lines", "login"),
    [
        (b"Authorization: NTLM abc\r\n\r\n", True),
        (b"Accept: */*\r\nAuthorization: negotiate abc\r\n\r\n", True),
        (b"Accept: */*\r\nauthorization:  Negotiate\r\n\r\n", True),
        (b"Accept: */*\r\nAuthorization: Bearer NTLM\r\n\r\n", False),
        (b"Accept: */*\r\nAuthorization: NTLMv3 abc\r\n\r\n", False),
        (b"X-Authorization: NTLM abc\r\n\r\n", False),
        (b"Accept: NTLM\r\n\r\n", False),
    ],
)
def test_which_requests_log_a_connection_in(lines: bytes, login: bool) -> None:
    assert is_login(lines) is login


def ntlm(rig: Rig) -> dict[int, str]:
    """
    Make the origin authenticate connections, as a server of the old days does.

    Returns:
        The user of each connection, by its number.
    """
    users: dict[int, str] = {}

    async def serve(connection: OriginConnection) -> None:
        number = rig.origin.connections.index(connection)
        while True:
            try:
                request = await connection.request()
            except EOFError:
                return
            rig.origin.requests.append(request)
            value = request.one("authorization") or b""
            if value.startswith(b"NTLM user:"):
                users[number] = value[10:].decode()
            elif value or number not in users:
                await connection.send(ASKS % (b"NTLM challenge" if value else b"NTLM"))
                continue
            body = users[number].encode()
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    rig.origin.script = serve
    return users


async def log_in(client: Client, user: str) -> None:
    """The three steps, which only work on one connection of the server's."""
    assert (await client.ask(get("/x"))).status == 401
    assert (await client.ask(get("/x", LOGIN))).one("www-authenticate") == b"NTLM challenge"
    answer = await client.ask(get("/x", f"Authorization: NTLM user:{user}"))
    assert (answer.status, answer.body) == (200, user.encode())


async def test_nobody_speaks_in_another_one_s_name(unstarted: Rig) -> None:
    """Each client has its own connection, gets it back, and strangers never do."""
    rig = await unstarted.start(routes=OPEN)
    ntlm(rig)
    clients = [await rig.client() for _ in range(5)]
    for number, client in enumerate(clients):
        await log_in(client, f"u{number}")
    for _ in range(3):
        for number, client in enumerate(clients):
            assert (await client.ask(get("/x"))).body == b"u%d" % number
            assert (await client.ask(post("/x", b"hello"))).body == b"u%d" % number
    stranger = await rig.client()
    assert (await stranger.ask(get("/x"))).status == 401
    assert len(rig.origin.connections) == 6


async def test_all_at_once_they_keep_their_own(unstarted: Rig) -> None:
    """With others who wait for connections: those of a client are no help to them."""
    rig = await unstarted.start(routes=OPEN, upstream={"max_connections": 8})
    ntlm(rig)

    async def one(user: str) -> None:
        client = await rig.client()
        await log_in(client, user)
        for _ in range(20):
            assert (await client.ask(get("/x"))).body == user.encode()

    await asyncio.gather(*(one(f"u{number}") for number in range(8)))


async def test_it_ends_with_its_client(unstarted: Rig) -> None:
    """And is nobody's before."""
    rig = await unstarted.start(routes=OPEN)
    ntlm(rig)
    client = await rig.client()
    await log_in(client, "me")
    client.close()
    await rig.eventually(rig.origin.connections[0].reader.at_eof)
    await rig.eventually(lambda: rig.edge.groups["a"].open == 0)
    assert (await (await rig.client()).ask(get("/x"))).status == 401


async def test_it_is_closed_when_it_was_idle_for_too_long(unstarted: Rig) -> None:
    """After ``keepalive``, like any other; its client logs in again."""
    rig = await unstarted.start(routes=OPEN)
    ntlm(rig)
    client = await rig.client()
    await log_in(client, "me")
    rig.edge.groups["a"].tick(asyncio.get_running_loop().time() + 59)
    assert (await client.ask(get("/x"))).body == b"me"
    rig.edge.groups["a"].tick(asyncio.get_running_loop().time() + 61)
    assert (await client.ask(get("/x"))).status == 401
    await log_in(client, "me")


@pytest.mark.parametrize("value", [b"NTLM", b"Negotiate", b"negotiate oYG2MIGz", b'Basic realm="x", NTLM', b"Basic, Negotiate"])
async def test_an_answer_that_asks_for_a_login_is_enough(unstarted: Rig, value: bytes) -> None:
    """On any route: from there on the connection is the client's."""
    rig = await unstarted.start()
    rig.origin.answer = ASKS % value
    one, other = await rig.client(), await rig.client()
    for _ in range(3):
        assert (await one.ask(get("/public/x"))).status == 401
    assert len(rig.origin.connections) == 1
    rig.origin.answer = OK
    assert (await other.ask(get("/public/x"))).status == 200
    assert (await one.ask(get("/public/x"))).status == 200
    assert [len(connection.received) > 0 for connection in rig.origin.connections] == [True, True]
    assert rig.origin.connections[0].received.count(b"GET") == 4


@pytest.mark.parametrize("value", [b"Basic realm=NTLM-like", b"Bearer", b"NTLMssp"])
async def test_another_scheme_binds_nothing(unstarted: Rig, value: bytes) -> None:
    rig = await unstarted.start()
    rig.origin.answer = ASKS % value
    for _ in range(3):
        assert (await (await rig.client()).ask(get("/public/x"))).status == 401
    assert len(rig.origin.connections) == 1


async def test_a_request_that_logs_in_is_enough(unstarted: Rig) -> None:
    """Whatever the answer says: Kerberos needs one step only."""
    rig = await unstarted.start(routes=OPEN)
    one, other = await rig.client(), await rig.client()
    assert (await one.ask(get("/x", "Authorization: Negotiate YIIabc"))).status == 200
    assert (await other.ask(get("/x"))).status == 200
    assert (await one.ask(get("/x"))).status == 200
    assert [connection.received.count(b"GET") for connection in rig.origin.connections] == [2, 1]


async def test_logins_do_not_reach_other_routes(unstarted: Rig) -> None:
    """Without ``forward_authorization`` the header is gone, and nothing belongs to anybody."""
    rig = await unstarted.start()
    for _ in range(2):
        assert (await (await rig.client()).ask(get("/public/x", LOGIN))).status == 200
    assert len(rig.origin.connections) == 1
    assert rig.origin.requests[0].one("authorization") is None


async def test_a_client_has_one_for_each_upstream(unstarted: Rig, another: Start) -> None:
    """Those of two upstreams do not take each other's place."""
    first, second = await another(), await another()
    rig = await unstarted.start(
        upstreams={"a": {"targets": targets(first)}, "b": {"targets": targets(second)}},
        routes=[{**OPEN[0], "path": "/a/"}, {**OPEN[0], "path": "/b/", "upstream": "b"}],
    )
    client = await rig.client()
    for _ in range(2):
        for path in ("/a/x", "/b/x"):
            assert (await client.ask(get(path, LOGIN))).status == 200
    assert (len(first.connections), len(second.connections)) == (1, 1)
    client.close()
    await rig.eventually(lambda: not any(group.open for group in rig.edge.groups.values()))
    pins: Any = rig.edge._pins
    assert pins._of == {}


async def test_f11_one_that_died_is_replaced(unstarted: Rig) -> None:
    """A GET goes to a new one, which is not logged in: the client hears so and begins again."""
    rig = await unstarted.start(routes=OPEN)
    ntlm(rig)
    client = await rig.client()
    await log_in(client, "me")
    rig.origin.connections[0].close()
    assert (await client.ask(get("/x"))).status == 401
    await log_in(client, "me")


async def test_its_client_gets_no_other_one_while_it_lives(unstarted: Rig, another: Start) -> None:
    """Of several targets, the one that it logged in at."""
    origins = [await another() for _ in range(3)]
    rig = await unstarted.start(targets=targets(*origins), routes=OPEN)
    client = await rig.client()
    first = (await client.ask(get("/x", LOGIN))).body
    assert {(await client.ask(get("/x"))).body for _ in range(6)} == {first}
