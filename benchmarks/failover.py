"""
How long a failover lasts for callers: ``python -m benchmarks.failover [ROUNDS]``.

A gateway on a master that three sentinels know, and one on a cluster of three primaries with a replica each; the master, or the
primary at which a client lies, is killed.  Every 5 ms a known token is used, one that was revoked before, and one is asked for.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.report import Cell, Table, render
from gateway.oauth.access import find_access
from gateway.store.keys import Keys
from tests.ops.running import CONFIG, Gateway
from tests.servers import ValkeyServer, wait_for
from tests.store.nodes import NODE_TIMEOUT, Nodes
from tests.store.watched import DOWN_AFTER, Watched

PASSES = 502
"""Nobody is behind the gateway."""


def measure(servers: Watched | Nodes, victim: Callable[[bytes], ValkeyServer]) -> tuple[float, float, int]:
    """Seconds from the kill until a known token passes again, and until one is issued again; how often the dead one passed."""
    with tempfile.TemporaryDirectory(prefix="gw-", dir="/tmp") as folder:
        (Path(folder) / "config.yaml").write_text(CONFIG)
        running = Gateway(Path(folder), GATEWAY_STORE__URL=servers.url).start()
        try:
            client = running.register("someone")
            live, dead = [str(running.token(client)["access_token"]) for _ in range(2)]

            def use(token: str) -> int:
                return running.ask("GET", "/v1/resource", Authorization=f"Bearer {token}")[0]

            assert running.form(client, "/v1/oauth/revoke", f"token={dead}") == 200
            ref = find_access(live.encode())
            assert ref is not None
            assert use(live) == PASSES
            master = victim(Keys().token(ref))
            wait_for(lambda: master.call("WAIT", 1, 100) == 1)
            master.kill()
            began, used, issued, wrong, refused = time.monotonic(), 0.0, 0.0, 0, False
            while not (used and issued):
                status = use(live)
                refused = refused or status == 503
                wrong += use(dead) == PASSES
                if refused and not used and status == PASSES:
                    used = time.monotonic() - began
                if refused and running.form(client, "/v1/oauth/token", "grant_type=client_credentials") == 200:
                    issued = time.monotonic() - began
                time.sleep(0.005)
            return used, issued, wrong
        finally:
            running.kill_all()


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rows: list[list[Cell]] = []
    for name in (f"Sentinel, down-after {DOWN_AFTER} ms", f"Cluster, node timeout {NODE_TIMEOUT} ms"):
        found = []
        for _ in range(rounds):
            watched, nodes = (Watched(), None) if name.startswith("Sentinel") else (None, Nodes(replicas=True))
            try:
                if watched is not None:
                    found.append(measure(watched, lambda key, watched=watched: watched.master))  # type: ignore[misc]
                elif nodes is not None:
                    found.append(measure(nodes, nodes.at))
            finally:
                for servers in (watched, nodes):
                    if servers is not None:
                        servers.remove()
        times = [[one[at] for one in found] for at in (0, 1)]
        rows.append([name, *(act(column) for column in times for act in (median, max)), sum(one[2] for one in found)])
    columns = ["store", "token passes: median s", "longest", "token issued: median s", "longest", "wrong allows"]
    print(render(Table("failover", f"From the kill of a master, {rounds} times each", columns, rows, [])))


if __name__ == "__main__":
    main()
