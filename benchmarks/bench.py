"""The stage of a run: its folder, its two cores, and every process it started, ended by pid whatever happens."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """A part of the benchmark could not be run or gave figures that can't be right; the message says which."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core the proxy has for itself, and which one wrk, the upstream and the store share."""

    proxy: int
    load: int

    @classmethod
    def choose(cls) -> Cores:
        """The last core for the proxy, the first for the rest."""
        available = sorted(os.sched_getaffinity(0))
        return cls(available[-1], available[0])


@dataclass(slots=True)
class Bench:
    """Starts processes and ends them."""

    work: Path
    cores: Cores
    seconds: float = 4.0
    rounds: int = 3
    say: Callable[[str], None] = print
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Bench:
        self.work.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for process in reversed(self._processes):
            self.stop(process)

    def start(
        self, command: Sequence[str], *, core: int, log: str, environ: Mapping[str, str] | None = None, cwd: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """
        Start a process bound to one core (-1: to both); its output goes to ``work/log``.

        It is in a session of its own, so Ctrl-C reaches only us, and it gets SIGTERM if we die without ending it.
        """
        def prepare() -> None:
            os.sched_setaffinity(0, {self.cores.proxy, self.cores.load} if core < 0 else {core})
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

        with open(self.work / log, "wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, preexec_fn=prepare,
                start_new_session=True, env=None if environ is None else {**os.environ, **environ}, cwd=cwd,
            )
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End one process: SIGTERM, five seconds, SIGKILL to its group."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process in self._processes:
            self._processes.remove(process)

    def wait_for_port(self, port: int, process: subprocess.Popen[bytes], *, within: float = 20.0) -> None:
        """
        Wait until something accepts connections on a loopback port.

        Raises:
            BenchError: If the process ends or stays silent; the message carries the end of its output.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if process.poll() is not None:
                break
            time.sleep(0.01)
        raise BenchError(f"{Path(str(process.args[0])).name} did not open port {port}")  # type: ignore[index]

    def folder(self, name: str) -> Path:
        """A folder below the work folder, made when missing."""
        path = self.work / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def free_port() -> int:
    """A loopback port nobody listens on at this moment, below the ephemeral range that 10,000 connections would use."""
    for _ in range(200):
        port = 20_000 + int.from_bytes(os.urandom(2), "big") % 12_000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BenchError("no free port between 20000 and 32000")
