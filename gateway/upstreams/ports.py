"""What this room needs of the one above it (`gateway.edge`), which turns bytes into messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gateway.errors import GatewayError
from gateway.guard.permit import Permit
from gateway.routing import Match

if TYPE_CHECKING:  # each holds the other by design
    from gateway.upstreams.group import Group
    from gateway.upstreams.pool import Pool

ProtocolFactory = Callable[[], asyncio.Protocol]
Connect = Callable[[ProtocolFactory], Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]]]
Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host name, IPv4 and IPv6; raises OSError when there are none."""


class Attempts:
    """Where an exchange that had to wait has been, and until when it may try (event-loop seconds)."""

    __slots__ = ("pools", "resent", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.pools: list[Pool] = []
        """Those that could not be connected to."""
        self.resent = False
        """Whether it was sent to a second target."""


class Exchange(Protocol):
    """
    A request that wants a connection; `gateway.edge.exchange` says what the attributes mean.

    ``fail``, ``queued`` and ``leased`` tell its client's side what became of that.
    """

    match: Match
    permit: Permit
    tail: bytes
    over: bool
    repeatable: bool
    renewed: bool
    attempts: Attempts | None
    upstream_name: str
    pool: Pool | Group | None

    @property
    def up(self) -> object | None:
        """The connection it is sent on, if it has one."""

    @property
    def down(self) -> object:
        """The client's connection."""

    @property
    def address(self) -> str:
        """The IP address at the other end of the client's connection."""

    def fail(self, error: GatewayError) -> None:
        """It can't be sent, or got no answer."""

    def queued(self) -> None:
        """It has to wait for a connection, until ``attempts.until``."""

    def leased(self) -> None:
        """It was sent after a wait."""


class Connection(Protocol):
    """A connection to a target, which serves one exchange at a time."""

    transport: asyncio.Transport
    pool: Pool
    closed: bool
    used: int
    """Requests that were sent on it."""
    idle_since: float
    """Event-loop seconds; 0 until it was idle for the first time."""
    owner: object | None
    """The client's connection that alone may use it (NTLM, Negotiate), if there is one."""

    def begin(self, exchange: Any) -> None:
        """Send an exchange's head."""

    def abort(self) -> None:
        """Cut it at once."""


Speaker = Callable[["Pool"], asyncio.Protocol]
"""Makes the `Connection` protocols of one target; one of its own for each target."""
