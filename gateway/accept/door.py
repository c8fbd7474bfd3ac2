"""How many connections a client address may have: beyond, a newcomer is turned away at accept, cheaply and with a word."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import orjson

from gateway.addresses import Networks, parse_address, source_of
from gateway.config.model import Config
from gateway.errors import TooManyRequests
from gateway.telemetry.log import Sparingly
from gateway.telemetry.metrics import Registry

RETRY_AFTER = 1
"""Seconds after which a client that was turned away may come back."""

_log = logging.getLogger("gateway.edge")


class Door:
    """
    Counts the connections of each address (of each /64 of IPv6), handshakes included.

    ``listen.max_connections_per_address`` says how many there may be.  Unset, a stranger may have half of all, and loopback any
    number: what connects from there is most likely a proxy for many.  ``trusted_proxies`` may always have any number.  What is
    kept is about connections that are open, so their limit bounds it.
    """

    def __init__(self, config: Config, trusted: Networks, registry: Registry, *, plain: bool = True) -> None:
        """``plain`` says whether whom we turn away can read a word of ours: one that waits for a TLS handshake can't."""
        self._plain = plain
        given = config.listen.max_connections_per_address
        self._most = max(1, config.listen.max_connections // 2) if given is None else given
        self._loopback_too = given is not None
        self._trusted = trusted
        self._counts: dict[bytes, int] = {}
        self._inside: dict[asyncio.Protocol, bytes] = {}
        self._refused = registry.counter("gateway_connections_refused_total", "Connections above the limit of their address.")
        self._saying = Sparingly(_log, "connection.refused")

    def enter(self, connection: socket.socket, name: Any) -> bytes | None:
        """
        Count a newcomer, or turn it away and close its socket.

        Args:
            connection: As accept(2) gave it.
            name: Its peer's name, which is a tuple for TCP.

        Returns:
            Who it counts as, for `hold`; None when it was turned away.
        """
        address = parse_address(name[0]) if isinstance(name, tuple) else None
        if address is None or address in self._trusted or (address.is_loopback and not self._loopback_too):
            return b""
        source = source_of(address)
        count = self._counts.get(source, 0)
        if count < self._most:
            self._counts[source] = count + 1
            return source
        self._refused.value += 1
        self._saying.say(asyncio.get_running_loop().time(), address=str(address), limit=self._most)
        if self._plain:
            _tell_why(connection)
        connection.close()
        return None

    def hold(self, protocol: asyncio.Protocol, source: bytes) -> None:
        """Remember whom a connection counts as."""
        if source:
            self._inside[protocol] = source

    def leave(self, protocol: asyncio.Protocol) -> None:
        """A connection has ended, or never came about."""
        source = self._inside.pop(protocol, None)
        if source is None:
            return
        count = self._counts[source] - 1
        if count:
            self._counts[source] = count
        else:
            del self._counts[source]


_BODY = orjson.dumps({
    "type": "about:blank", "title": "Too Many Requests", "status": TooManyRequests.status,
    "detail": "Too many connections from this address", "code": TooManyRequests.code,
})  # fmt: skip
_REST = (
    f"\r\nContent-Type: application/problem+json\r\nCache-Control: no-store\r\nRetry-After: {RETRY_AFTER}\r\n"
    f"Content-Length: {len(_BODY)}\r\nConnection: close\r\n\r\n"
).encode("ascii") + _BODY


def _tell_why(connection: socket.socket) -> None:
    """Answer; what the client sent already is read, since closing on it would reset what we say."""
    connection.setblocking(False)
    with suppress(OSError):
        connection.send(b"HTTP/1.1 429 Too Many Requests\r\nDate: " + formatdate(usegmt=True).encode("ascii") + _REST)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65536)
