"""
Other proxies ask whether they may forward a request: which one they mean, and the answer.  Pure.

nginx, Caddy and Traefik say it in X-Forwarded-Method, -Host and -Uri; Envoy asks with the request's own method and Host, its
target behind the path of this endpoint.  Whatever could be read in two ways is no question, and no answer but a permit is 2xx.
"""

from __future__ import annotations

from gateway.config.route_rules import METHODS
from gateway.edge.head import RequestReader
from gateway.edge.target import Target
from gateway.errors import AmbiguousTarget, GatewayError, MethodNotAllowed, NotOneRequest

_KNOWN = frozenset(method.encode("ascii") for method in METHODS)


class Asked(Target):
    """The request that another proxy asks about: its ``method``, its ``host`` and, raw, its target."""

    __slots__ = ("host", "method")
    mark = "forward-auth"

    def __init__(self, method: bytes, host: bytes, raw: bytes) -> None:
        super().__init__("", raw)
        self.method = method
        self.host = host


def is_asking(target: bytes, path: bytes) -> bool:
    """Whether a raw target is this endpoint's ``path``, with or without another target behind it."""
    return target.startswith(path) and target[len(path) :][:1] in (b"", b"?", b"/")


def read_asked(reader: RequestReader, path: bytes) -> Asked:
    """
    What a trusted proxy asks about.

    Args:
        reader: Its own request.
        path: Of this endpoint, as configured.

    Raises:
        NotOneRequest: Something is missing, stands twice or contradicts something else.
        MethodNotAllowed: No route takes such a method.
    """
    said = reader.forwarding
    if not is_asking(reader.target, path) or reader.chunked or reader.content_length:
        raise NotOneRequest(reason="another spelling of the endpoint, or a body")
    if b"x-forwarded-for" not in said:
        raise NotOneRequest(reason="X-Forwarded-For is missing: nobody knows whose request it is")
    rest = reader.target[len(path) :]
    front = said.get(b"x-forwarded-host")
    if rest.startswith(b"/"):
        if b"x-forwarded-uri" in said or b"x-forwarded-method" in said or front not in (None, reader.host):
            raise NotOneRequest(reason="a request is named by the path and by X-Forwarded-Uri, -Method or -Host")
        asked = Asked(reader.method, reader.host or b"", rest)
    else:
        try:
            asked = Asked(said[b"x-forwarded-method"], said[b"x-forwarded-host"], said[b"x-forwarded-uri"])
        except KeyError as missing:
            raise NotOneRequest(reason=f"{missing.args[0].decode()} is missing") from None
    if asked.method not in _KNOWN:
        raise MethodNotAllowed(METHODS)
    return asked


def permitted(identity: bytes, request_id: str, more: bytes) -> bytes:
    """The answer that lets another proxy forward: ``identity`` says who calls, ``more`` is said beside, both as lines."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n%b%bX-Request-Id: %b\r\n\r\n"
    return head % (more, identity, request_id.encode("ascii"))


def denied(error: GatewayError, *, keep: bool) -> GatewayError:
    """
    The same refusal as proxies understand it: 401, 403, 429 and 5xx stand, others become 403, whose ``code`` says why.

    ``keep``: The question itself was well-formed, so its connection, which is other clients' too, may go on.
    """
    if error.status not in (401, 403, 429) and error.status < 500:
        error.status = 403
        error.close = error.close and not (keep or isinstance(error, AmbiguousTarget))
    return error
