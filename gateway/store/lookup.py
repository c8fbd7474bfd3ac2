"""What the verdict link asks: records and the time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.errors import GatewayError
from gateway.store.handshake import Refused, code, seconds
from gateway.store.resp import Ask, Reply, Timed, pack

Unreadable = Callable[[str, str], GatewayError]
"""Told of a reply that is not what was asked, by the record's kind and a reason without content; gives the refusal."""

_TIME = pack(("TIME",))


class Get(Timed):
    """A look-up: exactly one of `answer` and `fail` calls ``done``, once."""

    __slots__ = ("decode", "done", "kind", "unreadable")

    def __init__(
        self, kind: str, key: bytes, decode: Callable[[bytes], Any], done: Callable[[Any], None], unreadable: Unreadable
    ) -> None:
        self.command = pack(("GET", key))
        self.abandoned = False
        self.kind = kind
        self.decode = decode
        self.done = done
        self.unreadable = unreadable

    def answer(self, reply: Reply) -> None:
        """Hand the record over; one that can't be read is an outage, never "no such token"."""
        if reply is None:
            self.done(None)
            return
        if type(reply) is not bytes:
            self.done(self.unreadable(self.kind, code(reply)))
            return
        try:
            record = self.decode(reply)
        except Exception:  # whatever a foreign value does to the decoder
            record = self.unreadable(self.kind, "corrupt record")
        self.done(record)

    def fail(self, error: GatewayError) -> None:
        """Give up; a reply that still comes is dropped."""
        self.abandoned = True
        self.done(error)


class Mark(Timed):
    """A place in the server's order: what it says is that whatever the server sent before it has been heard."""

    __slots__ = ("done",)

    def __init__(self, done: Callable[[], None]) -> None:
        super().__init__(_TIME)
        self.done = done

    def answer(self, reply: Reply) -> None:
        """It came by."""
        self.done()

    def fail(self, error: GatewayError) -> None:
        """It never will."""
        self.abandoned = True
        self.done()


class Beat(Ask):
    """A heartbeat: TIME."""

    __slots__ = ("asked", "set_clock", "unreadable")

    def __init__(self, asked: float, set_clock: Callable[[float, float], None], unreadable: Unreadable) -> None:
        super().__init__(_TIME)
        self.asked = asked
        self.set_clock = set_clock
        self.unreadable = unreadable

    def answer(self, reply: Reply) -> None:
        """Set the clock, or do without until the next beat."""
        try:
            store = seconds(reply)
        except Refused as refusal:
            self.unreadable("clock", str(refusal))
        else:
            self.set_clock(self.asked, store)
