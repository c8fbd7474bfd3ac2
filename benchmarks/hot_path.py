"""
What the gateway's own code costs per authorized request: no sockets, no kernel, no peer, so it can be compared across commits.

Drives `Downstream.data_received` and `Upstream.data_received` with transports that throw bytes away.  Run it as
``python -m benchmarks.hot_path``; with ``perf stat -e instructions`` or callgrind around it, it gives counts instead of times.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.config.model import Config
from gateway.edge.downstream import Downstream
from gateway.edge.listener import Edge
from gateway.guard.leases import Grant, Kind, Lease
from gateway.guard.verdict import Verdict
from gateway.oauth.records import AccessToken
from gateway.oauth.tokens import digest_access, mint_access
from gateway.routing import Router
from gateway.telemetry.accesslog import AccessLog
from gateway.telemetry.metrics import Registry

ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 19:18:00 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 273\r\nConnection: keep-alive\r\n\r\n" + b"x" * 273
)


CLIENT = "gwc_abc" + "x" * 22


class Sink:
    """A transport that writes nowhere."""

    def write(self, data: bytes) -> None:
        """Drop it."""

    def set_write_buffer_limits(self, high: int) -> None:
        """There is no buffer."""

    def get_extra_info(self, name: str) -> Any:
        """A loopback client."""
        return ("127.0.0.1", 40000) if name == "peername" else None


class Kept:
    """Verdicts that are all here."""

    def __init__(self, tokens: list[str]) -> None:
        record = AccessToken(CLIENT, "gwk_abc" + "x" * 22, "", frozenset(), 0, 0, 0)
        self._kept = {digest_access(token.encode()): Verdict(record, frozenset(), 1e18) for token in tokens}

    def find(self, digest: bytes, now: float) -> Verdict | None:
        """As `gateway.guard.verdicts.Verdicts.find`."""
        verdict = self._kept.get(digest)
        return verdict if verdict is not None and now < verdict.deadline else None


async def measure(
    count: int, tokens: int, *, route: Mapping[str, Any] | None = None, upstream: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None, clock: Callable[[], float] = time.perf_counter,
) -> float:  # fmt: skip
    """
    µs per exchange; ``tokens`` different ones take turns.

    ``route``, ``upstream`` and ``more`` are added to the configuration: see `benchmarks.guards`.
    """
    minted = [mint_access("abc", os.urandom(32)) for _ in range(tokens)]
    config = Config.model_validate(
        {
            "upstreams": {"legacy": {"targets": ["http://127.0.0.1:9000"], **(upstream or {})}},
            "routes": [{"path": "/v1/resource", "upstream": "legacy", **(route or {})}],
            **(more or {}),
        }
    )
    registry = Registry()
    log = AccessLog(os.open(os.devnull, os.O_WRONLY), registry, readable=False)
    edge = Edge(config, Router(config), Kept(minted), None, registry, log)  # type: ignore[arg-type]
    edge.loop = asyncio.get_running_loop()
    for limit in edge.limits._all:  # a lease that lasts: what a request costs between two questions to the store
        _fill(limit.kind, limit.begin(CLIENT))
    down = Downstream(edge)
    down.connection_made(Sink())  # type: ignore[arg-type]
    for pool in edge.groups["legacy"].pools:
        up = pool.speak(pool)
        up.connection_made(Sink())  # type: ignore[arg-type]
        pool.release(up)
    heads = [
        b"GET /v1/resource HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n"
        b"Authorization: Bearer " + token.encode() + b"\r\n\r\n"
        for token in minted
    ]
    receive, answer = down.data_received, up.data_received
    several = len(edge.groups["legacy"].pools) > 1
    began = clock()
    for number in range(count):
        receive(heads[number % tokens])
        if several:
            answer = down._exchange.up.data_received  # type: ignore[union-attr]
        answer(ANSWER)
    return (clock() - began) / count * 1e6


def _fill(kind: Kind, lease: Lease[Any]) -> None:
    kind.grant(lease, Grant(10**9, 0.0, 10**9, 1e9), 1, 0.0)
    lease.until = lease.reset_at = 1e18


def main() -> None:
    """Print the best of five rounds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for tokens in (1, 1000):
        best = min(asyncio.run(measure(count, tokens)) for _ in range(5))
        print(f"{tokens:5} tokens: {best:6.2f} us per authorized request, sockets apart")


if __name__ == "__main__":
    main()
