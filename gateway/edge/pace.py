"""
Whether a request's body comes as fast as it must: a minimum rate, averaged over the time in which it could have come.

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
