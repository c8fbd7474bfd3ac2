"""What a worker asks the store with: one server, one that sentinels know, or a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gateway.config.model import Store
from gateway.store.caller import Caller
from gateway.store.cluster import Cluster, ClusterLink
from gateway.store.dial import Place, find_address, find_master, find_several
from gateway.store.handshake import Login
from gateway.store.link import VerdictLink
from gateway.store.replicated import Replicated
from gateway.store.sentinel import Sentinels
from gateway.store.wire import Wire
from gateway.telemetry.metrics import Registry


def is_cluster(store: Store) -> bool:
    """Whether the URL names the nodes of a cluster."""
    return store.url.startswith(("redis+cluster:", "rediss+cluster:"))


def is_watched(store: Store) -> bool:
    """Whether the URL names sentinels."""
    return store.url.startswith(("redis+sentinel:", "rediss+sentinel:"))


@dataclass(frozen=True, slots=True)
class Reached:
    """Nothing of it is started."""

    link: VerdictLink | ClusterLink
    """For verdicts."""
    wire: Wire | Cluster
    """For reads, and for what may be lost."""
    changes: Caller
    """For all that people are told is done."""
    waiting: Wire | None
    """What ``changes`` waits for replicas on, where it is none of the above."""


def reach_store(store: Store, *, socket_path: Path | None, registry: Registry) -> Reached:
    """
    Make the connections of a worker.

    Raises:
        OSError: If ``ca_file`` can't be read.
    """
    timeout = store.timeout.total_seconds()
    waits = store.durability == "replicated"
    if is_cluster(store):
        seeds, login = find_several(store)
        links = ClusterLink(seeds, login, prefix=store.prefix, timeout=timeout, registry=registry, waits=waits)
        cluster = links.cluster
        changes = Replicated(cluster, cluster, prefix=store.prefix, timeout=timeout) if waits else cluster
        return Reached(links, cluster, changes, None)
    _, login = _whereabouts(store, socket_path)
    link = VerdictLink(_whereabouts(store, socket_path)[0], login, prefix=store.prefix, timeout=timeout, registry=registry)
    wire = Wire(_whereabouts(store, socket_path)[0], login, timeout=timeout, registry=registry)
    if not waits:
        return Reached(link, wire, wire, None)
    waiting = Wire(_whereabouts(store, socket_path)[0], login, timeout=timeout, registry=registry)
    return Reached(link, wire, Replicated(wire, waiting, prefix=store.prefix, timeout=timeout), waiting)


def _whereabouts(store: Store, socket_path: Path | None) -> tuple[Place, Login]:
    """A place of its own for each connection, as sentinels may send them elsewhere at different times."""
    if is_watched(store):
        sentinels, master, login = find_master(store)
        theirs = store.sentinel_password.get_secret_value() if store.sentinel_password else ""
        return Sentinels(sentinels, master, theirs), login
    return find_address(store, socket_path)
