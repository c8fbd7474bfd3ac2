"""What reviewers found: each case once."""

from __future__ import annotations

import asyncio
import logging
import socket

import orjson
import pytest

from tests.edge.rig import OK, OriginConnection, Rig, get, post
from tests.servers import free_port


async def test_f11_a_stale_connection_is_renewed_after_a_failover_too(unstarted: Rig) -> None:
    """One target is down and the other has closed its idle connection: still no 502."""
    await unstarted.origin.start()
    live, dead = f"http://127.0.0.1:{unstarted.origin.port}", f"http://127.0.0.1:{free_port()}"
    rig = await _start_again(unstarted, [dead, live])

    async def one_answer(connection: OriginConnection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.request()  # the second request arrives, and the connection dies without an answer
        connection.close()

    client = await rig.client()
    for _ in range(8):
        rig.origin.script = one_answer
        assert (await client.ask(get("/v1/resource", auth=True))).status == 200


async def _start_again(rig: Rig, targets: list[str]) -> Rig:
    port = rig.origin.port
    start = rig.origin.start

    async def keep(_port: int = 0) -> None:
        await start(port) if rig.origin.port == 0 else None

    rig.origin.start = keep  # type: ignore[method-assign]
    return await rig.start(targets=targets)


async def test_x03_a_slow_but_steady_reader_gets_all_of_its_answer(rig: Rig) -> None:
    """Five times as long as ``between_bytes``, with never that long a pause."""
    size = 24 << 20
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    client = await _small_window(rig)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, get("/quick/x"))
    got, began = 0, loop.time()
    while piece := await loop.sock_recv(client, 1 << 20):
        got += len(piece)
        if loop.time() - began < 1.0:
            await asyncio.sleep(0.02)
        if got >= size:
            break
    client.close()
    assert got >= size
    assert rig.logged()[-1]["refusal"] in ("", "client_closed")


async def test_x03_a_reader_that_stopped_is_cut_and_the_upstream_is_not_blamed(rig: Rig) -> None:
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (24 << 20) + bytes(24 << 20)
    client = await _small_window(rig)
    await asyncio.get_running_loop().sock_sendall(client, get("/quick/x"))
    await rig.eventually(lambda: rig.edge.connections == 1)
    await rig.eventually(lambda: rig.edge.connections == 0)
    client.close()
    assert rig.logged()[-1]["refusal"] == "client_timeout"


async def _small_window(rig: Rig) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", rig.port))
    return sock


async def test_f20_draining_does_not_wait_for_half_a_head(rig: Rig) -> None:
    client, _ = await rig.connected()
    await client.send(b"GET / HT")
    await rig.eventually(lambda: any(connection._buffer for connection in rig.edge._connections))
    async with asyncio.timeout(2):
        await rig.edge.drain(10)
    await client.assert_closed()


async def test_s26_options_about_the_server_itself(rig: Rig) -> None:
    """204, and the connection goes on."""
    client = await rig.client()
    assert (await client.ask(b"OPTIONS * HTTP/1.1\r\nHost: gw\r\n\r\n")).status == 204
    assert (await client.ask(b"OPTIONS * HTTP/1.0\r\n\r\n")).status == 204
    await client.assert_closed()
    assert rig.origin.bytes_seen == b""


async def test_rfc6749_5_2_the_edge_refuses_at_oauth_endpoints_in_their_json(rig: Rig) -> None:
    client = await rig.client()
    answer = await client.ask(post("/v1/oauth/token", b"", length=100_000), "POST")
    assert answer.status == 413
    assert orjson.loads(answer.body)["error"] == "invalid_request"
    assert (answer.one("cache-control"), answer.one("pragma")) == (b"no-store", b"no-cache")


async def test_h03_a_dropped_header_is_named_in_the_log(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    client = await rig.client()
    with caplog.at_level(logging.INFO, "gateway.edge"):
        await client.ask(get("/public/x", "My_Header: secret-value"))
    (record,) = [record for record in caplog.records if record.message == "header.dropped"]
    facts = record.facts  # type: ignore[attr-defined]
    assert (facts["names"], facts["allow"]) == ("my_header", "underscore_headers")
    assert "secret-value" not in str(facts)


async def test_h01_only_the_names_of_the_contract_are_ours(rig: Rig) -> None:
    """A legacy API's own X-Client-Version is none of our business."""
    client = await rig.client()
    await client.ask(get("/public/x", "X-Client-Version: 3"))
    assert rig.origin.requests[0].one("x-client-version") == b"3"


async def test_h04_a_trusted_proxy_finds_its_request_id_in_a_refusal(unstarted: Rig) -> None:
    rig = await unstarted.start(trusted_proxies=["127.0.0.0/8"])
    client = await rig.client()
    answer = await client.ask(get("/v1/resource", "X-Request-Id: from-the-balancer"))
    assert answer.problem["request_id"] == "from-the-balancer"


async def test_a_client_that_leaves_is_counted_as_499(rig: Rig) -> None:
    asked = asyncio.Event()

    async def silent(connection: OriginConnection) -> None:
        await connection.request()
        asked.set()
        await connection.rest()

    rig.origin.script = silent
    client = await rig.client()
    await client.send(get("/public/x"))
    await asked.wait()
    client.reset()
    await rig.eventually(lambda: rig.edge.connections == 0)
    assert [(line["status"], line["refusal"]) for line in rig.logged()] == [(499, "client_closed")]
