"""One measured run of wrk against one proxy, and the checks that make its figures worth something."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.bench import BenchError
from benchmarks.stage import BODY, Running, Stage
from benchmarks.wrk import Load

EXACT = 200
"""Requests sent one by one before a workload; the upstream must see exactly as many."""


@dataclass(frozen=True, slots=True)
class Sample:
    """
    One run.

    Attributes:
        cpu_us: Microseconds of the proxy's CPU for each answered request.
        store_us: Microseconds of the shared store's CPU for each answered request.
        rate: Requests a second.
        p50: Seconds.
        p99: Seconds.
        mb_per_cpu_s: 10^6 bytes that reached wrk for each second of the proxy's CPU.
    """

    cpu_us: float
    store_us: float
    rate: float
    p50: float
    p99: float
    mb_per_cpu_s: float
    requests: int


def check(stage: Stage, running: Running, path: str = "/v1/resource") -> list[str]:
    """Send `EXACT` requests one by one: each answer must be the upstream's, and the upstream must see each once."""
    faults = []
    before = stage.upstream_requests()
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    try:
        for _ in range(EXACT):
            connection.request("GET", path, headers={"Authorization": f"Bearer {stage.token}"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or body != BODY:
                return [f"{running.name}: {path} was answered {answer.status} with {len(body)} bytes"]
    except (OSError, http.client.HTTPException) as exc:
        return [f"{running.name}: {path} failed: {type(exc).__name__}"]
    finally:
        connection.close()
    seen = stage.upstream_requests() - before
    if seen != EXACT:
        faults.append(f"{running.name}: {EXACT} requests sent one by one, {seen} seen by the upstream")
    return faults


def check_refusal(stage: Stage, running: Running) -> list[str]:
    """A request without a token must be 401 and never reach the upstream."""
    before = stage.upstream_requests()
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    try:
        connection.request("GET", "/v1/resource", headers={"Authorization": "Bearer gwa_nobody"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as exc:
        return [f"{running.name}: a refused request failed: {type(exc).__name__}"]
    finally:
        connection.close()
    if status != 401 or stage.upstream_requests() != before:
        return [f"{running.name}: a bad token was answered {status}"]
    return []


def sample(
    stage: Stage, running: Running, run: Callable[[], Load], *, connections: int, refused: float = 0.0, upstream: bool = True,
    faults: list[str],
) -> Sample:
    """
    Measure one run of wrk.

    Args:
        refused: The share of requests that the proxy must refuse; the upstream may not see those.
        upstream: Whether the requests that pass go to the upstream at all.
        faults: Gets a line for each thing that makes the figures doubtful.

    wrk cuts what is in flight when its time is over: the upstream may have seen up to one more request a connection than
    wrk counts as answered, never fewer.
    """
    seen, store, cpu = _settled(stage), stage.store_cpu_ns(), running.cpu_ns()
    load = run()
    cpu, store = running.cpu_ns() - cpu, stage.store_cpu_ns() - store
    passed = _settled(stage) - seen
    if load.requests == 0:
        raise BenchError(f"{running.name}: not one request was answered")
    least = load.requests - load.refused if upstream else 0
    if not least <= passed <= least + (connections if upstream else 0):
        faults.append(f"{running.name}: {least} requests passed, {passed} seen by the upstream")
    if abs(load.refused / load.requests - refused) > (0.02 if refused else 0.0):  # a run may end within the table
        faults.append(f"{running.name}: {load.refused} of {load.requests} requests were refused")
    if load.failed:
        faults.append(f"{running.name}: {load.failed} socket errors or time-outs")
    return Sample(
        cpu_us=cpu / load.requests / 1000,
        store_us=store / load.requests / 1000,
        rate=load.rate,
        p50=load.p50,
        p99=load.p99,
        mb_per_cpu_s=load.received / 1e6 / (cpu / 1e9),
        requests=load.requests,
    )


def rounds(
    stage: Stage, peers: Sequence[Running], one: Callable[[Running, int], Sample], faults: list[str],
) -> dict[str, list[Sample]]:
    """Sample every peer once in each round, in turning order; a peer that fails stays away from the later rounds."""
    samples: dict[str, list[Sample]] = {}
    broken: set[str] = set()
    for number in range(stage.bench.rounds):
        for running in list(peers) if number % 2 == 0 else list(reversed(peers)):
            if running.name in broken:
                continue
            try:
                samples.setdefault(running.name, []).append(one(running, number))
            except BenchError as exc:
                faults.append(f"{running.name}: {exc}")
                broken.add(running.name)
    return {peer.name: samples[peer.name] for peer in peers if samples.get(peer.name)}


def middle(samples: Sequence[Sample], what: str) -> float:
    """The median of one figure over the rounds."""
    return float(median(getattr(one, what) for one in samples))


def raw(samples: dict[str, list[Sample]]) -> dict[str, Any]:
    """Every sample, for the JSON."""
    return {name: [asdict(one) for one in found] for name, found in samples.items()}


def _settled(stage: Stage) -> int:
    """The upstream's count once it has not risen for a tenth of a second; what rises on after two belongs to the next run."""
    count, calm = stage.upstream_requests(), 0
    for _ in range(100):
        time.sleep(0.02)
        now = stage.upstream_requests()
        calm = calm + 1 if now == count else 0
        if calm == 5:
            break
        count = now
    return count
