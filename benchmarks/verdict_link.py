"""
What one look-up costs: µs of our CPU per `VerdictLink` look-up at several depths, and ns per `Verdicts.find`.

    .venv/bin/python -m benchmarks.verdict_link

A real Valkey on a unix socket, uvloop, real records.  CPU is this process's, so the server's share is not in it.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
import tracemalloc
from hashlib import sha256
from typing import Any

import uvloop

from gateway.guard.verdicts import Verdicts
from gateway.oauth.records import AccessToken, Client
from gateway.oauth.tokens import AccessRef
from gateway.store.codec import encode_client, encode_token
from gateway.store.dial import Address
from gateway.store.handshake import Login
from gateway.store.keys import Keys
from gateway.store.link import VerdictLink
from gateway.telemetry.metrics import Registry
from tests.servers import ValkeyServer

PARTITION = "abc"
CLIENT = f"gwc_{PARTITION}{'A' * 22}"
TOKENS = 10_000


def a_ref(number: int) -> AccessRef:
    """One of the tokens."""
    return AccessRef(PARTITION, sha256(str(number).encode()).digest())


async def fill(server: ValkeyServer) -> None:
    """Write a client and its tokens."""
    keys, now = Keys("gw"), int(time.time() * 1000)
    token = AccessToken(CLIENT, f"gwk_{PARTITION}{'B' * 22}", "C" * 22, frozenset(("orders:read",)), 0, now, now + 3_600_000)
    async with server.client() as redis, redis.pipeline(transaction=False) as pipe:
        pipe.set(keys.client(CLIENT), encode_client(Client(CLIENT, "someone", scopes=frozenset(("orders:read", "orders:write")))))
        for number in range(TOKENS):
            pipe.set(keys.token(a_ref(number)), encode_token(token), px=3_600_000)
        await pipe.execute()


def cpu() -> float:
    """Seconds of CPU that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def look_up(ask: Any, depth: int, count: int) -> float:
    """Make ``count`` look-ups with ``depth`` in flight; µs of CPU each."""
    finished = asyncio.get_running_loop().create_future()
    left, refs = [count, count], [a_ref(number) for number in range(TOKENS)]

    def done(answer: object) -> None:
        assert not isinstance(answer, Exception), answer
        left[1] -= 1
        if left[0] > 0:
            left[0] -= 1
            ask(refs[left[0] % TOKENS], done)
        elif left[1] == 0:
            finished.set_result(None)

    began = cpu()
    for _ in range(depth):
        left[0] -= 1
        ask(refs[left[0] % TOKENS], done)
    await finished
    return (cpu() - began) / count * 1e6


async def main() -> None:
    """Print the table."""
    server = ValkeyServer().start()
    try:
        await fill(server)
        await measure(server)
    finally:
        server.remove()


async def measure(server: ValkeyServer) -> None:
    """Link alone, link and join, cache hit, memory."""
    registry = Registry()
    link = VerdictLink(Address(path=str(server.socket)), Login(), prefix="gw", timeout=0.5, registry=registry)
    await link.start()
    await look_up(link.fetch_token, 8, 1000)
    loop = asyncio.get_running_loop()
    for depth, count in ((1, 20_000), (8, 50_000), (32, 100_000), (64, 100_000), (128, 100_000)):
        best = min([await look_up(link.fetch_token, depth, count) for _ in range(3)])
        print(f"link look-up, {depth:3} in flight: {best:6.2f} us CPU")
    for depth in (1, 64):
        cost = []
        for _ in range(3):
            verdicts = Verdicts(link, clock=loop.time, registry=Registry())
            cost.append(await look_up(verdicts.fetch, depth, TOKENS))  # each token once: all cold
        print(f"cold verdict, {depth:3} in flight: {min(cost):6.2f} us CPU")
    find(verdicts, loop.time())
    await memory(link)
    await link.close()


def find(verdicts: Verdicts, now: float) -> None:
    """The hot path."""
    digests = [a_ref(number).digest for number in range(TOKENS)]
    began = time.perf_counter()
    for digest in digests:
        verdicts.find(digest, now)
    took = time.perf_counter() - began
    began = time.perf_counter()
    for _ in digests:
        pass
    print(f"Verdicts.find: {(took - (time.perf_counter() - began)) / TOKENS * 1e9:.0f} ns")


async def memory(link: VerdictLink) -> None:
    """Bytes per kept verdict, its digest included."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    verdicts = Verdicts(link, clock=asyncio.get_running_loop().time, registry=Registry())
    await look_up(verdicts.fetch, 64, TOKENS)
    print(f"memory: {(tracemalloc.get_traced_memory()[0] - before) / TOKENS:.0f} bytes per kept verdict")
    tracemalloc.stop()


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
