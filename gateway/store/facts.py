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
class Commands:
    """Connections for commands; nothing of it is started."""

    wire: Wire | Cluster
    """For reads, and for what may be lost."""
    changes: Caller
    """For all that people are told is done."""
    waiting: Wire | None
    """What ``changes`` waits for replicas on, where it is none of the above."""


@dataclass(frozen=True, slots=True)
class Reached(Commands):
    """The same, and one for verdicts."""

    link: VerdictLink | ClusterLink


def reach_store(store: Store, *, socket_path: Path | None, registry: Registry) -> Reached:
    """
    Make the connections of a worker.

    Raises:
        OSError: If ``ca_file`` can't be read.
    """
    timeout = store.timeout.total_seconds()
    if is_cluster(store):
        seeds, login = find_several(store)
        links = ClusterLink(seeds, login, prefix=store.prefix, timeout=timeout, registry=registry, waits=_waits(store))
        cluster = links.cluster
        return Reached(cluster, _changes(store, cluster, cluster), None, links)
    place, login = _whereabouts(store, socket_path)
    link = VerdictLink(place, login, prefix=store.prefix, timeout=timeout, registry=registry)
    commands = reach_commands(store, socket_path=socket_path, registry=registry)
    return Reached(commands.wire, commands.changes, commands.waiting, link)


def reach_commands(store: Store, *, socket_path: Path | None, registry: Registry) -> Commands:
    """
    Make the connections of whoever looks no verdicts up.

    Raises:
        OSError: If ``ca_file`` can't be read.
    """
    timeout = store.timeout.total_seconds()
    if is_cluster(store):
        seeds, login = find_several(store)
        cluster = Cluster(seeds, login, timeout=timeout, registry=registry, waits=_waits(store))
        return Commands(cluster, _changes(store, cluster, cluster), None)
    place, login = _whereabouts(store, socket_path)
    wire = Wire(place, login, timeout=timeout, registry=registry)
    if not _waits(store):
        return Commands(wire, wire, None)
    waiting = Wire(_whereabouts(store, socket_path)[0], login, timeout=timeout, registry=registry)
    return Commands(wire, _changes(store, wire, waiting), waiting)


def _waits(store: Store) -> bool:
    return store.durability == "replicated"


def _changes(store: Store, reads: Wire | Cluster, changes: Wire | Cluster) -> Caller:
    if not _waits(store):
        return changes
    return Replicated(reads, changes, prefix=store.prefix, timeout=store.timeout.total_seconds())


def _whereabouts(store: Store, socket_path: Path | None) -> tuple[Place, Login]:
    """A place of its own for each connection, as sentinels may send them elsewhere at different times."""
    if is_watched(store):
        sentinels, master, login = find_master(store)
        theirs = store.sentinel_password.get_secret_value() if store.sentinel_password else ""
        return Sentinels(sentinels, master, theirs), login
    return find_address(store, socket_path)
