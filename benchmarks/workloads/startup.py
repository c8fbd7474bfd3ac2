"""From exec to the first answered request, with the embedded store and what it kept from the last run."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import time
from statistics import median

from benchmarks.bench import BenchError
from benchmarks.peers.gateway import Gateway, start_gateway
from benchmarks.peers.peer import Peer
from benchmarks.report import Cell, Report, Table, Target
from benchmarks.stage import Running, Stage

STARTS = 5


def run(stage: Stage, peers: list[tuple[Peer, Running]], report: Report) -> None:
    """Register and fetch a token in a first run, then time the next ones until that token's first 200."""
    if not any(isinstance(peer, Gateway) for peer, _ in peers):
        return
    store = stage.bench.folder("embedded")
    shutil.rmtree(store)
    first = _start(stage, str(store))
    try:
        token = fetch_token(first.port)
        time.sleep(1.1)  # the AOF is synced each second; what is measured is the start, not the sync
    finally:
        stage.bench.stop(first.process)
    seconds = [_timed(stage, str(store), token) for _ in range(STARTS)]
    rows: list[list[Cell]] = [["gateway", median(seconds), min(seconds), max(seconds)]]
    title = "From exec to the first authorized 200, embedded store"
    columns = ["", "median s", "least", "most"]
    report.tables.append(Table("startup", title, columns, rows, raw={"seconds": seconds}))
    report.targets.append(Target("exec to the first answered request, embedded store", median(seconds), 1.0, "s"))


def _start(stage: Stage, store: str) -> Running:
    return start_gateway(stage.bench, stage.upstream_port, store=f"embedded:{store}", name="gateway-embedded")


def _timed(stage: Stage, store: str, token: str) -> float:
    begin = time.monotonic()
    running = _start(stage, store)
    try:
        while time.monotonic() - begin < 20:
            if _status(running.port, token) == 200:
                return time.monotonic() - begin
            time.sleep(0.002)
    finally:
        stage.bench.stop(running.process)
    raise BenchError("the gateway did not answer 200 within 20 s of its start")


def _status(port: int, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v1/resource", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def fetch_token(port: int) -> str:
    """
    Register at a gateway and get a token.

    Raises:
        BenchError: It gave none.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        account = json.dumps({"username": "bench@example.com", "password": "correct horse battery"})
        connection.request("POST", "/v1/register", account, {"Content-Type": "application/json"})
        client = json.loads(connection.getresponse().read())
        basic = base64.b64encode(f"{client['client_key']}:{client['client_secret']}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/v1/oauth/token", "grant_type=client_credentials", headers)
        return str(json.loads(connection.getresponse().read())["access_token"])
    except KeyError:
        raise BenchError("the gateway gave no token") from None
    finally:
        connection.close()
