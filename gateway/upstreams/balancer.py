"""
In which order the targets of an upstream are tried.  Pure: an iterator of candidates, each once; health is the caller's question.

The first candidate counts as used, taken or not: one that is passed over for a while does not come back to a flood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from heapq import heapify, heapreplace
from math import log
from random import Random
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

MAX_KNOWN_KEYS = 4_096
"""Keys whose order `Hash` remembers."""
MAX_KEY = 64
"""Bytes of a key beyond which its digest stands for it."""


class Balancer(Protocol[T_co]):
    """A policy over targets with weights above zero."""

    def candidates(self, key: bytes) -> Iterator[T_co]:
        """All targets, the one to use first; ``key`` is whom the request belongs to, where the policy asks."""

    def took(self, target: Any) -> None:
        """Another candidate than the first was taken."""


class RoundRobin(Generic[T]):
    """In turn, by weight and evenly (stride scheduling): 3:1 is a a b a, 5:1:1 is a a a b c a a."""

    def __init__(self, weighted: Sequence[tuple[T, float]]) -> None:
        self._targets = [target for target, _ in weighted]
        self._weights = [weight for _, weight in weighted]
        self._taken = [0] * len(weighted)
        # Who is due, with the number of the target: equal weights take turns in the order of the configuration.
        self._turns = [(0.5 / weight, number) for number, weight in enumerate(self._weights)]
        heapify(self._turns)

    def candidates(self, key: bytes = b"") -> Iterator[T]:
        """The target whose turn it is, then those that come next."""
        turns = self._turns
        if not turns:
            return
        number = turns[0][1]
        heapreplace(turns, self._next_turn(number))
        yield self._targets[number]
        yield from (self._targets[other] for _, other in sorted(turns) if other != number)

    def took(self, target: T) -> None:
        """It had its turn before the time."""
        number = self._targets.index(target)
        at = next(at for at, turn in enumerate(self._turns) if turn[1] == number)
        self._turns[at] = self._next_turn(number)
        heapify(self._turns)

    def _next_turn(self, number: int) -> tuple[float, int]:
        # Counted, not added up: what is rounded would shift the turns.
        self._taken[number] += 1
        return (self._taken[number] + 0.5) / self._weights[number], number


class LeastLoaded(Generic[T]):
    """The less loaded of two that were drawn: nearly as good as looking at all, and without everybody's choosing the same."""

    def __init__(self, weighted: Sequence[tuple[T, float]], load: Callable[[T], float], rng: Random) -> None:
        self._weighted = list(weighted)
        self._load = load
        self._rng = rng

    def candidates(self, key: bytes = b"") -> Iterator[T]:
        """The better of two, the other one, then the rest, drawn."""
        weighted, count = self._weighted, len(self._weighted)
        if count < 2:
            yield from (target for target, _ in weighted)
            return
        one = int(self._rng.random() * count)  # several times faster than Random.sample
        other = int(self._rng.random() * (count - 1))
        other += other >= one
        if self._loaded(weighted[other]) < self._loaded(weighted[one]):
            one, other = other, one
        yield weighted[one][0]
        yield weighted[other][0]
        rest = [target for number, (target, _) in enumerate(weighted) if number not in (one, other)]
        self._rng.shuffle(rest)
        yield from rest

    def took(self, target: T) -> None:
        """Its load will tell."""

    def _loaded(self, entry: tuple[T, float]) -> float:
        # One more, so that among the idle the heavier is better.
        return (self._load(entry[0]) + 1) / entry[1]


class Hash(Generic[T]):
    """
    The same target for the same key, at every worker and gateway, as long as it is there (weighted rendezvous hashing).

    A target that comes or goes moves only its own share of the keys.
    """

    def __init__(self, weighted: Sequence[tuple[T, float]], name: Callable[[T], str]) -> None:
        self._named = [(name(target).encode(), target, weight) for target, weight in weighted]
        self._known: dict[bytes, list[T]] = {}

    def candidates(self, key: bytes) -> Iterator[T]:
        """The targets in the key's own order."""
        if len(key) > MAX_KEY:
            key = blake2b(key, digest_size=32).digest()  # it may be a header of a client's choice, and is remembered
        order = self._known.get(key)
        if order is None:
            if len(self._known) >= MAX_KNOWN_KEYS:
                self._known.clear()
            scored = sorted(self._named, key=lambda entry: _score(key, entry[0], entry[2]), reverse=True)
            order = self._known[key] = [target for _, target, _ in scored]
        return iter(order)

    def took(self, target: T) -> None:
        """Keys have no turns."""


def _score(key: bytes, name: bytes, weight: float) -> float:
    drawn = int.from_bytes(blake2b(key, digest_size=7, key=blake2b(name, digest_size=16).digest()).digest(), "big")
    return -weight / log((drawn + 0.5) / 2**56)
