"""A replaced worker's counters stay in the sum."""

from __future__ import annotations

from gateway.ops.tally import Tally
from gateway.telemetry.metrics import Registry, merge


def _worker(requests: int) -> Registry:
    registry = Registry()
    registry.counter("gateway_requests_total", "Requests.").inc(requests)
    registry.gauge("gateway_connections", "Connections.").value = 7
    registry.histogram("gateway_seconds", "Times.", (1.0,)).observe(0.5)
    return registry


def test_counters_and_histograms_stay_and_gauges_go() -> None:
    """The sum over the dead and the living never falls."""
    tally = Tally()
    tally.add(_worker(3).snapshot())
    tally.add(_worker(4).snapshot())
    page = merge([tally.total, _worker(1).snapshot()])
    assert page["gateway_requests_total"]["series"][""] == 8
    assert page["gateway_seconds"]["series"][""] == [3, 0, 1.5]
    assert page["gateway_connections"]["series"][""] == 7
