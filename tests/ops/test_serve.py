"""``gateway serve`` as a process: start, stop, and what it says when it can't."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.ops.running import Gateway, basic, is_gone, seconds_since
from tests.servers import ValkeyServer, free_port, wait_for

Make = Callable[..., Gateway]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_it_serves_and_stops_with_0(gateway: Make, valkey: ValkeyServer) -> None:
    """Probes, metrics and the public port answer; SIGTERM ends it."""
    running = gateway(GATEWAY_STORE__URL=valkey.url).start()
    assert running.ask("GET", "/healthz", admin=True)[0] == 200
    assert running.ready() == 200
    assert running.ask("GET", "/v1/resource")[0] == 401
    assert running.metric('gateway_requests_total{route="/v1/resource",code="401"}') == 1
    assert running.end() == 0
    assert running.events("gateway.stopped")[0]["exit_code"] == 0


def test_the_admin_paths_are_not_on_the_public_port(gateway: Make, valkey: ValkeyServer) -> None:
    running = gateway(GATEWAY_STORE__URL=valkey.url).start()
    assert {running.ask("GET", path)[0] for path in ("/healthz", "/readyz", "/metrics")} == {404}


def test_ctrl_c_stops_with_0(gateway: Make, valkey: ValkeyServer) -> None:
    assert gateway(GATEWAY_STORE__URL=valkey.url).start().end(signal.SIGINT) == 0


@pytest.mark.parametrize("section", ["listen", "admin"])
def test_a_port_in_use_is_69_and_names_the_override(gateway: Make, valkey: ValkeyServer, taken: int, section: str) -> None:
    port = {f"GATEWAY_{section.upper()}__PORT": str(taken)}
    running = gateway(GATEWAY_STORE__URL=valkey.url, **port)
    running.launch()
    assert running.wait() == 69
    assert running.stderr.splitlines() == [
        f"gateway: 127.0.0.1:{taken} is in use: set {section}.port or GATEWAY_{section.upper()}__PORT to another port"
        " (0 takes a free one)"
    ]


def test_a_store_that_is_not_there_is_69_and_names_the_override(gateway: Make) -> None:
    """F22: an end within seconds, one line, and no password in it."""
    running = gateway(GATEWAY_STORE__URL=f"redis://someone:hunter2pw@127.0.0.1:{free_port()}/0")
    before = time.monotonic()
    running.launch()
    assert running.wait() == 69
    assert seconds_since(before) < 10
    (line,) = running.stderr.splitlines()
    assert "GATEWAY_STORE__URL" in line
    assert "hunter2pw" not in line


def test_a_store_that_does_not_let_us_in_is_69_at_once(gateway: Make) -> None:
    """WRONGPASS does not get better by waiting."""
    server = ValkeyServer().start()
    try:
        server.call("CONFIG", "SET", "requirepass", "right")
        running = gateway(GATEWAY_STORE__URL=f"redis://:wrong@127.0.0.1:{server.port}/0")
        running.launch()
        assert running.wait() == 69
        assert "wrong@" not in running.stderr
        assert "GATEWAY_STORE__URL" in running.stderr
    finally:
        server.remove()


def test_a_bad_configuration_is_78_with_all_faults(gateway: Make, folder: Path) -> None:
    (folder / "config.yaml").write_text("lisen: {port: 1}\nworkers: 0\n")
    running = gateway()
    running.launch()
    assert running.wait() == 78
    assert len(running.stderr.splitlines()) >= 2
    assert "config.yaml:1:1: " in running.stderr
    assert "config.yaml:2:" in running.stderr


def test_a_ca_file_without_certificates_is_78(gateway: Make, folder: Path) -> None:
    """Readable, but of no use: said at its place, as by `check`."""
    (folder / "ca.pem").touch()
    running = gateway(GATEWAY_STORE__URL=f"rediss://127.0.0.1:{free_port()}", GATEWAY_STORE__CA_FILE=str(folder / "ca.pem"))
    running.launch()
    assert running.wait() == 78
    assert "store.ca_file" in running.stderr


def test_it_starts_twice_in_a_row_on_one_port(gateway: Make, valkey: ValkeyServer) -> None:
    """Nothing of the first run is in the second one's way, connections in TIME_WAIT included."""
    port = str(free_port())
    for _ in range(2):
        running = gateway(GATEWAY_STORE__URL=valkey.url, GATEWAY_LISTEN__PORT=port).start()
        assert running.ask("GET", "/v1/resource")[0] == 401
        assert running.end() == 0


