"""What is measured, by name; each takes the stage and the running peers and gives tables and targets."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.peer import Peer
from benchmarks.report import Report
from benchmarks.stage import Running, Stage
from benchmarks.workloads import (
    authorized,
    cold,
    disturbed,
    downloads,
    idle,
    latency,
    limited,
    oauth,
    scopes,
    startup,
    tls,
    websocket,
    workers,
)

Workload = Callable[[Stage, list[tuple[Peer, Running]], Report], None]

WORKLOADS: dict[str, Workload] = {
    "authorized": authorized.run,
    "scopes": scopes.run,
    "limited": limited.run,
    "cold": cold.run,
    "downloads": downloads.run,
    "idle": idle.run,
    "startup": startup.run,
    "oauth": oauth.run,
    "websocket": websocket.run,
    "tls": tls.run,
    "latency": latency.run,
    "workers": workers.run,
    "disturbed": disturbed.run,
}
