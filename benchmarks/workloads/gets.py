"""The table that all workloads of small GETs share."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.measure import Sample, middle, raw
from benchmarks.report import Cell, Table, Target
from benchmarks.stage import Running

OURS = "gateway"
LUA_REDIS = "nginx+lua+redis"
_COLUMNS = ["proxy", "µs CPU/request", "÷ ours", "least", "store µs", "requests/s", "p50 ms", "p99 ms", "RSS MB", "PSS MB"]


def table(name: str, title: str, samples: dict[str, list[Sample]], peers: Sequence[Running], notes: list[str]) -> Table:
    """Medians over the rounds; ``least`` is the best round's CPU."""
    ours = cpu(samples, OURS)
    rows: list[list[Cell]] = []
    for peer in peers:
        if peer.name in samples:
            found, size = samples[peer.name], peer.memory()
            mine = middle(found, "cpu_us")
            rows.append([
                peer.name, mine, mine / ours if ours else None, min(one.cpu_us for one in found), middle(found, "store_us"),
                middle(found, "rate"), middle(found, "p50") * 1e3, middle(found, "p99") * 1e3, size.rss / 1e6, size.pss / 1e6,
            ])  # fmt: skip
    return Table(name, title, list(_COLUMNS), rows, notes, raw(samples))


def cpu(samples: dict[str, list[Sample]], peer: str) -> float | None:
    """The median CPU for a request, in microseconds, where there is one."""
    return middle(samples[peer], "cpu_us") if peer in samples else None


def ratio(samples: dict[str, list[Sample]], peer: str, what: str, limit: float) -> list[Target]:
    """Ours to a peer's CPU, as a target; nothing when one of them is missing."""
    ours, theirs = cpu(samples, OURS), cpu(samples, peer)
    return [Target(what, ours / theirs, limit)] if ours and theirs else []
