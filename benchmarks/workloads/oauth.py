"""The OAuth endpoints: requests for each second of CPU, beside npm's servers, which keep what they issue in their memory."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import wrk
from benchmarks.bench import BenchError
from benchmarks.measure import Sample, middle, raw, rounds, sample
from benchmarks.peers.node import BASIC, OAUTH2, OIDC, seed
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table, Target
from benchmarks.stage import Running, Stage

CLIENTS = 200
CONNECTIONS = 64
CHAINS = 512
"""That are refreshed in turn; more than connections, and few refreshes of each."""
OURS = "gateway"
FORM = "application/x-www-form-urlencoded"
_COLUMNS = [
    "server", "per CPU-second", "µs CPU each", "store µs each", "ours to it", "with the store", "requests/s", "p99 ms",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    """
    One that is measured.

    Attributes:
        running: The process.
        prefix: What stands before ``/token`` and ``/introspect``.
        clients: Basic credentials that take turns.
        introspect: Path of the introspection endpoint, if it has one.
        chains: Makes refresh tokens, and the Basic credential of the one client that they are of.
    """

    running: Running
    token: str
    introspect: str | None
    clients: list[str]
    chains: Callable[[], tuple[str, list[str]]]

    @property
    def name(self) -> str:
        """In the table."""
        return self.running.name


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure ours and npm's, one kind of request after the other."""
    servers = _servers(stage, peers, report)
    for server in servers:
        report.faults.extend(_check(server))
    _measure(stage, report, servers, "tokens", "POST token, client_credentials", _issue(stage), [
        "ours stores an access token and a refresh chain for each answer, the others an access token, in their own memory",
        "no client has scopes",
    ])  # fmt: skip
    _measure(stage, report, servers, "refreshes", "POST token, refresh_token", _refresh(stage), [
        "each with the refresh token of the last answer: all of them rotate",
    ])  # fmt: skip
    able = [server for server in servers if server.introspect]
    _measure(stage, report, able, "introspections", "POST introspect, a live access token", _introspect(stage), [
        f"{OAUTH2.name} has no introspection",
    ])  # fmt: skip


def ask(server: Server, path: str, basic: str, **form: str) -> dict[str, Any]:
    """
    One request, outside of the measurement.

    Raises:
        BenchError: If it is refused.
    """
    connection = http.client.HTTPConnection("127.0.0.1", server.running.port, timeout=10)
    body = "&".join(f"{name}={value}" for name, value in form.items())
    try:
        connection.request("POST", path, body, {"Authorization": f"Basic {basic}", "Content-Type": FORM})
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise BenchError(f"{server.name}: {path} was answered {answer.status}: {text[:200].decode(errors='replace')}")
    document: dict[str, Any] = json.loads(text)
    return document


