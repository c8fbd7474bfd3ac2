"""The stage: nginx's own count, processes that end with the block."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.bench import Bench, BenchError, Cores, free_port
from benchmarks.stage import BODY, parse_status

PAGE = "Active connections: 2 \nserver accepts handled requests\n 10 10 1234 \nReading: 0 Writing: 1 Waiting: 1 \n"


def test_requests_are_the_third_number() -> None:
    """After accepted and handled connections."""
    assert parse_status(PAGE) == 1234


def test_another_page_is_an_error() -> None:
    """A wrong port must not look like zero requests."""
    with pytest.raises(BenchError):
        parse_status("<html>")


def test_the_body_has_273_bytes() -> None:
    """As house.md's table does."""
    assert len(BODY) == 273


def test_processes_end_with_the_block_even_after_an_exception(tmp_path: Path) -> None:
    """Ctrl-C is one; the child would sleep for a minute."""
    core = Cores.choose().load
    with pytest.raises(KeyboardInterrupt), Bench(tmp_path, Cores(core, core)) as bench:  # noqa: PT012 - the start is the point
        child = bench.start([sys.executable, "-c", "import time; time.sleep(60)"], core=core, log="child.log")
        assert os.sched_getaffinity(child.pid) == {core}
        raise KeyboardInterrupt
    assert child.returncode is not None


def test_a_process_that_ends_before_it_listens_is_named(tmp_path: Path) -> None:
    """The reader learns at once, not after a time-out."""
    core = Cores.choose().load
    with Bench(tmp_path, Cores(core, core)) as bench:
        child = bench.start([sys.executable, "-c", ""], core=core, log="child.log")
        with pytest.raises(BenchError, match="did not open port"):
            bench.wait_for_port(free_port(), child)
