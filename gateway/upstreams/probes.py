"""Connections of the gateway's own, to see whether a target is there: a bare connect, or one GET.  No client is risked."""

from __future__ import annotations

import asyncio
import re
from typing import cast

from gateway.upstreams.ports import Connect

MAX_ANSWER = 8 * 1024
"""Bytes within which the status line of a check's answer must end."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([2-5][0-9]{2})[ \r]")


class _Asker(asyncio.Protocol):
    """Sends one request and takes the status of its answer."""

    def __init__(self, request: bytes) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._request = request
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._received += data
        if b"\r\n" in self._received or len(self._received) > MAX_ANSWER:
            found = _STATUS_LINE.match(self._received)
            self._settle(int(found[1]) if found else 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._settle(0)

    def _settle(self, status: int) -> None:
        if not self.status.done():
            self.status.set_result(status)


async def can_connect(connect: Connect, timeout: float) -> bool:
    """Whether a connection comes about, its TLS handshake included, within ``timeout`` seconds."""
    try:
        async with asyncio.timeout(timeout):
            transport, _ = await connect(asyncio.Protocol)
    except (OSError, TimeoutError, ValueError):  # ValueError: a name that is no host
        return False
    cast(asyncio.Transport, transport).abort()
    return True


async def ask(connect: Connect, host: bytes, path: str, timeout: float) -> int:
    """The status of the answer to a GET, on a connection of its own; 0 when there is none within ``timeout`` seconds."""
    request = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: gateway-health\r\nConnection: close\r\n\r\n"
    transport: asyncio.BaseTransport | None = None
    try:
        async with asyncio.timeout(timeout):
            transport, protocol = await connect(lambda: _Asker(request % (path.encode("ascii"), host)))
            return await cast(_Asker, protocol).status
    except (OSError, TimeoutError, ValueError):  # ValueError: a name that is no host
        return 0
    finally:
        if transport is not None:
            cast(asyncio.Transport, transport).abort()