def _servers(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> list[Server]:
    """Those that can be had, ours first."""
    found: list[Server] = []
    for peer, running in peers:
        if peer.name == OURS:
            clients = [client.basic for client in stage.seeder.clients(CLIENTS, ())]
            endpoints = ("/v1/oauth/token", "/v1/oauth/introspect")
            found.append(Server(running, *endpoints, clients, lambda: _own_chains(stage, found[0])))
    for node in (OIDC, OAUTH2):
        reason = node.missing()
        if reason is None:
            try:
                found.append(_node_server(node.start(stage.bench), introspects=node.introspects))
            except BenchError as exc:
                reason = str(exc)
        if reason is not None:
            report.skipped.append(f"{node.name}: {reason}")
    return found


def _node_server(running: Running, *, introspects: bool) -> Server:
    introspect = "/token/introspection" if introspects else None
    return Server(running, "/token", introspect, [BASIC], lambda: (BASIC, seed(running, CHAINS)))


def _own_chains(stage: Stage, ours: Server) -> tuple[str, list[str]]:
    (client,) = stage.seeder.clients(1, ())
    pairs = [ask(ours, ours.token, client.basic, grant_type="client_credentials") for _ in range(CHAINS)]
    return client.basic, [pair["refresh_token"] for pair in pairs]


def _check(server: Server) -> list[str]:
    """The answers have the same shape, and are true."""
    try:
        basic = server.clients[0]
        issued = ask(server, server.token, basic, grant_type="client_credentials")
        owner, chains = server.chains()
        refreshed = ask(server, server.token, owner, grant_type="refresh_token", refresh_token=chains[0])
        faults = [
            f"{server.name}: an answer without {name}"
            for answer, names in ((issued, ("access_token",)), (refreshed, ("access_token", "refresh_token")))
            for name in (*names, "token_type", "expires_in") if name not in answer
        ]  # fmt: skip
        if refreshed.get("refresh_token") == chains[0]:
            faults.append(f"{server.name}: the refresh token was not rotated")
        if server.introspect and not ask(server, server.introspect, basic, token=issued["access_token"])["active"]:
            faults.append(f"{server.name}: a live token is said to be dead")
    except BenchError as exc:
        return [str(exc)]
    return faults


Prepare = Callable[[Server], Callable[[], wrk.Load]]
"""Makes what a run needs, before its clock starts, and gives the run."""


def _issue(stage: Stage) -> Prepare:
    def prepare(server: Server) -> Callable[[], wrk.Load]:
        lines = (f"{basic} grant_type=client_credentials\n" for basic in server.clients)
        return _forms(stage, server, server.token, _write(stage, f"issue-{server.name}", "".join(lines)))

    return prepare


def _introspect(stage: Stage) -> Prepare:
    def prepare(server: Server) -> Callable[[], wrk.Load]:
        assert server.introspect is not None
        basics = [server.clients[number % len(server.clients)] for number in range(CLIENTS)]
        tokens = [ask(server, server.token, basic, grant_type="client_credentials")["access_token"] for basic in basics]
        lines = (f"{basic} token={token}\n" for basic, token in zip(basics, tokens, strict=True))
        return _forms(stage, server, server.introspect, _write(stage, f"introspect-{server.name}", "".join(lines)))

    return prepare


def _refresh(stage: Stage) -> Prepare:
    def prepare(server: Server) -> Callable[[], wrk.Load]:
        basic, chains = server.chains()
        table = _write(stage, f"refresh-{server.name}", "".join(f"{token}\n" for token in chains))
        return _run(stage, server, "refresh.lua", [str(table), f"127.0.0.1:{server.running.port}", server.token, basic])

    return prepare


def _forms(stage: Stage, server: Server, path: str, table: Path) -> Callable[[], wrk.Load]:
    return _run(stage, server, "forms.lua", [str(table), f"127.0.0.1:{server.running.port}", path])


def _run(stage: Stage, server: Server, script: str, arguments: list[str]) -> Callable[[], wrk.Load]:
    return lambda: wrk.run(stage.bench, server.running.url, connections=CONNECTIONS, script=script, arguments=arguments)


def _measure(
    stage: Stage, report: Report, servers: list[Server], what: str, title: str, prepare: Prepare, notes: list[str],
) -> None:
    by_name = {server.name: server for server in servers}

    def one(running: Running, _number: int) -> Sample:
        load = prepare(by_name[running.name])
        return sample(stage, running, load, connections=CONNECTIONS, faults=report.faults, upstream=False)

    samples = rounds(stage, [server.running for server in servers], one, report.faults)
    ours = samples.get(OURS)
    rows: list[list[Cell]] = []
    for name, found in samples.items():
        mine, store = middle(found, "cpu_us"), 0.0 if name != OURS else middle(found, "store_us")
        alone = mine / middle(ours, "cpu_us") if ours else None
        whole = mine / (middle(ours, "cpu_us") + middle(ours, "store_us")) if ours else None
        if name == OURS:
            alone = whole = None
        elif alone is not None:
            report.targets.append(Target(f"{what} per CPU-second to {name}", alone, 2.0, at_least=True))
        rows.append([name, 1e6 / mine, mine, store, alone, whole, middle(found, "rate"), middle(found, "p99") * 1e3])
    report.tables.append(Table(what, f"{title}, {CONNECTIONS} connections", list(_COLUMNS), rows, notes, raw(samples)))


def _write(stage: Stage, name: str, lines: str) -> Path:
    path = stage.bench.folder("oauth") / f"{name.replace('/', '-')}.txt"
    path.write_text(lines)
    return path
