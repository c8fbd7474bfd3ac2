"""WebSocket with TLS on both sides: uvloop's TLS transports take a tunnel's sides too, and have no half-close."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.edge.downstream import Downstream
from tests.edge.frames import close, echo, frame, hello, read_frame, text
from tests.edge.rig import Client, OriginConnection, Rig
from tests.store.test_link_faults import certificate

MIB = 2**20


@pytest.fixture
async def tls(unstarted: Rig, tmp_path: Path) -> AsyncIterator[tuple[Rig, int, ssl.SSLContext]]:
    """A gateway that speaks TLS with its clients and with its upstream, and the port of the former."""
    pem = certificate(tmp_path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(pem)
    ours = ssl.create_default_context(cafile=pem)
    origin = unstarted.origin
    origin.script = echo
    server = await asyncio.start_server(origin._accept, "127.0.0.1", 0, ssl=theirs, limit=1 << 24)
    target = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    rig = await unstarted.start(
        routes=[{"path": "/ws/", "upstream": "a", "public": True, "streams": {}}],
        targets=[target], upstream={"tls": {"ca_file": str(pem)}},
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    public = await loop.create_server(lambda: Downstream(rig.edge), "127.0.0.1", 0, ssl=theirs)
    yield rig, public.sockets[0].getsockname()[1], ours
    public.close()
    server.close()


async def opened(tls: tuple[Rig, int, ssl.SSLContext]) -> tuple[Client, OriginConnection]:
    rig, port, context = tls
    client = Client(*await asyncio.open_connection("127.0.0.1", port, ssl=context, limit=1 << 24))
    await client.send(hello("/ws/a", auth=False) + text(b"early"))
    assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert await read_frame(client) == (0x81, b"early")
    return client, rig.origin.connections[-1]


async def gone(rig: Rig) -> None:
    pools = [pool for group in rig.edge.groups.values() for pool in group.pools]
    await rig.eventually(lambda: rig.edge.connections == 0 and not any(pool.open for pool in pools))
    assert rig.edge.streams._counts == {}


async def test_messages_pass(tls: tuple[Rig, int, ssl.SSLContext]) -> None:
    """Four megabytes in one frame, behind a slow reader."""
    client, _ = await opened(tls)
    sent = frame(2, bytes(range(256)) * 16384, mask=b"abcd")
    client.writer.write(sent)
    assert await client.exactly(len(sent)) == sent
    client.close()
    await gone(tls[0])


async def test_the_upstream_s_end_is_the_client_s(tls: tuple[Rig, int, ssl.SSLContext]) -> None:
    """What was sent before it arrives first."""
    client, connection = await opened(tls)
    await connection.send(frame(1, b"last"))
    connection.close()
    assert await client.rest() == frame(1, b"last")
    client.close()
    await gone(tls[0])


async def test_the_client_s_end_is_the_upstream_s(tls: tuple[Rig, int, ssl.SSLContext]) -> None:
    client, connection = await opened(tls)
    await client.send(text(b"last"))
    client.close()
    await tls[0].eventually(connection.reader.at_eof)
    assert connection.received.endswith(text(b"last"))
    await gone(tls[0])


async def test_a_close_frame_reaches_both(tls: tuple[Rig, int, ssl.SSLContext]) -> None:
    client, connection = await opened(tls)
    (down,) = tls[0].edge._connections
    down.drain()
    assert await read_frame(client) == (0x88, b"\x03\xe9draining")
    await client.send(close(1001))
    assert await client.rest() == b""
    await gone(tls[0])
    assert b"\x88\x8a" in connection.received
