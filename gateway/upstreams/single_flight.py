"""Something that takes time, done once for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.errors import GatewayError, UpstreamCredentialFailed
from gateway.upstreams.introduction import Done


class SingleFlight:
    """One run at a time; whoever comes while it is under way waits for its end."""

    def __init__(self, run: Callable[[], Awaitable[GatewayError | None]]) -> None:
        """``run`` gives what those who wait are told."""
        self._run = run
        self._waiting: list[Done] = []
        self._task: asyncio.Task[None] | None = None

    def begin(self, done: Done | None = None) -> None:
        """Begin, unless it is under way; ``done`` is called at the end, once."""
        if done is not None:
            self._waiting.append(done)
        if self._task is None:
            self._task = asyncio.create_task(self._fly())

    def close(self) -> None:
        """Give up what is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _fly(self) -> None:
        error: GatewayError | None = UpstreamCredentialFailed(reason="stopped")
        try:
            error = await self._run()
        finally:
            self._task = None
            waiting, self._waiting = self._waiting, []
            for done in waiting:
                asyncio.get_running_loop().call_soon(done, error)
