"""How many requests may be sent a second time, so that retries never double the load of what is failing.  Pure."""

from __future__ import annotations

FLOOR = 1.0
"""Retries that are earned a second however few requests there are."""
MOST = 100.0
"""Retries that can be saved up."""
FIRST = 10.0
"""Retries at the beginning."""


class RetryBudget:
    """A bucket of retries, filled by requests and a little by time."""

    __slots__ = ("_at", "_left", "_seen", "_share")

    def __init__(self, percent: int, now: float) -> None:
        """
        Args:
            percent: Retries that 100 requests earn; 0: none at all.
            now: Seconds.
        """
        self._share = percent / 100
        self._left = FIRST
        self._seen = 0
        self._at = now

    def take(self, requests: int, now: float) -> bool:
        """
        Spend one retry, if there is one.

        Args:
            requests: Requests that were sent so far, to all addresses that there are; fewer than before when one has gone.
            now: Seconds, by the same clock as ever.
        """
        if not self._share:
            return False
        earned = max(0, requests - self._seen) * self._share + (now - self._at) * FLOOR
        self._left = min(MOST, self._left + earned)
        self._seen, self._at = requests, now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
