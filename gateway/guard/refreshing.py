"""When what lies elsewhere is fetched again, and how long it is good without.  Pure: time is an argument, in seconds."""

from __future__ import annotations

PAUSE = 10.0
"""Between two fetches, whoever asks for one: so often at most an unknown key makes us look."""
FIRST_WAIT = 1.0
"""After a fetch that failed; each further one takes twice as long."""
LONGEST_WAIT = 30.0


class Refreshing:
    """
    The times of one document.

    Attributes:
        is_failing: Whether the last fetch failed.
    """

    __slots__ = ("_age", "_failures", "_fetched_at", "_max_stale", "_pause", "_tried_at", "is_failing")

    def __init__(self, age: float, max_stale: float, *, pause: float = PAUSE) -> None:
        """
        Args:
            age: From when on it is fetched anew when somebody needs it.
            max_stale: How old it may become while that fails.
            pause: Between two fetches.
        """
        self._age = age
        self._max_stale = max_stale
        self._pause = pause
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._failures = 0
        self.is_failing = False

    def is_good(self, now: float) -> bool:
        """Whether it may be used."""
        return now - self._fetched_at < self._max_stale

    def is_due(self, now: float) -> bool:
        """Whether it is old, and may be fetched."""
        return now - self._fetched_at >= self._age and self.may_fetch(now)

    def may_fetch(self, now: float) -> bool:
        """Whether it may be fetched at all."""
        return now - self._tried_at >= self._wait()

    def wait(self, now: float) -> float:
        """Seconds until then."""
        return max(0.0, self._tried_at + self._wait() - now)

    def began(self, now: float) -> None:
        """A fetch is under way."""
        self._tried_at = now

    def succeeded(self, now: float) -> None:
        """It is here."""
        self._fetched_at = now
        self._failures = 0
        self.is_failing = False

    def failed(self) -> None:
        """It is not; what there was stays."""
        self._failures += 1
        self.is_failing = True

    def _wait(self) -> float:
        if not self._failures:
            return self._pause
        return float(min(self._pause * 3, LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._failures - 1, 30)))
