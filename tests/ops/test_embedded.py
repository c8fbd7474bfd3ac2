"""``gateway serve`` with the store of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.ops.running import Gateway, is_gone
from tests.servers import free_port, wait_for

Make = Callable[..., Gateway]


def _store_of(running: Gateway) -> int:
    (pid,) = [process.pid for process in running.family() if "valkey" in process.name() or "redis" in process.name()]
    return pid


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_was_acknowledged_a_second_ago_survives_kill_9_of_everything(gateway: Make, workers: str) -> None:
    """And the next start on the same port and folder needs no pause."""
    port = str(free_port())
    first = gateway(GATEWAY_WORKERS=workers, GATEWAY_LISTEN__PORT=port).start()
    client = first.register()
    tokens = first.token(client)
    time.sleep(1.1)  # appendfsync everysec: this second is the claim
    first.kill_all()
    second = gateway(GATEWAY_WORKERS=workers, GATEWAY_LISTEN__PORT=port).start()
    assert second.introspect(client, tokens["access_token"])
    assert second.token(client)["access_token"] != tokens["access_token"]
    assert second.end() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_when_the_gateway_alone_is_killed_nothing_stays_behind(gateway: Make, workers: str) -> None:
    """Workers and store die with it, so that the port and the folder are free at once."""
    port = str(free_port())
    first = gateway(GATEWAY_WORKERS=workers, GATEWAY_LISTEN__PORT=port).start()
    client = first.register()
    family = [process.pid for process in first.family()]
    assert len(family) == 2 + (int(workers) if workers != "1" else 0)
    first.end(signal.SIGKILL)
    second = gateway(GATEWAY_WORKERS=workers, GATEWAY_LISTEN__PORT=port).start()
    assert second.token(client)
    wait_for(lambda: all(is_gone(pid) for pid in family))
    assert second.end() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_in_a_terminal_stops_the_store_last_and_cleanly(gateway: Make, workers: str) -> None:
    """SIGINT reaches the whole process group; what was acknowledged at that moment is on disk."""
    running = gateway(GATEWAY_WORKERS=workers).start()
    client = running.register()
    family = [process.pid for process in running.family()]
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait() == 0
    assert all(is_gone(pid) for pid in family)
    again = gateway(GATEWAY_WORKERS=workers).start()
    assert again.token(client)
    assert again.end() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_store_that_dies_is_started_again(gateway: Make, workers: str) -> None:
    """Without a restart of the gateway; what was written a second before is there."""
    running = gateway(GATEWAY_WORKERS=workers).start()
    client = running.register()
    time.sleep(1.1)  # appendfsync everysec
    psutil.Process(_store_of(running)).kill()
    wait_for(lambda: running.events("store.restarted"))
    wait_for(lambda: '"store": "up"' in running.ask("GET", "/readyz", admin=True)[1])
    if workers == "2":  # the supervisor asks on a connection of its own: those of the workers are back within a second
        wait_for(lambda: len(running.events("wire.connected")) == 2 * int(workers))
    assert running.token(client)
    assert running.end() == 0


def test_a_second_gateway_on_the_same_folder_is_69(gateway: Make, folder: Path) -> None:
    """Two servers on one append-only file would ruin it."""
    running = gateway().start()
    other = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "-c", str(folder / "config.yaml")], capture_output=True, text=True, timeout=20
    )
    assert other.returncode == 69
    assert "in use by another gateway" in other.stderr
    assert running.ask("GET", "/v1/resource")[0] == 401


@pytest.mark.parametrize("is_running", [False, True])
def test_the_operator_adds_a_client(gateway: Make, folder: Path, is_running: bool) -> None:
    """Beside a running gateway or before its first start; the secret is shown once, on stdout, as JSON."""
    running = gateway(GATEWAY_OAUTH__REGISTRATION="closed")
    if is_running:
        running.start()
    where, who = ("-c", str(folder / "config.yaml")), ("--username", "ops", "--password", "-")
    added = subprocess.run(
        [sys.executable, "-m", "gateway", "clients", "add", *where, *who],
        input="a-good-password\n", capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    client = json.loads(added.stdout)
    assert list(client) == ["client_id", "client_key", "client_secret"]
    assert running.introspect(client, running.token(client)["access_token"]) if is_running else running.start().token(client)


def test_the_first_answer_comes_soon_after_exec(gateway: Make) -> None:
    """A smoke test with a wide margin: a second is the aim, measured apart."""
    before = time.monotonic()
    gateway().start()
    assert time.monotonic() - before < 5


@pytest.mark.parametrize("after", [0.1, 0.2, 0.3, 0.4, 0.6])
def test_a_stop_in_the_middle_of_the_start_leaves_nothing_behind(gateway: Make, after: float) -> None:
    """Wherever in its start it is: while it reads the configuration, spawns the store, or first listens."""
    running = gateway()
    running.launch()
    time.sleep(after)  # the moment is what is tested
    family = [process.pid for process in running.family()]
    assert running.end() in (0, -signal.SIGTERM)
    wait_for(lambda: all(is_gone(pid) for pid in family))
    assert "Traceback" not in running.stderr
