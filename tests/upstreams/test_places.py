"""Names of targets: all their addresses, looked up in the background; the resolver does as the test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.upstreams.connecting import look_up
from tests.edge.rig import OK, Rig, get, post
from tests.servers import free_port
from tests.upstreams.conftest import Start
from tests.upstreams.several import bodies, crowd, events, metric, targets

LATER = 31.0
"""Seconds after which every name is due again."""


class Resolver:
    """Answers as it is told, and counts."""

    def __init__(self, **addresses: list[str]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        await self.gate.wait()
        if host not in self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return self.addresses[host]


def the_group(rig: Rig) -> Any:
    return rig.edge.groups["a"]


async def look_again(rig: Rig, resolver: Resolver) -> None:
    """Let half a minute pass, as far as names are concerned, and wait for what comes of it."""
    before = len(resolver.asked)
    the_group(rig).tick(asyncio.get_running_loop().time() + LATER)
    await rig.eventually(lambda: len(resolver.asked) > before and not the_group(rig)._tasks)


async def test_f17_all_addresses_of_a_name_are_used(unstarted: Rig, another: Start) -> None:
    """In turn; the Host is the name, the log says which address it was."""
    first = await another()
    second = await another(first.port, host="127.0.0.2")
    resolver = Resolver(api=["127.0.0.1", "127.0.0.2"])
    rig = await unstarted.start(targets=[f"http://api:{first.port}"], resolve=resolver)
    assert await bodies(await rig.client(), 4) == "0101"
    assert {request.one("host") for request in (*first.requests, *second.requests)} == {b"api:%d" % first.port}
    assert {entry["upstream"] for entry in rig.logged()} == {f"http://api:{first.port} (127.0.0.{n})" for n in (1, 2)}


async def test_f17_a_dead_address_is_passed_over(unstarted: Rig, another: Start) -> None:
    """For any method: nothing was sent to it."""
    origin = await another()
    resolver = Resolver(api=["127.0.0.2", "127.0.0.1", "127.0.0.3"])
    rig = await unstarted.start(targets=[f"http://api:{origin.port}"], resolve=resolver)
    assert await crowd(rig, 5, 10) == {"0": 50}
    client = await rig.client()
    assert {(await client.ask(post("/public/x", b"hello"))).status for _ in range(6)} == {200}
    assert metric(rig, "addresses", state="out") == 2


async def test_addresses_may_be_ipv4_and_ipv6(unstarted: Rig, another: Start) -> None:
    first = await another()
    await another(first.port, host="::1")
    rig = await unstarted.start(targets=[f"http://api:{first.port}"], resolve=Resolver(api=["::1", "127.0.0.1"]))
    assert set(await bodies(await rig.client(), 4)) == {"0", "1"}


async def test_an_ipv6_address_may_be_the_target(unstarted: Rig, another: Start) -> None:
    origin = await another(host="::1")
    resolver = Resolver()
    rig = await unstarted.start(targets=[f"http://[::1]:{origin.port}"], resolve=resolver)
    assert await bodies(await rig.client(), 2) == "00"
    assert origin.requests[0].one("host") == b"[::1]:%d" % origin.port
    assert resolver.asked == []


async def test_a_name_shares_the_weight_of_its_target(unstarted: Rig, another: Start) -> None:
    """Two addresses of one name get as much together as the other target."""
    first = await another()
    await another(first.port, host="127.0.0.2")
    single = await another()
    resolver = Resolver(api=["127.0.0.1", "127.0.0.2"])
    rig = await unstarted.start(targets=[f"http://api:{first.port}", *targets(single)], resolve=resolver)
    await rig.eventually(lambda: len(the_group(rig).pools) == 3)
    answers = await bodies(await rig.client(), 8)
    assert sorted(answers) == list("00112222")


async def test_f17_a_name_that_moved_is_followed(unstarted: Rig, another: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Within 30 s and without a restart; idle connections to the old address are closed."""
    caplog.set_level("INFO")
    old = await another()
    await another(old.port, host="127.0.0.2")
    resolver = Resolver(api=["127.0.0.1"])
    rig = await unstarted.start(targets=[f"http://api:{old.port}"], resolve=resolver)
    client = await rig.client()
    assert await bodies(client, 2) == "00"
    resolver.addresses["api"] = ["127.0.0.2"]
    await look_again(rig, resolver)
    await rig.eventually(old.connections[0].reader.at_eof)
    assert await bodies(client, 2) == "11"
    await rig.eventually(lambda: the_group(rig).open == 1)
    assert [(name, facts["addresses"]) for name, facts in events(caplog)] == [
        ("upstream.resolved", "127.0.0.1"), ("upstream.resolved", "127.0.0.2"),
    ]  # fmt: skip


