"""Counters of workers that are no more: sums on /metrics may never go down because a worker was replaced."""

from __future__ import annotations

from gateway.telemetry.metrics import Snapshot, merge


class Tally:
    """What dead workers counted, added up."""

    def __init__(self) -> None:
        self.total: Snapshot = {}

    def add(self, last: Snapshot) -> None:
        """Keep the counters and histograms of a dead worker's last snapshot; its gauges died with it."""
        counted = {name: family for name, family in last.items() if family["kind"] != "gauge"}
        self.total = merge([self.total, counted])
