"""The minimum rate of a body, on a clock of the test's own."""

from __future__ import annotations

from math import inf

from gateway.edge.pace import GRACE, Pace, Reading


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


# --- readers ------------------------------------------------------------------------------------------------------------------


def late(reading: Reading, owed: int, now: float, *, needed: bool = False, rate: int = 100) -> bool:
    return reading.is_late(owed, now, rate=rate, between_bytes=60.0, needed=needed)


def test_x03_a_reader_may_stop_for_a_while_but_not_on_average() -> None:
    """Each sixty seconds are looked at by themselves."""
    reading = Reading(1_000_000, 0.0)
    assert not late(reading, 1_000_000, 59.0)
    assert not late(reading, 994_000, 60.0)
    assert not late(reading, 994_000, 119.0)
    assert late(reading, 994_000 - 5_999, 120.0)


def test_x03_where_others_need_its_connection_it_may_not() -> None:
    """After the grace, as for bodies; who is fast enough is left alone."""
    assert not late(Reading(10_000, 0.0), 10_000, GRACE - 0.1, needed=True)
    assert late(Reading(10_000, 0.0), 10_000 - 499, GRACE, needed=True)
    fast = Reading(1_000_000, 0.0)
    assert not late(fast, 10_000, GRACE, needed=True)
    assert not late(fast, 10_000 - 500, 2 * GRACE, needed=True)
    assert late(fast, 10_000 - 500, 3 * GRACE, needed=True)  # what it took before is no credit


def test_x03_without_a_rate_anything_at_all_is_enough() -> None:
    """Even where the connection is needed; but silence is none."""
    reading = Reading(10, 0.0)
    assert not late(reading, 10, 59.0, rate=0, needed=True)
    assert not late(reading, 9, 60.0, rate=0, needed=True)
    assert late(reading, 9, 120.0, rate=0, needed=True)


def test_what_is_written_meanwhile_is_no_progress_lost() -> None:
    reading = Reading(1000, 0.0)
    reading.add(9000)
    assert not late(reading, 1000, 60.0)


def test_it_is_asked_in_time_for_both() -> None:
    assert Reading.look(10.0, 60.0) == 10.0 + GRACE
    assert Reading.look(10.0, 0.2) == 10.2