async def test_a_request_under_way_at_an_address_that_vanishes_is_answered(unstarted: Rig, another: Start) -> None:
    """Its connection closes after that; who waited for one there goes elsewhere."""
    old = await another()
    await another(old.port, host="127.0.0.2")
    old.answer = b""
    resolver = Resolver(api=["127.0.0.1"])
    rig = await unstarted.start(targets=[f"http://api:{old.port}"], upstream={"max_connections": 1}, resolve=resolver)
    busy, waiting = await rig.client(), await rig.client()
    await busy.send(get("/public/x"))
    await rig.eventually(lambda: old.requests)
    await waiting.send(get("/public/x"))
    await rig.eventually(lambda: the_group(rig).waiting == 1)
    resolver.addresses["api"] = ["127.0.0.2"]
    await look_again(rig, resolver)
    assert (await waiting.response()).body == b"1"
    await old.connections[0].send(OK)
    assert (await busy.response()).body == b"ok"
    await rig.eventually(old.connections[0].reader.at_eof)
    await rig.eventually(lambda: the_group(rig)._leaving == [])


async def test_an_address_that_stays_keeps_its_connections_and_its_standing(unstarted: Rig, another: Start) -> None:
    """Whatever order the resolver gives them in."""
    origin = await another()
    resolver = Resolver(api=["127.0.0.1", "127.0.0.2"])
    rig = await unstarted.start(targets=[f"http://api:{origin.port}"], resolve=resolver)
    client = await rig.client()
    await bodies(client, 12)
    assert metric(rig, "addresses", state="out") == 1
    pools = list(the_group(rig).pools)
    resolver.addresses["api"] = ["127.0.0.2", "127.0.0.1"]
    await look_again(rig, resolver)
    assert the_group(rig).pools == pools
    resolver.addresses["api"] = ["127.0.0.3", "127.0.0.2", "127.0.0.1"]
    await look_again(rig, resolver)
    assert the_group(rig).pools[:2] == pools
    assert len(origin.connections) == 1
    assert metric(rig, "addresses", state="out") == 1


async def test_f17_while_a_look_up_fails_the_last_addresses_stay(
    unstarted: Rig, another: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, not each time."""
    origin = await another()
    resolver = Resolver(api=["127.0.0.1"])
    rig = await unstarted.start(targets=[f"http://api:{origin.port}"], resolve=resolver)
    client = await rig.client()
    assert await bodies(client, 1) == "0"
    del resolver.addresses["api"]
    for _ in range(3):
        await look_again(rig, resolver)
    resolver.addresses["api"] = []
    await look_again(rig, resolver)
    assert await bodies(client, 3) == "000"
    assert [name for name, _ in events(caplog)] == ["upstream.unresolved"]


async def test_f10_a_name_that_is_not_known_at_start_is_502(unstarted: Rig, another: Start) -> None:
    """At once, without a look-up of the request's own; when it is known a second later, it is served."""
    origin = await another()
    resolver = Resolver()
    rig = await unstarted.start(targets=[f"http://api:{origin.port}"], resolve=resolver)
    client = await rig.client()
    assert await bodies(client, 20) == "b" * 20
    assert len(resolver.asked) == 1
    resolver.addresses["api"] = ["127.0.0.1"]
    await rig.eventually(lambda: the_group(rig).pools)  # no later than a second
    assert await bodies(client, 2) == "00"


async def test_a_request_that_comes_before_the_first_answer_waits_for_it(unstarted: Rig, another: Start) -> None:
    """With its body; one look-up serves all who wait."""
    origin = await another()
    origin.answer = lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.body), request.body)
    resolver = Resolver(api=["127.0.0.1"])
    resolver.gate.clear()
    rig = await unstarted.start(targets=[f"http://api:{origin.port}"], resolve=resolver)
    clients = [await rig.client() for _ in range(4)]
    for number, client in enumerate(clients):
        await client.send(post("/public/x", b"%d" % number * 100_000))
    await rig.eventually(lambda: metric(rig, "queue") == 4)
    resolver.gate.set()
    assert [(await client.response()).body[:2] for client in clients] == [b"00", b"11", b"22", b"33"]
    assert resolver.asked == ["api"]


