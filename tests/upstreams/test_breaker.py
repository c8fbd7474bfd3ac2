"""When a target goes out of service and how it comes back."""

from __future__ import annotations

import pytest

from gateway.upstreams.breaker import FIRST_SHARE, TRANSITIONS, Breaker, Event, State, step


def a_breaker(limit: int = 3) -> Breaker:
    return Breaker(limit, shortest=1.0, longest=30.0, ramp=10.0)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_the_machine_is_total(state: State, event: Event) -> None:
    """What is not in the table changes nothing."""
    assert step(state, event) is TRANSITIONS.get((state, event), state)


def test_failures_in_a_row_trip_it() -> None:
    breaker = a_breaker()
    assert [breaker.fail(), breaker.fail(), breaker.fail()] == [False, False, True]


def test_an_answer_between_them_ends_the_row() -> None:
    breaker = a_breaker()
    breaker.fail()
    breaker.fail()
    breaker.succeed()
    assert [breaker.fail(), breaker.fail(), breaker.fail()] == [False, False, True]


def test_each_time_out_of_service_takes_twice_as_long() -> None:
    """1 s to 30 s, as long as it does not settle in between."""
    breaker = a_breaker()
    taken, now = [], 0.0
    for _ in range(7):
        taken.append(breaker.trip(now))
        assert (breaker.state, breaker.until) == (State.EJECTED, now + taken[-1])
        now = breaker.until
        breaker.recover(now)
    assert taken == [1, 2, 4, 8, 16, 30, 30]


def test_a_time_that_is_prolonged_doubles_too() -> None:
    breaker = a_breaker()
    assert [breaker.trip(0.0), breaker.prolong(1.0), breaker.prolong(3.0)] == [1, 2, 4]
    assert (breaker.state, breaker.until) == (State.EJECTED, 7.0)


def test_its_share_grows_while_it_returns_until_it_settles() -> None:
    """From a tenth to all of it in ten seconds; then its past is forgotten."""
    breaker = a_breaker()
    breaker.trip(0.0)
    assert breaker.share(0.5) == 0.0
    breaker.recover(100.0)
    assert [breaker.share(100.0 + s) for s in (0, 0.5, 5, 9)] == [FIRST_SHARE, FIRST_SHARE, 0.5, 0.9]
    assert breaker.state is State.RETURNING
    assert breaker.share(110.0) == 1.0
    assert breaker.state is State.SERVING
    assert breaker.trip(120.0) == 1.0


def test_one_failure_is_enough_while_it_returns() -> None:
    breaker = a_breaker()
    breaker.trip(0.0)
    breaker.recover(1.0)
    assert breaker.fail()
    assert breaker.trip(1.5) == 2.0


def test_a_late_recovery_is_none() -> None:
    """An answer to one in service starts no ramp."""
    breaker = a_breaker()
    breaker.recover(5.0)
    assert breaker.share(5.0) == 1.0
    breaker.trip(6.0)
    breaker.recover(7.0)
    breaker.recover(16.0)
    assert breaker.share(17.0) == 1.0
