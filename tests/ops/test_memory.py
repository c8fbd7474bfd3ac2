"""How a worker's memory is settled."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from gateway.ops.memory import settle


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """Leave the collector as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def test_what_is_here_is_not_collected_again_and_the_collector_stays_on() -> None:
    settle()
    assert gc.get_freeze_count() > 1000
    assert gc.isenabled()
    assert gc.get_threshold()[0] > 700
