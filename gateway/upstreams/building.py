"""From an entry of ``upstreams`` to its `Group`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from random import Random

from gateway.config.address import Target, parse_target
from gateway.config.model import Upstream as Section
from gateway.config.model import UpstreamTls
from gateway.telemetry.metrics import Registry
from gateway.upstreams.balancer import Balancer, Hash, LeastLoaded, RoundRobin
from gateway.upstreams.connecting import connector, host_of, look_up, tls_context
from gateway.upstreams.group import Group, KeyOf
from gateway.upstreams.meters import Meters
from gateway.upstreams.pins import Pins
from gateway.upstreams.places import Place, Places
from gateway.upstreams.pool import Pool
from gateway.upstreams.ports import Exchange, Resolve, Speaker
from gateway.upstreams.retry_budget import RetryBudget
from gateway.upstreams.watch import Watch


def group_of(
    name: str, section: Section, speaker: Callable[[], Speaker], registry: Registry, pins: Pins, *, binding: bool,
    resolve: Resolve = look_up, rng: Random | None = None,
) -> Group:  # fmt: skip
    """
    Build an upstream on the running event loop.

    Args:
        name: Its key in the configuration.
        section: What the configuration says of it.
        speaker: Gives what speaks HTTP to one address.
        registry: Where it is counted.
        pins: Where connections wait that belong to one client.
        binding: Whether a route passes ``Authorization`` on, so that requests may log connections in.
        resolve: Looks names up.
        rng: For draws and jitter, nothing secret.
    """
    rng = rng or Random()  # noqa: S311 - spreads load
    now = asyncio.get_running_loop().time()
    meters = Meters(name, registry)
    group = Group(
        meters, pins, _balance(section, rng), key_of=_key_of(section), binding=binding,
        budget=RetryBudget(section.retry_budget, now), max_held=section.max_queue,
    )  # fmt: skip
    watch = group.watch = Watch(section.ejection, section.health, meters, group.spawn, group.settle, rng)
    places = Places(group, _places(section, speaker, binding=binding), resolve, section.dns_refresh.total_seconds())
    group.background = [watch.tick, places.tick]
    group.hasten = places.hasten
    meters.watch({"in_service": lambda: sum(not _is_out(pool) for pool in group.pools),
                  "out": lambda: sum(_is_out(pool) for pool in group.pools)}, lambda: group.waiting)  # fmt: skip
    return group


def single(name: str, pool: Pool, registry: Registry) -> Group:
    """An upstream of one address that nobody watches: the gateway's own endpoints."""
    group = Group(Meters(name, registry), Pins(), RoundRobin)
    group.follow([(pool, 1.0)])
    return group


def _is_out(pool: Pool) -> bool:
    return pool.standing is not None and pool.standing.out


def _places(section: Section, speaker: Callable[[], Speaker], *, binding: bool) -> list[Place]:
    weights = section.weights or (1,) * len(section.targets)
    tls = section.tls or UpstreamTls()
    targets = [parse_target(text) for text in section.targets]
    context = tls_context(tls) if any(target.scheme == "https" for target in targets) else None

    def pools_of(text: str, target: Target) -> Callable[[str], Pool]:
        def pool_at(address: str) -> Pool:
            pool = Pool(
                text if address == target.host else f"{text} ({address})", host_of(text),
                connector(target, address, context, tls.server_name), speaker(), limit=section.max_connections,
                keepalive=section.keepalive.total_seconds(), max_waiting=section.max_queue,
            )  # fmt: skip
            pool.binding = binding
            return pool

        return pool_at

    return [
        Place(target, weight, pools_of(text, target))
        for text, target, weight in zip(section.targets, targets, weights, strict=True)
    ]


def _balance(section: Section, rng: Random) -> Callable[[Sequence[tuple[Pool, float]]], Balancer[Pool]]:
    if section.balance == "least_loaded":
        return lambda weighted: LeastLoaded(weighted, lambda pool: pool.load, rng)
    if section.balance == "hash":
        return lambda weighted: Hash(weighted, lambda pool: pool.name)
    return RoundRobin


def _key_of(section: Section) -> KeyOf | None:
    if section.balance != "hash":
        return None
    _, _, header = section.hash_on.partition(":")
    if not header:
        return _client_of
    line = re.compile(rb"(?:\A|\n)%b: ?([^\r]*)" % re.escape(header.encode("ascii")), re.IGNORECASE)

    def key_of(exchange: Exchange) -> bytes:
        found = line.search(exchange.tail)
        return found[1] if found is not None else _client_of(exchange)

    return key_of


def _client_of(exchange: Exchange) -> bytes:
    return (exchange.permit.client_id or exchange.address).encode("ascii")
