"""All targets of one upstream: which of them a request goes to, and where to when that one can't be reached."""

from __future__ import annotations

from collections.abc import Callable

from gateway.config.model import Upstream as UpstreamSection
from gateway.errors import GatewayError
from gateway.upstreams.balancer import RoundRobin
from gateway.upstreams.connecting import connector
from gateway.upstreams.pool import Pool
from gateway.upstreams.ports import Exchange, Speaker


class Group:
    """All targets of one upstream."""

    def __init__(self, pools: list[Pool]) -> None:
        self.pools = pools
        self._balancer = RoundRobin(pools)
        for pool in pools:
            pool.group = self

    def lease(self, exchange: Exchange) -> None:
        """Send an exchange to the target whose turn it is."""
        self._balancer.first().lease(exchange)

    def unreachable(self, pool: Pool, exchange: Exchange, failure: GatewayError) -> None:
        """Nothing was sent, so another target may be tried, each once."""
        exchange.targets_tried += 1
        if exchange.targets_tried < len(self.pools):
            self._balancer.after(pool).lease(exchange)
            if exchange.up is not None:
                exchange.leased()
        else:
            exchange.fail(failure)


def group_of(section: UpstreamSection, speaker: Callable[[], Speaker]) -> Group:
    """Build the pools of a configured upstream; ``speaker`` gives what speaks to one target."""
    return Group([
        Pool(
            target, *connector(target), speaker(), limit=section.max_connections, keepalive=section.keepalive.total_seconds()
        )
        for target in section.targets
    ])  # fmt: skip
