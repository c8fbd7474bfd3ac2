"""When checks in a row make a target healthy or unhealthy.  Pure."""

from __future__ import annotations


class Thresholds:
    """
    The health of one target, as its checks tell.

    It begins healthy: nothing is known against it, connections that fail are passed over anyway, and the other way round a
    gateway would refuse everybody until the first checks are through.
    """

    __slots__ = ("_healthy", "_row", "_unhealthy", "healthy")

    def __init__(self, *, healthy: int, unhealthy: int) -> None:
        """
        Args:
            healthy: Checks in a row that must pass to make it healthy again.
            unhealthy: Checks in a row that must fail to make it unhealthy.
        """
        self.healthy = True
        self._healthy = healthy
        self._unhealthy = unhealthy
        self._row = 0

    def take(self, *, passed: bool) -> bool:
        """Take the outcome of a check; says whether ``healthy`` has changed by it."""
        if passed == self.healthy:
            self._row = 0
            return False
        self._row += 1
        if self._row < (self._healthy if passed else self._unhealthy):
            return False
        self.healthy = passed
        self._row = 0
        return True
