"""
Connections that belong to one client's connection, from the moment that they may carry a login (NTLM, Negotiate; RFC 4559).

These schemes authenticate a connection, not a request: whoever got the connection next would speak in the first one's name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.upstreams.ports import Connection

if TYPE_CHECKING:
    from gateway.upstreams.group import Group

_LOGIN = re.compile(rb"(?:\A|\n)Authorization:[ \t]*(?:NTLM|Negotiate)(?:[ \t\r]|\Z)", re.IGNORECASE)


def is_login(lines: bytes) -> bool:
    """Whether the header lines of an outgoing request log its connection in."""
    return _LOGIN.search(lines) is not None


class Pins:
    """The idle ones of them, by owner: a client's connection has one at most to each upstream."""

    def __init__(self) -> None:
        self._of: dict[object, dict[Group, Connection]] = {}

    def keep(self, up: Connection, now: float) -> None:
        """It has answered, and waits for its owner's next request."""
        up.idle_since = now
        before = self._of.setdefault(up.owner, {}).get(up.pool.group)
        if before is not None:
            _close(before)
        self._of[up.owner][up.pool.group] = up

    def take(self, owner: object, group: Group) -> Connection | None:
        """The owner's connection to an upstream, if there is one that lives."""
        up = self._of.get(owner, {}).pop(group, None)
        return up if up is not None and not up.closed else None

    def drop(self, owner: object) -> None:
        """The owner has gone: so do its connections."""
        for up in self._of.pop(owner, {}).values():
            _close(up)

    def prune(self, group: Group, now: float) -> None:
        """Close those of an upstream that were idle for too long, and forget those that ended."""
        for held in self._of.values():
            up = held.get(group)
            if up is not None and (up.closed or now - up.idle_since > up.pool.keepalive):
                _close(held.pop(group))


def _close(up: Connection) -> None:
    if not up.closed:
        up.closed = True
        up.transport.close()
