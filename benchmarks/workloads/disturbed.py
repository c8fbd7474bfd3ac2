"""The slowest proxied GETs at a steady, moderate load: alone, while /metrics is scraped, and while 50 clients register."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from benchmarks import wrk
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table, Target
from benchmarks.stage import Running, Stage

CONNECTIONS = 32
"""Each waits 20 ms between requests: about 1,500 requests a second."""
REGISTERING = 50


@dataclass(slots=True)
class Disturbance:
    """Something that goes on in threads of its own until it is ended; ``work`` gives a status and what to wait then."""

    work: Callable[[], tuple[int, float]]
    threads: int

    def around(self, run: Callable[[], wrk.Load]) -> tuple[wrk.Load, dict[int, int]]:
        """Run wrk while it goes on; the answers are counted by status."""
        over, done, lock = threading.Event(), dict[int, int](), threading.Lock()

        def repeat() -> None:
            while not over.is_set():
                status, pause = self.work()
                with lock:
                    done[status] = done.get(status, 0) + 1
                over.wait(pause)

        threads = [threading.Thread(target=repeat, daemon=True) for _ in range(self.threads)]
        for thread in threads:
            thread.start()
        try:
            return run(), done
        finally:
            over.set()
            for thread in threads:
                thread.join(15)


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure ours, the three in turn in every round; short rounds are dominated by noise, so each takes 5 s or more."""
    ours = next((running for peer, running in peers if peer.name == "gateway"), None)
    if ours is None:
        return
    os.sched_setaffinity(0, {stage.bench.cores.load})  # the disturbing clients stay off the proxy's core
    kinds = {
        "alone": Disturbance(lambda: (0, 0.0), 0),
        "scraped": Disturbance(lambda: _metrics(ours), 1),
        "registering": Disturbance(lambda: _register(ours), REGISTERING),
    }
    loads: dict[str, list[wrk.Load]] = {kind: [] for kind in kinds}
    answers: dict[str, dict[int, int]] = {kind: {} for kind in kinds}
    for _ in range(stage.bench.rounds):
        for kind, disturbance in kinds.items():
            load, done = disturbance.around(lambda: _steady(stage, ours))
            loads[kind].append(load)
            answers[kind] = {status: answers[kind].get(status, 0) + done.get(status, 0) for status in {*answers[kind], *done}}
            if load.refused or load.failed:
                report.faults.append(f"gateway, {kind}: {load.refused} refused, {load.failed} failed")
            time.sleep(0.5 if kind == "registering" else 0.0)  # what still waits for argon2 belongs to no other round
    _tell(loads, answers, report)


def _tell(loads: dict[str, list[wrk.Load]], answers: dict[str, dict[int, int]], report: Report) -> None:
    p99 = {kind: median(load.p99 for load in found) for kind, found in loads.items()}
    rows: list[list[Cell]] = []
    for kind, found in loads.items():
        said = ", ".join(f"{count} × {status}" for status, count in sorted(answers[kind].items()) if status) or None
        p50 = median(load.p50 for load in found)
        rows.append([kind, p50 * 1e3, p99[kind] * 1e3, p99[kind] / p99["alone"], median(load.rate for load in found), said])
    columns = ["while", "p50 ms", "p99 ms", "p99 ÷ alone", "requests/s", "other answers"]
    title = f"Proxied GETs at a steady load, {CONNECTIONS} connections, the gateway on one core"
    notes = [
        "p99 here is a fraction of a millisecond: one preemption on a shared core moves it, so take many rounds",
        f"registering: {REGISTERING} clients, one account after the other, back after Retry-After; argon2 shares the one core",
    ]
    raw = {kind: [load.p99 for load in found] for kind, found in loads.items()}
    report.tables.append(Table("disturbed", title, columns, rows, notes, raw))
    report.targets.append(Target("p99 while /metrics is scraped each second", p99["scraped"] / p99["alone"], 1.1))
    report.targets.append(Target("p99 while 50 clients register", p99["registering"] / p99["alone"], 1.5))


def _steady(stage: Stage, ours: Running) -> wrk.Load:
    seconds = max(5.0, stage.bench.seconds) if stage.bench.rounds > 1 else 2.0
    return wrk.run(
        stage.bench, f"{ours.url}/v1/resource", connections=CONNECTIONS, seconds=seconds,
        headers={"Authorization": f"Bearer {stage.token}"}, script="steady.lua",
    )  # fmt: skip


def _metrics(ours: Running) -> tuple[int, float]:
    return _ask(ours.admin_port, "GET", "/metrics", None)[0], 1.0


def _register(ours: Running) -> tuple[int, float]:
    """One new account; a client that is refused comes back when it was told to."""
    account = {"username": f"bench-{os.urandom(8).hex()}@example.com", "password": "correct horse battery"}
    return _ask(ours.port, "POST", "/v1/register", json.dumps(account))


def _ask(port: int, method: str, path: str, body: str | None) -> tuple[int, float]:
    """Status and Retry-After, in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status, float(answer.getheader("Retry-After") or 0)
    except (OSError, http.client.HTTPException):
        return 599, 1.0
    finally:
        connection.close()
