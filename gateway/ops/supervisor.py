"""
Keeps N workers alive: forks them, restarts them with back-off, passes a stop on, adds their metrics up.

Every fork happens between two runs of the event loop, never inside one, so that a worker starts with nothing of the
supervisor's loop but copies that it never touches.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Collection

from gateway.ops.channel import SupervisorEnd
from gateway.ops.process import fork
from gateway.ops.tally import Tally
from gateway.telemetry.metrics import Registry, Snapshot, merge

Run = Callable[[int, socket.socket], int]
"""A worker's life: gets its end of the channel, returns the exit code."""

_SNAPSHOT_TIMEOUT = 1.0
_FIRST_BACKOFF, _MAX_BACKOFF = 0.1, 5.0
_PROVEN = 10.0
"""Seconds after which a worker counts as one that works, so that its slot's back-off starts anew."""
_CRASH_WINDOW, _CRASHES_PER_WORKER = 30.0, 5
_KILL_AFTER = 5.0
"""Seconds beyond the drain timeout after which a worker that has not ended is killed."""

log = logging.getLogger("gateway.supervisor")


class _Slot:
    """One place for a worker; the processes in it come and go."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.since = 0.0
        self.backoff = _FIRST_BACKOFF
        self.channel: SupervisorEnd | None = None


class Supervisor:
    """
    The parent of all workers.

    Args:
        workers: How many.
        run: What a worker does, given its number and its end of the channel.
        keep: Descriptors that workers inherit, the listening sockets among them.
        registry: The supervisor's own metrics.
        on_change: Called whenever the number of serving workers changed.
    """

    def __init__(
        self, *, workers: int, run: Run, keep: Collection[int], registry: Registry, on_change: Callable[[int], None]
    ) -> None:
        self._run_worker = run
        self._keep = frozenset(keep)
        self._registry = registry
        self._on_change = on_change
        self._slots = [_Slot(number) for number in range(workers)]
        self._due: deque[_Slot] = deque(self._slots)
        self._deaths: deque[float] = deque()
        self._tally = Tally()
        self._wake = asyncio.Event()
        self._stopping = False
        self._gave_up = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarts = registry.counter("gateway_worker_restarts_total", "Workers that ended unasked and were replaced.")
        registry.watch("gateway_workers", "Worker processes that serve.", lambda: float(self._serving()))

    def run(self, loop: asyncio.AbstractEventLoop) -> int:
        """Keep the workers alive until `stop` has ended them all.  Returns the exit code."""
        loop.add_signal_handler(signal.SIGCHLD, self._reap, loop)
        try:
            while not self._over():
                while self._due and not self._stopping:
                    self._spawn(self._due.popleft(), loop)
                self._wake.clear()
                self._reap(loop)  # a child may have ended before anyone listened
                if not self._wake.is_set():
                    loop.run_until_complete(self._wake.wait())
        finally:
            loop.remove_signal_handler(signal.SIGCHLD)
        return 1 if self._gave_up else 0

    def stop(self, loop: asyncio.AbstractEventLoop, drain_timeout: float) -> None:
        """Ask all workers to drain; who has not ended some seconds after ``drain_timeout`` is killed."""
        self._stopping = True
        self._signal_all(signal.SIGTERM)
        loop.call_later(drain_timeout + _KILL_AFTER, self.kill)
        self._wake.set()

    def kill(self) -> None:
        """End all workers at once."""
        self._stopping = True
        self._signal_all(signal.SIGKILL)
        self._wake.set()

    async def collect(self) -> Snapshot:
        """The metrics of the supervisor, of all workers and of those that are no more, as one."""
        channels = [slot.channel for slot in self._slots if slot.channel is not None]
        await asyncio.gather(*(channel.refresh(_SNAPSHOT_TIMEOUT) for channel in channels))
        return merge([self._registry.snapshot(), self._tally.total, *(channel.last for channel in channels)])

    def _spawn(self, slot: _Slot, loop: asyncio.AbstractEventLoop) -> None:
        ours, theirs = socket.socketpair()

        def worker() -> int:
            return self._run_worker(slot.number, theirs)

        try:
            slot.pid = fork(worker, keep=self._keep | {theirs.fileno()})
        except OSError as fault:  # no memory or no process left: try again later, the others serve
            log.error("worker.fork_failed", extra={"facts": {"worker": slot.number, "reason": fault.strerror}})
            ours.close()
            self._retry(slot, loop)
            return
        finally:
            theirs.close()
        slot.since = loop.time()
        slot.channel = SupervisorEnd(ours, self._changed)
        task = loop.create_task(slot.channel.listen())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        log.info("worker.started", extra={"facts": {"worker": slot.number, "pid": slot.pid}})

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        for slot in self._slots:
            if slot.pid:
                pid, status = os.waitpid(slot.pid, os.WNOHANG)
                if pid:
                    self._bury(slot, status, loop)

    def _bury(self, slot: _Slot, status: int, loop: asyncio.AbstractEventLoop) -> None:
        facts = {"worker": slot.number, "pid": slot.pid, "status": os.waitstatus_to_exitcode(status)}
        slot.pid = 0
        if slot.channel is not None:
            self._tally.add(slot.channel.last)
            slot.channel = None
        self._wake.set()
        self._changed()
        if self._stopping:
            log.info("worker.stopped", extra={"facts": facts})
            return
        log.error("worker.died", extra={"facts": facts})
        if self._crash_loop(loop.time()):
            self._gave_up = True
            log.critical("workers.given_up", extra={"facts": {"deaths": len(self._deaths), "within_s": _CRASH_WINDOW}})
            self.kill()
            return
        if loop.time() - slot.since > _PROVEN:
            slot.backoff = _FIRST_BACKOFF
        self._restarts.inc()
        self._retry(slot, loop)

    def _retry(self, slot: _Slot, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(slot.backoff, self._put_due, slot)
        slot.backoff = min(slot.backoff * 2, _MAX_BACKOFF)

    def _put_due(self, slot: _Slot) -> None:
        self._due.append(slot)
        self._wake.set()

    def _crash_loop(self, now: float) -> bool:
        self._deaths.append(now)
        while self._deaths[0] < now - _CRASH_WINDOW:
            self._deaths.popleft()
        return len(self._deaths) > _CRASHES_PER_WORKER * len(self._slots)

    def _signal_all(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, number)  # not reaped yet, so the id is still its own

    def _over(self) -> bool:
        return self._stopping and not any(slot.pid for slot in self._slots)

    def _serving(self) -> int:
        return sum(slot.channel is not None and slot.channel.serving for slot in self._slots)

    def _changed(self) -> None:
        self._on_change(self._serving())
