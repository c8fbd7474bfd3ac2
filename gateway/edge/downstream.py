"""
A client's connection: reads requests one after another, has each decided, and writes the answers in order.

With a cached verdict a request goes from `data_received` here to the upstream's ``transport.write`` in one synchronous call:
no task, no await.  Pipelined requests wait in the buffer, so that each is authorized by itself and answered in turn; the
buffer is bounded by not reading on.
"""

from __future__ import annotations

import asyncio
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, cast

from gateway.cookies import without_set_cookie
from gateway.cors import requested_method, without_cors
from gateway.edge.body import InboundBody
from gateway.edge.closing import forget_at_end, owed, unread
from gateway.edge.exchange import WRITE_AHEAD, Exchange
from gateway.edge.forward_auth import Asked, denied, permitted
from gateway.edge.head import MAX_HEAD, Peer, RequestReader, ResponseReader
from gateway.edge.pace import Pace, Reading
from gateway.edge.refuse import render
from gateway.edge.streaming import admit, began, ended, find_handshake, switching
from gateway.edge.target import MAX_TARGET, Target, check_method, host_name, origin_form
from gateway.edge.tunnel import CLOSED, DRAINING, Tunnel
from gateway.errors import (
    BadRequest,
    ClientGone,
    ClientTimeout,
    GatewayError,
    HeadTooLarge,
    InvalidToken,
    MalformedCredentials,
    MethodNotAllowed,
    OriginNotAllowed,
    PayloadTooLarge,
    RequestTimeout,
    StoreUnavailable,
    TokenRefused,
    UpstreamTimeout,
    UriTooLong,
)
from gateway.guard.bearer import bearer, refuse_second
from gateway.guard.limits import Charge
from gateway.guard.permit import Permit, permit, permit_public, permit_reported, permit_stale
from gateway.guard.streams import Stream
from gateway.guard.verdict import Verdict
from gateway.mapping import outward, public_origin
from gateway.oauth.tokens import digest_access
from gateway.routing import Match, Route
from gateway.websocket import GOING_AWAY, POLICY_VIOLATION, Handshake

if TYPE_CHECKING:
    from gateway.edge.listener import Edge
    from gateway.edge.upstream import Upstream
    from gateway.upstreams.ports import Attempts

MAX_BUFFER = 64 * 1024
"""Bytes of pipelined requests that are kept before reading pauses."""
DECISION_TIMEOUT = 10.0
"""Seconds after which a verdict that was never given is given up; the store's own timeout is much shorter."""
MAX_LINGER = 1024 * 1024
"""Bytes of a refused body that are read and thrown away, so that the refusal is not lost in a reset."""

_HEAD, _DECIDING, _BODY, _WAIT, _LINGER, _CLOSED = range(6)