async def test_f10_a_resolver_that_hangs_is_504_and_asked_once(unstarted: Rig) -> None:
    """After timeouts.connect; who waits is bounded."""
    resolver = Resolver()
    resolver.gate.clear()
    rig = await unstarted.start(targets=["http://api"], upstream={"max_queue": 2}, resolve=resolver)
    clients = [await rig.client() for _ in range(3)]
    for client in clients[:2]:
        await client.send(get("/quick/x"))
    await rig.eventually(lambda: metric(rig, "queue") == 2)
    assert (await clients[2].ask(get("/quick/x"))).status == 503
    assert {(await client.response()).status for client in clients[:2]} == {504}
    the_group(rig).tick(asyncio.get_running_loop().time() + LATER)
    assert resolver.asked == ["api"]


async def test_an_address_that_can_t_be_connected_to_hastens_the_next_look_up(unstarted: Rig, another: Start) -> None:
    """A container that was replaced has another address: a second is enough."""
    origin = await another(host="127.0.0.2")
    resolver = Resolver(api=["127.0.0.1"])
    rig = await unstarted.start(targets=[f"http://api:{origin.port}"], resolve=resolver)
    client = await rig.client()
    assert await bodies(client, 1) == "b"
    resolver.addresses["api"] = ["127.0.0.2"]
    await rig.eventually(lambda: len(resolver.asked) == 2)
    assert await bodies(client, 1) == "0"


async def test_one_name_of_two_is_enough(unstarted: Rig, another: Start) -> None:
    """The other one is looked for on and on."""
    origin = await another()
    resolver = Resolver(known=["127.0.0.1"])
    rig = await unstarted.start(
        targets=[f"http://unknown:{origin.port}", f"http://known:{origin.port}"], resolve=resolver
    )  # fmt: skip
    assert await bodies(await rig.client(), 3) == "000"
    await look_again(rig, resolver)
    assert resolver.asked.count("unknown") == 2


async def test_the_system_s_own_resolver_gives_each_address_once() -> None:
    """And an OSError for what there is not."""
    addresses = await look_up("localhost")
    assert set(addresses) <= {"127.0.0.1", "::1"}
    assert len(addresses) == len(set(addresses)) > 0
    assert await look_up("::1") == ["::1"]
    with pytest.raises(OSError):
        await look_up("nowhere.invalid")


async def test_a_target_on_a_unix_socket_has_no_name(unstarted: Rig, tmp_path: Any) -> None:
    """Nothing is looked up."""
    path = tmp_path / "s"
    resolver = Resolver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        writer.close()

    server = await asyncio.start_unix_server(serve, str(path))
    rig = await unstarted.start(targets=[f"unix:{path}"], resolve=resolver)
    assert await bodies(await rig.client(), 2) == "okok"
    assert resolver.asked == []
    server.close()


async def test_f10_a_refused_address_of_a_name_is_502(unstarted: Rig) -> None:
    rig = await unstarted.start(targets=[f"http://api:{free_port()}"], resolve=Resolver(api=["127.0.0.1", "127.0.0.2"]))
    assert await bodies(await rig.client(), 3) == "bbb"
