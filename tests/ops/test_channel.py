"""The channel between supervisor and worker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.ops.channel import SupervisorEnd, WorkerEnd
from gateway.telemetry.metrics import Registry


class _Pair:
    """Both ends."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.registry = Registry()
        self.heard = asyncio.Event()
        self.end = SupervisorEnd(ours, self.heard.set)
        self.task = asyncio.create_task(self.end.listen())


@pytest.fixture
async def pair() -> AsyncIterator[_Pair]:
    pair = _Pair()
    yield pair
    pair.theirs.close()
    pair.task.cancel()
    await asyncio.gather(pair.task, return_exceptions=True)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.001)


async def test_a_worker_says_that_it_serves_and_answers(pair: _Pair) -> None:
    counter = pair.registry.counter("gateway_things_total", "Things.")
    worker = WorkerEnd(pair.theirs, pair.registry)
    await worker.start()
    await asyncio.wait_for(pair.heard.wait(), 5)
    for expected in (1, 2):
        counter.inc()
        await pair.end.refresh(5)
        assert pair.end.last["gateway_things_total"]["series"][""] == expected
    await worker.close()


async def test_a_stuck_worker_costs_the_timeout_and_keeps_its_last(pair: _Pair) -> None:
    """Nobody reads the question; the page is served with what was known."""
    await asyncio.sleep(0)
    pair.end.last = {"gateway_things_total": {}}
    before = asyncio.get_running_loop().time()
    await pair.end.refresh(0.05)
    assert asyncio.get_running_loop().time() - before < 2
    assert pair.end.last == {"gateway_things_total": {}}


async def test_a_late_answer_does_not_answer_the_next_question(pair: _Pair) -> None:
    """It is kept, as it is news, but the next question waits for its own answer."""
    await asyncio.sleep(0)
    await pair.end.refresh(0.01)
    second = asyncio.create_task(pair.end.refresh(5))
    await asyncio.sleep(0)
    pair.theirs.sendall(b'{"number": 1, "metrics": {"late": {}}}\n')
    await _until(lambda: pair.end.last == {"late": {}})
    assert not second.done()
    pair.theirs.sendall(b'{"number": 2, "metrics": {"now": {}}}\n')
    await asyncio.wait_for(second, 5)
    assert pair.end.last == {"now": {}}


async def test_two_scrapes_share_one_question(pair: _Pair) -> None:
    await asyncio.sleep(0)
    both = asyncio.gather(pair.end.refresh(5), pair.end.refresh(5))
    await asyncio.sleep(0.01)
    pair.theirs.sendall(b'{"number": 1, "metrics": {}}\n')
    await asyncio.wait_for(both, 5)
    pair.theirs.setblocking(False)
    assert pair.theirs.recv(4096) == b'{"number": 1}\n'


async def test_a_gone_worker_answers_nothing(pair: _Pair) -> None:
    """And the listening ends by itself."""
    await asyncio.sleep(0)
    pair.theirs.close()
    await asyncio.wait_for(pair.task, 5)
    await asyncio.wait_for(pair.end.refresh(60), 1)
