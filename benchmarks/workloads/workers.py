"""One worker and two: how throughput grows, and what bounds it here."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import wrk
from benchmarks.accounting import cpu_ns
from benchmarks.bench import BenchError
from benchmarks.peers.gateway import start_gateway
from benchmarks.peers.peer import Peer
from benchmarks.quota import share
from benchmarks.report import Cell, Report, Table, Target
from benchmarks.stage import Running, Stage

CONNECTIONS = 64
SHARE = 30
"""Percent of a core for each worker, so that one, two and all that loads them fit two cores."""


@dataclass(frozen=True, slots=True)
class _Sample:
    rate: float
    cpu_us: float
    p99: float
    uneven: float
    """The busiest worker's part of the workers' CPU, times their number: 1 is even."""


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure both on all cores, and both with a share of a core for each worker."""
    if "gateway" not in {peer.name for peer, _ in peers}:
        return
    found: dict[tuple[int, bool], list[_Sample]] = {}
    for number in range(stage.bench.rounds):
        for workers in (1, 2) if number % 2 == 0 else (2, 1):
            for limited in (False, True):
                try:
                    found.setdefault((workers, limited), []).append(_one(stage, workers, limited=limited))
                except BenchError as exc:
                    report.skipped.append(f"workers, {workers}{' with a share of a core' * limited}: {exc}")
    _tell({key: samples for key, samples in found.items() if samples}, report)


def _one(stage: Stage, workers: int, *, limited: bool) -> _Sample:
    """A gateway of its own for each sample, as it is a matter of luck, too, which worker accepts how many connections."""
    name = f"gateway-{workers}"
    running = start_gateway(
        stage.bench, stage.upstream_port, store=stage.store_url, name=name, more={"workers": workers}, core=-1
    )
    try:
        pids = _workers(stage.bench.work / f"{name}.log", running, workers)
        load = {"connections": CONNECTIONS, "headers": {"Authorization": f"Bearer {stage.token}"}, "core": -1}
        wrk.run(stage.bench, f"{running.url}/v1/resource", seconds=1, **load)  # type: ignore[arg-type]
        with share(pids, SHARE) if limited else contextlib.nullcontext():
            before, each = running.cpu_ns(), [cpu_ns([pid]) for pid in pids]
            done = wrk.run(stage.bench, f"{running.url}/v1/resource", **load)  # type: ignore[arg-type]
            spent = running.cpu_ns() - before
            parts = [cpu_ns([pid]) - had for pid, had in zip(pids, each, strict=True)]
        if done.failed or done.refused:
            raise BenchError(f"{done.failed} requests failed, {done.refused} were refused")
        return _Sample(done.rate, spent / done.requests / 1000, done.p99, max(parts) / sum(parts) * workers)
    finally:
        stage.bench.stop(running.process)


def _workers(log: Path, running: Running, count: int) -> list[int]:
    """Process ids of the workers, once all have started; with one, it is the gateway itself."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = log.read_text(errors="replace").rpartition("\n")[0].splitlines()
        events = [json.loads(line) for line in lines if line.startswith("{")]
        if any(event["event"] == "gateway.started" for event in events):
            pids = [event["pid"] for event in events if event["event"] == "worker.started"] or [running.process.pid]
            if len(pids) == count:
                return pids
        time.sleep(0.02)
    raise BenchError("the workers did not start")


def _tell(found: dict[tuple[int, bool], list[_Sample]], report: Report) -> None:
    rows: list[list[Cell]] = []
    for limited in (False, True):
        one = found.get((1, limited))
        for workers in (1, 2):
            samples = found.get((workers, limited))
            if samples and one:
                rate = median(sample.rate for sample in samples)
                where = f"{SHARE} % of a core each" if limited else "both cores, shared with all else"
                rows.append([
                    f"workers: {workers}, {where}", rate, rate / median(sample.rate for sample in one),
                    median(sample.cpu_us for sample in samples), median(sample.p99 for sample in samples) * 1e3,
                    median(sample.uneven for sample in samples),
                ])  # fmt: skip
    columns = ["", "requests/s", "÷ one worker", "µs CPU/request", "p99 ms", "busiest worker's part × workers"]
    notes = [
        "both cores: wrk, the upstream and the store want their part of the same two cores, and that is the bound",
        f"{SHARE} % of a core each (the kernel's bandwidth control): what a machine with cores enough would show",
    ]
    title = f"One worker and two: authorized GET, {CONNECTIONS} connections"
    report.tables.append(Table("workers", title, columns, rows, notes))
    two, one = found.get((2, True)), found.get((1, True))
    if two and one:
        ratio = median(sample.rate for sample in two) / median(sample.rate for sample in one)
        report.targets.append(Target("workers: 2 to workers: 1, requests/s with equal shares", ratio, 1.8, at_least=True))
