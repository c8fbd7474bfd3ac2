"""The data plane of one worker: accepts connections and holds what they share."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from email.utils import formatdate
from math import ceil
from secrets import token_bytes, token_hex
from ssl import SSLContext
from time import perf_counter
from typing import Protocol

from gateway.accept.acceptor import Acceptor, Tls
from gateway.accept.door import Door
from gateway.accept.turns import Turn
from gateway.addresses import Address, AddressRules, Networks, parse_address, source_of
from gateway.addresses import client_address as find_client
from gateway.config.model import OWN, Config
from gateway.edge.downstream import Downstream
from gateway.edge.exchange import Exchange
from gateway.edge.forward_auth import Asked, is_asking, read_asked
from gateway.edge.head import Peer, RequestReader
from gateway.edge.target import Target, canonical, check_method, rewritten
from gateway.edge.upstream import Speaker
from gateway.errors import AmbiguousTarget, Forbidden, GatewayError, RouteNotFound, TooManyRequests
from gateway.guard.floods import Floods
from gateway.guard.issuers import Issuers, Lookups
from gateway.guard.limits import Limits, LimitStore
from gateway.guard.permit import Permit
from gateway.guard.ports import Listener, Ref
from gateway.guard.reports import Reports
from gateway.guard.streams import Streams
from gateway.guard.verdict import Verdict
from gateway.oauth.access import find_access
from gateway.oauth.tokens import AccessRef
from gateway.routing import AUTHORITY, FORWARD_AUTH, Match, Route, Router
from gateway.telemetry.accesslog import AccessLog
from gateway.telemetry.log import Sparingly
from gateway.telemetry.metrics import Counter, Histogram, Registry
from gateway.upstreams.building import group_of, single
from gateway.upstreams.connecting import look_up
from gateway.upstreams.group import Group
from gateway.upstreams.introducing import introductions
from gateway.upstreams.introduction import Assertions
from gateway.upstreams.pins import Pins
from gateway.upstreams.pool import Pool
from gateway.upstreams.ports import Connect, Resolve

TICK = 0.1
"""Seconds between two looks at the deadlines of all connections."""
MAX_KNOWN_TARGETS = 4_096
"""Targets whose route is remembered."""

_log = logging.getLogger("gateway.edge")


class Verdicts(Protocol):
    """What the data plane asks of `gateway.guard.verdicts`."""

    watcher: Listener

    def find(self, digest: bytes, now: float) -> Verdict | None:
        """A confirmed verdict that is here already."""

    def stale(self, digest: bytes, now: float, most: float) -> Verdict | None:
        """What was known when the store could be asked, ``most`` seconds ago at the longest; None while it can."""

    def fetch(self, ref: AccessRef, done: Callable[[Verdict | GatewayError], None]) -> None:
        """Ask the store; ``done`` is called later, once."""


class _RouteStats:
    """The bound metrics of one route."""

    __slots__ = ("_codes", "_registry", "_route", "latency")

    def __init__(self, registry: Registry, route: str) -> None:
        self._registry = registry
        self._route = route
        self._codes: dict[int, Counter] = {}
        self.latency: Histogram = registry.histogram(
            "gateway_request_duration_seconds",
            "From a request's head to the last byte of its answer; without WebSockets and event streams, which last.",
            route=route,
        )  # fmt: skip

    def count(self, status: int) -> None:
        """Count an answer."""
        counter = self._codes.get(status)
        if counter is None:
            counter = self._codes[status] = self._registry.counter(
                "gateway_requests_total", "Answers by route and status.", route=self._route, code=str(status)
            )
        counter.value += 1


class Edge:
    """
    Everything that the connections of a worker share.

    ``groups`` are the upstreams by name, `gateway.routing.AUTHORITY` (reached by ``connect_authority``) among them.
    """

    closing_timeout = 75.0
    """Seconds that the last bytes of an answer have to reach a client, once nothing more is to come."""
    linger_timeout = 2.0
    """Seconds that a refused body is read on."""
    last_call = 1.0
    """Seconds that an idle connection may still ask something once the gateway stops."""

    def __init__(
        self, config: Config, router: Router, verdicts: Verdicts, connect_authority: Connect, registry: Registry,
        access_log: AccessLog, tls: Callable[[], SSLContext] | None = None, *, resolve: Resolve = look_up,
        limit_store: LimitStore | None = None, issuers: Issuers | None = None,
        assertions: Assertions | None = None,
    ) -> None:  # fmt: skip
        self.loop: asyncio.AbstractEventLoop
        self.router = router
        self.head_timeout = config.listen.head_timeout.total_seconds()
        self.keepalive_timeout = config.listen.keepalive.total_seconds()
        self.verdicts = verdicts
        self.issuers = issuers
        """Other authorization servers; None where no route trusts any."""
        self.lookups = Lookups(verdicts, issuers)
        self.streams = Streams(self.lookups, registry)
        self.reports = Reports(registry)
        self.limits = Limits(config, router.routes, limit_store, clock=lambda: self.loop.time(), registry=registry)
        self.draining = False
        self.date = ""
        """The value of Date, renewed by each tick."""
        self.date_line = b""
        """The whole of it, for answers of upstreams that have none (RFC 9110 section 6.6.1)."""
        self.token_endpoint = f"{config.oauth.issuer.rstrip('/')}{config.oauth.prefix}/oauth/token"
        self.introductions = introductions(config, router.routes, registry, assertions)
        self._pins = Pins()
        binding = {route.upstream for route in router.routes if route.forward_authorization}
        self.groups: dict[str, Group] = {
            name: group_of(name, section, Speaker, registry, self._pins, binding=name in binding, resolve=resolve)
            for name, section in config.upstreams.items()
        }
        authority = Pool(AUTHORITY, b"gateway", connect_authority, Speaker(), limit=256, keepalive=30.0)
        self.groups[AUTHORITY] = single(AUTHORITY, authority, registry)
        self._trusted = Networks(config.trusted_proxies)
        self._forward_auth = f"{config.oauth.prefix}{FORWARD_AUTH}".encode("ascii") if config.trusted_proxies else None
        """Where other proxies ask; None: nobody may, and nothing is there."""
        self._tls = None if tls is None else Tls(tls, self.head_timeout)
        self._asks_certificates = config.listen.client_ca_file is not None
        self._door = Door(config, self._trusted, registry, plain=tls is None)
        bad_tokens = config.listen.bad_tokens
        self.floods = Floods(bad_tokens, key=token_bytes(16)) if bad_tokens else None
        """Who sent too many tokens that are none; None: nobody counts."""
        self._flooding = Sparingly(_log, "token.flood")
        self._max_connections = config.listen.max_connections
        self._access_log = access_log
        self._connections: set[Downstream] = set()
        self._acceptor: Acceptor | None = None
        self._ends: dict[Exchange, float] = {}
        self._known: dict[tuple[str, bytes, bytes], tuple[Match, Target]] = {}
        self._id_prefix = token_hex(6)
        self._id_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stats = {route.name: _RouteStats(registry, route.name) for route in [*router.own, *router.routes]}
        self._no_route = _RouteStats(registry, "")
        self._refusals: dict[str, Counter] = {}
        self._answers: dict[tuple[str, int], Counter] = {}
        self._registry = registry
        registry.watch("gateway_connections", "Client connections.", lambda: len(self._connections))
        registry.watch("gateway_upstream_connections", "Connections to upstreams.", self._upstream_connections)

    @property
    def connections(self) -> int:
        """Client connections that are open."""
        return len(self._connections)

    @property
    def handshakes(self) -> int:
        """Connections that are at their TLS handshake."""
        return 0 if self._acceptor is None else self._acceptor.pending

    async def start(self, sockets: list[socket.socket], turn: Turn | None = None) -> None:
        """Accept on listening sockets, in turns with other workers where there are some."""
        self.loop = asyncio.get_running_loop()
        self._acceptor = Acceptor(sockets, lambda: Downstream(self), self._room, self._door, self._tls, turn)
        self._tick()

    async def drain(self, timeout: float) -> None:
        """
        Accept who waits already and nobody else, let requests in flight finish for at most ``timeout`` seconds, cut the rest.
        """
        self.draining = True
        self.keepalive_timeout = min(self.keepalive_timeout, self.last_call)
        if self._acceptor is not None:
            self._acceptor.finish()
        for connection in list(self._connections):
            connection.drain()
        began = self.loop.time()

        def are_awaited() -> bool:
            """A handshake that is not over after the last call is no better than a connection that stays silent."""
            newcomers = self._acceptor is not None and self._acceptor.is_awaited(self.last_call)
            return self.loop.time() - began < timeout and (bool(self._connections) or newcomers)

        while are_awaited():  # noqa: ASYNC110 - connections need no event for a last wait
            await asyncio.sleep(0.02)
        if self._acceptor is not None:
            self._acceptor.close()
        for connection in list(self._connections):
            connection.cut()
        if self._timer is not None:
            self._timer.cancel()
        for group in self.groups.values():
            group.close()
        for introduction in self.introductions.values():
            introduction.close()
        self._access_log.flush()

    # --- what connections ask -------------------------------------------------------------------------------------

    def opened(self, connection: Downstream) -> Peer:
        """A connection was accepted; says who is at its other end."""
        self._connections.add(connection)
        name = connection.transport.get_extra_info("peername")
        address = str(name[0]) if isinstance(name, tuple) else ""
        scheme = "http" if self._tls is None else "https"
        certificate = connection.transport.get_extra_info("ssl_object").getpeercert(True) if self._asks_certificates else None
        ip = parse_address(address)
        return Peer(address, scheme, trusted=ip is not None and ip in self._trusted, certificate=certificate)

    def closed(self, connection: Downstream) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        self._door.leave(connection)
        self._pins.drop(connection)
        if self._acceptor is not None:
            self._acceptor.resume()

    def client_address(self, peer: Peer, reader: RequestReader) -> Address | None:
        """Whose request it is: the peer's, or from a trusted proxy the client's that it names; None: nobody can know."""
        forwarded_for = reader.forwarding.get(b"x-forwarded-for") if peer.trusted else None
        return find_client(parse_address(peer.address), forwarded_for, self._trusted)

    def own_lines(self, peer: Peer, reader: RequestReader) -> bytes:
        """What the own endpoints are told of the connection; of a trusted proxy's also whose request it is, if that is known."""
        address = self.client_address(peer, reader) if peer.trusted else None
        return peer.own_lines if address is None else peer.own_lines + f"X-Gateway-Client: {address}\r\n".encode("ascii")

    def check_address(self, peer: Peer, reader: RequestReader, rules: AddressRules) -> None:
        """
        Apply the lists of a route.

        Raises:
            Forbidden: They keep this client out.
        """
        address = self.client_address(peer, reader)
        if not rules.permits(address):
            raise Forbidden("This address may not come here", reason=f"ip_allow or ip_deny: {address or 'no address is known'}")

    def find_ref(self, route: Route, token: bytes) -> Ref | None:
        """By what, and with whom, a token can be looked up on this route; None: it is nobody's whom the route trusts."""
        if self.issuers is None or not route.foreign:
            return find_access(token)
        return self.issuers.find_ref(OWN in route.issuers, route.foreign, token)

    def find_foreign(self, route: Route, digest: bytes, now: float) -> Verdict | None:
        """The kept verdict of an issuer that the route trusts beside the gateway."""
        return None if self.issuers is None else self.issuers.find(route.foreign, digest, now)

    def hold_back(self, floods: Floods, peer: Peer, reader: RequestReader) -> None:
        """
        Keep a flood of bad tokens from the store, before a token is looked up.

        Raises:
            TooManyRequests: This source has sent too many; a token that is good may have come among them, but so it must wait.
        """
        address = self.client_address(peer, reader)
        wait = floods.wait(source_of(address or parse_address(peer.address)), self.loop.time())
        if wait:
            self._flooding.say(self.loop.time(), address=str(address or peer.address))
            raise TooManyRequests("Too many invalid tokens came from this address", retry_after=ceil(wait))

    def source(self, peer: Peer, reader: RequestReader) -> bytes:
        """Whom a request counts for where addresses are counted."""
        if peer.trusted:
            return source_of(self.client_address(peer, reader) or parse_address(peer.address))
        if peer.source is None:
            peer.source = source_of(parse_address(peer.address))
        return peer.source

    def count_bad_token(self, peer: Peer, reader: RequestReader) -> None:
        """A look-up found no living token."""
        if self.floods is not None:
            address = self.client_address(peer, reader) or parse_address(peer.address)
            self.floods.charge(source_of(address), self.loop.time())

    def next_request_id(self) -> str:
        """A name for a request, unique over workers and restarts."""
        self._id_count += 1
        return f"{self._id_prefix}-{self._id_count:x}"

    def limit(self, exchange: Exchange, seconds: float) -> None:
        """End an exchange when so much time has passed since its head came, wherever it is then."""
        self._ends[exchange] = self.loop.time() - (perf_counter() - exchange.started) + seconds

    def resolve(self, method: bytes, host: str, raw: bytes) -> tuple[Match, Target]:
        """
        Canonical target and route of a request; answers without a query are remembered.

        Raises:
            AmbiguousTarget, BadRequest, UriTooLong, RouteNotFound, MethodNotAllowed: As the case may be.
        """
        key = (host if self.router.is_known_host(host) else "", method, raw)
        known = self._known.get(key)
        if known is not None:
            return known
        check_method(method)
        target = canonical(raw)
        match = self._match(host, method, target)
        if match.route.rewriting is not None:
            target = rewritten(target, match.route.rewriting)
        if len(raw) <= 256 and b"?" not in raw:
            if len(self._known) >= MAX_KNOWN_TARGETS:
                self._known.clear()
            self._known[key] = (match, target)
        return match, target

    def asked(self, peer: Peer, reader: RequestReader) -> Asked:
        """
        What another proxy asks about.

        Raises:
            RouteNotFound: There are no other proxies here.
            Forbidden: This is none of them.
            NotOneRequest, MethodNotAllowed: As `read_asked`.
        """
        if self._forward_auth is None:
            raise RouteNotFound
        if not peer.trusted:
            raise Forbidden("Only a trusted proxy may ask here", reason="forward-auth: not one of trusted_proxies")
        return read_asked(reader, self._forward_auth)

    def is_question(self, peer: Peer, reader: RequestReader | None) -> bool:
        """Whether a trusted proxy asks about another request, however malformed that may be."""
        path = self._forward_auth
        return path is not None and peer.trusted and reader is not None and is_asking(reader.target, path)

    def resolve_asked(self, asked: Asked, host: str) -> Match:
        """
        The route of a request that another proxy would forward as it is.

        Raises:
            RouteNotFound: As `resolve`, and for the gateway's own endpoints, which are for nobody else to serve.
            AmbiguousTarget: As `resolve`, and where the target would be another one if it were forwarded from here.
            BadRequest, UriTooLong, MethodNotAllowed: As `resolve`.
        """
        match, target = self.resolve(asked.method, host, asked.asked)
        if match.route.own:
            raise RouteNotFound(reason="forward-auth: one of the gateway's own endpoints")
        if target.asked != asked.asked:
            raise AmbiguousTarget("The target is not in its canonical form and would be forwarded so", rule="not_canonical")
        return match

    def note(self, peer: Peer, exchange: Exchange, seconds: float, refusal: str) -> None:
        """Count and log a request that was forwarded."""
        route = exchange.match.route
        stats = self._stats[route.name]
        stream = exchange.stream
        if stream is None or not stream.lasts:
            stats.latency.observe(seconds)
        stats.count(exchange.status)
        path = exchange.asked.partition(b"?")[0].decode("ascii")[:512]
        self._access_log.add(
            peer.address, exchange.match.method, path, exchange.status, seconds, route.name, exchange.permit.client_id,
            exchange.upstream_name, exchange.request_id, exchange.received, exchange.sent, refusal, exchange.permit.mark,
        )  # fmt: skip

    def note_asked(
        self, peer: Peer, asked: Asked, match: Match, granted: Permit, request_id: str, seconds: float
    ) -> None:  # fmt: skip
        """Count and log a request that another proxy may forward."""
        name = match.route.name
        self._stats[name].count(200)
        self._count_asked(name, 200)
        mark = f"{asked.mark} {granted.mark}" if granted.mark else asked.mark
        path = asked.asked.partition(b"?")[0].decode("ascii")[:512]
        self._access_log.add(
            peer.address, match.method, path, 200, seconds, name, granted.client_id, "", request_id, 0, 0, "", mark
        )  # fmt: skip

    def _count_asked(self, route: str, status: int) -> None:
        counter = self._answers.get((route, status))
        if counter is None:
            counter = self._answers[route, status] = self._registry.counter(
                "gateway_forward_auth_total", "Answers to other proxies that ask whether a request may pass, by its "
                "route and status.", route=route, code=str(status),
            )  # fmt: skip
        counter.value += 1

    def count_stale(self, route: str) -> None:
        """A request passes by what was known."""
        self._registry.counter(
            "gateway_stale_requests_total", "Requests that passed by what was known before the store went away", route=route
        ).inc()

    def note_own(self, peer: Peer, reader: RequestReader, match: Match, status: int, seconds: float) -> None:
        """Count and log a request that is the gateway's own to answer, and no refusal."""
        self._stats[match.route.name].count(status)
        path = reader.target.partition(b"?")[0].decode("latin-1")[:512]
        self._access_log.add(
            peer.address, reader.method.decode("ascii"), path, status, seconds, match.route.name, "", "",
            self.next_request_id(), 0, 0, "",
        )  # fmt: skip

    def note_dropped(self, request_id: str, lines: list[tuple[bytes, bytes]]) -> None:
        """Say which headers a back end misses because their names hold an underscore, and what would let them pass."""
        names = b" ".join(name for name, _ in lines[:8]).decode("latin-1")
        _log.info("header.dropped", extra={"facts": {"request_id": request_id, "names": names, "allow": "underscore_headers"}})

    def note_refusal(
        self, peer: Peer, reader: RequestReader | None, exchange: Exchange | None, match: Match | None, request_id: str,
        started: float, error: GatewayError, target: Target | None,
    ) -> None:  # fmt: skip
        """Count and log a request that the gateway answered itself; ``target`` is the resolved one, if it came so far."""
        stats = self._stats[match.route.name] if match is not None else self._no_route
        stats.count(error.status)
        counter = self._refusals.get(error.code)
        if counter is None:
            counter = self._refusals[error.code] = self._registry.counter(
                "gateway_refusals_total", "Requests that the gateway refused, by reason.", code=error.code
            )
        counter.value += 1
        mark = exchange.permit.mark if exchange is not None else ""
        method, path = (reader.method, reader.target) if reader is not None and not error.close else (b"", b"")
        if isinstance(target, Asked):
            method, path, mark = target.method, target.asked, target.mark
            self._count_asked(match.route.name if match is not None else "", error.status)
        self._access_log.add(
            peer.address, method.decode("latin-1"), path.partition(b"?")[0].decode("latin-1")[:512], error.status,
            perf_counter() - started if started else 0.0,
            match.route.name if match is not None else "", exchange.permit.client_id if exchange is not None else "",
            exchange.upstream_name if exchange is not None else "", request_id,
            exchange.received if exchange is not None else 0, 0, error.code, mark,
        )  # fmt: skip
        if error.reason:
            _log.info("request.refused", extra={"facts": {
                "request_id": request_id, "status": error.status, "code": error.code, "reason": error.reason,
            }})  # fmt: skip

    # --- within ---------------------------------------------------------------------------------------------------

    def _match(self, host: str, method: bytes, target: Target) -> Match:
        """Route a canonical target; an ambiguous one is refused as such unless its route allows it."""
        try:
            match = self.router.match(host, method.decode("ascii"), target.path)
        except GatewayError as error:
            if target.needs and not error.reason:
                raise _ambiguous(target.needs) from None
            raise
        refused = target.needs - match.route.allow
        if refused:
            raise _ambiguous(refused)
        return match

    def _tick(self) -> None:
        """Look at all deadlines; a timer per request would cost the hot path more than this look costs all of them."""
        self._timer = self.loop.call_later(TICK, self._tick)  # first: a fault below may not end all deadlines
        now = self.loop.time()
        self.date = formatdate(usegmt=True)
        self.date_line = f"Date: {self.date}\r\n".encode("ascii")
        for connection in [c for c in self._connections if 0.0 < c.deadline <= now]:
            connection.expire()
        self.streams.tick(now)
        self.limits.tick(now)
        for exchange in [e for e, end in self._ends.items() if e.over or end <= now]:
            del self._ends[exchange]
            if not exchange.over:
                exchange.down.overrun(exchange)
        for group in self.groups.values():
            group.tick(now)
        self._access_log.flush()

    def _room(self) -> int:
        return self._max_connections - len(self._connections)

    def _upstream_connections(self) -> float:
        return sum(group.open for group in self.groups.values())


def _ambiguous(needs: frozenset[str]) -> AmbiguousTarget:
    word = min(needs)
    return AmbiguousTarget(f"The path needs {word}, which its route does not allow", rule=word, allow=word)
