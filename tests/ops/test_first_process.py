"""Process 1 of a container: signals are passed on, orphans are reaped, the child's end is its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes adopt orphans by prctl on Linux only")

# Not process 1 here, but like it the one who adopts the orphans below (PR_SET_CHILD_SUBREAPER).
_SETUP = """
import ctypes, os, signal, sys, time
ctypes.CDLL(None).prctl(36, 1)
from gateway.ops.first_process import divide
code = divide()
if code is not None:
    sys.exit(code)
"""


@contextmanager
def _divided(child: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", _SETUP + child], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def _children(pid: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize(
    ("child", "code"),
    [
        pytest.param("sys.exit(0)", 0, id="in peace"),
        pytest.param("sys.exit(78)", 78, id="with a code"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", 137, id="by a signal"),
    ],
)
def test_the_exit_code_is_the_childs(child: str, code: int) -> None:
    """128 + n for a signal, as shells and engines show it."""
    with _divided(child) as process:
        assert process.wait(10) == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_reaches_the_child_once(number: signal.Signals) -> None:
    """What an engine sends to process 1 is for the gateway."""
    child = f"""
got = []
signal.signal({int(number)}, lambda n, frame: got.append(n))
print("ready", flush=True)
while not got:
    time.sleep(0.01)
sys.exit(40 + len(got))
"""
    with _divided(child) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(10) == 41


def test_orphans_are_reaped_while_the_child_lives() -> None:
    """A process whose parent is gone leaves no zombie behind."""
    child = """
if os.fork() == 0:
    orphan = os.fork()
    if orphan == 0:
        time.sleep(0.3)
    else:
        print(orphan, flush=True)
    os._exit(0)
os.wait()
time.sleep(60)
"""
    with _divided(child) as process:
        assert process.stdout is not None
        orphan = int(process.stdout.readline())
        wait_for(lambda: orphan in _children(process.pid))
        wait_for(lambda: not os.path.exists(f"/proc/{orphan}"))
        assert process.poll() is None
        (gateway,) = _children(process.pid)
        os.kill(gateway, signal.SIGKILL)
        assert process.wait(10) == 137


def test_no_signal_stays_blocked_in_the_child() -> None:
    """The gateway starts as if nothing had been there before."""
    with _divided("sys.exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))") as process:
        assert process.wait(10) == 0
