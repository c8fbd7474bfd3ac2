"""When checks take a target out of service and bring it back."""

from __future__ import annotations

from gateway.upstreams.thresholds import Thresholds


def course(outcomes: str, *, healthy: int = 2, unhealthy: int = 3) -> str:
    """What became of it after each check: ``+`` passed, ``-`` failed; ``h`` healthy, ``u`` not, capital where it changed."""
    thresholds = Thresholds(healthy=healthy, unhealthy=unhealthy)
    course = ""
    for outcome in outcomes:
        changed = thresholds.take(passed=outcome == "+")
        letter = "h" if thresholds.healthy else "u"
        course += letter.upper() if changed else letter
    return course


def test_it_begins_healthy_and_stays_so() -> None:
    assert course("+++") == "hhh"


def test_so_many_failures_in_a_row_take_it_out() -> None:
    assert course("--+---") == "hhhhhU"


def test_so_many_successes_in_a_row_bring_it_back() -> None:
    assert course("---+-++--") == "hhUuuuHhh"


def test_one_may_be_enough() -> None:
    assert course("-+-", healthy=1, unhealthy=1) == "UHU"
