"""What the probes report: is the process alive, may it get requests, and is the store there at present."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

Probe = Callable[[], Awaitable[bool]]


class Health:
    """
    The state behind /healthz and /readyz.

    Attributes:
        serving: The listener accepts (with several workers: at least one of them does).
        store_seen: The store answered once since the start.
        draining: The process is about to stop; never goes back.
    """

    def __init__(self, probe_store: Probe) -> None:
        self.serving = False
        self.store_seen = False
        self.draining = False
        self._probe_store = probe_store

    async def readiness(self) -> tuple[bool, dict[str, str]]:
        """
        Whether requests may come, and why not.

        The store's present state is reported but does not count: an outage of the store takes down no replica, since each
        of them would go at once and public routes with them.
        """
        store = await self._probe_store()
        self.store_seen = self.store_seen or store
        status = self._status()
        return status == "ready", {"status": status, "store": "up" if store else "down"}

    def _status(self) -> str:
        if self.draining:
            return "draining"
        if not self.store_seen:
            return "store not seen yet"
        return "ready" if self.serving else "starting"
