"""
Whether a target is in service, learnt from what it did to requests.  Pure: time is an argument, in seconds.

Consecutive failures trip it; it is ejected for a while that doubles each time it trips again, and comes back with a share of
the requests that grows.  Who may be ejected, and when one may come back, the caller says.
"""

from __future__ import annotations

from enum import Enum

FIRST_SHARE = 0.1
"""Share of its weight that a returning target begins with."""


class State(Enum):
    """How a target stands."""

    SERVING = "serving"
    EJECTED = "ejected"
    RETURNING = "returning"


class Event(Enum):
    """What moves it."""

    TRIPPED = "tripped"
    """It failed too often in a row, and may be ejected."""
    RECOVERED = "recovered"
    """It answered, or could be connected to after its time."""
    SETTLED = "settled"
    """It served its whole share again without tripping."""


# What is not in the table changes nothing.
TRANSITIONS = {
    (State.SERVING, Event.TRIPPED): State.EJECTED,
    (State.RETURNING, Event.TRIPPED): State.EJECTED,
    (State.EJECTED, Event.RECOVERED): State.RETURNING,
    (State.RETURNING, Event.SETTLED): State.SERVING,
}


def step(state: State, event: Event) -> State:
    """Move by one event.  Total: never raises."""
    return TRANSITIONS.get((state, event), state)


class Breaker:
    """
    The state of one target.

    Attributes:
        state: How it stands.
        until: When an ejection ends at the earliest; it means nothing in other states.
    """

    __slots__ = ("_ejections", "_failures", "_limit", "_longest", "_ramp", "_returned", "_shortest", "state", "until")

    def __init__(self, limit: int, *, shortest: float, longest: float, ramp: float) -> None:
        """
        Args:
            limit: Consecutive failures that trip it, above zero.
            shortest: Seconds of the first ejection; each further one takes twice as long.
            longest: Seconds of an ejection at most.
            ramp: Seconds over which the share of a returning target grows to all of it.
        """
        self.state = State.SERVING
        self.until = 0.0
        self._limit = limit
        self._shortest = shortest
        self._longest = longest
        self._ramp = ramp
        self._failures = 0
        self._ejections = 0
        self._returned = 0.0

    def fail(self) -> bool:
        """Count a failure; says whether it is enough to trip.  A target that has just returned has but one."""
        self._failures += 1
        return self._failures >= self._limit or self.state is State.RETURNING

    def succeed(self) -> None:
        """An answer: failures before it were no row."""
        self._failures = 0

    def trip(self, now: float) -> float:
        """Eject; returns for how many seconds."""
        self.state = step(self.state, Event.TRIPPED)
        return self.prolong(now)

    def prolong(self, now: float) -> float:
        """It is still bad at the end of its time: another one, twice as long; returns how long."""
        seconds: float = min(self._longest, self._shortest * 2.0 ** min(self._ejections, 30))
        self._ejections += 1
        self._failures = 0
        self.until = now + seconds
        return seconds

    def recover(self, now: float) -> None:
        """It answered, or accepts connections again."""
        if self.state is State.EJECTED:
            self._returned = now
        self.state = step(self.state, Event.RECOVERED)

    def share(self, now: float) -> float:
        """The part of its weight that it may have now, 0 to 1; one that served all of it for its ramp is as good as ever."""
        if self.state is not State.RETURNING:
            return 1.0 if self.state is State.SERVING else 0.0
        since = now - self._returned
        if since >= self._ramp:
            self.state = step(self.state, Event.SETTLED)
            self._ejections = 0
            return 1.0
        return max(FIRST_SHARE, since / self._ramp)
