"""Tokens that nobody has seen before, each used once: every request needs the store."""

from __future__ import annotations

from pathlib import Path

from benchmarks import wrk
from benchmarks.bench import BenchError
from benchmarks.measure import Sample, rounds, sample
from benchmarks.peers.peer import Peer
from benchmarks.report import Report
from benchmarks.stage import Running, Stage
from benchmarks.workloads import gets

PER_SECOND = 40_000
"""Tokens made for each second of load; more than any peer can use up."""
CLIENTS = 500
CONNECTIONS = 64
LONGEST = 2
"""Seconds of one run at most, as every request takes a token of its own."""


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure the peers that ask the shared store; each round has tokens of its own."""
    able = [running for peer, running in peers if peer.scopes]
    clients = stage.seeder.clients(CLIENTS)
    tables: dict[int, Path] = {}

    def one(running: Running, number: int) -> Sample:
        if number not in tables:
            tokens = stage.seeder.tokens(clients, [frozenset({"s00"})] * (PER_SECOND * _seconds(stage)))
            tables[number] = stage.bench.work / f"cold-{number}.txt"
            tables[number].write_text("".join(f"GET /v1/resource {token}\n" for token in tokens))
        return sample(
            stage, running, lambda: _load(stage, running, tables[number]), connections=CONNECTIONS, faults=report.faults,
        )  # fmt: skip

    samples = rounds(stage, able, one, report.faults)
    notes = ["store µs is the shared Valkey's own CPU for each request; it is not the proxy's"]
    report.tables.append(gets.table("cold", "Cold tokens, each used once", samples, able, notes))
    report.targets += gets.ratio(samples, gets.LUA_REDIS, f"cold tokens: CPU to {gets.LUA_REDIS} on the same load", 1.6)
    for table in tables.values():
        table.unlink()


def _load(stage: Stage, running: Running, table: Path) -> wrk.Load:
    load = wrk.run(
        stage.bench, f"{running.url}/", connections=CONNECTIONS, seconds=_seconds(stage), script="table.lua",
        arguments=[str(table), f"127.0.0.1:{running.port}"],
    )  # fmt: skip
    if load.asked > PER_SECOND * _seconds(stage):
        raise BenchError("the cold tokens ran out: some were used twice")
    return load


def _seconds(stage: Stage) -> int:
    return min(LONGEST, max(1, round(stage.bench.seconds)))
