"""The data plane and the authority of one process: everything that answers on the public port."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from time import perf_counter
from typing import TYPE_CHECKING, Any

import uvloop
from aiohttp import web

from gateway.accept.turns import Turn
from gateway.authority.application import RUNNER_OPTIONS, Pages, build
from gateway.authority.hasher import Hasher
from gateway.authority.identity_assertions import IdentityAssertions
from gateway.authority.pipe import join
from gateway.authority.short import ShortCuts
from gateway.authority.signing import SigningKeys
from gateway.config.model import Config
from gateway.edge.listener import Edge
from gateway.errors import StoreUnavailable
from gateway.guard.verdicts import Verdicts
from gateway.oauth.ports import SessionStore, SigningKeyStore, TokenStore
from gateway.ops import descriptors, memory
from gateway.ops.canary import Canary
from gateway.ops.certificates import Certificates
from gateway.ops.channel import WorkerEnd
from gateway.ops.stopping import Stop
from gateway.routing import Router
from gateway.store.admissions import RedisAdmissions
from gateway.store.authorizations import RedisAuthorizations
from gateway.store.clients import RedisClients
from gateway.store.connect import connect
from gateway.store.datadir import read_secret
from gateway.store.facts import reach_store
from gateway.store.findings import RedisFindings
from gateway.store.limits import RedisLimits
from gateway.store.sessions import RedisSessions
from gateway.store.signing_keys import RedisSigningKeys
from gateway.store.tokens import RedisTokens
from gateway.telemetry.accesslog import AccessLog
from gateway.telemetry.metrics import Registry

if TYPE_CHECKING:
    from gateway.issuers.building import Installed

Protocol = asyncio.Protocol

_CLOSE = 3.0
"""Seconds that closing all connections may take."""

_FLUSH = 2.0
"""Seconds between two reports to the store."""

log = logging.getLogger("gateway.worker")


class Worker:
    """Joins edge, guard, authority and store on the running event loop."""

    def __init__(
        self, config: Config, *, socket_path: Path | None, registry: Registry, certificates: Certificates | None
    ) -> None:
        """``socket_path`` is where the embedded store listens, None for an external one; ``certificates`` mean TLS."""
        self._configured = config.listen.max_connections
        config = self._config = _fit_connections(config)
        store = config.store
        self.redis = connect(store, socket_path=socket_path)
        reached = self._reached = reach_store(store, socket_path=socket_path, registry=registry)
        self._link, self._wire, changes = reached.link, reached.wire, reached.changes
        verdicts = Verdicts(
            self._link, clock=asyncio.get_running_loop().time, registry=registry,
            keeps_stale=any(route.on_store_failure == "cached" for route in config.routes),
        )  # fmt: skip
        self._hasher = Hasher()
        clients, tokens = RedisClients(changes, store.prefix), RedisTokens(changes, store.prefix)
        admissions = RedisAdmissions(changes, store.prefix)
        authorizations = RedisAuthorizations(changes, store.prefix)
        sessions = RedisSessions(changes, store.prefix)
        signing_keys = RedisSigningKeys(changes, store.prefix)
        application = build(
            config, clients, tokens, admissions, authorizations, self._hasher, registry=registry,
            caught_up=self._link.caught_up, sessions=sessions, pages=_pages(config, sessions, registry),
            signing_keys=signing_keys, secrets=_secrets(config),
        )  # fmt: skip
        self._short_cuts = ShortCuts(application)
        self._authority = web.AppRunner(application, handle_signals=False, shutdown_timeout=1, **RUNNER_OPTIONS)
        self._access_log = AccessLog(1, registry, readable=os.isatty(1))
        tls = None if certificates is None else certificates.context
        self._limits = RedisLimits(self._wire, token_hex(8), store.prefix)
        self._issuers = _issuers(config, registry)
        self._edge = Edge(
            config, Router(config), verdicts, self._connect_authority, registry, self._access_log, tls,
            limit_store=self._limits, issuers=None if self._issuers is None else self._issuers.issuers,
            assertions=_assertions(config, signing_keys, tokens),
        )  # fmt: skip
        self._canary = Canary(
            clients, tokens, verdicts, registry=registry, clock=asyncio.get_running_loop().time, timer=perf_counter
        )
        self._flying: asyncio.Task[None] | None = None
        self._findings = RedisFindings(self._wire, store.prefix)
        self._flushing: asyncio.Task[None] | None = None
        self._certificates = certificates
        if certificates is not None:
            certificates.watch(asyncio.get_running_loop(), registry)

    @property
    def connections(self) -> int:
        """Client connections that are open."""
        return self._edge.connections

    async def store_answers(self) -> bool:
        """Whether the store answers at present, on the connection that requests use: another one may be back sooner."""
        try:
            await self._wire.call("PING")
        except StoreUnavailable:
            return False
        return True

    async def start(self, sockets: list[socket.socket], turn: Turn | None = None) -> None:
        """Connect to the store in the background and serve on bound sockets, in turns with other workers."""
        connections = self._config.listen.max_connections
        if connections < self._configured:
            facts = {"connections": connections, "configured": self._configured, "remedy": "raise ulimit -n"}
            log.warning("connections.bounded", extra={"facts": facts})
        await self._authority.setup()
        await self._link.start()
        await self._wire.start()
        if self._reached.waiting is not None:
            await self._reached.waiting.start()
        if self._issuers is not None:
            self._issuers.start()
        await self._edge.start(sockets, turn)
        if any(route.reports for route in self._edge.router.routes):
            self._flushing = asyncio.create_task(self._flush_findings())
        canary = self._config.store.canary.total_seconds()
        if canary:
            self._flying = asyncio.create_task(self._canary.run(canary))
        memory.settle()

    async def drain(self) -> None:
        """Stop accepting and let the requests in flight end, for ``drain_timeout`` at most."""
        await self._edge.drain(self._config.drain_timeout.total_seconds())

    async def close(self) -> None:
        """End what is left, the store's connections last; gives up after three seconds, as the process ends anyway."""
        try:
            async with asyncio.timeout(_CLOSE):
                await self._close()
        except TimeoutError:
            log.error("stop.incomplete", extra={"facts": {"waited_s": _CLOSE}})

    async def _close(self) -> None:
        if self._certificates is not None:
            self._certificates.close()
        await self._edge.drain(0)
        if self._flying is not None:
            self._flying.cancel()
            await asyncio.wait((self._flying,))
        if self._flushing is not None:
            self._flushing.cancel()
            await self._hand_on()
        self._edge.limits.close()
        await self._limits.settle()
        if self._issuers is not None:
            await self._issuers.close()
        await self._authority.cleanup()
        self._hasher.close()
        await self._link.close()
        await self._wire.close()
        if self._reached.waiting is not None:
            await self._reached.waiting.close()
        await self.redis.aclose()
        self._access_log.close()

    async def _flush_findings(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH)
            await self._hand_on()

    async def _hand_on(self) -> None:
        """What routes that only report have found goes to the store; what does not get there is tried again."""
        taken = self._edge.reports.take()
        try:
            if taken:
                await self._findings.add(taken)
        except StoreUnavailable:
            self._edge.reports.put_back(taken)

    async def _connect_authority(self, factory: Callable[[], Protocol]) -> tuple[asyncio.Transport, Any]:
        """A new connection between the edge and the authority, in memory: no name, no port, no file."""
        server = self._authority.server
        if server is None:
            raise ConnectionRefusedError("the authority is stopped")
        protocol = factory()
        return join(asyncio.get_running_loop(), protocol, self._short_cuts.protocol(server)), protocol


