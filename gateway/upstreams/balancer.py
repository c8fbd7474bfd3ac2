"""In which order the targets of an upstream are tried.  Pure: an iterator of candidates; health is the caller's question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class RoundRobin(Generic[T]):
    """Each call begins one further."""

    __slots__ = ("_next", "_targets")

    def __init__(self, targets: Sequence[T]) -> None:
        self._targets = tuple(targets)
        self._next = 0

    def __len__(self) -> int:
        return len(self._targets)

    def first(self) -> T:
        """The target whose turn it is."""
        targets = self._targets
        if len(targets) == 1:
            return targets[0]
        self._next = (self._next + 1) % len(targets)
        return targets[self._next]

    def after(self, target: T) -> T:
        """The target to try when ``target`` can't be reached."""
        return self._targets[(self._targets.index(target) + 1) % len(self._targets)]
