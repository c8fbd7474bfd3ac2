"""The rig of the data plane: what chooses and keeps connections is tested on real sockets, through a real `Edge`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.edge.conftest import pytest_asyncio_loop_factories, rig, unstarted
from tests.edge.rig import OK, Origin
from tests.upstreams.several import black_hole

__all__ = ["pytest_asyncio_loop_factories", "rig", "unstarted"]

Start = Callable[..., Awaitable[Origin]]


@pytest.fixture
async def another() -> AsyncIterator[Start]:
    """Starts further origins; takes what `Origin.start` takes.  Each answers with its number, from 0."""
    started: list[Origin] = []

    async def start(port: int = 0, **options: object) -> Origin:
        origin = Origin()
        body = b"%d" % len(started)
        origin.answer = OK.replace(b": 2", b": %d" % len(body)).replace(b"ok", body)
        started.append(origin)
        await origin.start(port, **options)  # type: ignore[arg-type]
        return origin

    yield start
    for origin in started:
        await origin.stop()
        assert origin.failure is None


@pytest.fixture
async def hole() -> AsyncIterator[int]:
    """A port at which connections hang."""
    with black_hole() as port:
        yield port
    await asyncio.sleep(0)
