"""
One line a request: JSON, or a readable one on a terminal.

Lines are formatted on the loop (about a microsecond) and written by a thread, so that a full pipe or a slow disk never holds
up a request; when more than 8 MiB wait, lines are dropped and counted.  Workers share the pipe: it takes up to PIPE_BUF bytes in
one piece, so no more is written at a time, and always whole lines.
"""

from __future__ import annotations

import os
import re
import select
import stat
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import orjson

from gateway.telemetry.metrics import Registry

MAX_WAITING = 8 * 1024 * 1024
"""Bytes that may wait for the writer before lines are dropped."""
_SECRET = re.compile(r"gw[aimors]_[A-Za-z0-9_-]{40,}|eyJ[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]*){0,2}")
"""Ours, and JWTs, whosever they are."""
_BATCH = 256


class AccessLog:
    """Collects lines and hands them in batches to a writing thread.  `flush` is called a few times a second."""

    def __init__(self, descriptor: int, registry: Registry, *, readable: bool, wall: Callable[[], float] = time.time) -> None:
        self._descriptor = descriptor
        self._shared = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        self._format = _readable if readable else _json
        self._wall = wall
        self._lines: list[bytes] = []
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._queued = 0  # bytes; written by the loop only
        self._written = 0  # bytes; written by the thread only
        self._second = 0
        self._stamp = ""
        self._dropped = registry.counter("gateway_access_log_dropped_total", "Access log lines dropped, their reader is slow.")
        self._thread: threading.Thread | None = None

    def add(
        self, peer: str, method: str, path: str, status: int, seconds: float, route: str, client_id: str, upstream: str,
        request_id: str, received: int, sent: int, refusal: str, verdict: str = "",
    ) -> None:  # fmt: skip
        """
        Note one finished request: sizes are body bytes, ``path`` has no query, ``refusal`` is an error's code or empty.

        ``verdict`` is ``stale`` where what was known before the store went away let it pass, ``forward-auth`` where another proxy
        asked about the request and forwards it.
        """
        if "gw" in path or "eyJ" in path:  # a client put a token into its path: that is no place for it, and neither is the log
            path = _SECRET.sub("masked", path)
        now = self._wall()
        second = int(now)
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        self._lines.append(self._format({
            "time": f"{self._stamp}.{int((now - second) * 1000):03d}Z",
            "event": "request",
            "request_id": request_id,
            "peer": peer,
            "method": method,
            "path": path,
            "status": status,
            "duration_ms": round(seconds * 1000, 3),
            "route": route,
            "client_id": client_id,
            "upstream": upstream,
            "bytes_in": received,
            "bytes_out": sent,
            "refusal": refusal,
            **({"verdict": verdict} if verdict else {}),
        }))  # fmt: skip
        if len(self._lines) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Hand the collected lines to the writer."""
        if not self._lines:
            return
        if self._thread is None:  # not before the first line: a supervisor forks its workers first
            self._thread = threading.Thread(target=self._write, name="access-log", daemon=True)
            self._thread.start()
        if self._queued - self._written > MAX_WAITING:
            self._dropped.value += len(self._lines)
        else:
            batch = b"".join(self._lines)
            self._queued += len(batch)
            self._queue.put(batch)
        self._lines.clear()

    def close(self) -> None:
        """Write what is left, within two seconds."""
        self.flush()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(2)

    def _write(self) -> None:
        while (batch := self._queue.get()) is not None:
            size = len(batch)
            for piece in _pieces(batch) if self._shared else (batch,):
                self._write_piece(piece)
            self._written += size

    def _write_piece(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._descriptor, piece) :]
        except OSError:
            self._dropped.value += piece.count(b"\n")


def _pieces(batch: bytes) -> Iterator[bytes]:
    """Whole lines, as many as a pipe takes at once; a longer line stands alone."""
    at = 0
    while at < len(batch):
        end = batch.rfind(b"\n", at, at + select.PIPE_BUF) + 1 or batch.index(b"\n", at) + 1
        yield batch[at:end]
        at = end


def _json(record: dict[str, object]) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _readable(record: dict[str, object]) -> bytes:
    said = [f"{record['time']}"[11:19], record["status"], f"{record['method']} {record['path']}", f"{record['duration_ms']} ms"]
    said += [f"{key}={record[key]}" for key in ("client_id", "upstream", "refusal") if record[key]]
    if record["refusal"]:  # as its answer names it
        said.append(f"request_id={record['request_id']}")
    text = "  ".join(str(part) for part in said)
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text).encode() + b"\n"
