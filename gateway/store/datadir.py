"""The embedded store's folder: one gateway at a time, and a place for the socket that nobody else can reach."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from gateway.errors import Unavailable

LONGEST_SOCKET_PATH = 107
"""Bytes of a unix socket's path that Linux takes."""
_PATIENCE = 15.0
"""Seconds to wait for the server of a gateway that is no more."""
_NUDGE_AFTER = 1.0
"""Seconds after which such a server is asked to end, where the kernel has not told it."""
_POLL = 0.005


SECRET = "secret"  # noqa: S105  (a name)
"""The file's name."""
_SECRET_ENTROPY = 32
"""Bytes of entropy in it."""


def read_secret(folder: Path) -> bytes:
    """
    The secret that seals what is kept in the embedded store of a folder.

    Raises:
        Unavailable: If it can't be read, or is not what `DataDirectory.keep_secret` writes.
    """
    path = folder / SECRET
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise Unavailable(f"store: can't read {path}: {_plain(error)}") from None
    if len(secret) != 2 * _SECRET_ENTROPY:
        raise Unavailable(f"store: {path} is damaged: put it back from a backup, or remove it and have JWTs signed with new keys")
    return secret


class DataDirectory:
    """
    The folder with the store's files.

    Its lock is inherited by the server, so it is held until the last of both has ended: whoever gets it may start a server
    on these files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.lock_fd = -1

    def create(self) -> None:
        """
        Make the folder where it is missing, for our user alone.

        Raises:
            Unavailable: If it can't be made or written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"store: can't make the folder {self.path}: {_plain(error)}; {_ELSEWHERE}") from None
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise Unavailable(f"store: the folder {self.path} is not writable for user {os.geteuid()}; {_ELSEWHERE}")

    def lock(self, nudge: Callable[[], None]) -> None:
        """
        Take the folder, waiting for a server whose gateway has died.

        Args:
            nudge: Asks such a server to end.

        Raises:
            Unavailable: If another gateway has it, or nothing can be written there.
        """
        try:
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Unavailable(f"store: can't lock the folder {self.path}: {_plain(error)}; {_ELSEWHERE}") from None
        try:
            self._wait_for_lock(fd, nudge)
            _write_holder(fd)
        except OSError as error:  # a full disk
            os.close(fd)
            raise Unavailable(f"store: can't write to the folder {self.path}: {_plain(error)}; {_ELSEWHERE}") from None
        except BaseException:
            os.close(fd)
            raise
        self.lock_fd = fd

    def unlock(self) -> None:
        """Give the folder up; does nothing when it is not ours."""
        if self.lock_fd >= 0:
            os.ftruncate(self.lock_fd, 0)
            fcntl.flock(self.lock_fd, fcntl.LOCK_UN)  # also for workers that were forked with it
            os.close(self.lock_fd)
            self.lock_fd = -1

    @property
    def socket_path(self) -> Path:
        """Where the socket lies: below the folder, or where that is too long for a socket, in one named after it."""
        path = self.path / "run" / "store.sock"
        if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
            return path
        name = f"gateway-{os.geteuid()}-{sha256(os.fsencode(self.path)).hexdigest()[:16]}"
        path = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp", name, "store.sock")  # noqa: S108
        return path if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH else Path("/tmp", name, "store.sock")  # noqa: S108

    def keep_secret(self, entropy: Callable[[int], bytes]) -> None:
        """
        Make the secret that seals what is kept in this store, where there is none; our user alone can read it.

        Raises:
            Unavailable: If it can't be written.
        """
        path, fresh = self.path / SECRET, self.path / f"{SECRET}.new"
        if path.exists():
            return
        try:
            fresh.unlink(missing_ok=True)
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "w", encoding="ascii") as file:
                file.write(entropy(_SECRET_ENTROPY).hex())
                file.flush()
                os.fsync(fd)
            fresh.rename(path)  # whole or not at all
        except OSError as error:
            raise Unavailable(f"store: can't write to the folder {self.path}: {_plain(error)}; {_ELSEWHERE}") from None

    def clear_socket(self) -> None:
        """
        Make the socket's folder, for our user alone, and remove a socket that was left behind.

        Raises:
            Unavailable: If somebody else has that folder, or it can't be made.
        """
        home = self.socket_path.parent
        if not _make_private(home):
            raise Unavailable(f"store: {home} must be a folder of user {os.geteuid()}, for the socket; {_ELSEWHERE}")
        self.socket_path.unlink(missing_ok=True)

    def _wait_for_lock(self, fd: int, nudge: Callable[[], None]) -> None:
        start = time.monotonic()
        nudged = False
        while not _try_lock(fd):
            holder = _find_holder(fd)
            if holder is not None:
                raise Unavailable(f"store: the folder {self.path} is in use by another gateway (pid {holder}); {_ELSEWHERE}")
            waited = time.monotonic() - start
            if waited > _PATIENCE:
                raise Unavailable(f"store: the folder {self.path} is still locked by another process; {_ELSEWHERE}")
            if waited > _NUDGE_AFTER and not nudged:
                nudged = True
                nudge()
            time.sleep(_POLL)


_ELSEWHERE = "stop that, or name another folder in config.yaml (store: embedded:DIR) or a server (store: redis://host:6379/0)"


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_holder(fd: int) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps({"pid": os.getpid(), "born": _born(os.getpid())}).encode("ascii"), 0)


def _find_holder(fd: int) -> int | None:
    """The pid of the gateway that wrote the lock file, if that very process is still there."""
    try:
        holder = json.loads(os.pread(fd, 1000, 0))
        pid, born = int(holder["pid"]), str(holder["born"])
    except (ValueError, KeyError, TypeError):
        return None
    # A pid alone may belong to somebody else by now, or to the same number in another container.
    return pid if _exists(pid) and _born(pid) == born else None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _born(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where /proc does not tell, and for a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode("ascii")


def _make_private(folder: Path) -> bool:
    """Make a folder that only our user can enter; False if what is there belongs to somebody else."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            return False
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError:
        return False
    return True


def _plain(error: OSError) -> str:
    return error.strerror or type(error).__name__
