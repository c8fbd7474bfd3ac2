"""
The socket pair between the supervisor and one worker: "I serve" in one direction, "how do your metrics stand?" in the other.

Lines of JSON.  Worker → supervisor: ``{"serving": true}`` once and ``{"number": n, "metrics": {...}}`` for each question
``{"number": n}``.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

from gateway.telemetry.metrics import Registry, Snapshot

_MAX_LINE = 64 * 1024 * 1024
"""Bytes; a snapshot of thousands of routes with histograms still fits."""


class WorkerEnd:
    """The worker's end: answers questions until the supervisor is gone."""

    def __init__(self, sock: socket.socket, registry: Registry) -> None:
        self._sock = sock
        self._registry = registry
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Say that this worker serves, then answer questions in the background."""
        reader, writer = await asyncio.open_unix_connection(sock=self._sock)
        writer.write(b'{"serving": true}\n')
        self._task = asyncio.create_task(self._answer(reader, writer))

    async def close(self) -> None:
        """Stop answering."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                answer = {"number": json.loads(line)["number"], "metrics": self._registry.snapshot()}
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass  # the supervisor is gone, and takes this process with it
        finally:
            writer.close()


class SupervisorEnd:
    """
    The supervisor's end.

    Attributes:
        last: The newest snapshot that this worker gave; empty before the first.
        serving: Whether the worker said that it accepts connections.
    """

    def __init__(self, sock: socket.socket, on_serving: Callable[[], None]) -> None:
        self.last: Snapshot = {}
        self.serving = False
        self._sock = sock
        self._on_serving = on_serving
        self._number = 0
        self._waiting: asyncio.Future[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def listen(self) -> None:
        """Hear the worker until it closes its end."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._sock, limit=_MAX_LINE)
        try:
            while line := await reader.readline():
                self._hear(json.loads(line))
        except ConnectionError:
            pass  # killed in the middle of an answer
        finally:
            self._writer.close()
            self._writer = None

    async def refresh(self, within: float) -> None:
        """
        Ask for a new snapshot and wait for it at most ``within`` seconds; a worker that is stuck keeps its ``last``.

        Two who ask at once share one question.
        """
        if self._writer is None:
            return
        if self._waiting is None:
            self._number += 1
            self._waiting = asyncio.get_running_loop().create_future()
            self._writer.write(json.dumps({"number": self._number}).encode() + b"\n")
        waiting = self._waiting
        await asyncio.wait([waiting], timeout=within)
        if self._waiting is waiting:
            self._waiting = None

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("serving"):
            self.serving = True
            self._on_serving()
        elif "metrics" in message:
            self.last = message["metrics"]  # also when it is late: it is newer than what we had
            if self._waiting is not None and message["number"] == self._number:
                self._waiting.set_result(None)
                self._waiting = None
