"""Workers that share a listener take newcomers in turns."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.accept import acceptor as accepting_module
from gateway.accept.acceptor import Acceptor
from gateway.accept.door import Door
from gateway.accept.turns import Turns
from gateway.addresses import Networks
from gateway.config.model import Config
from gateway.telemetry.metrics import Registry


def test_nobody_waits_for_workers_that_do_not_accept() -> None:
    """Neither for one that has not begun nor for one that has left."""
    turns = Turns(3)
    first, second = turns.of(0), turns.of(1)
    first.note(50)
    assert not first.is_others
    second.note(1)
    assert first.is_others
    second.leave()
    assert not first.is_others


@pytest.mark.parametrize(("mine", "least", "others"), [(2, 0, False), (3, 0, True), (11, 8, False), (12, 8, True)])
def test_a_clear_lead_makes_it_the_others_turn(mine: int, least: int, others: bool) -> None:
    """More than two and an eighth of the least."""
    turns = Turns(2)
    one = turns.of(0)
    one.note(mine)
    turns.of(1).note(least)
    assert one.is_others is others


def test_counts_are_seen_across_a_fork() -> None:
    turns = Turns(2)
    turns.of(0).note(9)
    child = os.fork()
    if not child:
        turns.of(1).note(0)
        os._exit(0)
    os.waitpid(child, 0)
    assert turns.of(0).is_others


class _Bench:
    """Acceptors on one listening socket, all in this loop."""

    def __init__(self, workers: int, accepting: int) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.taken = [0] * workers
        self._clients: list[socket.socket] = []
        turns = Turns(workers)
        door = Door(Config(), Networks(()), Registry())
        for number in range(accepting, workers):
            turns.of(number).note(0)  # it is there, but stuck
        self.acceptors = [
            Acceptor([self.listening.dup()], self._factory(number), self._room(number), door, turn=turns.of(number))
            for number in range(accepting)
        ]  # fmt: skip

    def connect(self, count: int) -> None:
        for _ in range(count):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(self.listening.getsockname())
            self._clients.append(client)

    async def all_taken(self, count: int) -> None:
        async with asyncio.timeout(5):
            while sum(self.taken) < count:  # noqa: ASYNC110 - the acceptors tell nobody
                await asyncio.sleep(0.001)

    async def close(self) -> None:
        for acceptor in self.acceptors:
            acceptor.close()
        self.listening.close()
        for client in self._clients:
            client.close()
        await asyncio.sleep(0.01)  # the accepted ends see it

    def _factory(self, number: int):  # type: ignore[no-untyped-def]
        def made() -> asyncio.Protocol:
            self.taken[number] += 1
            return asyncio.Protocol()

        return made

    def _room(self, number: int):  # type: ignore[no-untyped-def]
        return lambda: 1000 - self.taken[number]


@pytest.fixture
async def bench_of() -> AsyncIterator[Callable[..., _Bench]]:
    """Makes benches, and closes them whatever the test finds."""
    async with contextlib.AsyncExitStack() as stack:

        def make(workers: int, accepting: int) -> _Bench:
            bench = _Bench(workers, accepting)
            stack.push_async_callback(bench.close)
            return bench

        yield make


async def test_a_burst_is_shared_evenly(bench_of: Callable[..., _Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wakes up first takes its part, and no more while the other one takes its own."""
    monkeypatch.setattr(accepting_module, "INSISTENCE", 0)  # a loop that stalls makes the other one look stuck
    bench = bench_of(workers=2, accepting=2)
    bench.connect(100)
    await bench.all_taken(100)
    assert abs(bench.taken[0] - bench.taken[1]) <= 2 + 50 // 8


async def test_a_stuck_worker_keeps_nobody_waiting_for_long(bench_of: Callable[..., _Bench]) -> None:
    """Its turn passes: the others take its part, a whole batch at a time."""
    bench = bench_of(workers=2, accepting=1)
    bench.connect(100)
    await bench.all_taken(100)


async def test_who_has_closed_is_not_counted_again(bench_of: Callable[..., _Bench]) -> None:
    """Connections that end during the drain change nothing for the others."""
    bench = bench_of(workers=2, accepting=2)
    bench.acceptors[0].close()
    bench.acceptors[0].resume()
    bench.connect(20)
    await bench.all_taken(20)
    assert bench.taken == [0, 20]
    assert not bench.acceptors[1]._turn.is_others  # type: ignore[union-attr]
