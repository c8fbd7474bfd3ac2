"""The operator's listener: /healthz, /readyz and /metrics, never reachable through the public port."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.errors import GatewayError, MethodNotAllowed, NotFound
from gateway.ops.health import Health
from gateway.problem import problem
from gateway.telemetry.metrics import Snapshot, render

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Collect = Callable[[], Awaitable[Snapshot]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """The admin application on its sockets."""

    def __init__(self, health: Health, collect: Collect, *, token_endpoint: str) -> None:
        self._health = health
        self._collect = collect
        self._token_endpoint = token_endpoint
        self._runner = web.AppRunner(self._application(), access_log=None, handle_signals=False, shutdown_timeout=1)

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serve on bound sockets."""
        await self._runner.setup()
        for sock in sockets:
            await web.SockSite(self._runner, sock).start()

    async def close(self) -> None:
        """Stop serving and close the sockets."""
        await self._runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._rescue])
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        application.on_response_prepare.append(_anonymous)
        return application

    @web.middleware
    async def _rescue(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as refusal:
            return self._refuse(MethodNotAllowed(frozenset(refusal.allowed_methods)))
        except web.HTTPNotFound:
            return self._refuse(NotFound())

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"}, headers={"Cache-Control": "no-store"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        ready, state = await self._health.readiness()
        return web.json_response(state, status=200 if ready else 503, headers={"Cache-Control": "no-store"})

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=render(await self._collect()), headers={"Content-Type": METRICS_TYPE})

    def _refuse(self, error: GatewayError) -> web.Response:
        status, headers, body = problem(error, request_id=secrets.token_hex(8), token_endpoint=self._token_endpoint)
        return web.Response(status=status, headers=headers, body=body)


async def _anonymous(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall("Server", None)
