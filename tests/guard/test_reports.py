"""Findings of a worker: counted, bounded, handed on."""

from __future__ import annotations

import pytest

from gateway.errors import InsufficientScope, TokenMissing
from gateway.guard import reports
from gateway.guard.reports import Finding, Reports
from gateway.telemetry.metrics import Registry
from tests.guard.test_permit import a_match


def test_findings_are_counted_and_taken_once() -> None:
    registry = Registry()
    found = Reports(registry)
    for _ in range(2):
        found.note(a_match(), "gwc_me", None)
    found.note(a_match(), "", TokenMissing())
    found.note(a_match("POST"), "gwc_me", InsufficientScope(frozenset("a")))
    assert found.take() == {
        Finding("/x", "GET", "gwc_me", ""): 2, Finding("/x", "GET", "", "token_missing"): 1,
        Finding("/x", "POST", "gwc_me", "insufficient_scope"): 1,
    }  # fmt: skip
    assert found.take() == {}
    series = registry.snapshot()["gateway_reported_requests_total"]["series"]
    assert sum(series.values()) == 4


def test_what_could_not_be_handed_on_is_added_again() -> None:
    found = Reports(Registry())
    found.note(a_match(), "gwc_me", None)
    taken = found.take()
    found.note(a_match(), "gwc_me", None)
    found.put_back(taken)
    assert found.take() == {Finding("/x", "GET", "gwc_me", ""): 2}


def test_they_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_KEPT", 3)
    found = Reports(Registry())
    for number in range(10):
        found.note(a_match(), f"gwc_{number}", None)
    found.note(a_match(), "gwc_0", None)
    assert list(found.take().values()) == [2, 1, 1]
