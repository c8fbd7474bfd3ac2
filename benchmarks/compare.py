"""
This checkout beside another one, in turns: ``python -m benchmarks.compare OTHER [--rounds 7] [--seconds 4]``.

OTHER is a folder with an older state (``git worktree add --detach /tmp/before COMMIT``).  Two things are compared: the code of
an authorized request with sockets apart (`benchmarks.hot_path`, as it stands in each checkout), and the whole authorized GET by
wrk through ``gateway serve``.  The exit code is 1 when this one costs more than `LIMIT` of the other.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

from benchmarks import wrk
from benchmarks.__main__ import WORK
from benchmarks.bench import Bench, Cores
from benchmarks.measure import check, middle, raw, rounds, sample
from benchmarks.peers.gateway import start_gateway
from benchmarks.report import Cell, Report, Table, Target
from benchmarks.stage import Running, Stage
from benchmarks.workloads.startup import fetch_token

LIMIT = 1.05
CONNECTIONS = 64
_HERE = Path(__file__).parents[1]
_LINE = re.compile(r"(\d+) tokens: +([\d.]+) us")


def main() -> int:
    """Compare, print, and say whether the limit holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description="This checkout beside another one.")
    parser.add_argument("other", type=Path, help="folder of the other checkout")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    report = Report(f"{_HERE} beside {options.other}, {options.rounds} rounds")
    checkouts = {"before": options.other.resolve(), "now": _HERE}
    with Bench(WORK, Cores.choose(), options.seconds, options.rounds) as bench:
        _hot_path(bench, checkouts, report)
        _authorized(bench, checkouts, report)
    print(report.as_text())
    return 1 if report.faults or not all(target.reached for target in report.targets) else 0


def _hot_path(bench: Bench, checkouts: dict[str, Path], report: Report) -> None:
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(bench.rounds):
        for name in checkouts if number % 2 == 0 else reversed(checkouts):
            for tokens, took in _one_hot_path(bench, checkouts[name]):
                found.setdefault((tokens, name), []).append(took)
    rows: list[list[Cell]] = []
    for tokens in sorted({tokens for tokens, _ in found}, key=int):
        before, now = found[tokens, "before"], found[tokens, "now"]
        ratio = median(now) / median(before)
        rows.append([f"{tokens} tokens", median(before), median(now), ratio, min(before), min(now), min(now) / min(before)])
        report.targets.append(Target(f"hot path, {tokens} tokens: now to before", ratio, LIMIT))
    columns = ["", "before µs", "now µs", "now ÷ before", "least before", "least now", "least ÷ least"]
    report.tables.append(Table("hot_path", "The gateway's own code for an authorized request, sockets apart", columns, rows))


def _one_hot_path(bench: Bench, checkout: Path) -> list[tuple[str, float]]:
    done = subprocess.run(
        ["taskset", "-c", str(bench.cores.proxy), sys.executable, "-m", "benchmarks.hot_path"], cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [(tokens, float(took)) for tokens, took in _LINE.findall(done.stdout)]


def _authorized(bench: Bench, checkouts: dict[str, Path], report: Report) -> None:
    stage = Stage.open(bench)
    able: list[Running] = []
    headers: dict[str, dict[str, str]] = {}
    for name, checkout in checkouts.items():
        # Records may have changed: each has keys of its own, and its token from its own token endpoint.
        more = {"store": {"url": stage.store_url, "prefix": name}}
        running = start_gateway(bench, stage.upstream_port, store="", name=f"gateway-{name}", more=more, checkout=checkout)
        running.name = name
        stage.token = fetch_token(running.port)
        headers[name] = {"Authorization": f"Bearer {stage.token}"}
        report.faults += check(stage, running)
        able.append(running)
    samples = rounds(stage, able, lambda running, _: sample(
        stage, running,
        lambda: wrk.run(bench, f"{running.url}/v1/resource", connections=CONNECTIONS, headers=headers[running.name]),
        connections=CONNECTIONS, faults=report.faults,
    ), report.faults)  # fmt: skip
    rows: list[list[Cell]] = [
        [name, middle(found, "cpu_us"), min(one.cpu_us for one in found), middle(found, "rate"), middle(found, "p99") * 1e3]
        for name, found in samples.items()
    ]
    columns = ["", "µs CPU/request", "least", "requests/s", "p99 ms"]
    title = f"Authorized GET, {CONNECTIONS} connections"
    report.tables.append(Table("authorized", title, columns, rows, raw=raw(samples)))
    ratio = middle(samples["now"], "cpu_us") / middle(samples["before"], "cpu_us")
    report.targets.append(Target("authorized GET, CPU: now to before", ratio, LIMIT))


if __name__ == "__main__":
    sys.exit(main())
