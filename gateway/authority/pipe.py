"""
A connection between two protocols of one event loop, in memory: how the edge reaches the authority.

It behaves as a pair of connected sockets: bytes come in order and later than the call that wrote them, those of one tick
together; writers are paused while their reader is; an end that closes lets what it wrote arrive.  No system call is made.
"""

from __future__ import annotations

import asyncio
from typing import Any

HIGH_WATER = 64 * 1024
"""Bytes on their way beyond which the writer is asked to pause; it may go on once all were read."""


def join(loop: asyncio.AbstractEventLoop, one: asyncio.Protocol, other: asyncio.Protocol) -> End:
    """Connect two protocols; the transport of the first one is returned."""
    ours, theirs = End(loop, one), End(loop, other)
    ours.peer, theirs.peer = theirs, ours
    one.connection_made(ours)
    other.connection_made(theirs)
    return ours


class End(asyncio.Transport):
    """One end: writes go to the other one's protocol."""

    peer: End

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._loop = loop
        self._protocol: Any = protocol
        self._arrived: list[bytes] = []
        self._size = 0
        self._high = HIGH_WATER
        self._awake = False
        self._reading = True
        self._eof = False
        self._closing = False
        self._writer_paused = False

    # --- writing -----------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Let the other end read this, in a later call."""
        if self._closing or not data:
            return
        peer = self.peer
        if peer._closing:
            return
        peer._arrived.append(bytes(data))
        peer._size += len(data)
        if peer._size > self._high and not self._writer_paused:
            self._writer_paused = True
            self._protocol.pause_writing()
        peer._wake()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Pause the writer beyond ``high`` bytes; it always goes on at none."""
        self._high = HIGH_WATER if high is None else high

    def get_write_buffer_size(self) -> int:
        """Bytes that the other end did not read yet."""
        return self.peer._size

    def can_write_eof(self) -> bool:
        """An end closes as a whole."""
        return False

    def close(self) -> None:
        """End the connection; what was written arrives."""
        if self._closing:
            return
        self._end(None)
        self.peer._eof = True
        self.peer._wake()

    def abort(self) -> None:
        """End the connection at once, for both."""
        if self._closing:
            return
        self._end(None)
        if not self.peer._closing:
            self.peer._end(ConnectionResetError("the other end aborted"))

    def is_closing(self) -> bool:
        """Whether it was closed, by whomever."""
        return self._closing

    # --- reading -----------------------------------------------------------------------------------------------------

    def pause_reading(self) -> None:
        """Let what comes wait."""
        self._reading = False

    def resume_reading(self) -> None:
        """Read what has come meanwhile."""
        self._reading = True
        if self._arrived or self._eof:
            self._wake()

    def is_reading(self) -> bool:
        """Whether the protocol gets what comes."""
        return self._reading and not self._closing

    def _wake(self) -> None:
        if self._reading and not self._awake and not self._closing:
            self._awake = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._awake = False
        if self._closing or not self._reading:
            return
        arrived = self._arrived
        if arrived:
            data = arrived[0] if len(arrived) == 1 else b"".join(arrived)
            self._arrived, self._size = [], 0
            try:
                self._protocol.data_received(data)
            except Exception as error:
                self._loop.call_exception_handler({
                    "message": "protocol.data_received() failed", "exception": error, "protocol": self._protocol,
                })  # fmt: skip
                self.abort()
                return
            self.peer._go_on()
        if self._eof and not self._arrived and self._reading and not self._closing and not self._protocol.eof_received():
            self.close()

    def _go_on(self) -> None:
        if self._writer_paused and self.peer._size == 0:
            self._writer_paused = False
            if not self._closing:
                self._protocol.resume_writing()

    def _end(self, reason: Exception | None) -> None:
        self._closing = True
        self._arrived, self._size = [], 0
        self._loop.call_soon(self._protocol.connection_lost, reason)

    # --- the rest of what a transport is -----------------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Change who reads here."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who reads here."""
        return self._protocol  # type: ignore[no-any-return]  # it may be of either kind
