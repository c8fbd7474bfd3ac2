"""The soak's arithmetic; it runs by hand (F28)."""

from benchmarks.soak import Sample, Soak


def test_the_slope_is_of_the_last_two_thirds() -> None:
    """KB a minute: warming up does not count."""
    soak = Soak(samples=[Sample(second, 1000 if second < 30 else 2000 + 2 * second, 9) for second in range(90)])
    assert soak.slope() == 120.0
    assert Soak(samples=[Sample(1.0, 5, 5)]).slope() == 0.0
