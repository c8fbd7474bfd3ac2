"""Fixtures of the process tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ops.running import Gateway


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path: a unix socket's name may have 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="gw-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def gateway(folder: Path) -> Iterator[Callable[..., Gateway]]:
    """Makes gateways in the test's folder; what still runs at the end is killed."""
    made: list[Gateway] = []

    def make(**options: object) -> Gateway:
        made.append(Gateway(folder, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.kill_all()
