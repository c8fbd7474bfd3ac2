"""
A Valkey server of our own, for whoever has none: started, watched and stopped by the gateway.

It listens on a unix socket alone, writes each change to an append-only file, and dies with the gateway.  Nothing heavy is
imported here, because the server is spawned before the rest of the gateway is loaded.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.errors import Unavailable
from gateway.store.datadir import DataDirectory
from gateway.store.executable import OLDEST, REMEDIES, find_executables, find_version

_START_TIMEOUT = 10.0
"""Seconds within which a server must answer anything at all."""
_LOADING_TIMEOUT = 600.0
"""Seconds that it may spend on reading its files."""
_STOP_TIMEOUT = 10.0
"""Seconds between SIGTERM and SIGKILL."""
_POLL = 0.002
_PR_SET_PDEATHSIG = 1

log = logging.getLogger("gateway.store")


class EmbeddedStore:
    """One server on one folder.  Start and stop it from the main thread: the kernel ties its life to that thread."""

    def __init__(self, directory: Path, *, environ: Mapping[str, str] = os.environ) -> None:
        self._folder = DataDirectory(directory)
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        self._executable = ""

    @property
    def socket_path(self) -> Path:
        """Where its socket lies, running or not."""
        return self._folder.socket_path

    @property
    def running(self) -> bool:
        """Whether the server that was started is still there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The server's process id, None when there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> Path:
        """
        Start the server (again, when it has ended), wait until it answers, and return the path of its socket.

        Raises:
            Unavailable: If it can't be; the message names the remedy.
        """
        self.start_begin()
        return self.start_wait()

    def start_begin(self) -> None:
        """
        Take the folder and spawn the server.

        Raises:
            Unavailable: No program, folder not writable or in use by another gateway.
        """
        self.stop()
        self._folder.create()
        self._folder.lock(self._ask_to_end)
        try:
            self._folder.clear_socket()
            self._folder.keep_secret(os.urandom)
            self._process = self._spawn()
        except BaseException:
            self.stop()
            raise

    def start_wait(self) -> Path:
        """
        Wait until the spawned server answers, and return the path of its socket.

        Raises:
            Unavailable: It ended, is too old or does not answer.
        """
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        facts = {"pid": self.pid, "program": self._executable, "directory": str(self._folder.path)}
        log.info("store.started", extra={"facts": facts})
        return self.socket_path

    def stop(self) -> None:
        """End the server with its files in order, then free the folder.  Does nothing when it is not running."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)  # of no effect on one that was waited for
            try:
                self._process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            self.socket_path.unlink(missing_ok=True)
        self._folder.unlock()

    def _spawn(self) -> subprocess.Popen[bytes]:
        failures = []
        for executable in find_executables(self._environ):
            try:
                process = self._run(executable)
            except OSError as error:  # not there, not executable, or made for another C library
                failures.append(f"{executable}: {error.strerror}")
            else:
                self._executable = executable
                return process
        tried = f" ({'; '.join(failures)})" if failures else ""
        raise Unavailable(f"store: no server program for embedded:{self._folder.path}{tried}: {REMEDIES}")

    def _run(self, executable: str) -> subprocess.Popen[bytes]:
        arguments = [
            executable, "--port", "0", "--unixsocket", str(self.socket_path), "--unixsocketperm", "700",
            "--dir", str(self._folder.path), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
            "--maxmemory", "256mb", "--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "warning",
        ]  # fmt: skip
        output = os.open(self._log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603  (no shell, and nothing of a client's)
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(self._folder.lock_fd,),
                umask=0o077,
                start_new_session=True,  # Ctrl-C reaches the gateway alone, which stops the server last
                preexec_fn=_dying_with_parent(),
            )
        finally:
            os.close(output)

    @property
    def _log_path(self) -> Path:
        return self._folder.path / "server.log"

    def _wait_until_ready(self) -> None:
        assert self._process is not None, "start_begin() comes first"
        start = time.monotonic()
        while True:
            code = self._process.poll()
            if code is not None:
                raise Unavailable(f"store: {self._executable} ended with code {code}: {self._last_words()}")
            answer = _ask(self.socket_path, b"PING\r\n")
            if answer.startswith(b"+PONG"):
                break
            limit = _LOADING_TIMEOUT if answer.startswith(b"-LOADING") else _START_TIMEOUT
            if time.monotonic() - start > limit:
                raise Unavailable(f"store: {self._executable} does not answer: {self._last_words()}")
            time.sleep(_POLL)
        version = find_version(_ask(self.socket_path, b"INFO server\r\n").decode("utf-8", "replace"))
        if version < OLDEST:
            wanted = ".".join(map(str, OLDEST))
            raise Unavailable(f"store: {self._executable} is older than Redis {wanted}: {REMEDIES}")

    def _last_words(self) -> str:
        try:
            lines = self._log_path.read_text("utf-8", "replace").splitlines()
        except OSError:
            return f"see {self._log_path}"
        telling = [line.strip() for line in lines if line.strip()]
        return f"{' | '.join(telling[-3:])} (all of it in {self._log_path})"

    def _ask_to_end(self) -> None:
        _ask(self.socket_path, b"SHUTDOWN\r\n")


def _ask(path: Path, command: bytes) -> bytes:
    """Send one inline command and read the beginning of its answer; empty when nobody answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(os.fspath(path))
            connection.sendall(command)
            return connection.recv(4096)
        except OSError:
            return b""


def _dying_with_parent() -> Callable[[], None] | None:
    """What a child does before it becomes the server: have the kernel end it with us, whatever ends us (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was told
            os._exit(1)

    return bind
