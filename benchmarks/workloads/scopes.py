"""10,000 tokens over 100 routes with a scope each; one request in ten lacks the scope and is refused."""

from __future__ import annotations

import random

from benchmarks import wrk
from benchmarks.measure import rounds, sample
from benchmarks.peers.peer import Peer
from benchmarks.report import Report
from benchmarks.stage import Running, Stage
from benchmarks.tokens import ROUTES, SCOPES
from benchmarks.workloads import gets

TOKENS = 10_000
CLIENTS = 500
CONNECTIONS = 64


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure the peers that know routes and scopes."""
    able = [running for peer, running in peers if peer.scopes]
    table = stage.bench.work / "scopes.txt"
    table.write_text("".join(_requests(stage)))

    def load(running: Running, seconds: float) -> wrk.Load:
        return wrk.run(
            stage.bench, f"{running.url}/", connections=CONNECTIONS, seconds=seconds, script="table.lua",
            arguments=[str(table), f"127.0.0.1:{running.port}"],
        )  # fmt: skip

    for running in able:  # every token seen once: first look-ups are another workload's matter
        for seconds in (2, 5, 10):
            if load(running, seconds).asked >= TOKENS + CONNECTIONS:
                break
    samples = rounds(stage, able, lambda running, _: sample(
        stage, running, lambda: load(running, stage.bench.seconds), connections=CONNECTIONS, refused=0.1, faults=report.faults,
    ), report.faults)  # fmt: skip
    title = f"{TOKENS:,} tokens of {CLIENTS} clients over {ROUTES} routes, one request in ten refused for scope"
    report.tables.append(gets.table("scopes", title, samples, able, []))
    report.targets += gets.ratio(samples, gets.LUA_REDIS, f"scopes: CPU to {gets.LUA_REDIS} on the same load", 1.15)


def _requests(stage: Stage) -> list[str]:
    """Lines of the table: token n asks route n modulo 100, and every tenth token has another route's scope only."""
    granted = []
    for number in range(TOKENS):
        route = number % ROUTES
        refused = (number // ROUTES) % 10 == 3
        granted.append(frozenset({SCOPES[(route + 1) % ROUTES]} if refused else {SCOPES[route], SCOPES[(route + 7) % ROUTES]}))
    tokens = stage.seeder.tokens(stage.seeder.clients(CLIENTS), granted)
    lines = [f"GET /r{number % ROUTES:02}/items/{number} {token}\n" for number, token in enumerate(tokens)]
    random.Random(6749).shuffle(lines)
    return lines
