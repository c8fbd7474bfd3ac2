"""How one address stands: what requests met there, and what the gateway's own checks say."""

from __future__ import annotations

from gateway.upstreams.breaker import Breaker, State
from gateway.upstreams.thresholds import Thresholds

GOOD, RETURNING, BUSY, OUT, NEVER = range(5)
"""Ranks of a candidate: the lowest is taken; one that is out of service only when nothing else is left; NEVER not at all."""


class Standing:
    """
    What is known of one address.

    Attributes:
        breaker: What its failures made of it; None: failures are not counted.
        thresholds: What the checks say; None: there are none.
        is_silent: Whether it was ejected because connections to it hang: trying one costs time, not only an error.
        probing, checking: Whether a probe or a check is under way.
        probe_at, check_at: When the next one is due, event-loop seconds.
    """

    __slots__ = ("_credit", "breaker", "check_at", "checking", "is_silent", "probe_at", "probing", "thresholds")

    def __init__(self, breaker: Breaker | None, thresholds: Thresholds | None, check_at: float) -> None:
        self.breaker = breaker
        self.thresholds = thresholds
        self.is_silent = False
        self.probing = self.checking = False
        self.probe_at = 0.0
        self.check_at = check_at
        self._credit = 0.0

    @property
    def ejected(self) -> bool:
        """Whether failures took it out of service."""
        return self.breaker is not None and self.breaker.state is State.EJECTED

    @property
    def out(self) -> bool:
        """Whether it is out of service, for whatever reason."""
        return self.ejected or (self.thresholds is not None and not self.thresholds.healthy)

    def rank(self, now: float) -> int:
        """How good a candidate it is; asking is taking its turn while it returns."""
        if self.out:
            return NEVER if self.ejected and self.is_silent else OUT
        breaker = self.breaker
        if breaker is None or breaker.state is State.SERVING:
            return GOOD
        self._credit += breaker.share(now)
        if self._credit < 1.0:
            return RETURNING
        self._credit -= 1.0
        return GOOD
