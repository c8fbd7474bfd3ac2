"""What of a connection may last: opening handshakes of WebSockets, and which exchanges are streams that live on a token."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gateway.addresses import source_of
from gateway.config.model import Streams as Rules
from gateway.edge.head import Peer, RequestReader, ResponseReader
from gateway.errors import BadRequest, GatewayError, InsufficientScope, InvalidToken, MalformedCredentials
from gateway.guard.bearer import bearer
from gateway.guard.streams import SCOPE_LOST, Stream
from gateway.routing import Match
from gateway.websocket import BEARER, Handshake, elements, take_token

if TYPE_CHECKING:
    from gateway.edge.exchange import Exchange

_PROTOCOL = b"sec-websocket-protocol"
_SWITCH = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def find_handshake(reader: RequestReader, rules: Rules) -> Handshake | None:
    """
    Read the opening handshake of a WebSocket (RFC 6455 section 4.2.1), at a route that allows one.

    Where the route takes tokens as subprotocols, the reader's ``authorization`` is set from there, and the upstream sees none.
    Whatever comes of it, the connection ends after the answer: bytes behind the head may be frames (S24).

    Returns:
        None when it is no such thing: other upgrades, and those of HTTP/1.0, are ignored (RFC 9110 section 7.8).

    Raises:
        BadRequest: It is malformed.
        MalformedCredentials: There are two tokens.
    """
    if reader.http10 or b"websocket" not in elements((reader.upgrade,)):
        return None
    reader.keep_alive = False
    if reader.chunked or reader.content_length:
        raise BadRequest("A WebSocket handshake has no body")
    keys, versions = reader.values(b"sec-websocket-key"), reader.values(b"sec-websocket-version")
    handshake = Handshake(reader.method, reader.options, keys, versions)
    if rules.subprotocol:
        token, left = take_token(elements(reader.values(_PROTOCOL)))
        if token is not None:
            if reader.authorization is not None:
                raise MalformedCredentials
            reader.authorization = b"Bearer " + token
            reader.drop({_PROTOCOL})
            if left:
                reader.add(_PROTOCOL, b"Sec-WebSocket-Protocol: %b\r\n" % b", ".join(left))
            handshake.by_subprotocol = True
    reader.add(b"upgrade", _SWITCH)
    return handshake


def is_agreed(handshake: Handshake, answer: ResponseReader) -> bool:
    """Whether a 101 is the upstream's yes to this handshake (RFC 6455 section 4.1)."""
    return answer.to_websocket and answer.values(b"sec-websocket-accept") == [handshake.accept]


def switching(handshake: Handshake, answer: ResponseReader) -> bytes:
    """The 101 for the client; one that offered its token as a subprotocol fails unless some subprotocol is selected."""
    selected = handshake.by_subprotocol and not answer.values(_PROTOCOL)
    extra = b"Sec-WebSocket-Protocol: %b\r\n" % BEARER if selected else b""
    return b"".join((b"HTTP/1.1 101 Switching Protocols\r\n", *answer.lines, extra, _SWITCH, b"\r\n"))


def admit(exchange: Exchange, reader: RequestReader, peer: Peer) -> Stream:
    """
    Note a request that may last; without a token it counts by the address it came from, behind a trusted proxy too.

    Raises:
        TooManyRequests: Its client has as many on this route as it may.
    """
    down = exchange.down
    granted = exchange.permit
    if exchange.match.route.open:
        ref, client = None, source_of(down.edge.client_address(peer, reader)).hex()
    else:
        ref, client = down.edge.find_ref(exchange.match.route, bearer(reader.authorization)), granted.client_id
    return down.edge.streams.admit(exchange.match, client, ref, granted, partial(down.end_stream, exchange))


def began(exchange: Exchange, reader: RequestReader, peer: Peer, answer: ResponseReader) -> None:
    """An answer without a length begins: on routes with ``streams`` it is one, elsewhere only ``text/event-stream`` is."""
    if exchange.stream is None:
        if not answer.is_events:
            return
        exchange.stream = admit(exchange, reader, peer)
    exchange.down.edge.streams.began(exchange.stream, "events" if answer.is_events else "body")


def ended(match: Match, reason: str) -> GatewayError:
    """What a client is told whose token ended while it waited for an answer."""
    if reason == SCOPE_LOST:
        return InsufficientScope(match.scopes or match.scopes_any)
    return InvalidToken(reason=reason)
