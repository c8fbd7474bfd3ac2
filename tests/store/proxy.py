"""Servers that stand between the verdict link and a real store, or in its place, to misbehave on command."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import hiredis


class Proxy:
    """
    A TCP relay to a unix socket.

    Attributes:
        port: Where it listens, on loopback.
        delay: Seconds that bytes of the server wait before they are passed on (in order).
        dials: Connections accepted so far.
    """

    def __init__(self, upstream: Path, tls: ssl.SSLContext | None = None) -> None:
        self.delay = 0.0
        self.dials = 0
        self._upstream = upstream
        self._tls = tls
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> Proxy:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def close(self) -> None:
        """End everything."""
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset all connections; new ones are accepted."""
        for writer in list(self._writers):
            writer.transport.abort()

    def swallow(self, *, on: bool) -> None:
        """A black hole: connections stand and are accepted, nothing passes in either direction until it is off."""
        self._open.clear() if on else self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.dials += 1
        self._writers.add(writer)
        up_reader, up_writer = await asyncio.open_unix_connection(str(self._upstream))
        self._writers.add(up_writer)
        relays = [self._relay(reader, up_writer, delayed=False), self._relay(up_reader, writer, delayed=True)]
        for relay in relays:
            task = asyncio.get_running_loop().create_task(relay)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, delayed: bool) -> None:
        try:
            while data := await reader.read(65536):
                if delayed and self.delay:
                    await asyncio.sleep(self.delay)
                await self._open.wait()
                writer.write(data)
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


Answer = Callable[[list[bytes]], bytes]
"""What a fake server replies to a command, raw."""


@asynccontextmanager
async def fake_server(answer: Answer) -> AsyncIterator[int]:
    """A server that knows RESP and nothing else, on a free port of loopback; an empty answer hangs up."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        parser = hiredis.Reader()
        try:
            while data := await reader.read(65536):
                parser.feed(data)
                while (words := parser.gets()) is not False:
                    reply = answer(words)
                    if not reply:
                        return
                    writer.write(reply)
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
