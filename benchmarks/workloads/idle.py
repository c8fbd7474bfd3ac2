"""What a client costs that is connected and says nothing, after one request."""

from __future__ import annotations

import resource
import socket

from benchmarks import wrk
from benchmarks.bench import BenchError
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table, Target
from benchmarks.stage import Running, Stage

CONNECTIONS = min(10_000, (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 64) // 2 - 100)
"""A proxy keeps two descriptors for each client, so a low hard limit allows fewer than 10,000."""
_PEERS = ("gateway", "nginx", "envoy", "caddy")


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure the growth of the proportional set size."""
    count = _allowed()
    rows: list[list[Cell]] = []
    for peer, running in peers:
        if peer.name in _PEERS:
            try:
                before, each = _one(stage, running, count)
            except (BenchError, OSError) as exc:
                report.faults.append(f"{running.name}: idle connections: {exc}")
                continue
            rows.append([running.name, each / 1000, before / 1e6])
            if running.name == "gateway":
                report.targets.append(Target("idle connection", each / 1000, 6, "KB"))
    title = f"{count:,} idle keep-alive connections, each after one request"
    notes = [
        "before: after all workloads so far; ours then holds up to 100,000 cached verdicts",
        "memory of the process; the kernel's own for sockets comes on top and is the same for all",
    ]
    report.tables.append(Table("idle", title, ["proxy", "KB each", "PSS MB before"], rows, notes))


def _one(stage: Stage, running: Running, count: int) -> tuple[float, float]:
    """Bytes before, and bytes for each connection."""
    headers = {"Authorization": f"Bearer {stage.token}"}
    wrk.run(stage.bench, f"{running.url}/v1/resource", connections=64, seconds=1, headers=headers)  # grown to working size
    request = f"GET /v1/resource HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stage.token}\r\n\r\n".encode()
    before = running.memory().pss
    connections: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", running.port), timeout=10)
            connections.append(connection)
            connection.sendall(request)
            if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
                raise BenchError("a connection was not served")
        return before, (running.memory().pss - before) / count
    finally:
        for connection in connections:
            connection.close()


def _allowed() -> int:
    """10,000, or what the limit on open files leaves."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return CONNECTIONS if hard == resource.RLIM_INFINITY else min(CONNECTIONS, hard - 2_000)
