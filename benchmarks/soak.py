"""
A gateway under churn for as long as one likes: ``python -m benchmarks.soak --minutes 1440`` (F28 of hardening.md).

One gateway with its store, one upstream that goes away and comes back, and clients that get, refresh and revoke tokens, leave in
the middle of answers, and use tokens that are dead.  It fails when a request gets a status that nobody should see, when a token
works that was revoked, or when descriptors stay behind; memory is shown as a slope, in KB a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop
from aiohttp import ClientConnectionError, ClientSession, TCPConnector, encode_basic_auth, web

from tests.blackbox import Gateway, free_port

CLIENTS = 16
DOWN = frozenset({502, 503, 504})
"""What a request may get while the upstream is away."""


@dataclass(slots=True)
class Sample:
    """The gateway's processes, without the store's, at one moment."""

    second: float
    rss_kb: int
    descriptors: int


@dataclass(slots=True)
class Soak:
    """What happened so far."""

    statuses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    left_over: int = 0
    """Descriptors that the gateway had more at the end, with nobody there, than before anybody came."""

    def slope(self) -> float:
        """KB of memory a minute, by least squares over the last two thirds."""
        late = self.samples[len(self.samples) // 3 :]
        if len(late) < 2:
            return 0.0
        middle = sum(sample.second for sample in late) / len(late)
        spread = sum((sample.second - middle) ** 2 for sample in late)
        return 60 * sum((sample.second - middle) * sample.rss_kb for sample in late) / spread


class Upstream:
    """A legacy API on one port, which can end with all its connections and begin anew."""

    def __init__(self) -> None:
        self.port = free_port()
        self.away_until = 0.0
        self._runner: web.AppRunner | None = None

    async def begin(self) -> None:
        """Listen."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def end(self) -> None:
        """Listen no more, and end what is connected."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        if not request.path.endswith("/long"):
            return web.Response(text="legacy")
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(50):
                await response.write(bytes(4096))
                await asyncio.sleep(0.002)
        return response


async def soak(gateway: Gateway, upstream: Upstream, seconds: float, *, seed: int = 0) -> Soak:
    """
    Let clients loose on a running gateway.

    Args:
        gateway: Its route is ``/v1/legacy/``, its upstream is ``upstream``.
        upstream: Running.
        seconds: How long.
        seed: For what the clients do.
    """
    found = Soak()
    began = time.monotonic()
    stop = asyncio.Event()
    stop.set()
    await _client(gateway, upstream, Soak(), random.Random(seed), stop)  # the store's connections are there now
    before = _sample(gateway, began).descriptors
    stop.clear()
    rngs = [random.Random(seed + number) for number in range(CLIENTS)]
    tasks = [asyncio.create_task(_client(gateway, upstream, found, rng, stop)) for rng in rngs]
    tasks.append(asyncio.create_task(_restarts(upstream, stop)))
    interval = max(1.0, seconds / 60)
    while time.monotonic() - began < seconds:
        await asyncio.sleep(interval)
        found.samples.append(_sample(gateway, began))
    stop.set()
    await asyncio.gather(*tasks)
    await upstream.end()  # or its kept connections would count
    for _ in range(100):  # connections end a moment later
        found.left_over = _sample(gateway, began).descriptors - before
        if found.left_over <= 0:
            break
        await asyncio.sleep(0.1)
    return found


async def _restarts(upstream: Upstream, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await _wait(stop, 4.0)
        upstream.away_until = float("inf")
        await upstream.end()
        await _wait(stop, 0.3)
        await upstream.begin()
        upstream.away_until = time.monotonic() + 3.0  # until an ejected target is tried again


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def _client(gateway: Gateway, upstream: Upstream, found: Soak, rng: random.Random, stop: asyncio.Event) -> None:
    """One client after another: registered, busy for a while, gone with its connections."""
    first = True
    while first or not stop.is_set():
        first = False
        async with ClientSession(gateway.url, connector=TCPConnector(limit=4)) as http:
            async with http.post("/v1/oauth/register", json={}) as answer:
                registered = await answer.json()
            basic = {"Authorization": encode_basic_auth(registered["client_id"], registered["client_secret"])}
            form = {"grant_type": "client_credentials"}
            while not stop.is_set() and rng.random() > 0.05:
                async with http.post("/v1/oauth/token", data=form, headers=basic) as answer:
                    if answer.status != 200:
                        found.faults.append(f"token endpoint: {answer.status}")
                        break
                    tokens = await answer.json()
                form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
                for _ in range(rng.randrange(40)):
                    await _request(http, tokens["access_token"], upstream, found, rng)
                if rng.random() < 0.5:
                    form = {"grant_type": "client_credentials"}
                    async with http.post("/v1/oauth/revoke", data={"token": tokens["access_token"]}, headers=basic) as answer:
                        if answer.status != 200:
                            found.faults.append(f"revocation: {answer.status}")
                    async with http.get("/v1/legacy/x", headers={"Authorization": f"Bearer {tokens['access_token']}"}) as answer:
                        found.statuses[f"revoked {answer.status}"] += 1
                        if answer.status < 400:
                            found.faults.append(f"a revoked token: {answer.status}")


async def _request(http: ClientSession, token: str, upstream: Upstream, found: Soak, rng: random.Random) -> None:
    began = time.monotonic()
    leaves = rng.random() < 0.05
    path = "/v1/legacy/long" if leaves else "/v1/legacy/x"
    try:
        async with http.get(path, headers={"Authorization": f"Bearer {token}"}) as answer:
            found.statuses[str(answer.status)] += 1
            if answer.status != 200 and not (answer.status in DOWN and began < upstream.away_until):
                found.faults.append(f"a good token: {answer.status}")
            if leaves:
                await answer.content.read(1)
                answer.close()
            else:
                await answer.read()
    except ClientConnectionError:
        found.statuses["cut"] += 1
        if not leaves:
            found.faults.append("a short answer was cut off")


def _sample(gateway: Gateway, began: float) -> Sample:
    assert gateway.process is not None
    root = psutil.Process(gateway.process.pid)
    own = [process for process in (root, *root.children(recursive=True)) if "valkey" not in process.name()]
    rss = sum(process.memory_info().rss for process in own)
    return Sample(time.monotonic() - began, rss // 1024, sum(process.num_fds() for process in own))


async def run(seconds: float) -> Soak:
    """A gateway, its store and its upstream for this time."""
    upstream = Upstream()
    config = {
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{upstream.port}"], "ejection": {"shortest": "1s"}}},
        "routes": [{"path": "/v1/legacy/", "upstream": "legacy"}],
    }
    with tempfile.TemporaryDirectory() as directory:
        gateway = Gateway(Path(directory), config)
        gateway.config["listen"]["bad_tokens"] = 0  # all of these clients have one address, and use dead tokens on purpose
        with gateway.running():
            await upstream.begin()
            return await soak(gateway, upstream, seconds)


def main() -> int:
    """Print what was found; 1 when something should not have been."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=5.0)
    found = uvloop.run(run(parser.parse_args().minutes * 60))
    for sample in found.samples[:: max(1, len(found.samples) // 12)]:
        print(f"{sample.second:8.0f} s {sample.rss_kb / 1024:8.1f} MB {sample.descriptors:6d} descriptors")
    print("answers:", ", ".join(f"{status}: {count:,}" for status, count in sorted(found.statuses.items())))
    print(f"memory: {found.slope():+.0f} KB a minute over the last two thirds; descriptors left over: {found.left_over}")
    for fault, count in Counter(found.faults).items():
        print(f"FAULT, {count} times: {fault}")
    return 1 if found.faults or found.left_over > 0 else 0


if __name__ == "__main__":
    sys.exit(main())
