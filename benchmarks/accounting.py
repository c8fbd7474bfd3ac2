"""
What a process and its descendants have cost: CPU from the scheduler's own counter, memory as the kernel shares it out.

CPU is the sum over all threads of ``/proc/PID/task/TID/schedstat`` (nanoseconds on a core), so the 10 ms tick of utime and
stime plays no part.  A thread that ends takes its count with it; none of the proxies measured here ends threads under load.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident and proportional set size, in bytes; the latter counts a shared page once among its sharers."""

    rss: int
    pss: int


def parse_stat(text: str) -> tuple[str, int]:
    """Name and parent of a process from ``/proc/PID/stat``; the name may hold blanks and parentheses."""
    name = text[text.index("(") + 1 : text.rindex(")")]
    return name, int(text[text.rindex(")") + 2 :].split()[1])


def parse_schedstat(text: str) -> int:
    """Nanoseconds on a core from ``/proc/PID/task/TID/schedstat``."""
    return int(text.split()[0])


def parse_memory(text: str) -> Memory:
    """Sizes from ``/proc/PID/smaps_rollup``."""
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines() if line.endswith("kB")}
    return Memory(sizes["Rss"], sizes["Pss"])


def tree(root: int, *, without: Iterable[str] = ()) -> list[int]:
    """A process and its descendants, leaving out those (with theirs) whose name is in ``without``."""
    excluded = frozenset(without)
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                name, parent = parse_stat(Path(f"/proc/{entry}/stat").read_text(errors="replace"))
            except OSError:
                continue
            if name not in excluded:
                children.setdefault(parent, []).append(int(entry))
    found, queue = [root], [root]
    while queue:
        for child in children.get(queue.pop(), ()):
            found.append(child)
            queue.append(child)
    return found


def cpu_ns(pids: Iterable[int]) -> int:
    """Nanoseconds that these processes have spent on a core so far, all threads."""
    total = 0
    for pid in pids:
        for thread in _threads(pid):
            try:
                total += parse_schedstat(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text())
            except OSError:
                continue
    return total


def memory(pids: Iterable[int]) -> Memory:
    """Sum of the sizes of these processes."""
    rss = pss = 0
    for pid in pids:
        one = parse_memory(Path(f"/proc/{pid}/smaps_rollup").read_text())
        rss, pss = rss + one.rss, pss + one.pss
    return Memory(rss, pss)


def _threads(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
