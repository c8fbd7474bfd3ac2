"""What this room needs of the one above it (`gateway.edge`), which turns bytes into messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from gateway.errors import GatewayError
from gateway.routing import Match

if TYPE_CHECKING:  # each holds the other by design
    from gateway.upstreams.pool import Pool

ProtocolFactory = Callable[[], asyncio.Protocol]
Connect = Callable[[ProtocolFactory], Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]]]


class Exchange(Protocol):
    """
    A request that wants a connection; `gateway.edge.exchange` says what the attributes mean.

    ``fail``, ``queued`` and ``leased`` tell its client's side what became of that.
    """

    match: Match
    over: bool
    renewed: bool
    targets_tried: int
    upstream_name: str
    pool: Pool | None

    @property
    def up(self) -> object | None:
        """The connection it is sent on, if it has one."""

    def fail(self, error: GatewayError) -> None:
        """It can't be sent, or got no answer."""

    def queued(self) -> None:
        """It has to wait for a connection."""

    def leased(self) -> None:
        """It was sent after a wait."""


class Connection(Protocol):
    """A connection to a target, which serves one exchange at a time."""

    transport: asyncio.Transport
    closed: bool
    used: int
    """Requests that were sent on it."""
    idle_since: float

    def begin(self, exchange: Any) -> None:
        """Send an exchange's head."""

    def abort(self) -> None:
        """Cut it at once."""


Speaker = Callable[["Pool"], asyncio.Protocol]
"""Makes the `Connection` protocols of one target; one of its own for each target."""
