"""The usual case: an authorized GET with a 273-byte answer, 64 kept-alive connections, one token."""

from __future__ import annotations

from benchmarks import wrk
from benchmarks.measure import check, check_refusal, rounds, sample
from benchmarks.peers.peer import Peer
from benchmarks.report import Report, Target
from benchmarks.stage import Running, Stage
from benchmarks.workloads import gets

CONNECTIONS = 64
_LIMITS = {"nginx+lua+redis": 1.0, "nginx+lua+dict": 1.25, "envoy": 0.55, "aiohttp+redis": 0.1}


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure every peer."""
    for peer, running in peers:
        report.faults += check(stage, running)
        if peer.authorizes:
            report.faults += check_refusal(stage, running)
    headers = {"Authorization": f"Bearer {stage.token}"}

    samples = rounds(stage, [running for _, running in peers], lambda running, _: sample(
        stage, running, lambda: wrk.run(stage.bench, f"{running.url}/v1/resource", connections=CONNECTIONS, headers=headers),
        connections=CONNECTIONS, faults=report.faults,
    ), report.faults)  # fmt: skip
    for running in (running for _, running in peers if running.name == gets.OURS):
        report.targets.append(Target("PSS of supervisor and one worker, the store apart", running.memory().pss / 1e6, 80, "MB"))
    title = f"Authorized GET, 273-byte answer, {CONNECTIONS} connections, one token"
    notes = ["nginx, envoy, caddy and aiohttp only relay: they authorize nobody"]
    report.tables.append(gets.table("authorized", title, samples, [running for _, running in peers], notes))
    for peer_name, limit in _LIMITS.items():
        report.targets += gets.ratio(samples, peer_name, f"authorized GET: CPU to {peer_name}", limit)
