"""
How soon all is well again once the store is: ``python -m benchmarks.recovery [ROUNDS]``.

One gateway on one store.  Each fault is applied until requests feel it, held for three seconds, and undone; from then on a
token is asked for and a known one used every 5 ms, until both succeed.  Beside it: the longest answer while the fault lasted.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.report import Cell, Table, render
from tests.ops.running import CONFIG, Gateway
from tests.servers import ValkeyServer

HELD = 3.0
"""Seconds that a fault lasts."""
PASSES = 502
"""Nobody is behind the gateway."""

Act = Callable[[ValkeyServer], object]


def _lock(store: ValkeyServer) -> None:
    store.call("CONFIG", "SET", "requirepass", "another")
    store.call("CLIENT", "KILL", "TYPE", "normal", password="another")


FAULTS: dict[str, tuple[Act, Act]] = {
    "killed, started again": (ValkeyServer.kill, ValkeyServer.start),
    "hangs (SIGSTOP)": (lambda store: os.kill(store.pid, signal.SIGSTOP), lambda store: os.kill(store.pid, signal.SIGCONT)),
    "connections closed": (lambda store: store.call("CLIENT", "KILL", "TYPE", "normal"), lambda store: None),
    "READONLY": (
        lambda store: store.call("REPLICAOF", "127.0.0.1", "1"), lambda store: store.call("REPLICAOF", "NO", "ONE"),
    ),
    "OOM": (
        lambda store: store.call("CONFIG", "SET", "maxmemory", "1"), lambda store: store.call("CONFIG", "SET", "maxmemory", "0"),
    ),
    "WRONGPASS": (_lock, lambda store: store.call("CONFIG", "SET", "requirepass", "", password="another")),
}  # fmt: skip


def measure(running: Gateway, store: ValkeyServer, fault: Act, undo: Act, held: float) -> tuple[float, float]:
    """Seconds from the fault's end to the first moment when all passes, and of the longest answer meanwhile."""
    client = running.register(f"u{time.monotonic_ns()}")
    token = str(running.token(client)["access_token"])

    def is_well() -> bool:
        used = running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0]
        issued = running.form(client, "/v1/oauth/token", "grant_type=client_credentials")
        return (used, issued) == (PASSES, 200)

    assert is_well()
    fault(store)
    began, longest = time.monotonic(), 0.0
    while time.monotonic() - began < held:
        asked = time.monotonic()
        is_well()
        longest = max(longest, (time.monotonic() - asked) / 2)
        time.sleep(0.005)
    undo(store)
    began = time.monotonic()
    while not is_well():
        time.sleep(0.005)
    return time.monotonic() - began, longest


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rows: list[list[Cell]] = []
    for name, (fault, undo) in FAULTS.items():
        with tempfile.TemporaryDirectory(prefix="gw-", dir="/tmp") as folder:
            (Path(folder) / "config.yaml").write_text(CONFIG)
            store = ValkeyServer().start()
            running = Gateway(Path(folder), GATEWAY_STORE__URL=store.url).start()
            try:
                held = HELD if name != "connections closed" else 0.0
                found = [measure(running, store, fault, undo, held) for _ in range(rounds)]
            finally:
                running.kill_all()
                store.remove()
        recovered = [1000 * seconds for seconds, _ in found]
        rows.append([name, median(recovered), max(recovered), 1000 * max(seconds for _, seconds in found)])
    columns = ["fault", "median", "longest", "longest answer meanwhile"]
    print(render(Table("recovery", f"ms until all passes again, {rounds} times each", columns, rows, [])))


if __name__ == "__main__":
    main()
