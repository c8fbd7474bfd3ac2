"""
WebSocket messages back and forth: each connection keeps ``window`` of them under way.

In: ``{port, path, token, connections, window, seconds}``.  Out: ``{messages, seconds}``, a message being a question and its
answer.  Whatever is not the right answer ends it with an error.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, cast

import uvloop

from benchmarks.loads.websocket import ANSWER, QUESTION, SWITCHED, handshake


class _Client(asyncio.Protocol):
    def __init__(self, opening: bytes, window: int, failed: asyncio.Future[None]) -> None:
        self.messages = 0
        self.opened = asyncio.get_running_loop().create_future()
        self.asking = True
        self._opening = opening
        self._window = window
        self._failed = failed
        self._buffer = b""
        self.transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._opening)

    def begin(self) -> None:
        """Send the first messages."""
        self.transport.write(QUESTION * self._window)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        data = self._buffer + data if self._buffer else data
        if not self.opened.done():
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                self._switched(data[: end + 4])
            else:
                self._buffer = data
            return
        count, rest = divmod(len(data), len(ANSWER))
        if data[: len(data) - rest] != ANSWER * count:
            self._fail("an answer is not the one that was asked for")
            return
        self._buffer = data[len(data) - rest :]
        self.messages += count
        if count and self.asking:
            self.transport.write(QUESTION * count)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        if self.asking:
            self._fail("a connection ended")

    def _switched(self, head: bytes) -> None:
        self._buffer = b""
        if not head.startswith(SWITCHED[:12]):
            self._fail(f"the handshake was answered {head.split(chr(13).encode())[0].decode('latin-1')}")
        elif not self.opened.done():
            self.opened.set_result(None)

    def _fail(self, why: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(RuntimeError(why))


async def _main(port: int, path: str, token: str, connections: int, window: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    failed: asyncio.Future[None] = loop.create_future()
    opening = handshake(path, token)
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: _Client(opening, window, failed), "127.0.0.1", port)
        await asyncio.wait((client.opened, failed), return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
        clients.append(client)
    began = time.perf_counter()
    for client in clients:
        client.begin()
    await asyncio.wait((failed,), timeout=seconds)
    took = time.perf_counter() - began
    for client in clients:
        client.asking = False
    if failed.done():
        failed.result()
    messages = sum(client.messages for client in clients)
    for client in clients:
        client.transport.abort()
    return {"messages": messages, "seconds": took}


if __name__ == "__main__":
    settings: dict[str, Any] = json.load(sys.stdin)
    print(json.dumps(uvloop.run(_main(**settings))))
