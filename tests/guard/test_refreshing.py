"""How often keys are fetched, and how long they are good without."""

from __future__ import annotations

from gateway.guard.refreshing import Refreshing


def test_it_is_fetched_when_old_and_good_for_a_while_after_that_failed() -> None:
    times = Refreshing(600, 3600)
    assert (times.is_good(0), times.is_due(0)) == (False, True)
    times.began(0)
    times.succeeded(1)
    assert [times.is_due(now) for now in (1, 600, 601)] == [False, False, True]
    assert [times.is_good(now) for now in (1, 3600, 3601)] == [True, True, False]


def test_x12_no_more_than_one_fetch_a_pause_whoever_asks() -> None:
    times = Refreshing(600, 3600, pause=10)
    times.began(0)
    times.succeeded(0.1)
    assert [times.may_fetch(now) for now in (0.2, 9.9, 10)] == [False, False, True]
    assert times.wait(4) == 6


def test_failures_are_tried_again_soon_and_then_more_rarely() -> None:
    """A second, two, four; half a minute at most; a success ends it."""
    times, now, waits = Refreshing(600, 3600), 0.0, []
    for _ in range(8):
        times.began(now)
        times.failed()
        waits.append(times.wait(now))
        now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert times.is_failing
    times.began(now)
    times.succeeded(now)
    assert not times.is_failing
    assert times.wait(now) == 10
