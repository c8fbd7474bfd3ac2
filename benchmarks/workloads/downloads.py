"""64 KiB and 10 MiB answers: how many bytes a second of CPU relays."""

from __future__ import annotations

from benchmarks import wrk
from benchmarks.measure import Sample, middle, raw, rounds, sample
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table, Target
from benchmarks.stage import Running, Stage

_SIZES = {"64k": ("64 KiB", 64), "10m": ("10 MiB", 8)}
_PEERS = ("gateway", "nginx", "nginx+lua+redis", "haproxy+map", "envoy", "caddy", "aiohttp")


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure both sizes."""
    able = [running for peer, running in peers if peer.name in _PEERS]
    for name, (size, connections) in _SIZES.items():
        samples = _measure(stage, able, f"/files/{name}", connections, report.faults)
        ours = middle(samples["gateway"], "mb_per_cpu_s") if "gateway" in samples else None
        rows: list[list[Cell]] = []
        for peer, found in samples.items():
            mine = middle(found, "mb_per_cpu_s")
            rows.append([peer, mine, mine / ours if ours else None, middle(found, "rate"), middle(found, "p99") * 1e3])
        columns = ["proxy", "MB per CPU-second", "÷ ours", "requests/s", "p99 ms"]
        title = f"Downloads of {size}, {connections} connections"
        report.tables.append(Table(f"downloads-{name}", title, columns, rows, [], raw(samples)))
        if ours and "nginx" in samples:
            theirs = middle(samples["nginx"], "mb_per_cpu_s")
            report.targets.append(Target(f"{size} downloads: MB per CPU-second to nginx", ours / theirs, 0.9, at_least=True))


def _measure(stage: Stage, able: list[Running], path: str, connections: int, faults: list[str]) -> dict[str, list[Sample]]:
    headers = {"Authorization": f"Bearer {stage.token}"}
    return rounds(stage, able, lambda running, _: sample(
        stage, running, lambda: wrk.run(stage.bench, running.url + path, connections=connections, headers=headers),
        connections=connections, faults=faults,
    ), faults)  # fmt: skip
