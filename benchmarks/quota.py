"""A share of a core for a process, by the kernel's own bandwidth control: so two workers fit a machine of two busy cores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bench import BenchError

PERIOD = 5_000
"""Microseconds after which a share is given anew."""
_V1, _V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


@contextlib.contextmanager
def share(pids: Sequence[int], percent: int) -> Iterator[None]:
    """
    Give each process so much of one core for the length of the block.

    Raises:
        BenchError: Control groups can't be written here.
    """
    root = _V1 if (_V1 / "cgroup.procs").exists() else _V2
    made: list[Path] = []
    try:
        try:
            for pid in pids:
                folder = root / f"gateway-bench-{os.getpid()}-{pid}"
                folder.mkdir()
                made.append(folder)
                quota = PERIOD * percent // 100
                if root == _V1:
                    (folder / "cpu.cfs_period_us").write_text(str(PERIOD))
                    (folder / "cpu.cfs_quota_us").write_text(str(quota))
                else:
                    (folder / "cpu.max").write_text(f"{quota} {PERIOD}")
                (folder / "cgroup.procs").write_text(str(pid))
        except OSError as exc:
            raise BenchError(f"no share of a core can be given (root and a writable {root} are needed): {exc}") from None
        yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    (root / "cgroup.procs").write_text(pid)
            with contextlib.suppress(OSError):
                folder.rmdir()
