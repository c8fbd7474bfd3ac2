"""
What process 1 of a container owes the kernel: pass signals on, and reap whoever is left behind.

The kernel makes process 1 the parent of every orphan and gives it no default action for signals.  So there it only waits, and a
child of it does the work.
"""

from __future__ import annotations

import os
import signal

_PASSED_ON = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})
_WAITED_FOR = _PASSED_ON | {signal.SIGCHLD}


def divide() -> int | None:
    """
    Fork: the child goes on, this process passes signals to it and reaps until it ends.

    No other thread may exist.

    Returns:
        None in the child.  In the parent, once the child has ended, its exit code, or 128 + n when signal n ended it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)  # what comes from here on waits until somebody asks
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return None
    code = None
    while code is None:
        received = signal.sigwaitinfo(_WAITED_FOR)
        if received.si_signo == signal.SIGCHLD:
            code = _reap(child)
        elif received.si_code <= 0:  # above 0 the terminal sent it, and to the child as well
            os.kill(child, received.si_signo)  # not reaped yet, so the id is still its own
    return code


def _reap(child: int) -> int | None:
    """Reap all that have ended.  The exit code when the child is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            ended = os.waitstatus_to_exitcode(status)
            code = ended if ended >= 0 else 128 - ended
