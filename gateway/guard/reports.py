"""What routes that only report would have refused: counted for metrics, and kept by client for `gateway learn`."""

from __future__ import annotations

from typing import NamedTuple

from gateway.errors import GatewayError
from gateway.routing import Match
from gateway.telemetry.metrics import Counter, Registry

MAX_KEPT = 10_000
"""Different findings between two flushes; more are counted in the metric alone."""


class Finding(NamedTuple):
    """What a number of requests had in common."""

    route: str
    """Its name, as in logs and metrics."""
    method: str
    client_id: str
    """Empty where no live token said whose it was."""
    code: str
    """Of the refusal that there would have been; empty: none."""


class Reports:
    """The findings of one worker since they were last taken."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kept: dict[Finding, int] = {}
        self._counters: dict[tuple[str, str], Counter] = {}

    def note(self, match: Match, client_id: str, refused: GatewayError | None) -> None:
        """Note a request that passed, and what it would have been refused with."""
        code = "" if refused is None else refused.code
        name = match.route.name
        counter = self._counters.get((name, code))
        if counter is None:
            counter = self._counters[name, code] = self._registry.counter(
                "gateway_reported_requests_total", "Requests on routes that only report, by what would have refused them",
                route=name, code=code or "none",
            )  # fmt: skip
        counter.value += 1
        self._add(Finding(name, match.method, client_id, code), 1)

    def take(self) -> dict[Finding, int]:
        """All findings, which are no longer kept here."""
        taken, self._kept = self._kept, {}
        return taken

    def put_back(self, taken: dict[Finding, int]) -> None:
        """Keep what could not be handed on."""
        for finding, count in taken.items():
            self._add(finding, count)

    def _add(self, finding: Finding, count: int) -> None:
        if finding in self._kept or len(self._kept) < MAX_KEPT:
            self._kept[finding] = self._kept.get(finding, 0) + count
