"""Forking a process that dies with its parent and carries nothing of it that it should not."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection

_PR_SET_PDEATHSIG = 1
_HELD = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})

log = logging.getLogger("gateway.process")


def open_descriptors() -> frozenset[int]:
    """The file descriptors of this process."""
    found = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else os.listdir("/dev/fd")
    return frozenset(int(name) for name in found)


def fork(run: Callable[[], int], *, keep: Collection[int] | None = None, death: signal.Signals = signal.SIGKILL) -> int:
    """
    Run a function in a child that gets ``death`` when this process ends; its result is the child's exit code.

    No event loop may run in the calling thread and no other thread may exist.  The child ignores SIGINT and SIGHUP: a terminal's
    Ctrl-C or end goes to the whole group, and it is the parent who decides then.

    Args:
        run: The child's work.
        keep: Descriptors that the child keeps; None: all.

    Returns:
        The child's process id.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    gc.collect()
    gc.freeze()  # the child may never collect, and so close, what is the parent's; also spares copied pages
    parent = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(run, keep, death, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _be_child(run: Callable[[], int], keep: Collection[int] | None, death: signal.Signals, parent: int) -> None:
    code = 1
    try:
        _forget_signals()
        die_with(parent, death)
        if keep is not None:
            _close_all_but(keep)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)
        code = run()
    except BaseException:
        log.critical("process.crashed", exc_info=True)
    finally:
        # Not sys.exit: the stack above belongs to the parent, and so do its clean-ups.
        os._exit(code)


def _forget_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in _HELD:
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def die_with(parent: int, death: signal.Signals) -> None:
    """Ask the kernel for ``death`` when the parent ends (prctl, Linux only)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(death))
    if os.getppid() != parent:  # it ended before we asked
        os._exit(1)


def _close_all_but(keep: Collection[int]) -> None:
    for descriptor in open_descriptors() - set(keep):
        try:
            os.close(descriptor)
        except OSError:
            pass  # the one that listed the directory
