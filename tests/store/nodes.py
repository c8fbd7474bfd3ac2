"""A Redis Cluster of real servers: three primaries, and a replica of each where one is wanted."""

from __future__ import annotations

from gateway.store.slots import slot_of
from tests.servers import ValkeyServer, free_port, wait_for

BOUNDS = ((0, 5460), (5461, 10922), (10923, 16383))
NODE_TIMEOUT = 500
"""Milliseconds after which a node counts as gone."""


class Nodes:
    """
    The servers.

    Attributes:
        primaries: In the order of their slots, as they were at first.
        replicas: One for each, perhaps.
    """

    def __init__(self, *, replicas: bool, args: tuple[str, ...] = ()) -> None:
        timeout = ("--cluster-node-timeout", str(NODE_TIMEOUT), "--repl-diskless-sync-delay", "0")
        options = ("--cluster-enabled", "yes", *timeout, *args)
        self._buses: dict[ValkeyServer, int] = {}

        def make() -> ValkeyServer:
            bus = free_port()  # by default 10,000 above the other one, which may be none
            server = ValkeyServer(*options, "--cluster-port", str(bus))
            self._buses[server] = bus
            return server

        self.primaries = [make() for _ in BOUNDS]
        self.replicas = [make() for _ in BOUNDS] if replicas else []
        for server in self.all:
            server.start()
        first = self.primaries[0]
        for server, bounds in zip(self.primaries, BOUNDS, strict=True):
            server.call("CLUSTER", "ADDSLOTSRANGE", *bounds)
        for server in self.all[1:]:
            server.call("CLUSTER", "MEET", "127.0.0.1", first.port, self._buses[first])
        wait_for(lambda: all(self._knows_all(server) for server in self.all), 20)
        for server, primary in zip(self.replicas, self.primaries, strict=False):
            server.call("CLUSTER", "REPLICATE", str(primary.call("CLUSTER", "MYID"), "ascii"))
        wait_for(lambda: all(self._is_ok(server) for server in self.all), 20)
        wait_for(lambda: all(self._follows(server) for server in self.replicas), 20)

    @property
    def all(self) -> list[ValkeyServer]:
        """Every server."""
        return [*self.primaries, *self.replicas]

    @property
    def url(self) -> str:
        """For the store's section."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.all)

    def at(self, key: bytes) -> ValkeyServer:
        """Who was given the slot of a key."""
        slot = slot_of(key)
        return next(server for server, (first, last) in zip(self.primaries, BOUNDS, strict=True) if first <= slot <= last)

    def remove(self) -> None:
        """End all."""
        for server in self.all:
            server.remove()

    def _knows_all(self, server: ValkeyServer) -> bool:
        return bytes(server.call("CLUSTER", "NODES")).count(b" connected") == len(self.all)

    def _is_ok(self, server: ValkeyServer) -> bool:
        return b"cluster_state:ok" in server.call("CLUSTER", "INFO")

    def _follows(self, server: ValkeyServer) -> bool:
        return bool(server.call("INFO", "replication").get("master_link_status") == "up")
