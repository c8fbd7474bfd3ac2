"""What is counted and logged of one upstream."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gateway.telemetry.metrics import Registry

_log = logging.getLogger("gateway.upstreams")


class Meters:
    """The metrics of an upstream, and its log events, which all carry its name."""

    def __init__(self, name: str, registry: Registry) -> None:
        self._name = name
        self._registry = registry
        counter = registry.counter
        self.ejections = counter(
            "gateway_upstream_ejections_total", "Times that an address was taken out of service.", upstream=name
        )
        self.connect_failures = counter(
            "gateway_upstream_connect_failures_total", "Connections to an upstream that failed.", upstream=name
        )
        self.stale, self.resent, self.unaffordable = (
            counter(
                "gateway_upstream_retries_total", "Requests that were, or would have been, sent again.", upstream=name, kind=kind
            )
            for kind in ("stale_connection", "other_target", "over_budget")
        )

    def watch(self, counts: dict[str, Callable[[], float]], waiting: Callable[[], float]) -> None:
        """Show how many addresses there are of each state, and how many requests wait."""
        for state, count in counts.items():
            self._registry.watch(
                "gateway_upstream_addresses", "Addresses of an upstream, by state.", count, upstream=self._name, state=state
            )
        self._registry.watch("gateway_upstream_queue", "Requests that wait for a connection.", waiting, upstream=self._name)

    def note(self, event: str, *, warn: bool = False, **facts: object) -> None:
        """Log an event of this upstream."""
        _log.log(logging.WARNING if warn else logging.INFO, event, extra={"facts": {"upstream": self._name, **facts}})