def _pages(config: Config, sessions: SessionStore, registry: Registry) -> Pages | None:
    """The pages where people can sign in: their imports are paid only there."""
    if not config.oauth.sign_in:
        return None
    from gateway.console.application import ConsolePages

    return ConsolePages(config.oauth, sessions, registry=registry)


def _issuers(config: Config, registry: Registry) -> Installed | None:
    """Other authorization servers: their imports are paid only where there are some."""
    if not config.issuers:
        return None
    from gateway.issuers.building import Installed

    return Installed(config, registry)


def _assertions(config: Config, keys: SigningKeyStore, tokens: TokenStore) -> IdentityAssertions | None:
    """Who signs for upstreams who calls, where a route wants that; the ring of keys is the one of JWT access tokens."""
    if not any(route.identity is not None and route.identity.assertion is not None for route in config.routes):
        return None
    clock = asyncio.get_running_loop().time
    signing = SigningKeys(
        keys, _secrets(config), life_ms=config.oauth.signing_key_life // timedelta(milliseconds=1), now=tokens.now_ms,
        clock=clock, entropy=os.urandom,
    )  # fmt: skip
    return IdentityAssertions(signing, config.oauth.issuer, clock=clock, entropy=os.urandom)


def _secrets(config: Config) -> list[bytes]:
    """
    What keys in the store are sealed with, the current secret first; the embedded store's own one comes last.

    Raises:
        Unavailable: If that one can't be read.
    """
    said = config.secrets
    found = [] if said is None else [secret.get_secret_value().encode() for secret in (said.current, *said.previous)]
    if config.store.url.startswith("embedded:"):
        found.append(read_secret(Path(config.store.url.removeprefix("embedded:"))))
    return found


def _fit_connections(config: Config) -> Config:
    """No more clients than there are descriptors for: beyond, each request would be a 502 for want of one."""
    listen = config.listen
    limit = descriptors.raise_limit(listen.max_connections)
    fit = listen.model_copy(update={"max_connections": descriptors.bounded(listen.max_connections, limit)})
    return config.model_copy(update={"listen": fit})


def work(
    config: Config, sockets: list[socket.socket], socket_path: Path | None, certificates: Certificates | None,
    channel: socket.socket, turn: Turn,
) -> int:  # fmt: skip
    """The life of a forked worker: serve until the supervisor's SIGTERM, then drain.  Returns the exit code."""

    async def live() -> None:
        stop = Stop()
        stop.listen(asyncio.get_running_loop(), signal.SIGTERM)
        registry = Registry()
        worker = Worker(config, socket_path=socket_path, registry=registry, certificates=certificates)
        await worker.start(sockets, turn)
        end = WorkerEnd(channel, registry)
        await end.start()
        await stop.asked.wait()
        await stop.unless_forced(worker.drain())
        await worker.close()
        await end.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live())
    return 0
