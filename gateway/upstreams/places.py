"""
At which addresses the targets of an upstream are: fixed ones, and names that are looked up again and again.

Look-ups run in the background, one at a time for each name; while one fails, the last known addresses stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from ipaddress import ip_address

from gateway.config.address import Target
from gateway.upstreams.group import Group
from gateway.upstreams.pool import Pool
from gateway.upstreams.ports import Resolve

MAX_ADDRESSES = 64
"""Addresses of one name that are used."""
SOON = 1.0
"""Seconds between two look-ups at the least: after a failure, and when an address can't be connected to."""


class Place:
    """One configured target."""

    def __init__(self, target: Target, weight: float, pool_at: Callable[[str], Pool]) -> None:
        """``pool_at`` makes the pool of one of its addresses."""
        self.target = target
        self.weight = weight
        self.is_name = target.scheme != "unix" and not _is_address(target.host)
        self.pools: dict[str, Pool] = {}
        self.due = 0.0
        """When to look it up, event-loop seconds."""
        self.asked_at = 0.0
        self.asking = False
        self.failure = ""
        self._pool_at = pool_at
        if not self.is_name:
            self.use([target.host])

    def use(self, addresses: list[str]) -> bool:
        """These are its addresses now, in a stable order; says whether that is new."""
        if addresses == list(self.pools):
            return False
        self.pools = {address: self.pools.get(address) or self._pool_at(address) for address in addresses}
        return True

    def weighted(self) -> Iterator[tuple[Pool, float]]:
        """Its addresses, which share its weight."""
        for pool in self.pools.values():
            yield pool, self.weight / len(self.pools)


class Places:
    """All targets of one upstream; keeps its `Group` told."""

    def __init__(self, group: Group, places: list[Place], resolve: Resolve, refresh: float) -> None:
        """``refresh``: seconds between two look-ups of a name."""
        self._group = group
        self._places = places
        self._resolve = resolve
        self._refresh = refresh
        self._tell()

    def tick(self, now: float) -> None:
        """Look up what is due."""
        for place in self._places:
            if place.is_name and now >= place.due and not place.asking:
                place.asking = True
                place.asked_at = now
                self._group.spawn(self._look_up(place))

    def hasten(self, pool: Pool) -> None:
        """An address can't be connected to: perhaps its name has moved."""
        for place in self._places:
            if place.is_name and pool in place.pools.values():
                place.due = min(place.due, place.asked_at + SOON)

    async def _look_up(self, place: Place) -> None:
        meters = self._group.meters
        try:
            addresses = list(await self._resolve(place.target.host))[:MAX_ADDRESSES]
            failure = "" if addresses else "no addresses"
        except (OSError, UnicodeError) as error:
            addresses, failure = [], type(error).__name__
        place.asking = False
        place.due = asyncio.get_running_loop().time() + (self._refresh if place.pools or addresses else SOON)
        if failure:
            if not place.failure:
                meters.note("upstream.unresolved", warn=True, host=place.target.host, error=failure)
            place.failure = failure
            self._give_up()
            return
        place.failure = ""
        if place.use(sorted(addresses)):
            meters.note("upstream.resolved", host=place.target.host, addresses=" ".join(addresses))
            self._group.unresolved = ""
            self._tell()

    def _tell(self) -> None:
        weighted = [entry for place in self._places for entry in place.weighted()]
        if weighted:
            self._group.follow(weighted)

    def _give_up(self) -> None:
        """Once every name has failed and nothing is known, nobody needs to wait."""
        if all(place.failure and not place.pools for place in self._places):
            self._group.unresolved = "no name of the upstream's targets can be resolved"
            self._group.let_go()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
