"""The minimum rate of a body, on a clock of the test's own."""

from __future__ import annotations

from math import inf

from gateway.edge.pace import GRACE, Pace


def test_x02_the_grace_comes_first_and_then_the_average() -> None:
    """240 bytes a second for a minute and then nothing lasts a minute; a head start counts as well."""
    pace = Pace(240, 100.0)
    assert pace.due(0) == pace.due(1) == 100.0 + GRACE
    assert pace.due(240 * 60) == 160.0


def test_x02_time_in_which_we_did_not_read_does_not_count() -> None:
    pace = Pace(100, 0.0)
    pace.pause(2.0)
    pace.pause(5.0)  # of one pause the beginning counts
    pace.resume(12.0)
    pace.resume(13.0)
    assert pace.due(0) == GRACE + 10.0
    assert pace.due(1000) == 20.0


def test_no_rate_is_never_too_slow() -> None:
    assert Pace(0, 0.0).due(0) == inf
