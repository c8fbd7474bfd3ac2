"""Small WebSocket messages through a tunnel: how many a second of CPU carries."""

from __future__ import annotations

import sys
from statistics import median

from benchmarks.bench import BenchError, free_port
from benchmarks.loads import run_load
from benchmarks.loads.websocket import SIZE
from benchmarks.peers.gateway import start_gateway
from benchmarks.peers.nginx import TunnelNginx
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table
from benchmarks.stage import Running, Stage

CONNECTIONS = 64
WINDOWS = (1, 16)
"""Messages that each connection keeps under way: one by one, and as a busy feed does."""


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure the gateway and nginx, each in a process that nothing else has used."""
    port = free_port()
    echo = stage.bench.start(
        [sys.executable, "-m", "benchmarks.loads.echo", str(port)], core=stage.bench.cores.load, log="echo.log"
    )
    stage.bench.wait_for_port(port, echo)
    able = _started(stage, port, {peer.name for peer, _ in peers}, report)
    samples: dict[tuple[str, int], list[float]] = {}
    rates: dict[tuple[str, int], list[float]] = {}
    for number in range(stage.bench.rounds):
        for running in able if number % 2 == 0 else reversed(able):
            for window in WINDOWS:
                cpu, rate = _one(stage, running, window)
                samples.setdefault((running.name, window), []).append(cpu)
                rates.setdefault((running.name, window), []).append(rate)
    for running in able:
        stage.bench.stop(running.process)
    stage.bench.stop(echo)
    _tell(able, samples, rates, report)


def _started(stage: Stage, echo: int, wanted: set[str], report: Report) -> list[Running]:
    able = []
    more = {
        "upstreams": {"echo": {"targets": [f"http://127.0.0.1:{echo}"]}},
        "routes": [{"path": "/ws/", "upstream": "echo", "streams": {}}],
    }
    if "gateway" in wanted:
        try:
            able.append(start_gateway(stage.bench, stage.upstream_port, store=stage.store_url, name="gateway-ws", more=more))
        except BenchError as exc:
            report.skipped.append(f"gateway with a WebSocket route: {exc}")
    if "nginx" in wanted:
        able.append(TunnelNginx(echo).start(stage))
    return able


def _one(stage: Stage, running: Running, window: int) -> tuple[float, float]:
    """Microseconds of CPU for each message, question and answer, and messages a second."""
    before = running.cpu_ns()
    done = run_load(
        stage.bench, "messages", within=stage.bench.seconds + 20, port=running.port, path="/ws/echo", token=stage.token,
        connections=CONNECTIONS, window=window, seconds=stage.bench.seconds,
    )  # fmt: skip
    if not done["messages"]:
        raise BenchError(f"{running.name}: not one message came back")
    return (running.cpu_ns() - before) / done["messages"] / 1000, done["messages"] / done["seconds"]


def _tell(
    able: list[Running], samples: dict[tuple[str, int], list[float]], rates: dict[tuple[str, int], list[float]], report: Report
) -> None:
    rows: list[list[Cell]] = []
    for window in WINDOWS:
        for running in able:
            mine, ours = median(samples[running.name, window]), samples.get(("gateway-ws", window))
            ratio = mine / median(ours) if ours else None
            name = f"{running.name}, {window} under way"
            rows.append([name, 1e6 / mine, mine, ratio, min(samples[running.name, window]), median(rates[running.name, window])])
    columns = ["proxy", "messages per CPU-second", "µs CPU/message", "÷ ours", "least", "messages/s"]
    notes = [
        f"a message is a question of {SIZE} bytes to the echo server and its answer back, so four passes through the kernel",
        "both ends are Python on one core; they bound messages/s, not the proxy's CPU for each",
        "nginx passes bytes on unseen; ours follows the frames, so that it can end a tunnel on a frame's boundary",
    ]
    raw = {f"{name} {window}": found for (name, window), found in samples.items()}
    title = f"WebSocket messages, {CONNECTIONS} connections"
    report.tables.append(Table("websocket", title, columns, rows, notes, raw))
