"""POST /oauth/token: tokens for each second of CPU, beside npm's oidc-provider with its in-memory adapter."""

from __future__ import annotations

from pathlib import Path

from benchmarks import wrk
from benchmarks.bench import BenchError
from benchmarks.measure import middle, raw, rounds, sample
from benchmarks.peers import oidc
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table, Target
from benchmarks.stage import Running, Stage

CLIENTS = 200
CONNECTIONS = 64


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure ours and oidc-provider."""
    able = {running.name: (running, "/v1/oauth/token") for peer, running in peers if peer.name == "gateway"}
    credentials = {"gateway": "".join(f"{client.basic}\n" for client in stage.seeder.clients(CLIENTS, ()))}
    reason = oidc.missing()
    if reason is None:
        try:
            able[oidc.NAME] = (oidc.start(stage.bench), "/token")
            credentials[oidc.NAME] = oidc.BASIC + "\n"
        except BenchError as exc:
            reason = str(exc)
    if reason is not None:
        report.skipped.append(f"{oidc.NAME}: {reason}")
    files = {name: _write(stage, name, credentials[name]) for name in able}

    samples = rounds(stage, [running for running, _ in able.values()], lambda running, _: sample(
        stage, running, lambda: wrk.run(
            stage.bench, running.url, connections=CONNECTIONS, script="tokens.lua",
            arguments=[str(files[running.name]), f"127.0.0.1:{running.port}", able[running.name][1]],
        ),
        connections=CONNECTIONS, faults=report.faults, upstream=False,
    ), report.faults)  # fmt: skip
    rows: list[list[Cell]] = []
    for name, found in samples.items():
        mine = middle(found, "cpu_us")
        rows.append([name, 1e6 / mine, mine, middle(found, "store_us"), middle(found, "rate"), middle(found, "p99") * 1e3])
    columns = ["server", "tokens per CPU-second", "µs CPU each", "store µs each", "tokens/s", "p99 ms"]
    notes = [
        "ours stores an access token and a refresh chain for each answer; oidc-provider an access token, in its memory",
        "no client has scopes, as oidc-provider's has none",
    ]
    title = f"POST /oauth/token, client_credentials, {CONNECTIONS} connections"
    report.tables.append(Table("issue", title, columns, rows, notes, raw(samples)))
    if len(samples) == 2:
        ratio = middle(samples[oidc.NAME], "cpu_us") / middle(samples["gateway"], "cpu_us")
        report.targets.append(Target("tokens per CPU-second to oidc-provider", ratio, 2.0, at_least=True))


def _write(stage: Stage, name: str, lines: str) -> Path:
    path = stage.bench.work / f"issue-{name}.txt"
    path.write_text(lines)
    return path
