"""What limits cost an authorized GET that they let pass: one gateway without and others with them, in turns."""

from __future__ import annotations

from typing import Any

from benchmarks import wrk
from benchmarks.measure import middle, raw, rounds, sample
from benchmarks.peers.gateway import start_gateway
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table, Target
from benchmarks.stage import Running, Stage

CONNECTIONS = 64
PLAIN, RATE = "no limit", "rate"
LIMITS: dict[str, list[dict[str, Any]]] = {
    PLAIN: [],
    RATE: [{"rate": "1000000/s"}],
    "rate and quota": [{"rate": "1000000/s"}, {"quota": "1000000000000/month"}],
    "concurrency": [{"concurrency": 10_000}],
    "rate, one by one": [{"rate": "1000000/s", "burst": 15}],
}
"""The last one leases nothing, as rates below 1/s do: who waits together asks together."""
MOST = 1.15


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure the gateway alone, in one process for each kind of limit."""
    if "gateway" not in {peer.name for peer, _ in peers}:
        return
    able = [
        start_gateway(
            stage.bench, stage.upstream_port, store=stage.store_url, name=name,
            more={"routes": [{"path": "/v1/limited", "upstream": "legacy", "rewrite": "/v1/resource", "limits": limits}]},
        )
        for name, limits in LIMITS.items()
    ]  # fmt: skip
    headers = {"Authorization": f"Bearer {stage.token}"}
    samples = rounds(stage, able, lambda running, _: sample(
        stage, running, lambda: wrk.run(stage.bench, f"{running.url}/v1/limited", connections=CONNECTIONS, headers=headers),
        connections=CONNECTIONS, faults=report.faults,
    ), report.faults)  # fmt: skip
    plain = middle(samples[PLAIN], "cpu_us")
    rows: list[list[Cell]] = [
        [
            name, middle(found, "cpu_us"), middle(found, "cpu_us") / plain, min(one.cpu_us for one in found),
            middle(found, "store_us"), middle(found, "rate"),
        ]
        for name, found in samples.items()
    ]  # fmt: skip
    columns = ["limits", "µs CPU/request", "÷ none", "least", "store µs", "requests/s"]
    title = f"Authorized GET within its limits, one client, {CONNECTIONS} connections"
    report.tables.append(Table("limited", title, columns, rows, [], raw(samples)))
    report.targets.append(Target("a rate, to no limit", middle(samples[RATE], "cpu_us") / plain, MOST))
    for running in able:
        stage.bench.stop(running.process)
