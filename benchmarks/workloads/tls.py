"""TLS on the public listener: authorized GETs on kept connections, new connections, and what an idle one costs."""

from __future__ import annotations

import socket
import ssl

from benchmarks import wrk
from benchmarks.bench import BenchError
from benchmarks.certificate import write_certificate
from benchmarks.measure import Sample, middle, raw, rounds, sample
from benchmarks.peers.gateway import start_gateway
from benchmarks.peers.nginx import TlsNginx
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table
from benchmarks.stage import Running, Stage

CONNECTIONS = 64
IDLE = 2_000
OURS = "gateway+tls"


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Measure the gateway and nginx, each with a listener of its own."""
    able = _started(stage, {peer.name for peer, _ in peers}, report)
    headers = {"Authorization": f"Bearer {stage.token}"}
    kept = _measure(stage, able, headers, report.faults)
    new = _measure(stage, able, {**headers, "Connection": "close"}, report.faults)
    idle = {running.name: _idle(stage, running) for running in able}
    rows: list[list[Cell]] = []
    for name, found in kept.items():
        mine, each = middle(found, "cpu_us"), middle(new[name], "cpu_us")
        ours = middle(kept[OURS], "cpu_us") if OURS in kept else None
        rows.append([
            name, mine, mine / ours if ours else None, middle(found, "rate"), middle(found, "p99") * 1e3, 1e6 / each,
            middle(new[name], "rate"), idle[name] / 1000,
        ])  # fmt: skip
    columns = [
        "proxy", "µs CPU/request, kept", "÷ ours", "requests/s", "p99 ms", "new connections per CPU-second",
        "new connections/s", "idle KB",
    ]  # fmt: skip
    notes = [
        "a new connection: TCP, a full handshake of TLS 1.3 (P-256; wrk resumes none), one request, the end",
        f"idle: memory of the process for each of {IDLE:,} connections after one request",
    ]
    title = f"Authorized GET over TLS, 273-byte answer, {CONNECTIONS} connections"
    report.tables.append(Table("tls", title, columns, rows, notes, {"kept": raw(kept), "new": raw(new), "idle": idle}))
    for running in able:
        stage.bench.stop(running.process)


def _started(stage: Stage, wanted: set[str], report: Report) -> list[Running]:
    certificate, key = write_certificate(stage.bench.folder("tls"))
    able = []
    if "gateway" in wanted:
        listen = {"tls": [{"cert_file": str(certificate), "key_file": str(key)}]}
        more = {"listen": listen, "oauth": {"issuer": "https://127.0.0.1"}}
        try:
            ours = start_gateway(stage.bench, stage.upstream_port, store=stage.store_url, name=OURS, more=more)
            ours.scheme = "https"
            able.append(ours)
        except BenchError as exc:
            report.skipped.append(f"gateway with TLS: {exc}")
    if "nginx" in wanted:
        able.append(TlsNginx(certificate, key).start(stage))
    return able


def _measure(stage: Stage, able: list[Running], headers: dict[str, str], faults: list[str]) -> dict[str, list[Sample]]:
    return rounds(stage, able, lambda running, _: sample(
        stage, running, lambda: wrk.run(stage.bench, f"{running.url}/v1/resource", connections=CONNECTIONS, headers=headers),
        connections=CONNECTIONS, faults=faults,
    ), faults)  # fmt: skip


def _idle(stage: Stage, running: Running) -> float:
    """Bytes that a connection costs which says nothing more after one request."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = f"GET /v1/resource HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stage.token}\r\n\r\n".encode()
    before = running.memory().pss
    connections: list[ssl.SSLSocket] = []
    try:
        for _ in range(IDLE):
            plain = socket.create_connection(("127.0.0.1", running.port), timeout=10)
            connections.append(context.wrap_socket(plain))
            connections[-1].sendall(request)
            if not connections[-1].recv(4096).startswith(b"HTTP/1.1 200"):
                raise BenchError(f"{running.name}: a connection was not served")
        return (running.memory().pss - before) / IDLE
    finally:
        for connection in connections:
            connection.close()
