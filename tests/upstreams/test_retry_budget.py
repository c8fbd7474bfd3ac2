"""How many requests may be sent twice (X11)."""

from __future__ import annotations

from gateway.upstreams.retry_budget import FIRST, MOST, RetryBudget


def spent(budget: RetryBudget, requests: int, now: float) -> int:
    """How many retries there are to be had at once."""
    count = 0
    while budget.take(requests, now):
        count += 1
    return count


def test_a_few_are_there_from_the_beginning() -> None:
    assert spent(RetryBudget(20, 0.0), 0, 0.0) == FIRST


def test_x11_requests_earn_a_fifth() -> None:
    budget = RetryBudget(20, 0.0)
    spent(budget, 0, 0.0)
    assert spent(budget, 100, 0.0) == 20
    assert spent(budget, 100, 0.0) == 0
    assert spent(budget, 104, 0.0) == 0
    assert spent(budget, 105, 0.0) == 1


def test_x11_in_the_long_run_it_is_a_fifth_and_one_a_second() -> None:
    """However much one would like to have."""
    budget = RetryBudget(20, 0.0)
    total = sum(spent(budget, 50 * second, float(second)) for second in range(1, 101))
    assert total == FIRST + 50 * 100 * 0.2 + 100


def test_time_earns_a_little_for_who_asks_seldom() -> None:
    budget = RetryBudget(20, 0.0)
    spent(budget, 0, 0.0)
    assert spent(budget, 0, 3.0) == 3


def test_savings_are_bounded() -> None:
    budget = RetryBudget(20, 0.0)
    assert spent(budget, 1_000_000, 1e6) == MOST


def test_an_address_that_has_gone_takes_nothing_back() -> None:
    """With it go the requests that it was sent; what they earned, and what the others will earn, stays."""
    budget = RetryBudget(20, 0.0)
    assert spent(budget, 100_000, 0.0) == 100
    assert spent(budget, 10, 0.0) == 0
    assert spent(budget, 60, 0.0) == 10


def test_zero_percent_is_none_at_all() -> None:
    assert spent(RetryBudget(0, 0.0), 1_000, 100.0) == 0
