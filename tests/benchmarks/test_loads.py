"""The load that wrk can't make: real processes, and what they say."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.bench import Bench, BenchError, Cores, free_port
from benchmarks.loads import run_load
from benchmarks.loads.websocket import ACCEPT, ANSWER, QUESTION


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Ends what it started."""
    with Bench(tmp_path, Cores.choose()) as one:
        yield one


@pytest.fixture
def web() -> Iterator[int]:
    """A server that answers 200 below / and 404 below /missing; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(404 if self.path.startswith("/missing") else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def _arrivals(bench: Bench, port: int, path: str) -> dict[str, float]:
    return run_load(
        bench, "arrivals", within=20, port=port, path=path, token="x", rate=200.0, connections=8, seconds=0.5, seed=1
    )  # fmt: skip


def test_messages_are_those_of_rfc_6455() -> None:
    """Section 5.2: final, binary, the client's masked; section 1.3: the accept value belongs to the key."""
    assert QUESTION[:2] == b"\x82\xa0"
    assert ANSWER[:2] == b"\x82\x20"
    assert bytes(byte ^ QUESTION[2 + at % 4] for at, byte in enumerate(QUESTION[6:])) == ANSWER[2:]
    assert ACCEPT == b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="


@pytest.mark.parametrize("window", [1, 16])
def test_messages_come_back(bench: Bench, window: int) -> None:
    port = free_port()
    echo = bench.start([sys.executable, "-m", "benchmarks.loads.echo", str(port)], core=-1, log="echo")
    bench.wait_for_port(port, echo)
    done = run_load(bench, "messages", within=20, port=port, path="/", token="x", connections=4, window=window, seconds=0.2)
    assert done["messages"] >= 4 * window


def test_a_refused_handshake_is_a_fault(bench: Bench, web: int) -> None:
    """It is no tunnel, so there is nothing to measure."""
    with pytest.raises(BenchError, match=r"the handshake was answered HTTP/1\.1 404"):
        run_load(bench, "messages", within=20, port=web, path="/missing", token="x", connections=1, window=1, seconds=0.2)


def test_every_arrival_is_answered_and_counted(bench: Bench, web: int) -> None:
    """Those after the warm-up: about rate times seconds, as the plan is drawn by lot."""
    done = _arrivals(bench, web, "/")
    assert 60 < done["requests"] < 140
    assert done["failed"] == 0
    assert 0 < done["p50"] <= done["p99"] <= done["p999"]


def test_other_answers_are_counted_as_failed(bench: Bench, web: int) -> None:
    assert _arrivals(bench, web, "/missing")["failed"] == 200
