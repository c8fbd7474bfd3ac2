"""
The WebSocket server behind the tunnels: ``python -m benchmarks.loads.echo PORT``.

It knows that all messages are `QUESTION`, so it answers by counting and costs next to nothing; one that is another ends it.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

from benchmarks.loads.websocket import ANSWER, QUESTION, SWITCHED


class _Echo(asyncio.Protocol):
    def __init__(self) -> None:
        self._buffer = b""
        self._open = False
        self._transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        data = self._buffer + data if self._buffer else data
        if not self._open:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            self._open = True
            self._transport.write(SWITCHED)
            data = data[end + 4 :]
        count, rest = divmod(len(data), len(QUESTION))
        if data[: len(data) - rest] != QUESTION * count:
            self._transport.abort()
            return
        self._buffer = data[len(data) - rest :]
        if count:
            self._transport.write(ANSWER * count)


async def _main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
