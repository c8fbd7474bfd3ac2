"""One credential that is fetched: once for all requests of a worker, ahead of its end, and not again at once when that failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.errors import GatewayError, UpstreamCredentialFailed, UpstreamCredentialTimeout
from gateway.oauth.client_credentials import Granted, NoToken
from gateway.telemetry.metrics import Registry
from gateway.upstreams.introduction import Done
from gateway.upstreams.keeping import Keeping
from gateway.upstreams.single_flight import SingleFlight

_log = logging.getLogger("gateway.upstreams")


class TokenSource:
    """
    The token of one entry of ``credentials``.

    Nothing is fetched before a request needs it, and nothing is renewed for nobody.
    """

    def __init__(self, name: str, fetch: Callable[[], Awaitable[Granted]], timeout: float, registry: Registry) -> None:
        """``fetch`` asks the token endpoint, and has ``timeout`` seconds for it."""
        self._name = name
        self._fetch = fetch
        self._timeout = timeout
        self._registry = registry
        self._keeping = Keeping()
        self._flight = SingleFlight(self._run)
        self.watchers: list[Callable[[], None]] = []
        """Called when lines that were given before are no longer to be shown."""

    def line(self, now: float) -> tuple[bytes, float]:
        """
        The header line to show, CRLF included, and until when (event-loop seconds); empty: `wait` for it.

        Raises:
            UpstreamCredentialFailed, UpstreamCredentialTimeout: There is none, and it was asked for just now.
        """
        keeping = self._keeping
        line = keeping.find(now)
        if line:
            if keeping.is_due(now):
                self._flight.begin()
            return line, max(now, keeping.renew_at)
        refusal = keeping.refusal(now)
        if refusal is not None:
            raise refusal
        return b"", now

    def wait(self, done: Done) -> None:
        """Have it fetched; ``done`` is called once, and later."""
        self._flight.begin(done)

    def refused(self, head: bytes, now: float) -> None:
        """The upstream said 401 to a request with this head: later ones show a new token."""
        if self._keeping.refused(head, now):
            _log.warning("credential.refused", extra={"facts": {"credential": self._name}})
            self._changed()

    def close(self) -> None:
        """Give up what is under way."""
        self._flight.close()

    async def _run(self) -> GatewayError | None:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        try:
            async with asyncio.timeout(self._timeout):
                granted = await self._fetch()
        except TimeoutError:
            return self._failed(UpstreamCredentialTimeout, "no answer in time", loop.time())
        except NoToken as refused:
            return self._failed(UpstreamCredentialFailed, str(refused), loop.time())
        except Exception as failed:
            # Whatever it was, it is not tried again at once.  The kind alone: texts of errors quote what was sent or received.
            return self._failed(UpstreamCredentialFailed, type(failed).__name__, loop.time())
        self._keeping.got(granted, asked)
        self._count("granted")
        self._changed()
        return None

    def _failed(self, kind: type[UpstreamCredentialFailed], reason: str, now: float) -> GatewayError:
        reason = f"credential {self._name}: {reason}"
        pause = self._keeping.failed(kind, reason, now)
        self._count("timeout" if kind is UpstreamCredentialTimeout else "failed")
        _log.warning("credential.failed", extra={"facts": {
            "credential": self._name, "reason": reason.partition(": ")[2], "pause_ms": round(pause * 1000),
        }})  # fmt: skip
        return kind(reason=reason)

    def _changed(self) -> None:
        for forget in self.watchers:
            forget()

    def _count(self, result: str) -> None:
        self._registry.counter(
            "gateway_upstream_tokens_total", "Tokens asked of upstreams' authorization servers.",
            credential=self._name, result=result,
        ).inc()  # fmt: skip