class Downstream(asyncio.Protocol):
    """One client connection."""

    __slots__ = (
        "_buffer", "_charge", "_eof", "_exchange", "_handshake", "_host", "_host_name", "_inbound", "_left", "_match", "_peer",
        "_reader", "_read_paused", "_started", "_state", "_target", "_tunnel", "_reading", "deadline", "edge", "transport",
        "write_paused",
    )  # fmt: skip

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.deadline = edge.loop.time() + edge.head_timeout
        """Event-loop seconds at which `expire` is due; 0: never.  From here on, so that a TLS handshake is part of it."""
        self._reader: RequestReader | None = None
        self._peer: Peer = cast(Peer, None)
        self._state = _HEAD
        self._buffer = b""
        self._exchange: Exchange | None = None
        self._charge: Charge | None = None
        """What the request that is under way took of its limits."""
        self._match: Match | None = None
        self._target: Target | None = None
        self._inbound: InboundBody | None = None
        """The body of the request that is under way, if it has one."""
        self._handshake: Handshake | None = None
        self._tunnel: Tunnel | None = None
        self._left = 0
        self._host: bytes | None = None
        self._host_name = ""
        self._started = 0.0
        self._eof = False
        self._read_paused = False
        self._reading = cast(Reading, None)
        """How fast the client reads, once it was slow."""
        self.write_paused = False
        """Whether the client reads slowly: answers wait here."""

    @property
    def address(self) -> str:
        """IP address of the client, or of the proxy in front of us; empty for a unix socket."""
        return self._peer.address

    # --- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast(asyncio.Transport, transport)
        self._peer = self.edge.opened(self)
        self.transport.set_write_buffer_limits(high=WRITE_AHEAD)
        if self.edge.draining:
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop: the client is gone, and what it asked for is abandoned."""
        self._state = _CLOSED
        self.deadline = 0.0
        self._buffer = b""
        self.edge.closed(self)
        exchange = self._exchange
        if exchange is not None:
            self._exchange = None
            self._abandon(exchange, ClientGone.code)
            exchange.status = exchange.status or ClientGone.status
            self.edge.note(self._peer, exchange, perf_counter() - exchange.started, ClientGone.code)
        elif self._tunnel is None:
            self._discharge()

    def eof_received(self) -> bool:
        """
        Called by the event loop: a client may shut its sending side down and still wait for the answer.

        Not under TLS, where no transport of asyncio can send after the peer's close_notify: that client is gone.
        """
        self._eof = True
        exchange = self._exchange
        if self._state == _BODY and exchange is not None:
            # A truncated body never becomes a whole request: the connection ends, once earlier answers are out.
            if exchange.answered:
                self._cut(exchange)
            return False
        waits = self._state in (_DECIDING, _WAIT) or bool(self._buffer and self.write_paused)
        return waits and self._peer.scheme == "http"

    def pause_writing(self) -> None:
        """The client reads slowly: so does the gateway from the upstream."""
        self.write_paused = True
        now = self.edge.loop.time()
        self._reading = Reading(owed(self.transport), now)
        exchange = self._exchange
        if exchange is not None and exchange.up is not None:
            exchange.up.transport.pause_reading()
            if exchange.answered:
                self.deadline = Reading.look(now, exchange.match.route.between_bytes)

    def resume_writing(self) -> None:
        """The client keeps up again."""
        self.write_paused = False
        exchange = self._exchange
        if exchange is not None and exchange.up is not None:
            exchange.up.resume_reading()
            if exchange.answered:
                self.deadline = self.edge.loop.time() + exchange.match.route.between_bytes
        else:
            self._continue()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        state = self._state
        if state == _HEAD:
            self._buffer = self._buffer + data if self._buffer else data
            self._advance()
        elif state == _BODY and not self._buffer:
            self._body(data)
        elif state == _LINGER:
            self._left -= len(data)
            if self._left < 0:
                self.transport.abort()
        elif state != _CLOSED:
            self._buffer += data
            if len(self._buffer) > MAX_BUFFER:
                self._pause_reading()

    # --- the request's head ---------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Begin as many requests as are here and may begin."""
        while self._state == _HEAD and self._buffer and not self.write_paused:
            data = self._buffer
            end = data.find(b"\r\n\r\n", 4) + 4 if data.startswith(b"\r\n") else data.find(b"\r\n\r\n") + 4
            if end == 3:
                self._unfinished(data)
                return
            if end == len(data):
                self._buffer = b""
                self._begin(data)
            else:
                self._buffer = data[end:]
                self._begin(data[:end])
        if self.write_paused and len(self._buffer) > MAX_BUFFER:
            self._pause_reading()

    def _unfinished(self, data: bytes) -> None:
        """A head that is not here yet may neither grow nor take for ever; nor can it be saved when a line ends in a bare LF."""
        if data == b"\r\n":
            return  # the one empty line that may stand before a request (RFC 9112 section 2.2), and no request yet
        now = self.edge.loop.time()
        if self._started == 0.0:
            self._started = perf_counter()
            self.deadline = now + self.edge.head_timeout
            if self._reader is not None:
                self._reader.method = b""  # the last request's, which a refusal would go by
        line = data.find(b"\r\n", 2)
        if line < 0 and len(data) > MAX_TARGET + 64:
            self._refuse(UriTooLong())
        elif len(data) > MAX_HEAD + MAX_TARGET:
            self._refuse(HeadTooLarge())
        elif data.count(b"\n") != data.count(b"\r\n") or data.find(b"\r", 0, -1) != data.find(b"\r\n", 0, -1) >= 0:
            self._refuse(BadRequest("A line of the head does not end in CRLF"))
        elif (not data[:1].isalpha() and data[:2] != b"\r\n"[: len(data)]) or data[:4] == b"\r\n\r\n":
            self._refuse(BadRequest("The request line is malformed"))

    def _begin(self, head: bytes) -> None:
        """Read a head and decide."""
        self._started = perf_counter()
        reader = self._reader
        if reader is None:
            reader = self._reader = RequestReader()
        if head[:2] == b"\r\n":
            head = head[2:]  # RFC 9112 section 2.2: one empty line before the request line is ignored
        try:
            if len(head) > MAX_HEAD + MAX_TARGET:
                raise HeadTooLarge
            reader.read(head)
            if reader.method == b"OPTIONS" and self._is_answered_here(reader):
                return
            self._resolve(reader, reader.method)
            streams = self._match.route.streams  # type: ignore[union-attr]  # there is one; a cast costs
            if streams is not None:
                self._handshake = find_handshake(reader, streams)
            self._decide(reader)
        except MalformedCredentials as error:
            if self._match is None:
                self._find_route(reader)
            self._refuse(error)
        except GatewayError as error:
            self._refuse(error)

    def _is_answered_here(self, reader: RequestReader) -> bool:
        """Answer an OPTIONS that asks the gateway itself: ``*``, or the preflight of a route with ``cors``."""
        if reader.target == b"*":
            self._answer_options(reader, b"")
            return True
        origin, method = reader.find(b"origin"), reader.find(b"access-control-request-method")
        if origin is None or method is None:
            return False
        try:
            self._resolve(reader, requested_method(method) or b"OPTIONS")
        except MethodNotAllowed:
            self._resolve(reader, b"OPTIONS")
        match = cast(Match, self._match)
        cors = match.route.cors
        if cors is None:
            self._match = None
            return False
        if not cors.allows(origin):
            raise OriginNotAllowed
        self.edge.note_own(self._peer, reader, match, 204, perf_counter() - self._started)
        self._answer_options(reader, cors.preflight(origin))
        return True

    def _resolve(self, reader: RequestReader, method: bytes) -> None:
        """Find the route, and refuse what its target or size does not allow."""
        host = cast(bytes, reader.host)
        if host != self._host:
            self._host_name = host_name(host) if host else ""
            self._host = host
        raw = reader.target
        if not raw.startswith(b"/"):
            check_method(method)
            raw = origin_form(raw, host)
        self._match, self._target = self.edge.resolve(method, self._host_name, raw)
        route = self._match.route
        if route.addresses is not None:
            self.edge.check_address(self._peer, reader, route.addresses)
        if route.max_body >= 0 and (reader.content_length or 0) > route.max_body:
            raise PayloadTooLarge

    def _find_route(self, reader: RequestReader) -> None:
        """Whose refusal it is, where the head was refused before its target was looked at: the OAuth endpoints have their own."""
        try:
            self._resolve(reader, reader.method)
        except GatewayError:
            pass  # the first fault is the one to tell

    def _decide(self, reader: RequestReader) -> None:
        """Let the request pass, refuse it, or ask the store first."""
        match = cast(Match, self._match)
        if match.route.open:
            self._let_in(reader, match)
            return
        now = self.edge.loop.time()
        digest = reader.token_digest
        if digest is None:
            digest = reader.token_digest = digest_access(reader.token or bearer(reader.authorization))
        if self._target.names_token:  # type: ignore[union-attr]  # there is one; a cast costs
            refuse_second(self._target.asked)  # type: ignore[union-attr]
        verdict = self.edge.verdicts.find(digest, now)
        if verdict is None and match.route.foreign:
            verdict = self.edge.find_foreign(match.route, digest, now)
        if verdict is not None:
            self._forward(permit(match, verdict, now))
            return
        stale = self.edge.verdicts.stale(digest, now, match.route.max_stale) if match.route.max_stale else None
        if stale is None:
            self._fetch(reader, now)
        else:
            granted = permit_stale(match, stale, now)
            self.edge.count_stale(match.route.name)
            self._forward(granted)

    def _let_in(self, reader: RequestReader, match: Match) -> None:
        """Forward on a route that asks no token, or that only reports what it would refuse."""
        if match.route.asks:
            self._ask(reader)
            return
        if not match.route.reports:
            self._forward(permit_public(match))
            return
        now = self.edge.loop.time()
        try:
            digest = digest_access(reader.token or bearer(reader.authorization))
            verdict = self.edge.verdicts.find(digest, now) or self.edge.find_foreign(match.route, digest, now)
            if verdict is None:
                self._fetch(reader, now)
                return
        except GatewayError as error:
            self._report(match, error)
        else:
            self._report(match, verdict)

    def _is_within(self, granted: Permit) -> bool:
        """Take the limits; False when the store has to be asked first."""
        edge = self.edge
        charge = edge.limits.charge(cast(Match, self._match).route, granted.verdict, self)
        if charge is None:
            return True
        now = edge.loop.time()
        taken = charge.take(now)
        self._charge = charge
        if not taken:
            charge.permit = granted
            self._state = _DECIDING
            self.deadline = now + DECISION_TIMEOUT
        return taken

    @property
    def source(self) -> bytes:
        """Whom the request counts for where addresses are counted."""
        return self.edge.source(self._peer, cast(RequestReader, self._reader))

    def find_header(self, name: bytes) -> bytes | None:
        """What a header of the request says; None when it is absent, or stands twice."""
        return cast(RequestReader, self._reader).find(name)

    def charged(self, charge: Charge, refused: GatewayError | None) -> None:
        """The store's answer about a limit; who has gone by then has given everything back."""
        self._state = _HEAD
        try:
            if refused is not None:
                self._charge = None
                raise refused
            self._forward(cast(Permit, charge.permit))
        except GatewayError as error:
            self._refuse(error)
        self._continue()

    def _discharge(self) -> None:
        """The request has ended: what it occupied is free."""
        charge = self._charge
        if charge is not None:
            self._charge = None
            charge.end()

    def _ask(self, reader: RequestReader) -> None:
        """Decide about the request that another proxy asks about as if it had come here; its target is taken as it is."""
        edge = self.edge
        self._target = asked = edge.asked(self._peer, reader)
        self._host_name, self._host = host_name(asked.host), asked.host
        self._match = edge.resolve_asked(asked, self._host_name)
        if self._match.route.addresses is not None:
            edge.check_address(self._peer, reader, self._match.route.addresses)
        self._decide(reader)

    def _permit_asked(self, asked: Asked, granted: Permit, identity: bytes) -> None:
        """Tell another proxy that it may forward what it asked about, and who calls; what comes of it, nobody sees here."""
        reader, edge = cast(RequestReader, self._reader), self.edge
        keep = reader.keep_alive and not (edge.draining or (self._eof and not self._buffer))
        more = b"Connection: close\r\n" if not keep else b"Connection: keep-alive\r\n" if reader.http10 else b""
        if self._charge is not None:
            more += self._charge.fields(edge.loop.time())
        request_id = self._peer.request_id(reader.forwarding) or edge.next_request_id()
        self.transport.write(permitted(identity, request_id, edge.date_line + more))
        self._discharge()
        edge.note_asked(self._peer, asked, cast(Match, self._match), granted, request_id, perf_counter() - self._started)
        self._next() if keep else self._linger()

    def _report(self, match: Match, found: Verdict | GatewayError) -> None:
        granted, refused = permit_reported(match, found, self.edge.loop.time())
        self.edge.reports.note(match, granted.client_id, refused)
        self._forward(granted)

    def _fetch(self, reader: RequestReader, now: float) -> None:
        """Ask the store, or the token's issuer."""
        ref = self.edge.find_ref(cast(Match, self._match).route, bearer(reader.authorization))
        if ref is None:
            raise InvalidToken(reason="no access token of an issuer that is trusted here")
        if self.edge.floods is not None:
            self.edge.hold_back(self.edge.floods, self._peer, reader)
        self._state = _DECIDING
        self.deadline = now + DECISION_TIMEOUT
        self.edge.lookups.fetch(ref, self._decided)

    def _decided(self, verdict: Verdict | GatewayError) -> None:
        """The answer, perhaps long after the client has gone."""
        if isinstance(verdict, InvalidToken):
            self.edge.count_bad_token(self._peer, cast(RequestReader, self._reader))
        if self._state != _DECIDING:
            return
        self._state = _HEAD
        match = cast(Match, self._match)
        try:
            if match.route.reports:
                self._report(match, verdict)
            elif isinstance(verdict, GatewayError):
                raise verdict
            else:
                self._forward(permit(match, verdict, self.edge.loop.time()))
        except GatewayError as error:
            self._refuse(error)
        self._continue()

    # --- forwarding -----------------------------------------------------------------------------------------------

    def _forward(self, granted: Permit) -> None:
        """Write the outgoing head and lease a connection; the body, if there is one, follows."""
        reader = cast(RequestReader, self._reader)
        match = cast(Match, self._match)
        target = cast(Target, self._target)
        edge = self.edge
        route = match.route
        identity = self._introduce(route, granted) if route.introduces else granted.identity
        if identity is None:
            return
        if route.limited and self._charge is None and not self._is_within(granted):
            return
        if target.mark:
            self._permit_asked(cast(Asked, target), granted, identity)
            return
        has_body = reader.chunked or bool(reader.content_length)
        peer = self._peer
        request_id = (peer.request_id(reader.forwarding) if peer.trusted else None) or edge.next_request_id()
        ours = edge.own_lines(peer, reader) if route.own else peer.lines(cast(bytes, reader.host), reader.forwarding)
        if reader.underscored and "underscore_headers" not in route.allow:
            edge.note_dropped(request_id, reader.underscored)
        tail = reader.write(route, identity, ours) + request_id.encode("ascii") + b"\r\n\r\n"
        exchange = Exchange(
            self, match, granted, reader.method + b" " + target.forward, tail, request_id, self._started,
            has_body=has_body, http10=reader.http10,
        )  # fmt: skip
        exchange.asked = target.asked
        if route.preserve_host and reader.host:
            exchange.host = b" HTTP/1.1\r\nHost: " + reader.host + b"\r\n"
        if route.streams is not None:
            exchange.handshake = self._handshake
            exchange.stream = admit(exchange, reader, peer)
        self._exchange = exchange
        if has_body:
            self._state = _BODY
            pace = Pace(route.min_body_rate, edge.loop.time())
            self._inbound = InboundBody(None if reader.chunked else reader.content_length, route.max_body, pace)
            reader.renew()
            if reader.expects_continue and not self._buffer:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        else:
            self._state = _WAIT
            self._inbound = None
        # The authority gets whole requests, so that slow senders occupy none of its connections; the others get theirs at once.
        whole = has_body and route.own
        self.deadline = edge.loop.time() + (edge.head_timeout if whole else route.first_byte)
        if route.total:
            edge.limit(exchange, route.total)
        if not whole:
            edge.groups[route.upstream].lease(exchange)
        if has_body:
            self._more_body()

    def _introduce(self, route: Route, granted: Permit) -> bytes | None:
        """What the upstream is told of the caller; None while the credential that it is shown has to be fetched."""
        introduction, now = self.edge.introductions[route], self.edge.loop.time()
        asked = self._target.mark  # type: ignore[union-attr]  # there is one
        lines = introduction.told(granted, now) if asked else introduction.lines(granted, now)
        if lines is None:
            self._state = _DECIDING
            self.deadline = now + DECISION_TIMEOUT
            wait = introduction.wait_to_tell if asked else partial(introduction.wait, granted, now)
            wait(partial(self._introduced, granted))
        return lines

    def _introduced(self, granted: Permit, refused: GatewayError | None) -> None:
        """The credential is there, or not, perhaps long after the client has gone, or its token."""
        if self._state != _DECIDING:
            return
        self._state = _HEAD
        try:
            if refused is not None:
                raise refused
            if cast(Match, self._match).route.open:
                self._forward(granted)
            else:
                self._decide(cast(RequestReader, self._reader))
        except GatewayError as error:
            self._refuse(error)
        self._continue()

    def queued(self, exchange: Exchange) -> None:
        """There is no idle connection: wait for one, but not for ever."""
        # A tick longer than connecting takes at most, so that a target that stays silent is named as such.
        self.deadline = cast("Attempts", exchange.attempts).until + 0.2

    def leased(self, exchange: Exchange) -> None:
        """A connection was found after a wait: what came of the body meanwhile follows the head."""
        up = cast("Upstream", exchange.up)
        route = exchange.match.route
        self.deadline = self.edge.loop.time() + (route.first_byte if exchange.sent_all else route.between_bytes)
        if self.write_paused:
            up.transport.pause_reading()
        if self._inbound is not None:
            up.transport.writelines(self._inbound.early)
            self._inbound.early.clear()
        if not up.paused:
            self.resume_body()

    def pause_body(self) -> None:
        """The upstream reads slowly: from here on the time is its own."""
        if self._state == _BODY:
            self._pause_reading()
            now = self.edge.loop.time()
            cast(InboundBody, self._inbound).pace.pause(now)
            self.deadline = now + cast(Exchange, self._exchange).match.route.between_bytes

    def resume_body(self) -> None:
        """The upstream keeps up again, or is there at last."""
        if self._state == _BODY and not self._buffer:
            self._resume_reading()
            self._await_body(cast(Exchange, self._exchange), cast(InboundBody, self._inbound))

    def _await_body(self, exchange: Exchange, inbound: InboundBody) -> None:
        """More of the body has to come in time: after no long silence, and until the answer begins not too slowly either."""
        now = self.edge.loop.time()
        inbound.pace.resume(now)
        self.deadline = now + exchange.match.route.between_bytes
        if not exchange.answered:
            self.deadline = min(self.deadline, inbound.pace.due(inbound.received))

    def _body(self, data: bytes) -> None:
        """Stream the request's body; what follows it is the next request."""
        exchange = cast(Exchange, self._exchange)
        inbound = cast(InboundBody, self._inbound)
        try:
            out, used = inbound.feed(data)
        except GatewayError as error:
            exchange.received = inbound.received
            self.fail(exchange, error)  # the upstream never sees the end of what turned out wrong on its way
            return
        exchange.received = inbound.received
        if inbound.done:
            exchange.sent_all = True
            self._state = _WAIT
        if used < len(data):
            self._buffer = data[used:]
            if not inbound.done:
                self._pause_reading()
                self.edge.loop.call_soon(self._more_body)
        if exchange.up is not None:
            if inbound.done and not exchange.answered:
                self.deadline = self.edge.loop.time() + exchange.match.route.first_byte
            else:
                self._await_body(exchange, inbound)
            exchange.up.transport.write(out)
        else:
            inbound.early.append(out)
            if exchange.pool is not None:
                if not inbound.done:
                    self._pause_reading()
                    inbound.pace.pause(self.edge.loop.time())
            elif inbound.done:
                self._send_whole(exchange)

    def _more_body(self) -> None:
        """Go on with what is here of the body already, and then with reading, which may have been paused meanwhile."""
        if self._buffer and self._state == _BODY:
            data, self._buffer = self._buffer, b""
            self._body(data)
        exchange = self._exchange
        if exchange is None or self._state != _BODY or self._buffer:
            return
        if exchange.match.route.own:
            self._resume_reading()
        elif exchange.up is not None and not exchange.up.paused:
            self.resume_body()

    def _send_whole(self, exchange: Exchange) -> None:
        """A body that was waited for is complete: only now it needs a connection."""
        self.edge.groups[exchange.match.route.upstream].lease(exchange)
        if exchange.up is not None:
            self.leased(exchange)

    # --- the answer -----------------------------------------------------------------------------------------------

    def outward(self, exchange: Exchange, answer: ResponseReader) -> ResponseReader:
        """The answer with the addresses that this client knows, and as the route's ``response_headers`` say."""
        route = exchange.match.route
        if answer.addressed and not route.own:
            reader, target = cast(RequestReader, self._reader), cast(Target, self._target)
            pool = cast("Upstream", exchange.up).pool
            host = cast(bytes, reader.host)
            public = public_origin(self._peer.scheme, host, reader.forwarding if self._peer.trusted else {})
            view = outward(pool.name.partition(" ")[0], pool.host if exchange.host is None else host, public, route.rewriting)
            lines = view.lines(answer.lines, target.asked, target.forward)
            if route.session_cookie:
                lines = without_set_cookie(lines, route.session_cookie)
            if lines != answer.lines:
                answer = answer.with_lines(lines)
        edits = route.response_headers
        if edits is None:
            return answer
        edited = answer.edited.get(edits)
        if edited is None:
            edited = answer.edited[edits] = answer.with_lines(edits.apply(answer.lines))
        return edited

    def write_interim(self, answer: ResponseReader) -> None:
        """Pass a 1xx answer on."""
        edits = cast(Match, self._match).route.response_headers
        lines = answer.lines if edits is None else edits.prune(answer.lines)
        self.transport.write(b"".join((b"HTTP/1.1 ", answer.status_line, b"\r\n", *lines, b"\r\n")))

    def write_head(
        self, exchange: Exchange, answer: ResponseReader, *, length: int | None, chunked: bool = False,
        delimited: bool = True, body: bytes = b"",
    ) -> None:  # fmt: skip
        """
        Begin the answer.

        Args:
            exchange: What is answered.
            answer: The upstream's head.
            length: Content-Length to announce, if any.
            chunked: Whether the body will be chunked.
            delimited: Whether the client can tell where the answer ends without the connection's end.
            body: Content that is here already (never chunked).
        """
        exchange.answered = True
        exchange.status = answer.status
        exchange.sent += len(body)
        reader = cast(RequestReader, self._reader)
        if not (delimited and exchange.sent_all) or self.edge.draining:
            reader.keep_alive = False
        # Before the write, which may find the client slow.
        self.deadline = self.edge.loop.time() + exchange.match.route.between_bytes
        if length is not None and reader.keep_alive and not exchange.http10 and exchange.match.route.cors is None:
            plain = answer.plain if answer.dated else b"%b%b\r\n" % (answer.plain, self.edge.date_line)
            if self._charge is not None:
                plain = b"%b%b\r\n" % (plain[:-2], self._charge.fields(self.edge.loop.time()))
            self.transport.write(plain + body if body else plain)
        else:
            self._write_other_head(exchange, answer, length, body, chunked=chunked)

    def _write_other_head(
        self, exchange: Exchange, answer: ResponseReader, length: int | None, body: bytes, *, chunked: bool
    ) -> None:
        reader = cast(RequestReader, self._reader)
        keep_alive = reader.keep_alive
        cors = exchange.match.route.cors
        lines = answer.lines if cors is None else [*without_cors(answer.lines), cors.answer(reader.find(b"origin"))]
        parts = [b"HTTP/1.1 ", answer.status_line, b"\r\n", *lines, b"" if answer.dated else self.edge.date_line]
        if self._charge is not None:
            parts.append(self._charge.fields(self.edge.loop.time()))
        if length is None and not exchange.head_only and answer.status not in (204, 304):
            began(exchange, reader, self._peer, answer)
        if length is not None:
            parts.append(b"Content-Length: %d\r\n" % length)
        elif chunked:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        if not keep_alive:
            parts.append(b"Connection: close\r\n")
        elif exchange.http10:
            parts.append(b"Connection: keep-alive\r\n")
        self.transport.write(b"".join((*parts, b"\r\n", body)))

    def write_body(self, exchange: Exchange, data: bytes, *, chunked: bool) -> None:
        """Pass a piece of the answer's content on."""
        exchange.sent += len(data)
        if self.write_paused:
            self._reading.add(len(data))
        else:
            self.deadline = self.edge.loop.time() + exchange.match.route.between_bytes
        if chunked:
            self.transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
        else:
            self.transport.write(data)

    def finish(self, exchange: Exchange, *, chunked: bool) -> None:
        """The answer is complete: end it, note it, and go on with the next request."""
        if exchange.over:
            return
        exchange.over = True
        self._exchange = None
        if chunked:
            self.transport.write(b"0\r\n\r\n")
        self.edge.note(self._peer, exchange, perf_counter() - exchange.started, "")
        if exchange.stream is not None:
            self.edge.streams.close(exchange.stream, "finished")
        if self._charge is not None:
            self._discharge()
        reader = cast(RequestReader, self._reader)
        closes = not reader.keep_alive  # as its head said: a gateway that drains by now has another request to expect
        if not exchange.sent_all or (closes and self._buffer):
            self._linger()  # a client that is still sending would lose the answer to a reset
        elif closes or (self._eof and not self._buffer):
            self._close()
        else:
            self._next()
            self._continue()

    def fail(self, exchange: Exchange, error: GatewayError) -> None:
        """The exchange can't be completed: refuse, or cut the connection if the answer has begun."""
        if exchange.over:
            return
        self._abandon(exchange, error.code)
        self._exchange = None
        if exchange.answered:
            stream = exchange.stream
            word = (stream.reason if stream is not None else "") or error.code  # a stream's end has one name, whatever streams
            self.edge.note(self._peer, exchange, perf_counter() - exchange.started, word)
            self._state = _CLOSED
            self._cut(exchange)
            return
        self._answer(error, exchange)
        self._continue()

    def cut(self) -> None:
        """End the connection now, whatever is under way on it."""
        self._cut(self._exchange)

    def _cut(self, exchange: Exchange | None) -> None:
        if (exchange is not None and exchange.http10) or self.transport.get_write_buffer_size():
            # The answer may be one that ends with the connection: an orderly end would make half of it whole.
            forget_at_end(self.transport)
        self.transport.abort()

    def expire(self) -> None:
        """The deadline has passed."""
        if self._state == _HEAD and not (self._read_paused or self._buffer) and unread(self.transport):
            return  # a request came in this very moment: closing would reset it unread
        self.deadline = 0.0
        if self._tunnel is not None:
            self._tunnel.expire()
            return
        exchange = self._exchange
        if exchange is not None:
            if exchange.answered and self.write_paused:
                self._expire_slow_reader(exchange)
            elif exchange.pool is None:
                self.fail(exchange, RequestTimeout())
            elif exchange.up is None:
                self.fail(exchange, exchange.pool.impatience())
            elif self._state == _BODY and not self._read_paused:
                self.fail(exchange, RequestTimeout())
            else:
                if not exchange.answered:
                    exchange.up.pool.group.silent(exchange.up.pool, exchange.match.route.first_byte)
                self.fail(exchange, UpstreamTimeout("no answer in time", sent=True))
        elif self._state == _HEAD and self._buffer and not self.edge.draining:
            self._refuse(RequestTimeout())
        elif self._state == _DECIDING:
            cast(RequestReader, self._reader).keep_alive = False  # the verdict may come yet, and is for no later request
            self._refuse(StoreUnavailable("no verdict in time"))
        else:
            self._close() if self._state == _HEAD else self._end()

    def _expire_slow_reader(self, exchange: Exchange) -> None:
        """While the client is slow the deadline is the client's: it may go on for as long as it takes enough."""
        route, now = exchange.match.route, self.edge.loop.time()
        needed = exchange.up is not None and exchange.up.pool.full
        if self._reading.is_late(
            owed(self.transport), now, rate=route.min_body_rate, between_bytes=route.between_bytes, needed=needed
        ):
            self._give_up(exchange)
        else:
            self.deadline = Reading.look(now, route.between_bytes)

    def _give_up(self, exchange: Exchange) -> None:
        """Cut a client that does not read, and have the kernel forget what it holds for it: megabytes, and for how long?"""
        forget_at_end(self.transport)
        self.fail(exchange, ClientTimeout())

    def overrun(self, exchange: Exchange) -> None:
        """``timeouts.total`` has passed: whoever was waited for, there is no more time.  A tunnel is beyond it."""
        if self._tunnel is not None:
            return
        if self._state == _BODY and not self._read_paused and not exchange.answered:
            self.fail(exchange, RequestTimeout())
        elif exchange.answered and self.write_paused:
            self._give_up(exchange)
        else:
            self.fail(exchange, UpstreamTimeout("the exchange took too long in all", sent=exchange.up is not None))

    def drain(self) -> None:
        """
        The gateway stops: a busy connection ends after its answer, an idle one soon.

        Not at once: a request may be on its way already, and a client that gets no answer can't repeat just any.
        """
        if self._tunnel is not None:
            self._tunnel.close(GOING_AWAY, DRAINING)
        elif self._state == _HEAD:
            self.deadline = self.edge.loop.time() + self.edge.last_call

    # --- streams --------------------------------------------------------------------------------------------------

    def upgraded(self, exchange: Exchange, answer: ResponseReader, behind: bytes) -> None:
        """The upstream agreed to the WebSocket; ``behind`` came after its 101.  From here on the connection is a tunnel's."""
        exchange.answered = exchange.over = True
        exchange.status = answer.status
        self._exchange = None
        self.transport.write(switching(cast(Handshake, exchange.handshake), self.outward(exchange, answer)))
        self.edge.streams.began(cast(Stream, exchange.stream), "websocket")
        self._tunnel = Tunnel(self, exchange, self._tunnel_over)
        early, self._buffer = self._buffer, b""
        self._tunnel.start(early, behind, eof=self._eof)
        if self.edge.draining:
            self._tunnel.close(GOING_AWAY, DRAINING)

    def _tunnel_over(self, exchange: Exchange, reason: str) -> None:
        self.edge.streams.close(cast(Stream, exchange.stream), reason)
        self._discharge()
        self.edge.note(self._peer, exchange, perf_counter() - exchange.started, "" if reason == CLOSED else reason)

    def end_stream(self, exchange: Exchange, reason: str) -> None:
        """The token is no longer good for what goes on; an answer of known length is no stream."""
        if self._tunnel is not None:
            self._tunnel.close(POLICY_VIOLATION, reason)
        elif exchange.up is None or not exchange.up.is_sized:
            self.fail(exchange, ended(exchange.match, reason))

    # --- refusing -------------------------------------------------------------------------------------------------

    def _refuse(self, error: GatewayError) -> None:
        """Answer a request that gets no exchange."""
        self._discharge()
        self._answer(error, None)

    def _answer(self, error: GatewayError, exchange: Exchange | None) -> None:
        """Send a refusal; the connection goes on only if it is certain where the next request begins."""
        edge = self.edge
        reader = cast(RequestReader, self._reader)
        route = self._match.route if self._match is not None else None
        asked = self._target if route is not None else None
        if (asked is not None and asked.mark) or edge.is_question(self._peer, reader):
            error = denied(error, keep=route is not None)
        if exchange is not None:
            request_id = exchange.request_id
        else:
            given = self._peer.request_id(reader.forwarding) if reader is not None else None
            request_id = given or edge.next_request_id()
        if exchange is not None:
            pending = not exchange.sent_all
        else:
            pending = reader is not None and (reader.chunked or bool(reader.content_length))
        keep = not (pending or error.close or edge.draining or reader is None or not reader.keep_alive)
        if keep and (reader.method == b"CONNECT" or (self._eof and not self._buffer)):
            keep = False  # what follows may be a tunnel's; or nothing follows
        head_only = reader is not None and reader.method == b"HEAD"
        cors = route.cors if route is not None else None
        metadata = route.metadata_url(self._host_name) if route is not None and isinstance(error, TokenRefused) else ""
        self.transport.write(render(
            error, is_oauth=route is not None and route.is_oauth, request_id=request_id,
            token_endpoint=edge.token_endpoint, date=edge.date,
            connection="close" if not keep else "keep-alive" if reader.http10 else "", head_only=head_only,
            cors=b"" if cors is None else cors.refusal(reader.find(b"origin")),
            resource_metadata=metadata,
        ))  # fmt: skip
        edge.note_refusal(self._peer, reader, exchange, self._match, request_id, self._started, error, asked)
        if keep:
            self._next()
        else:
            self._linger()

    def _answer_options(self, reader: RequestReader, lines: bytes) -> None:
        """``OPTIONS *`` asks about the server itself (RFC 9110 section 9.3.7): it lives.  A preflight wants ``lines``."""
        keep = reader.keep_alive and not (reader.chunked or reader.content_length or self.edge.draining or self._eof)
        end = lines + (b"\r\n" if keep else b"Connection: close\r\n\r\n")
        self.transport.write(b"HTTP/1.1 204 No Content\r\n%b%b" % (self.edge.date_line, end))
        self._next() if keep else self._linger()

    def _abandon(self, exchange: Exchange, reason: str) -> None:
        exchange.over = True
        if exchange.stream is not None:
            self.edge.streams.close(exchange.stream, reason)
        self._discharge()
        if exchange.up is not None and exchange.up.exchange is exchange:
            exchange.up.abort()

    # --- between requests -----------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Be ready for the next request."""
        self._state = _HEAD
        self._started = 0.0
        self._match = None
        self.deadline = self.edge.loop.time() + self.edge.keepalive_timeout

    def _continue(self) -> None:
        """Take up what waits in the buffer."""
        if self._state == _HEAD:
            if self._buffer:
                self._advance()
            if self._eof and self._state == _HEAD and not self.write_paused:
                self._close()
            elif self._state != _BODY and len(self._buffer) <= MAX_BUFFER:
                self._resume_reading()
        if self._eof and self._state == _BODY:
            self.transport.close()  # its end will never come, and it is no whole request; earlier answers may be on their way

    def _close(self) -> None:
        self._state = _CLOSED
        # Under TLS the client has to say goodbye too, and what it still sends is read and thrown away meanwhile.
        self.deadline = self.edge.loop.time() + self.edge.linger_timeout
        self._left = int(self.edge.closing_timeout / self.edge.linger_timeout)  # looks, not for ever
        self.transport.close()

    def _end(self) -> None:
        """Cut a connection that did not end by itself; but while last bytes of an answer are on their way, it has some time."""
        self._left -= 1
        if self._state == _CLOSED and self._left > 0 and owed(self.transport):
            self.deadline = self.edge.loop.time() + self.edge.linger_timeout
        else:
            self.cut()

    def _linger(self) -> None:
        """Close so that the answer arrives: end our side, and read on a little before the socket goes."""
        self._state = _LINGER
        self._buffer = b""
        self._left = MAX_LINGER
        self.deadline = self.edge.loop.time() + self.edge.linger_timeout
        if self._eof or not self.transport.can_write_eof():
            self._close()
            self._left = 1  # a client that does not read its refusal has no more time than to begin
            return
        self._resume_reading()
        self.transport.write_eof()

    def _pause_reading(self) -> None:
        if not self._read_paused:
            self._read_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._read_paused:
            self._read_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()
