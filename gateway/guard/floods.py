"""
Floods of bad tokens: how many look-ups of one source may end in "there is no such token" before the store is asked no more.

A random token costs an attacker nothing and the store a look-up, and no cache helps (X12).  What a source has spent is one
number, the time at which it will be forgiven (GCRA).  The numbers stand in a table of fixed size: each source has a place in
one of many small sets, chosen by a keyed hash, and a newcomer takes the place that is forgiven soonest.  So a flooder can't get
rid of its own number by sending from other addresses, unless as many of them flood as a set has places; and which addresses
share its set it can't know.

Pure: event-loop seconds are arguments.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

BURST = 2.0
"""Seconds of the allowed rate that may come at once."""
LONGEST = 2.0
"""Most seconds to wait; look-ups that were on their way already may add up to more."""
_SETS = 1024
_WAYS = 8


class Floods:
    """What each source has spent; 128 KiB, whatever happens."""

    __slots__ = ("_cost", "_forgiven", "_key", "_tags")

    def __init__(self, rate: int, *, key: bytes) -> None:
        """
        Args:
            rate: Bad tokens per second and source.
            key: Random bytes, so that nobody can tell who shares a set.
        """
        self._cost = 1.0 / rate
        self._key = key
        self._tags = array("Q", bytes(8 * _SETS * _WAYS))
        self._forgiven = array("d", bytes(8 * _SETS * _WAYS))

    def wait(self, source: bytes, now: float) -> float:
        """Seconds until a source may have tokens looked up again; 0: at once."""
        place = self._find(*self._tag(source))
        left = self._forgiven[place] + self._cost - now - BURST if place is not None else 0.0
        return left if left > self._cost / 2 else 0.0  # half: sums of fractions are not exact

    def charge(self, source: bytes, now: float) -> None:
        """A look-up of this source found no living token."""
        tag, first = self._tag(source)
        place = self._find(tag, first)
        if place is None:
            place = min(range(first, first + _WAYS), key=self._forgiven.__getitem__)
            self._tags[place] = tag
            self._forgiven[place] = now
        self._forgiven[place] = min(max(self._forgiven[place], now) + self._cost, now + BURST + LONGEST)

    def _tag(self, source: bytes) -> tuple[int, int]:
        """What a source is called, and where its set begins."""
        tag = int.from_bytes(blake2b(source, digest_size=8, key=self._key).digest())
        return tag, tag % _SETS * _WAYS

    def _find(self, tag: int, first: int) -> int | None:
        tags = self._tags
        for place in range(first, first + _WAYS):
            if tags[place] == tag:
                return place
        return None
