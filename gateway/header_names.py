"""Names of headers, lower-case, by whose they are: what no client may say, no route may set, no connection passes on."""

from __future__ import annotations

HOP_BY_HOP = (
    b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
    b"http2-settings", b"proxy",
)  # fmt: skip
"""What ends at each connection, both ways (RFC 9110 section 7.6.1), beside Connection, Transfer-Encoding and Upgrade."""
FRAMING = (b"connection", b"content-length", b"expect", b"transfer-encoding", b"upgrade")
"""What says where a message ends, and what the connection is for."""
IDENTITY = (b"x-client-id", b"x-client-scopes", b"x-token-subject", b"x-token-issuer")
"""Who calls, for whom, and who says so: the gateway's to say, to upstreams."""
SPOOFABLE = (
    b"x-real-ip", b"x-client-ip", b"x-original-url", b"x-original-uri", b"x-original-method", b"x-rewrite-url", b"x-client-cert",
    # A back end that obeys one of these would run a method that neither route nor scopes were asked about (S29).
    b"x-http-method-override", b"x-http-method", b"x-method-override",
)  # fmt: skip
"""What back ends believe of whoever stands before them."""
FORWARDED = (
    b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id", b"via",
    # What other proxies ask about (`gateway.edge.forward_auth`); no upstream is told.
    b"x-forwarded-method", b"x-forwarded-uri",
)  # fmt: skip
"""What the gateway says of the connection; a trusted proxy's is appended to, or kept."""
OURS = (b"x-forwarded-", b"x-gateway-")
"""Whatever begins like this is the gateway's to say."""


def bars_request_edit(name: str) -> str:
    """Why a route may not change this request header; empty when it may.  ``_`` is read as ``-``, as many back ends do."""
    lower = name.lower().replace("_", "-").encode("ascii")
    if lower == b"host":
        return "it says which host is meant: see preserve_host"
    if lower in IDENTITY:
        return "it says who calls, and only the gateway knows"
    if lower in FORWARDED or lower.startswith(OURS):
        return "it says where the request comes from, and only the gateway knows"
    return _bars_any_edit(lower)


def bars_credential(name: str) -> str:
    """Why no credential can be shown in this request header; empty when it may."""
    lower = folded(name)
    if lower.startswith("content-"):
        return "it describes the body"
    return bars_request_edit(lower)


def bars_identity(name: str) -> str:
    """Why an upstream can't be told in this request header who calls; empty when it may."""
    lower = folded(name)
    if lower in ("authorization", "cookie"):
        return "back ends take it for a credential: see credentials"
    return "" if lower.encode("ascii") in IDENTITY else bars_credential(name)


def folded(name: str) -> str:
    """A name as back ends compare it that take ``_``, ``.`` and ``-`` for the same (CGI, WSGI, PHP)."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def bars_response_edit(name: str) -> str:
    """Why a route may not change this header of answers; empty when it may."""
    return _bars_any_edit(name.lower().encode("ascii"))


def _bars_any_edit(lower: bytes) -> str:
    if lower.startswith(b"sec-websocket-"):
        return "it belongs to the handshake of a WebSocket"
    if lower in FRAMING:
        return "it frames the message, which the gateway does by itself"
    return "it is for one connection and goes no further (RFC 9110 section 7.6.1)" if lower in HOP_BY_HOP else ""
