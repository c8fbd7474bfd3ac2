"""What the proxy adds to a request's time while it is half busy: an open loop, at half of what the slower one can take."""

from __future__ import annotations

from statistics import median
from typing import Any

from benchmarks import wrk
from benchmarks.loads import run_load
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table
from benchmarks.stage import Running, Stage

CONNECTIONS = 64
_PEERS = ("gateway", "nginx", "nginx+lua+redis", "envoy")
_SLOWER = ("gateway", "nginx")
"""Between whom half load is agreed; the others get the same requests."""


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure the way through each proxy and the way to the upstream itself, in turn in every round."""
    able = {running.name: running.port for peer, running in peers if peer.name in _PEERS}
    rate = min(_capacity(stage, port) for name, port in able.items() if name in _SLOWER) / 2
    ways = {"direct": stage.upstream_port, **able}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    for number in range(stage.bench.rounds):
        for name in ways if number % 2 == 0 else reversed(ways):
            done = run_load(
                stage.bench, "arrivals", within=stage.bench.seconds + 30, port=ways[name], path="/v1/resource",
                token=stage.token, rate=rate, connections=CONNECTIONS, seconds=stage.bench.seconds, seed=number,
            )  # fmt: skip
            found[name].append(done)
            if done["failed"]:
                report.faults.append(f"latency, {name}: {done['failed']} answers failed")
    _tell(found, rate, report)


def _capacity(stage: Stage, port: int) -> float:
    """Requests a second with 64 connections that always ask."""
    headers = {"Authorization": f"Bearer {stage.token}"}
    url = f"http://127.0.0.1:{port}/v1/resource"
    return wrk.run(stage.bench, url, connections=CONNECTIONS, seconds=2, headers=headers).rate


def _tell(found: dict[str, list[dict[str, Any]]], rate: float, report: Report) -> None:
    def middle(name: str, what: str) -> float:
        return float(median(done[what] for done in found[name])) * 1e3

    rows: list[list[Cell]] = []
    for name in found:
        added = [None, None] if name == "direct" else [middle(name, what) - middle("direct", what) for what in ("p50", "p99")]
        rows.append([name, *(middle(name, what) for what in ("p50", "p99", "p999")), *added, middle(name, "late_p99")])
    columns = ["way", "p50 ms", "p99 ms", "p99.9 ms", "added p50 ms", "added p99 ms", "generator late p99 ms"]
    notes = [
        "Poisson arrivals, the same for all; time counts from the planned arrival, whatever a request had to wait for",
        "the generator shares its core with the upstream (and the store): its own lateness, in the last column, is in all ways",
    ]
    title = f"Latency at half load: {rate:,.0f} authorized GETs a second, {CONNECTIONS} connections"
    report.tables.append(Table("latency", title, columns, rows, notes, dict(found)))
