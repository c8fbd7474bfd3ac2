"""How good a candidate an address is."""

from __future__ import annotations

from itertools import pairwise

from gateway.upstreams.breaker import Breaker
from gateway.upstreams.standing import GOOD, NEVER, OUT, RETURNING, Standing
from gateway.upstreams.thresholds import Thresholds


def a_breaker() -> Breaker:
    return Breaker(1, shortest=1.0, longest=30.0, ramp=10.0)


def test_one_of_which_nothing_is_known_is_good() -> None:
    assert Standing(None, None, 0.0).rank(0.0) == GOOD
    assert Standing(a_breaker(), Thresholds(healthy=1, unhealthy=1), 0.0).rank(0.0) == GOOD


def test_one_that_is_out_is_tried_when_nothing_else_is_left() -> None:
    """Unless connections to it hang: that would cost time."""
    standing = Standing(a_breaker(), None, 0.0)
    assert standing.breaker is not None
    standing.breaker.trip(0.0)
    assert (standing.out, standing.rank(0.0)) == (True, OUT)
    standing.is_silent = True
    assert standing.rank(0.0) == NEVER


def test_one_that_its_checks_call_unhealthy_is_out_too() -> None:
    standing = Standing(None, Thresholds(healthy=1, unhealthy=1), 0.0)
    assert standing.thresholds is not None
    standing.thresholds.take(passed=False)
    assert (standing.out, standing.ejected, standing.rank(0.0)) == (True, False, OUT)


def test_one_that_returns_is_good_as_often_as_its_share_says() -> None:
    """Evenly: a tenth at first, half of the turns at half of the ramp, each one after it."""
    standing = Standing(a_breaker(), None, 0.0)
    assert standing.breaker is not None
    standing.breaker.trip(0.0)
    standing.breaker.recover(100.0)
    assert [standing.rank(100.0) for _ in range(10)].count(GOOD) in (0, 1)
    standing._credit = 0.0
    ranks = [standing.rank(105.0) for _ in range(20)]
    assert ranks.count(GOOD) == 10
    assert all({one, other} == {GOOD, RETURNING} for one, other in pairwise(ranks))
    assert [standing.rank(110.0) for _ in range(5)] == [GOOD] * 5
