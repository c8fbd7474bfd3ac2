"""What stands where redis-py's client stands for one server: for the command line, and to see whether the store is there."""

from __future__ import annotations

import asyncio

from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.errors import StoreUnavailable
from gateway.store.cluster import Cluster
from gateway.store.facts import Commands
from gateway.store.resp import Reply, Word


class Client:
    """As much of redis-py's client as is used beside a worker; it connects on first use, and not again after `aclose`."""

    def __init__(self, reached: Commands) -> None:
        self._reached = reached
        self._started = self._closed = False

    async def execute_command(self, *words: Word) -> Reply:
        """
        One command.

        Raises:
            NoScript, StoreUnavailable: As `gateway.store.caller.Caller.call`.
        """
        await self._start()
        return await self._reached.changes.call(*words)

    async def ping(self) -> bool:
        """
        Whether the store answers, all primaries of a cluster.

        Raises:
            redis.exceptions.ConnectionError: It does not.
        """
        await self._start()
        try:
            await self._reached.wire.call("PING")
        except StoreUnavailable as error:
            raise RedisConnectionError(error.reason) from None
        return True

    async def info(self, section: str) -> dict[str, str]:
        """
        INFO; in a cluster of the primary that evicts, or of any.

        Raises:
            redis.exceptions.ConnectionError: It does not answer.
        """
        await self.ping()
        wire = self._reached.wire
        wires = [primary.wire for primary in wire.primaries.values()] if isinstance(wire, Cluster) else [wire]
        try:
            replies = await asyncio.gather(*(one.call("INFO", section) for one in wires))
        except StoreUnavailable as error:
            raise RedisConnectionError(error.reason) from None
        texts = [bytes(reply).decode("utf-8", "replace") for reply in replies]
        found = [dict(line.split(":", 1) for line in text.splitlines() if ":" in line) for text in texts]
        return next((one for one in found if one.get("maxmemory_policy", "noeviction") != "noeviction"), found[0])

    async def aclose(self) -> None:
        """End its connections."""
        if self._started and not self._closed:
            self._closed = True
            for connection in (self._reached.wire, self._reached.waiting):
                if connection is not None:
                    await connection.close()

    async def _start(self) -> None:
        if not self._started:
            self._started = True
            for connection in (self._reached.wire, self._reached.waiting):
                if connection is not None:
                    await connection.start()
