"""
The gateway with a way to look into it: ``python -m tests.faults.probed PROBE serve …``.

``PROBE`` is a unix socket.  Whoever connects gets what lives in the process just then, as JSON, and the connection ends; a line
``jump SECONDS`` sent before that moves the wall clock, as an operator or NTP would, while the monotonic one goes on.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
import threading
import time
from collections import Counter

_ALIVE = ("Downstream", "Upstream", "Exchange")
_true_time = time.time
_ahead = 0.0


def main() -> int:
    """Run the gateway in this thread and the probe beside it."""
    time.time = lambda: _true_time() + _ahead  # first: nothing of the gateway has bound it yet
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(sys.argv[1])
    listening.listen(16)
    threading.Thread(target=_serve, args=(listening,), daemon=True).start()
    del sys.argv[1]
    from gateway.cli import main as gateway

    return gateway()


def _serve(listening: socket.socket) -> None:
    global _ahead
    while True:
        connection, _ = listening.accept()
        with connection:
            words = connection.makefile("r").read().split()
            if words[:1] == ["jump"]:
                _ahead = float(words[1])
            connection.sendall(json.dumps(_living()).encode())


def _living() -> dict[str, int]:
    """How many unfinished tasks and objects of a request's way there are."""
    gc.collect()
    found: Counter[str] = Counter()
    for thing in gc.get_objects():
        kind = type(thing)
        if kind.__name__ in _ALIVE and kind.__module__.startswith("gateway."):
            found[kind.__name__] += 1
        elif isinstance(thing, asyncio.Task) and not thing.done():
            found["Task"] += 1
    return dict(found)


if __name__ == "__main__":
    sys.exit(main())
