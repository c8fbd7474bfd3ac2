"""Bodies of any size pass in constant memory, both ways."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.edge.rig import OriginConnection, Rig, Wire, get

MIB = 2**20
PIECE = bytes(range(256)) * 1024
GROWTH = 20 * MIB


class EdgeProcess:
    """A gateway's data plane in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port
        self.pid = process.pid

    @property
    def is_running(self) -> bool:
        """Whether nothing has ended it."""
        return self._process.returncode is None

    def forget_peak(self) -> None:
        """Let ``VmHWM`` begin anew (proc(5))."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def memory(self, key: str) -> int:
        """``VmRSS`` now or its peak ``VmHWM``, bytes."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
        raise KeyError(key)


@pytest.fixture
async def process(unstarted: Rig) -> AsyncIterator[EdgeProcess]:
    """It ends with the test."""
    await unstarted.origin.start()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.edge.edge_process", str(unstarted.origin.port), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    yield EdgeProcess(process, int(await process.stdout.readline()))
    process.stdin.close()
    await process.wait()


def framed(chunked: bool) -> Callable[[bytes], bytes]:
    return (lambda piece: b"%x\r\n%b\r\n" % (len(piece), piece)) if chunked else (lambda piece: piece)


async def transfer(rig: Rig, process: EdgeProcess, size: int, *, up: bool, chunked: bool) -> int:
    """Move a body through the gateway, as fast as both ends can; returns the bytes of content that arrived."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    write, end = framed(chunked), b"0\r\n\r\n" if chunked else b""
    arrived = 0

    async def send(writer: asyncio.StreamWriter) -> None:
        for _ in range(size // len(PIECE)):
            writer.write(write(PIECE))
            await writer.drain()
        writer.write(end)

    async def receive(wire: Wire) -> None:
        """Count; the content itself is looked at elsewhere."""
        nonlocal arrived
        tail = bytes(wire.received[wire.read_to :])
        arrived = len(tail)
        while (arrived < size) if not chunked else not tail.endswith(b"\r\n0\r\n\r\n"):
            data = await wire.reader.read(MIB)
            assert data
            arrived += len(data)
            tail = (tail + data)[-7:]

    async def serve(connection: OriginConnection) -> None:
        await connection.head()
        if up:
            await receive(connection)
            await connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        else:
            await connection.send(f"HTTP/1.1 200 OK\r\nConnection: close\r\n{framing}\r\n\r\n".encode())
            await send(connection.writer)
        await connection.rest()

    rig.origin.script = serve
    rig.port, before = process.port, rig.port
    client = await rig.client()
    rig.port = before
    if up:
        await client.send(get("/public/x", framing, method="POST"))
        await send(client.writer)
        assert (await client.response()).status == 200
    else:
        await client.send(get("/public/x"))
        await client.until(b"\r\n\r\n")
        await receive(client)
    client.writer.transport.abort()
    return arrived


@pytest.mark.parametrize("size", [96 * MIB, pytest.param(1024 * MIB, marks=[pytest.mark.slow, pytest.mark.timeout(180)])])
async def test_memory_stays_flat(unstarted: Rig, process: EdgeProcess, size: int) -> None:
    """Less than 20 MB of growth, up and down, by length and in chunks."""
    await transfer(unstarted, process, len(PIECE), up=True, chunked=False)
    before = process.memory("VmRSS")
    ways = [(True, True), (False, False)] if size > 100 * MIB else [(True, False), (True, True), (False, False), (False, True)]
    for up, chunked in ways:
        assert await transfer(unstarted, process, size, up=up, chunked=chunked) >= size
    print(f"grew by {(process.memory('VmHWM') - before) / MIB:.1f} MiB")
    assert process.memory("VmHWM") - before < GROWTH


async def test_x03_a_client_that_reads_slowly_pauses_the_upstream(rig: Rig) -> None:
    """The answer waits where it is made; once the client reads, all of it comes."""
    size = 64 * MIB

    async def serve(connection: OriginConnection) -> None:
        await connection.request()
        connection.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(PIECE)):
            connection.writer.write(PIECE)
            await connection.writer.drain()
        await connection.rest()

    rig.origin.script = serve
    client, down = await rig.connected()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await client.send(get("/public/x"))
    await rig.eventually(lambda: down.write_paused)
    exchange = down._exchange
    assert exchange is not None
    sent = exchange.sent
    for _ in range(50):
        await asyncio.sleep(0)
    assert exchange.sent == sent < size
    assert down.transport.get_write_buffer_size() < MIB
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    await client.until(b"\r\n\r\n")
    arrived = len(client.received) - client.read_to
    while arrived < size:
        arrived += len(await client.reader.read(MIB))
    assert arrived == size
