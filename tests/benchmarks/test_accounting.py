"""/proc as it is written, and as it is on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from benchmarks import accounting
from benchmarks.accounting import Memory

ROLLUP = """55b1539e5000-7fff2df41000 ---p 00000000 00:00 0                          [rollup]
Rss:                1724 kB
Pss:                 352 kB
Pss_Dirty:           116 kB
Pss_Anon:            116 kB
"""


def test_a_process_may_be_named_with_blanks_and_parentheses() -> None:
    """The name ends at the last parenthesis."""
    assert accounting.parse_stat("12 (tmux: (a) b) S 7 12 12 0 -1") == ("tmux: (a) b", 7)


def test_memory_is_read_in_bytes() -> None:
    """The kernel writes kB and means KiB; Pss_Dirty is not Pss."""
    assert accounting.parse_memory(ROLLUP) == Memory(1724 * 1024, 352 * 1024)


def test_cpu_is_the_first_number() -> None:
    """Then follow the time spent waiting and the time slices."""
    assert accounting.parse_schedstat("726219 15 2\n") == 726_219


def test_cpu_of_a_process_rises_with_its_work() -> None:
    """A loop of our own shows up; that is all we claim."""
    before = accounting.cpu_ns([os.getpid()])
    assert sum(number * number for number in range(200_000)) > 0
    assert accounting.cpu_ns([os.getpid()]) > before


def test_the_tree_holds_children_but_not_the_excluded() -> None:
    """The embedded store is not the gateway's own CPU."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        name, parent = accounting.parse_stat(Path(f"/proc/{child.pid}/stat").read_text())
        assert parent == os.getpid()
        assert child.pid in accounting.tree(os.getpid())
        assert child.pid not in accounting.tree(os.getpid(), without=[name])
        assert accounting.memory([child.pid]).rss > 0
        child.communicate(b"\n")


def test_a_process_that_is_gone_costs_nothing() -> None:
    """It ended between listing and reading."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    assert accounting.cpu_ns([child.pid]) == 0
