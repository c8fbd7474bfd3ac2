"""The machine's own troubles: a worker that is killed, no descriptors left, a clock that jumps, a slow store."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.edge.rig import Client, OriginConnection, get
from tests.faults.arena import Arena, ProbedGateway, eventually, eventually_async, gone, plan
from tests.servers import ValkeyServer
from tests.store.proxy import Proxy


@pytest.fixture
def held_port(held: dict[str, socket.socket]) -> dict[str, int]:
    """The arena's ports."""
    return {name: sock.getsockname()[1] for name, sock in held.items()}


async def test_f19_a_worker_killed_under_load_takes_only_its_own_connections_with_it(
    arena: Arena, folder: Callable[[], Path], held_port: dict[str, int], valkey: ValkeyServer
) -> None:
    """
    F19: 24 clients keep asking two workers, one is killed: a client loses its connection at most once for it.

    Whoever was at the other worker loses nothing, nobody gets a wrong answer, and all are served again at once.
    """
    gateway = ProbedGateway(folder(), {**plan(held_port), "store": valkey.url, "workers": 2})
    losses: Counter[int] = Counter()
    answers: Counter[int] = Counter()
    over = False

    async def keep_asking(name: int) -> None:
        client: Client | None = None
        while not over:
            target = f"/calm/{name}/{answers[name]}"
            try:
                if client is None:
                    client = Client(*await asyncio.open_connection("127.0.0.1", gateway.port))
                answer = await client.ask(get(target, gateway.auth))
            except (EOFError, OSError):
                losses[name] += 1
                if client is not None:
                    client.writer.transport.abort()
                client = None
                continue
            assert (answer.status, answer.body) == (200, target.encode() + b" ")
            answers[name] += 1
        if client is not None:
            client.close()

    async def all_go_on() -> None:
        aim = {name: answers[name] + 5 for name in range(24)}
        await eventually(lambda: all(answers[name] >= aim[name] for name in aim), 15)

    try:
        await asyncio.to_thread(gateway.start)
        asking = [asyncio.create_task(keep_asking(name)) for name in range(24)]
        await all_go_on()
        held = {pid: _established(pid, gateway.port) for pid in gateway.workers()}
        killed = max(held, key=lambda pid: held[pid])
        os.kill(killed, signal.SIGKILL)
        await all_go_on()
        await eventually_async(lambda: _workers(gateway, 2), 15)
        assert killed not in gateway.workers()
        await all_go_on()
        over = True
        await asyncio.gather(*asking)
        assert set(losses.values()) == {1}
        assert len(losses) == held[killed] > 0
        await eventually_async(lambda: _connections(gateway, 0))
        assert await asyncio.to_thread(gateway.end) == 0
    finally:
        over = True
        gateway.kill_all()


def _established(pid: int, port: int) -> int:
    """Connections to the public port that a worker has accepted."""
    found = psutil.Process(pid).net_connections("tcp4")
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port for one in found)


async def _workers(gateway: ProbedGateway, count: int) -> bool:
    return await asyncio.to_thread(gateway.metric, "gateway_workers") == count


async def _connections(gateway: ProbedGateway, count: int) -> bool:
    return await asyncio.to_thread(gateway.metric, "gateway_connections") == count


async def test_f26_without_descriptors_who_is_in_is_served_and_accepting_does_not_spin(arena: Arena) -> None:
    """F26: newcomers wait in the backlog, the processor rests, and all are served once there are descriptors again."""
    gateway = arena.gateway
    before = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    pauses = len(gateway.events("accept.exhausted"))
    async with arena.unharmed(bystanders=1) as others:
        try:
            numbers = [int(name) for name in os.listdir(f"/proc/{gateway.pid}/fd")]
            resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (max(numbers) + 1, before[1]))
            newcomers = [await arena.client() for _ in range(200)]
            await eventually(lambda: len(gateway.events("accept.exhausted")) > pauses)
            await others.go_on()
            with others.silent():
                spent, began = gateway.cpu(), time.monotonic()
                await eventually(lambda: len(gateway.events("accept.exhausted")) > pauses + 1)  # tried again after a second
                assert gateway.cpu() - spent < 0.3 * (time.monotonic() - began)
            assert len(gateway.events("accept.exhausted")) < pauses + 10
        finally:
            resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, before)
        for newcomer in newcomers:
            await newcomer.send(arena.get("/calm/late"))
        assert [(await newcomer.response()).status for newcomer in newcomers] == [200] * len(newcomers)


@pytest.mark.parametrize("seconds", [3600, -3600])
async def test_f23_the_wall_clock_jumps_and_no_deadline_does(arena: Arena, seconds: int) -> None:
    """F23: a token lives as before, a request that waits is not given up, and a new token lives as long as any."""
    gateway = arena.gateway
    asked = asyncio.Event()

    async def script(connection: OriginConnection) -> None:
        request = await connection.request()
        await asked.wait()
        await connection.send(arena.wild.answer(request))  # type: ignore[operator]
        await gone(connection)

    arena.wild.script = script
    async with arena.unharmed() as others:
        waiting = asyncio.create_task(arena.ask(arena.get("/wild/waits")))
        await eventually(lambda: arena.wild.connections and arena.wild.connections[0].received)
        try:
            await asyncio.to_thread(gateway.look, f"jump {seconds}")
            await others.go_on(20)
            client = await asyncio.to_thread(gateway.register, f"jump{seconds}@example.com")
            pair = await asyncio.to_thread(gateway.token, client)
            assert pair["expires_in"] == 3600
            answer = await arena.ask(get("/calm/new", f"Authorization: Bearer {pair['access_token']}"))
            assert answer.status == 200
            assert await asyncio.to_thread(gateway.introspect, client, pair["access_token"])
        finally:
            await asyncio.to_thread(gateway.look, "jump 0")
        asked.set()
        assert (await waiting).body == b"/wild/waits "
        await arena.wild.stop()


async def test_f29_a_slow_way_to_the_store_delays_first_look_ups_and_nothing_else(
    arena: Arena, folder: Callable[[], Path], held_port: dict[str, int], valkey: ValkeyServer
) -> None:
    """F29: 100 ms to the store: each token's first use takes them, no request fails, and known tokens do not wait."""
    proxy = await Proxy(valkey.socket).start()
    store = {"url": f"redis://127.0.0.1:{proxy.port}/0", "timeout": "2s"}
    gateway = ProbedGateway(folder(), {**plan(held_port), "store": store})
    try:
        await asyncio.to_thread(gateway.start)
        client = await asyncio.to_thread(gateway.register, "slow@example.com")
        tokens = [(await asyncio.to_thread(gateway.token, client))["access_token"] for _ in range(3)]
        await eventually_async(lambda: _caches(gateway))
        proxy.delay = 0.1
        for token in tokens:
            auth = f"Authorization: Bearer {token}"
            took = []
            for _ in range(3):
                began = time.monotonic()
                asking = Client(*await asyncio.open_connection("127.0.0.1", gateway.port))
                assert (await asking.ask(get("/calm/x", auth))).status == 200
                asking.close()
                took.append(time.monotonic() - began)
            assert took[0] > 0.1
            assert min(took[1:]) < 0.1
        assert await asyncio.to_thread(gateway.end) == 0
    finally:
        gateway.kill_all()
        await proxy.close()


async def _caches(gateway: ProbedGateway) -> bool:
    return await asyncio.to_thread(gateway.metric, "gateway_store_link_caching") == 1
