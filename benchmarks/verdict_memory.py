"""
What cached verdicts cost in memory: ``python -m benchmarks.verdict_memory [TOKENS]``.

The cache itself, fed by a store that answers at once; resident memory before and after, for tokens of one client, of a thousand
and of as many clients as tokens.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.report import Table, render
from gateway.guard.verdicts import Verdicts
from gateway.oauth.access import find_access
from gateway.oauth.records import AccessToken, Client
from gateway.oauth.tokens import mint_access
from gateway.telemetry.metrics import Registry


class _Ready:
    """A store that knows every token at once."""

    caching = True
    listener: Any = None
    client_id = ""

    def fetch_token(self, ref: Any, done: Callable[[Any], None]) -> None:
        """A token of the client that is next."""
        done(AccessToken(self.client_id, f"gwk{self.client_id[3:]}", "c" * 22, frozenset(), 0, 0, 0))

    def fetch_client(self, client_id: str, done: Callable[[Any], None]) -> None:
        """It is enabled."""
        done(Client(client_id, "someone"))

    def monotonic(self, store_ms: int) -> float:
        """For ever."""
        return 1e12


def measure(tokens: int, clients: int) -> float:
    """Bytes for each verdict."""
    store = _Ready()
    verdicts = Verdicts(store, clock=lambda: 0.0, limit=tokens, registry=Registry())
    gc.collect()
    before = _resident()
    for number in range(tokens):
        store.client_id = f"gwc_abc{number % clients:022d}"
        ref = find_access(mint_access("abc", os.urandom(32)).encode())
        assert ref is not None
        verdicts.fetch(ref, lambda verdict: None)
    gc.collect()
    return (_resident() - before) / tokens


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def main() -> None:
    """Print the table; each row in a process that did nothing else."""
    if len(sys.argv) == 3:
        print(measure(int(sys.argv[1]), int(sys.argv[2])))
        return
    tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rows = []
    for clients in (1, 1000, tokens):
        command = [sys.executable, "-m", "benchmarks.verdict_memory", str(tokens), str(clients)]
        each = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        rows.append([f"{clients:,} clients", each, each * tokens / 1e6])
    print(render(Table("verdict_memory", f"{tokens:,} cached verdicts", ["tokens of", "bytes each", "MB"], rows, [])))


if __name__ == "__main__":
    main()
