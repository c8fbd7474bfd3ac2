"""Floods of bad tokens, on a clock of the test's own."""

from __future__ import annotations

import pytest

from gateway.guard import floods
from gateway.guard.floods import LONGEST, Floods

A, B = b"\xc0\x00\x02\x01", b"\xc0\x00\x02\x02"


def some_floods(rate: int = 100) -> Floods:
    return Floods(rate, key=b"of the test")


def spend(table: Floods, source: bytes, count: int, now: float) -> None:
    for _ in range(count):
        table.charge(source, now)


def test_x12_a_burst_passes_and_then_the_rate() -> None:
    """100 a second: two seconds' worth at once; after that one every ten milliseconds."""
    table = some_floods()
    spend(table, A, 199, 50.0)
    assert table.wait(A, 50.0) == 0.0
    table.charge(A, 50.0)
    assert table.wait(A, 50.0) == pytest.approx(0.01)
    assert table.wait(A, 50.01) == 0.0
    table.charge(A, 50.01)
    assert table.wait(A, 50.012) != 0.0


def test_who_keeps_to_the_rate_never_waits() -> None:
    table = some_floods(10)
    for second in range(100):
        spend(table, A, 10, float(second))
        assert table.wait(A, second + 0.5) == 0.0


def test_x12_a_source_is_nobody_else_s() -> None:
    table = some_floods()
    spend(table, A, 1000, 50.0)
    assert table.wait(A, 50.0) > 1.0
    assert table.wait(B, 50.0) == 0.0


def test_nobody_waits_for_ever() -> None:
    """Whatever was on its way when the limit was reached."""
    table = some_floods(1)
    spend(table, A, 10_000, 50.0)
    assert table.wait(A, 50.0) == LONGEST + 1.0
    assert table.wait(A, 50.0 + LONGEST + 1.0) == 0.0


def test_x12_a_flooder_is_not_forgotten_for_the_sake_of_a_million_others() -> None:
    """The place that is forgiven soonest is taken, and that is theirs."""
    table = some_floods()
    spend(table, A, 300, 50.0)
    for number in range(100_000):
        table.charge(number.to_bytes(8, "big"), 50.0)
    assert table.wait(A, 50.0) > 0.9


def test_x12_memory_is_what_it_is() -> None:
    """A table of fixed size: full, it forgets who spent least."""
    table = some_floods()
    size = len(table._tags)
    for number in range(3 * size):
        table.charge(number.to_bytes(8, "big"), float(number) / 1000)
    assert (len(table._tags), len(table._forgiven)) == (size, size)
    assert sum(table.wait(number.to_bytes(8, "big"), 0.0) != 0.0 for number in range(3 * size)) <= size


def test_who_shares_a_set_is_not_for_a_stranger_to_know() -> None:
    """Another key, other sets: what was found out about one gateway says nothing about another."""
    def sets(key: bytes) -> list[int]:
        table = Floods(1, key=key)
        return [table._tag(number.to_bytes(8, "big"))[1] for number in range(64)]

    assert sets(b"one") == sets(b"one") != sets(b"other")
    assert all(first % floods._WAYS == 0 and first < floods._SETS * floods._WAYS for first in sets(b"one"))
