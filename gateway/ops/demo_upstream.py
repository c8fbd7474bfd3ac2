"""
The small legacy API that ``make run`` puts behind the gateway: it knows nothing of tokens and answers whoever reaches it.

    /v1/resource   /v1/legacy/*   /public/*      GET: a JSON answer;  POST, PUT, PATCH: the same, with the body echoed

Each answer says which ``X-Client-Id`` it saw, so that the gateway's work can be seen from outside.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from http import HTTPStatus

import httptools

NAME = "demo-legacy-api"
"""What it calls itself in ``Server``, so that a second gateway recognises one that already runs."""
_MAX_ECHO = 64 * 1024
_PREFIXES = ("/v1/legacy/", "/public/")


class DemoConnection(asyncio.Protocol):
    """One connection of the gateway; httptools calls the ``on_`` methods."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to answer on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse; what can't be parsed ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._send(400, {"error": "bad request"}, close=True)

    def on_message_begin(self) -> None:
        """A new request."""
        self._begin()

    def on_url(self, part: bytes) -> None:
        """A part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is complete: a client that waits for it may send its body."""
        if self._headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        """A part of the body; more than 64 KiB is counted but not echoed."""
        self._size += len(part)
        self._body += part[: _MAX_ECHO - len(self._body)]

    def on_message_complete(self) -> None:
        """The whole request is here: answer it."""
        path = self._target.decode("latin-1").partition("?")[0]
        close = not self._parser.should_keep_alive()
        if path != "/v1/resource" and not path.startswith(_PREFIXES):
            self._send(404, {"error": "the legacy API has no such thing", "path": path}, close=close)
            return
        answer: dict[str, object] = {
            "message": "Hello from the legacy API",
            "method": self._parser.get_method().decode(),
            "path": path,
            "client_id": self._headers.get("x-client-id"),
        }
        if self._size:
            answer["received_bytes"] = self._size
            answer["echo"] = bytes(self._body).decode("utf-8", "replace")
        self._send(200, answer, close=close)

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._size = 0

    def _send(self, status: int, document: dict[str, object], *, close: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        body = json.dumps(document).encode()
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            f"Server: {NAME}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(["Connection: close"] if close else []),
        ]
        head = "\r\n".join([*lines, "", ""])
        is_head = status == 200 and document["method"] == "HEAD"
        self._transport.write(head.encode("latin-1") + (b"" if is_head else body))
        if close:
            self._transport.close()


def serve(sockets: list[socket.socket]) -> int:
    """Answer on bound sockets until SIGTERM or SIGINT.  Returns the exit code."""
    asyncio.run(_serve(sockets))
    return 0


async def _serve(sockets: list[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stopped.set)
    servers = [await loop.create_server(DemoConnection, sock=sock) for sock in sockets]
    await stopped.wait()
    for server in servers:
        server.close()
