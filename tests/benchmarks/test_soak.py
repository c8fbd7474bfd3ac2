"""The soak, for seconds instead of a day: what it looks for is not there."""

from benchmarks.soak import Sample, Soak, run


async def test_f28_churn_leaves_nothing_behind_and_nobody_sees_what_he_should_not() -> None:
    """Restarts of the upstream, clients that leave in the middle of answers, tokens refreshed and revoked."""
    found = await run(6.0)
    assert found.faults == []
    assert found.left_over <= 0
    assert found.statuses["200"] > 0
    assert found.statuses["revoked 401"] > 0


def test_the_slope_is_of_the_last_two_thirds() -> None:
    """KB a minute: warming up does not count."""
    soak = Soak(samples=[Sample(second, 1000 if second < 30 else 2000 + 2 * second, 9) for second in range(90)])
    assert soak.slope() == 120.0
    assert Soak(samples=[Sample(1.0, 5, 5)]).slope() == 0.0
