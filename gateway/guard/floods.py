"""
Floods: how often one source may fail before it has to wait, in a table of fixed size.

Of bad tokens (X12): a random one costs an attacker nothing and the store a look-up, and no cache helps.  Of wrong secrets:
`gateway.guard.attempts`.  What a source has spent is one number, the time at which it will be forgiven (GCRA).  The numbers
stand in a table of fixed size: each source has a place in one of many small sets, chosen by a keyed hash, and a newcomer takes
the place that is forgiven soonest.  So a flooder can't get rid of its own number by sending from other addresses, unless as
many of them flood as a set has places; and which addresses share its set it can't know.

Pure: event-loop seconds are arguments.
"""

from __future__ import annotations

from array import array
from hashlib import blake2b

BURST = 2.0
"""Seconds of the allowed rate that may come at once, of bad tokens."""
LONGEST = 2.0
"""Most seconds to wait; look-ups that were on their way already may add up to more."""
_SETS = 1024
_WAYS = 8


class Floods:
    """What each source has spent; 128 KiB, whatever happens."""

    __slots__ = ("_burst", "_cost", "_forgiven", "_key", "_longest", "_tags")

    def __init__(self, rate: float, *, key: bytes, burst: float = BURST, longest: float = LONGEST) -> None:
        """
        Args:
            rate: Failures per second and source.
            key: Random bytes, so that nobody can tell who shares a set.
            burst: Seconds of the rate that may come at once.
            longest: Most seconds to wait, the cost of one failure aside.
        """
        self._cost = 1.0 / rate
        self._burst = burst
        self._longest = longest
        self._key = key
        self._tags = array("Q", bytes(8 * _SETS * _WAYS))
        self._forgiven = array("d", bytes(8 * _SETS * _WAYS))

    def wait(self, source: bytes, now: float, units: float = 1.0) -> float:
        """Seconds until a source may fail again, at the price of ``units`` failures; 0: at once."""
        place = self._find(*self._tag(source))
        cost = self._cost * units
        left = self._forgiven[place] + cost - now - self._burst if place is not None else 0.0
        return left if left > cost / 2 else 0.0  # half: sums of fractions are not exact

    def charge(self, source: bytes, now: float, units: float = 1.0) -> None:
        """This source failed, or is about to."""
        tag, first = self._tag(source)
        place = self._find(tag, first)
        if place is None:
            place = min(range(first, first + _WAYS), key=self._forgiven.__getitem__)
            self._tags[place] = tag
            self._forgiven[place] = now
        spent = max(self._forgiven[place], now) + self._cost * units
        self._forgiven[place] = min(spent, now + self._burst + self._longest)

    def refund(self, source: bytes, units: float = 1.0) -> None:
        """What was charged in advance was no failure."""
        place = self._find(*self._tag(source))
        if place is not None:
            self._forgiven[place] -= self._cost * units

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
