"""Metrics as Prometheus reads them: prometheus_client's own parser is the oracle."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.metrics import Registry, Snapshot, merge, render


def parsed(snapshot: Snapshot) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(sample name, sorted labels) → value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(render(snapshot).decode())
        for sample in family.samples
    }


def test_each_kind_reads_back() -> None:
    """Counters, gauges, histograms and what is read at the time of the snapshot."""
    registry = Registry()
    registry.counter("gateway_things_total", "Things.", kind="a").inc(3)
    registry.gauge("gateway_level", "Level.").value = -1.5
    registry.watch("gateway_now", "Now.", lambda: 42)
    histogram = registry.histogram("gateway_seconds", "Seconds.", (0.1, 1.0), route="/x")
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(value)
    assert parsed(registry.snapshot()) == {
        ("gateway_things_total", (("kind", "a"),)): 3,
        ("gateway_level", ()): -1.5,
        ("gateway_now", ()): 42,
        ("gateway_seconds_bucket", (("le", "0.1"), ("route", "/x"))): 2,
        ("gateway_seconds_bucket", (("le", "1"), ("route", "/x"))): 3,
        ("gateway_seconds_bucket", (("le", "+Inf"), ("route", "/x"))): 4,
        ("gateway_seconds_sum", (("route", "/x"),)): pytest.approx(7.65),
        ("gateway_seconds_count", (("route", "/x"),)): 4,
    }


def test_help_and_type_stand_once_a_family() -> None:
    """Whatever the number of its children."""
    registry = Registry()
    for route in ("/a", "/b"):
        registry.counter("gateway_requests_total", "Requests.", route=route)
    text = render(registry.snapshot()).decode()
    assert text.count("# HELP gateway_requests_total Requests.\n") == text.count("# TYPE gateway_requests_total counter\n") == 1
    assert text.endswith("\n")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_any_label_reads_back(value: str) -> None:
    """Quotes, backslashes and newlines are escaped; a label can't begin a line of its own."""
    registry = Registry()
    registry.counter("gateway_requests_total", "Requests.", route=value).inc()
    text = render(registry.snapshot()).decode()
    assert text.count("\n") == 3
    if not set(value) & set("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"):  # at which the oracle, and only that, breaks lines
        assert parsed(registry.snapshot())["gateway_requests_total", (("route", value),)] == 1


def test_the_same_name_and_labels_are_one_child() -> None:
    """And a name has one kind."""
    registry = Registry()
    assert registry.counter("gateway_x", "X.", a="1") is registry.counter("gateway_x", "X.", a="1")
    assert registry.counter("gateway_x", "X.", a="1") is not registry.counter("gateway_x", "X.", a="2")
    with pytest.raises(ValueError, match="counter"):
        registry.gauge("gateway_x", "X.")


def test_snapshots_of_workers_add_up() -> None:
    """Children that only some have, too; they survive JSON on their way to the supervisor."""
    snapshots = []
    for worker in range(3):
        registry = Registry()
        registry.counter("gateway_requests_total", "Requests.", route="/x").inc(worker)
        registry.counter("gateway_requests_total", "Requests.", route=f"/{worker}").inc()
        registry.histogram("gateway_seconds", "Seconds.", (1.0,)).observe(worker)
        snapshots.append(json.loads(json.dumps(registry.snapshot())))
    before = json.dumps(snapshots)
    assert parsed(merge(snapshots)) == {
        ("gateway_requests_total", (("route", "/x"),)): 3,
        **{("gateway_requests_total", (("route", f"/{worker}"),)): 1 for worker in range(3)},
        ("gateway_seconds_bucket", (("le", "1"),)): 2,
        ("gateway_seconds_bucket", (("le", "+Inf"),)): 3,
        ("gateway_seconds_sum", ()): 3,
        ("gateway_seconds_count", ()): 3,
    }
    assert json.dumps(snapshots) == before, "merging changes no snapshot"
    assert merge([]) == {}


@given(st.lists(st.floats(0, 100), max_size=30))
def test_buckets_are_cumulative(values: list[float]) -> None:
    """A value on a bound belongs to it (``le``)."""
    registry = Registry()
    histogram = registry.histogram("gateway_seconds", "Seconds.")
    for value in values:
        histogram.observe(value)
    samples = parsed(registry.snapshot())
    for (name, labels), count in samples.items():
        if name == "gateway_seconds_bucket":
            bound = float(dict(labels)["le"])
            assert count == sum(value <= bound for value in values)
    assert samples["gateway_seconds_count", ()] == len(values)
    assert math.isclose(samples["gateway_seconds_sum", ()], sum(values), abs_tol=1e-9)
