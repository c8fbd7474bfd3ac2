"""What a worker asks the store with: one server, or a cluster of them."""

from __future__ import annotations

from pathlib import Path

from gateway.config.model import Store
from gateway.store.cluster import Cluster, ClusterLink
from gateway.store.dial import find_address, find_seeds
from gateway.store.link import VerdictLink
from gateway.store.wire import Wire
from gateway.telemetry.metrics import Registry


def is_cluster(store: Store) -> bool:
    """Whether the URL names the nodes of a cluster."""
    return store.url.startswith(("redis+cluster:", "rediss+cluster:"))


def reach_store(
    store: Store, *, socket_path: Path | None, registry: Registry
) -> tuple[VerdictLink, Wire] | tuple[ClusterLink, Cluster]:
    """
    The link for verdicts, and the wire for everything else; neither is started.

    Raises:
        OSError: If ``ca_file`` can't be read.
    """
    timeout = store.timeout.total_seconds()
    if is_cluster(store):
        seeds, login = find_seeds(store)
        link = ClusterLink(seeds, login, prefix=store.prefix, timeout=timeout, registry=registry)
        return link, link.cluster
    address, login = find_address(store, socket_path)
    return (
        VerdictLink(address, login, prefix=store.prefix, timeout=timeout, registry=registry),
        Wire(address, login, timeout=timeout, registry=registry),
    )