def test_an_outage_of_the_store_kills_nothing(gateway: Make) -> None:
    """F01: 503 on protected routes, alive and ready all the while, back without a restart."""
    server = ValkeyServer().start()
    try:
        running = gateway(GATEWAY_STORE__URL=server.url).start()
        client = running.register()
        token = running.token(client)["access_token"]
        server.kill()
        wait_for(lambda: running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0] == 503)
        assert running.ask("GET", "/healthz", admin=True)[0] == 200
        assert running.ask("GET", "/readyz", admin=True) == (200, '{"status": "ready", "store": "down"}')
        server.start()
        wait_for(lambda: running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0] == 502)
        wait_for(lambda: running.ask("GET", "/readyz", admin=True) == (200, '{"status": "ready", "store": "up"}'))
        assert running.token(client), "up is what requests meet"
        assert running.end() == 0
    finally:
        server.remove()


class _Slow(BaseHTTPRequestHandler):
    """An upstream that answers when it is told to."""

    arrived = threading.Event()
    release = threading.Event()

    def do_GET(self) -> None:
        self.arrived.set()
        self.release.wait(10)
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"done")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow() -> Iterator[str]:
    _Slow.arrived.clear()
    _Slow.release.clear()
    server = HTTPServer(("127.0.0.1", 0), _Slow)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f'["http://127.0.0.1:{server.server_port}"]'
    _Slow.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_in_flight_is_finished_before_the_end(
    gateway: Make, valkey: ValkeyServer, slow: str, workers: int, number: signal.Signals
) -> None:
    """F20: not ready, no new connections, the answer arrives, exit 0; also for who expects SIGHUP to reload."""
    running = gateway(
        GATEWAY_STORE__URL=valkey.url, GATEWAY_UPSTREAMS__LEGACY__TARGETS=slow, GATEWAY_WORKERS=str(workers)
    ).start()
    answers: list[tuple[int, str]] = []
    client = threading.Thread(target=lambda: answers.append(running.ask("GET", "/public/x")))
    client.start()
    assert _Slow.arrived.wait(10)
    running.signal(number)
    wait_for(lambda: _refused(running.port))
    assert running.ready() == 503
    assert not running.ended
    _Slow.release.set()
    assert running.wait() == 0
    client.join()
    assert answers == [(200, "done")]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_second_signal_ends_it_at_once(gateway: Make, valkey: ValkeyServer, slow: str, workers: int) -> None:
    """Whoever asks twice does not want to wait."""
    running = gateway(
        GATEWAY_STORE__URL=valkey.url, GATEWAY_UPSTREAMS__LEGACY__TARGETS=slow, GATEWAY_WORKERS=str(workers)
    ).start()
    connection = socket.create_connection(("127.0.0.1", running.port))
    connection.sendall(b"GET /public/x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert _Slow.arrived.wait(10)
    family = [process.pid for process in running.family()]
    running.signal(signal.SIGTERM)
    wait_for(lambda: running.events("gateway.draining"))
    assert running.end(signal.SIGTERM, seconds=5) == 1
    connection.close()
    wait_for(lambda: all(is_gone(pid) for pid in family))


def test_readiness_is_off_before_the_listener_closes(gateway: Make, valkey: ValkeyServer) -> None:
    """``drain_delay``: load balancers notice first, and requests that still come are served."""
    running = gateway(GATEWAY_STORE__URL=valkey.url, GATEWAY_DRAIN_DELAY="700ms").start()
    running.signal(signal.SIGTERM)
    wait_for(lambda: running.ready() == 503)
    assert running.ask("GET", "/v1/resource")[0] == 401
    assert running.wait() == 0


def test_no_secret_in_argv_or_logs(gateway: Make, valkey: ValkeyServer) -> None:
    """Live values of a whole run are searched in every command line and in all output."""
    running = gateway(GATEWAY_STORE__URL=valkey.url, GATEWAY_WORKERS="2").start()
    client = running.register()
    tokens = running.token(client)
    bearer = tokens["access_token"]
    running.ask("GET", f"/v1/resource?access_token={bearer}", Authorization=f"Bearer {bearer}")
    running.ask("GET", "/v1/resource", Authorization=basic(client))
    assert running.introspect(client, bearer)
    lines = [" ".join(process.cmdline()) for process in running.family()]
    assert running.end() == 0
    said = "\n".join([*lines, running.stdout, running.stderr])
    assert '"event":"request"' in said
    for secret in (client["client_secret"], bearer, tokens["refresh_token"], "client-password", basic(client).split()[1]):
        assert secret not in said


def test_to_needs_no_file(gateway: Make, valkey: ValkeyServer, folder: Path) -> None:
    """Everything below / needs a token and goes there."""
    running = gateway(
        GATEWAY_STORE__URL=valkey.url, GATEWAY_LISTEN__PORT="0", GATEWAY_ADMIN__PORT="0",
    )  # fmt: skip
    running.command = ("serve", "--to", "http://127.0.0.1:9")
    running.start()
    assert running.ask("GET", "/anything/at/all")[0] == 401
    token = running.token(running.register())["access_token"]
    assert running.ask("GET", "/anything", Authorization=f"Bearer {token}")[0] == 502
    assert running.end() == 0


def test_the_demo_runs_beside_and_ends_with_it(gateway: Make, valkey: ValkeyServer) -> None:
    target = free_port()
    running = gateway(
        arguments=("--demo",), GATEWAY_STORE__URL=valkey.url, GATEWAY_UPSTREAMS__LEGACY__TARGETS=f'["http://127.0.0.1:{target}"]'
    ).start()
    assert "Hello from the legacy API" in running.ask("GET", "/public/x")[1]
    assert f"G=http://127.0.0.1:{running.port}\n" in running.stdout
    assert running.end() == 0
    assert _refused(target)


def test_the_demo_s_port_in_use_is_69(gateway: Make, valkey: ValkeyServer, taken: int) -> None:
    """The message says who wants the port and where to change it."""
    targets = f'["http://127.0.0.1:{taken}"]'
    running = gateway(arguments=("--demo",), GATEWAY_STORE__URL=valkey.url, GATEWAY_UPSTREAMS__LEGACY__TARGETS=targets)
    running.launch()
    assert running.wait() == 69
    assert f"the demo legacy API can't have 127.0.0.1:{taken}" in running.stderr
    assert "GATEWAY_UPSTREAMS__LEGACY__TARGETS" in running.stderr


def _refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return True
    return False




@pytest.mark.parametrize(("flag", "draining"), [((), 1), (("--live",), 0)])
def test_healthcheck_asks_the_running_gateway(
    gateway: Make, valkey: ValkeyServer, folder: Path, flag: tuple[str, ...], draining: int
) -> None:
    """By the settings that the gateway itself has; 0.0.0.0 means this machine."""
    port = str(free_port())
    environ = {"GATEWAY_ADMIN__PORT": port, "GATEWAY_ADMIN__HOST": "0.0.0.0", "GATEWAY_ADMIN__TOKEN": "a-token-of-the-operator"}
    running = gateway(GATEWAY_STORE__URL=valkey.url, GATEWAY_DRAIN_DELAY="10s", **environ).start()
    command = [sys.executable, "-m", "gateway", "healthcheck", "-c", str(folder / "config.yaml"), *flag]

    def check() -> int:
        return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, timeout=20).returncode

    assert check() == 0
    running.signal(signal.SIGTERM)
    wait_for(lambda: running.ready() == 503)
    assert check() == draining
