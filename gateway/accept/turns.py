"""
Whose turn it is to accept, among workers that share a listener: connections spread evenly, whoever wakes up first.

The kernel wakes all workers for a newcomer, and the first to come takes it and what stands behind it: a balancer's few long
connections may all end at one worker.  So each counts its connections in memory that all of them see.
"""

from __future__ import annotations

import mmap

ASIDE = 0.002
"""Seconds that a worker leaves newcomers to those with fewer connections; then it takes some, as those may be stuck."""
INSISTENCE = 4
"""How many it takes then before it stands aside again."""
_ABSENT = 1 << 60


class Turns:
    """The counts of all workers; made before they are forked."""

    def __init__(self, workers: int) -> None:
        self._counts = memoryview(mmap.mmap(-1, workers * 8)).cast("q")
        for number in range(workers):
            self._counts[number] = _ABSENT

    def of(self, number: int) -> Turn:
        """The view of one worker."""
        return Turn(self._counts, number)


class Turn:
    """
    One worker's count among the others'.

    What a killed worker had stands until its successor begins; until then the others lose `ASIDE` now and then, no more.
    """

    __slots__ = ("_counts", "_number")

    def __init__(self, counts: memoryview[int], number: int) -> None:
        self._counts = counts
        self._number = number

    def note(self, connections: int) -> None:
        """Say how many connections this worker has."""
        self._counts[self._number] = connections

    def leave(self) -> None:
        """Accept no more: nobody waits for this worker."""
        self._counts[self._number] = _ABSENT

    @property
    def is_others(self) -> bool:
        """Whether another worker has clearly fewer connections: by more than two and an eighth."""
        least = min(self._counts)
        return self._counts[self._number] > least + 2 + least // 8
