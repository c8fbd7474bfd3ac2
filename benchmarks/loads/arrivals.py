"""
GETs that arrive when they arrive, whatever the server does: an open loop, free of coordinated omission.

In: ``{port, path, token, rate, connections, seconds, seed}``.  Out: ``{requests, seconds, late_p99, p50, p99, p999, failed}`` in
seconds.  Arrivals are a Poisson process (independent clients); a request's latency runs from its planned arrival to the last
byte of its answer, so time that it waits for a connection or for this process counts; ``late_p99`` says how much of that was
this process.  A timer of the kernel's (timerfd) wakes it, as event loops count in milliseconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import random
import sys
import time
from collections import deque
from typing import Any, cast

import uvloop

_LIBC = ctypes.CDLL(None, use_errno=True)
_MONOTONIC, _NONBLOCK, _ABSOLUTE = 1, 0o4000, 1
WARMUP = 0.5
"""Seconds at the beginning that are not counted."""


class _Timer:
    """timerfd_create(2), which Python has from 3.13."""

    def __init__(self) -> None:
        self.descriptor = _LIBC.timerfd_create(_MONOTONIC, _NONBLOCK)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._when = (ctypes.c_long * 4)()

    def set(self, when: float) -> None:
        """Be readable from ``when`` (``time.monotonic()``) on."""
        self._when[2] = int(when)
        self._when[3] = int((when - int(when)) * 1e9)
        _LIBC.timerfd_settime(self.descriptor, _ABSOLUTE, self._when, None)

    def clear(self) -> None:
        """Take note of having been woken."""
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:
            pass


class _Connection(asyncio.Protocol):
    """Sends one request at a time; answers have a Content-Length."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._left = 0
        self._planned = 0.0
        self._buffer = b""
        self.transport = cast(asyncio.Transport, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, planned: float) -> None:
        """Send the request that was planned for then."""
        self._planned = planned
        self.transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self._left == 0:
            data = self._buffer + data if self._buffer else data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            self._buffer = b""
            self._left = self._load.length(data[: end + 4])
            data = data[end + 4 :]
        self._left -= len(data)
        if self._left <= 0:
            self._left = 0
            self._load.answered(self, self._planned)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self._load.failed += 1


class _Load:
    def __init__(self, path: str, token: str, rate: float, seconds: float, seed: int) -> None:
        self.request = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        self.failed = 0
        self.idle: deque[_Connection] = deque()
        self.over = asyncio.get_running_loop().create_future()
        self._waiting: deque[float] = deque()
        self._lengths: dict[bytes, int] = {}
        self._took: list[float] = []
        self._late: list[float] = []
        self._under_way = 0
        rng = random.Random(seed)
        gaps = (rng.expovariate(rate) for _ in range(int(rate * (seconds + WARMUP))))
        begin = time.monotonic() + 0.05
        self._counted_from = begin + WARMUP
        self._plan: deque[float] = deque()
        for gap in gaps:
            begin += gap
            self._plan.append(begin)
        self.last = begin
        self._timer = _Timer()

    def start(self) -> None:
        """Begin to send."""
        asyncio.get_running_loop().add_reader(self._timer.descriptor, self._due)
        self._timer.set(self._plan[0])

    def length(self, head: bytes) -> int:
        """Bytes of an answer's body; a status other than 200 counts as failed."""
        line = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not head.startswith(b"HTTP/1.1 200 "):
            self.failed += 1
        return int(line)

    def answered(self, connection: _Connection, planned: float) -> None:
        """An answer is whole."""
        if planned >= self._counted_from:
            self._took.append(time.monotonic() - planned)
        self._under_way -= 1
        if self._waiting:
            self._ask(connection, self._waiting.popleft())
        else:
            self.idle.append(connection)
            if not self._plan and not self._under_way and not self.over.done():
                self.over.set_result(None)

    def results(self) -> dict[str, float]:
        """What there is to say."""
        took, late = sorted(self._took), sorted(self._late)
        return {
            "requests": len(took), "seconds": self.last - self._counted_from, "failed": self.failed,
            "late_p99": late[len(late) * 99 // 100], "p50": took[len(took) // 2], "p99": took[len(took) * 99 // 100],
            "p999": took[len(took) * 999 // 1000],
        }  # fmt: skip

    def _due(self) -> None:
        self._timer.clear()
        plan = self._plan
        now = time.monotonic()
        while plan and plan[0] <= now:
            planned = plan.popleft()
            self._late.append(now - planned)
            if self.idle:
                self._ask(self.idle.popleft(), planned)
            else:
                self._waiting.append(planned)
        if plan:
            self._timer.set(plan[0])

    def _ask(self, connection: _Connection, planned: float) -> None:
        self._under_way += 1
        connection.ask(planned)


async def _main(
    port: int, path: str, token: str, rate: float, connections: int, seconds: float, seed: int
) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    load = _Load(path, token, rate, seconds, seed)
    opened = [await loop.create_connection(lambda: _Connection(load), "127.0.0.1", port) for _ in range(connections)]
    load.idle.extend(connection for _, connection in opened)
    load.start()
    await asyncio.wait_for(load.over, seconds + WARMUP + 10)
    return load.results()


if __name__ == "__main__":
    settings: dict[str, Any] = json.load(sys.stdin)
    print(json.dumps(uvloop.run(_main(**settings))))
