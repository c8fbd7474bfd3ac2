"""Fixtures of the data plane: an `Edge` on a free port in the test's loop, which is uvloop's, as in production."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from tests.edge.rig import Rig


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests of this folder on the loop of production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def unstarted(tmp_path: Path) -> AsyncIterator[Rig]:
    """A rig that the test starts itself, as it needs it."""
    with (tmp_path / "access.log").open("wb+") as log:
        rig = Rig(log)
        yield rig
        await rig.stop()
        assert rig.faults == []
        assert rig.origin.failure is None


@pytest.fixture
async def rig(unstarted: Rig) -> Rig:
    """A rig with the usual routes."""
    return await unstarted.start()
