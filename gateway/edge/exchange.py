"""One request on its way through: what both sides of it know of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import GatewayError

if TYPE_CHECKING:  # the three classes hold each other by design; only names cross here
    from gateway.edge.downstream import Downstream
    from gateway.edge.upstream import Upstream
    from gateway.guard.permit import Permit
    from gateway.guard.streams import Stream
    from gateway.routing import Match
    from gateway.upstreams.group import Group
    from gateway.upstreams.pool import Pool
    from gateway.upstreams.ports import Attempts
    from gateway.websocket import Handshake

WRITE_AHEAD = 4 * 1024
"""
Bytes that may wait for a slow reader, on either side, before the other side is paused.  What one read gave, 256,000 bytes at
most, comes on top: together less than 256 KiB a connection (X03).
"""


class Exchange:
    """
    A request with a `Permit`, from its lease of an upstream connection to the last byte of its answer.

    Attributes:
        start, tail: The outgoing head without what differs by target: request line up to the target, and all header lines
            after Host, the empty line included.
        repeatable: The request has no body and an idempotent method, so that a reused connection that dies before any byte
            of an answer may be replaced once (RFC 9112 section 9.3.1).
        answered: The head of the final answer went to the client: from here on a failure can only cut.
        sent_all: The request's body is complete.
        asked: The client's canonical target, whatever is sent.
        host: What stands between target and other header lines where that is not the target's own to say; else None.
        handshake: What an upstream has to agree to before the connection becomes a WebSocket; None for any other request.
        stream: What the index of live streams knows of it; None for a request that is none.
        over: Finished, failed or abandoned; whoever finds it so does nothing more.
    """

    __slots__ = (
        "answered", "asked", "attempts", "down", "handshake", "head_only", "host", "http10", "match", "over", "permit", "pool",
        "received", "renewed", "repeatable", "request_id", "sent", "sent_all", "start", "started", "status", "stream", "tail",
        "up", "upstream_name",
    )  # fmt: skip
    asked: bytes

    def __init__(
        self, down: Downstream, match: Match, permit: Permit, start: bytes, tail: bytes, request_id: str, started: float,
        *, has_body: bool, http10: bool,
    ) -> None:  # fmt: skip
        self.down = down
        self.match = match
        self.permit = permit
        self.start = start
        self.tail = tail
        self.request_id = request_id
        self.host: bytes | None = None
        self.started = started
        self.http10 = http10
        self.head_only = match.method == "HEAD"
        self.repeatable = match.repeatable and not has_body
        self.sent_all = not has_body
        self.answered = False
        self.over = False
        self.handshake: Handshake | None = None
        self.stream: Stream | None = None
        self.attempts: Attempts | None = None
        """Where it has been, once it had to wait for a connection."""
        self.renewed = False
        """Whether it met a stale connection once: its next one was never used."""
        self.status = 0
        self.received = 0
        self.sent = 0
        self.up: Upstream | None = None
        self.pool: Pool | Group | None = None
        self.upstream_name = ""

    # --- what `gateway.upstreams` asks and tells the client's side -----------------------------------------------------------

    @property
    def address(self) -> str:
        """The IP address at the other end of the client's connection."""
        return self.down.address

    def fail(self, error: GatewayError) -> None:
        """It can't be completed."""
        self.down.fail(self, error)

    def queued(self) -> None:
        """It has to wait for a connection."""
        self.down.queued(self)

    def leased(self) -> None:
        """It was sent after a wait."""
        self.down.leased(self)
