"""
Whether a request's body comes, and its answer is taken, as fast as it must: a minimum rate over the time in which it could.

Kestrel's model (MinRequestBodyDataRate).  A limit on silence alone lets a client hold an upstream connection for ever by one
byte now and then.  Pure: event-loop seconds are arguments.
"""

from __future__ import annotations

from math import inf

GRACE = 5.0
"""Seconds before the rate is looked at."""


class Pace:
    """The clock of one body; it stands still while the gateway itself does not read."""

    __slots__ = ("_paused_at", "_rate", "_since")

    def __init__(self, rate: int, now: float) -> None:
        """``rate`` is in bytes per second; 0 asks for none."""
        self._rate = rate
        self._since = now
        self._paused_at = 0.0

    def due(self, received: int) -> float:
        """When ``received`` bytes will have been too few."""
        return self._since + max(GRACE, received / self._rate) if self._rate else inf

    def pause(self, now: float) -> None:
        """The gateway reads no more, because the upstream is slow or there is none yet."""
        if not self._paused_at:
            self._paused_at = now

    def resume(self, now: float) -> None:
        """The gateway reads again."""
        if self._paused_at:
            self._since += now - self._paused_at
            self._paused_at = 0.0


class Reading:
    """
    How fast a client takes its answer, from when it had to be waited for until it keeps up again.

    It may stop for a while, as a player does whose buffer is full: the rate counts over ``between_bytes``.  Only where other
    requests need the connection that it holds, it counts over `GRACE`.
    """

    __slots__ = ("_lately", "_long")

    def __init__(self, owed: int, now: float) -> None:
        """``owed`` is what it has not taken yet, bytes."""
        self._long = self._lately = (owed, now)

    def add(self, size: int) -> None:
        """It is owed more."""
        self._long = self._long[0] + size, self._long[1]
        self._lately = self._lately[0] + size, self._lately[1]

    def is_late(self, owed: int, now: float, *, rate: int, between_bytes: float, needed: bool) -> bool:
        """Whether it took too little; ``needed`` says that others would wait for its connection."""
        before, since = self._long
        if now - since >= between_bytes:
            self._long = owed, now
            if before - owed < max(1, rate * (now - since)):
                return True
        before, since = self._lately
        if now - since >= GRACE:
            self._lately = owed, now
            return needed and before - owed < rate * (now - since)
        return False

    @staticmethod
    def look(now: float, between_bytes: float) -> float:
        """When to ask `is_late`."""
        return now + min(GRACE, between_bytes)
