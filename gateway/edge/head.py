"""
Header rules, pure: what of a head may pass, in either direction, and how the next head is written.

llhttp (httptools) parses; this file decides what llhttp leaves open (house.md) and never passes a client's bytes through
unseen: a head that goes out is written anew from the parsed parts.  One reader serves one connection and is reset by each
head; callbacks may not raise (llhttp would lose its place), so a fault is kept and raised by `read`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from copy import copy
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from gateway.cookies import without_cookie
from gateway.edge.target import MAX_TARGET
from gateway.errors import (
    BadRequest,
    CodingNotImplemented,
    ExpectationFailed,
    GatewayError,
    HeadTooLarge,
    MalformedCredentials,
    UriTooLong,
    VersionNotSupported,
)
from gateway.guard.bearer import B64TOKEN, MAX_TOKEN
from gateway.header_edits import HeaderEdits
from gateway.header_names import FORWARDED, HOP_BY_HOP, IDENTITY, OURS, SPOOFABLE
from gateway.mapping import NAMES as ADDRESSES
from gateway.routing import Route
from gateway.websocket import elements

MAX_HEAD = 32 * 1024
"""Longest header section of a request, bytes."""
MAX_LINE = 8 * 1024
"""Longest header line, bytes."""
MAX_LINES = 100
"""Most header lines."""
MAX_CERTIFICATE = 5 * 1024
"""Longest client certificate that is told of, bytes of DER."""
MAX_RESPONSE_HEAD = 64 * 1024
"""Longest head of an upstream's answer, bytes."""

(
    _DROP, _HOST, _LENGTH, _CODING, _CONNECTION, _EXPECT, _AUTHORIZATION, _SINGLE, _FORWARDING, _UPGRADE, _PROXY_CONNECTION,
) = range(1, 12)  # fmt: skip

_SPECIAL: Final = {
    **dict.fromkeys((*HOP_BY_HOP, *IDENTITY, *SPOOFABLE), _DROP),
    **dict.fromkeys(FORWARDED, _FORWARDING),
    b"upgrade": _UPGRADE,
    b"proxy-connection": _PROXY_CONNECTION,
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"transfer-encoding": _CODING,
    b"connection": _CONNECTION,
    b"expect": _EXPECT,
    b"authorization": _AUTHORIZATION,
    b"content-type": _SINGLE,
}
_UNLISTABLE = frozenset((b"host", b"content-length", b"transfer-encoding", b"authorization", *IDENTITY, *FORWARDED))
"""Names that a client may not have removed by listing them in Connection (CVE-2022-31813, CVE-2024-45410)."""
_RESPONSE_DROP = frozenset((*HOP_BY_HOP, b"upgrade"))

_PLAIN_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))

_DIGITS = re.compile(rb"[0-9]{1,18}")
_CODING_LIST = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")
_VERSION = re.compile(rb"HTTP/[0-9]+(?:\.[0-9]+)?")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_BINDING = re.compile(rb"(?:\A|[,\t ])(?:NTLM|Negotiate)(?:[,\t ]|\Z)", re.IGNORECASE)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_USUAL = b"abcdefghijklmnopqrstuvwxyz0123456789-"
"""What the names of headers are made of; whatever else a token may hold, some back end reads as ``_`` or ``-``."""
_DASHED = bytes(byte if byte in _USUAL else ord("-") for byte in range(256))


class RequestReader:
    """
    Reads the heads of one client connection.

    After `read` these hold the present request: ``method``, ``target`` (raw), ``http10``, ``host`` (raw value, empty when
    HTTP/1.0 sent none), ``authorization`` (value or None), ``token`` (the bearer token in it, where it was looked at here),
    ``content_length`` (bytes or None), ``chunked``, ``keep_alive``, ``expects_continue``, ``lines`` (what may be forwarded),
    ``forwarding`` (what a trusted proxy said); ``token_digest`` is kept here for whoever computed it.
    """

    __slots__ = (
        "_fault", "_names", "_parser", "_seen_connection", "_te", "authorization", "chunked", "content_length", "dated",
        "expects_continue", "forwarding", "host", "http10", "keep_alive", "lines", "method", "target", "token",
        "token_digest", "underscored", "upgrade", "_after_token", "_before_token", "_fields", "_longest", "_version", "_written",
        "_written_for",
    )  # fmt: skip

    def __init__(self) -> None:
        self._parser = HttpRequestParser(self)
        self._reset()

    def _reset(self) -> None:
        self._fault: GatewayError | None = None
        self._names: list[bytes] = []
        self._seen_connection = b""
        self._te: bytes | None = None
        self.lines: list[bytes] = []
        self.underscored: list[tuple[bytes, bytes]] = []
        self.forwarding: dict[bytes, bytes] = {}
        self.host: bytes | None = None
        self.authorization: bytes | None = None
        self.content_length: int | None = None
        self.chunked = False
        self.expects_continue = False
        self.upgrade = b""
        # What a refusal looks at when `read` ends early: nothing of this connection can be trusted then.
        self.method = self.target = b""
        self.http10 = False
        self.keep_alive = False
        self.token: bytes | None = None
        self.token_digest: bytes | None = None
        self._fields = b""
        self._before_token = b""
        self._after_token = b""
        self._longest = 0
        self._version = b""
        self._written = b""
        self._written_for: tuple[object, object, object] = (None, None, None)

    def read(self, head: bytes) -> None:
        """
        Read one whole head, from the request line to the empty line.

        Raises:
            BadRequest, HeadTooLarge, UriTooLong, ExpectationFailed, CodingNotImplemented, VersionNotSupported,
            MalformedCredentials: As the case may be; the connection can't be used after any of them.
        """
        end = head.find(b"\r\n")
        parts = head[:end].split(b" ")
        fields = head[end:]
        if (fields == self._fields or self._differs_by_token(fields)) and self._is_same_kind(parts):
            self._fields = fields
            self.method, self.target, _ = parts
            return
        self._reset()
        if len(parts) != 3 or head[0] < 0x21:  # llhttp skips leading CR and LF, and a method with one would be another
            raise BadRequest("The request line is malformed")
        self.method, self.target, version = parts
        if version == b"HTTP/1.1":
            self.http10 = False
        elif version == b"HTTP/1.0":
            self.http10 = True
        elif _VERSION.fullmatch(version):
            raise VersionNotSupported
        else:
            raise BadRequest("The request line is malformed")
        if len(self.target) > MAX_TARGET:
            raise UriTooLong
        if head.count(b"\r\n") > MAX_LINES + 2 or (len(head) > MAX_LINE and _is_too_large(head)):
            raise HeadTooLarge
        try:
            self._parser.feed_data(head)
        except HttpParserUpgrade:
            self._parser = HttpRequestParser(self)
        except HttpParserError:
            if self._te is not None:
                self._settle_coding(self._te)  # 501 where all that is wrong is a coding that we do not speak
            # The text of the error quotes the client's bytes: neither the answer nor the log shows it.
            raise BadRequest("The request head is malformed") from None
        self._settle()
        if not (self.chunked or self.content_length or self.expects_continue or self.upgrade):
            self._remember(fields, version)

    def _remember(self, fields: bytes, version: bytes) -> None:
        self._fields = fields
        self._version = version
        value = self.authorization
        if value is not None and value[:7] == b"Bearer " and fields.count(value) == 1:
            before, _, self._after_token = fields.partition(value)
            self._before_token = before + b"Bearer "
            self._longest = min(MAX_LINE, len(self._before_token) + MAX_TOKEN + len(self._after_token))

    def _differs_by_token(self, fields: bytes) -> bool:
        """
        Whether the header lines are the last ones with another bearer token in its place, as a proxy in front of us sends them.

        The token is then the one thing to take from them; it holds no character that could end its line.  Beyond the length of a
        line the limits may be exceeded by it, so that is read as ever.
        """
        before, after = self._before_token, self._after_token
        if len(fields) > self._longest or not fields.startswith(before) or not fields.endswith(after):
            return False
        token = fields[len(before) : len(fields) - len(after)]
        if B64TOKEN.fullmatch(token) is None:
            return False
        self.authorization = b"Bearer " + token
        self.token = token
        self.token_digest = None
        self._written_for = (None, None, None)  # it may hold the other token, where a route passes tokens on
        return True

    def _is_same_kind(self, parts: list[bytes]) -> bool:
        """
        Whether a request line may go with the header lines that the last request had, to the byte.

        Programs repeat theirs; then llhttp, and all that follows from the lines, would only say the same again.  The line
        itself is checked here, and its target by `gateway.edge.target`, as strictly as llhttp does.
        """
        return (
            len(parts) == 3
            and parts[0] in _PLAIN_METHODS
            and parts[2] == self._version
            and parts[1].startswith(b"/")
            and len(parts[1]) <= MAX_TARGET
        )

    def write(self, route: Route, identity: bytes, ours: bytes) -> bytes:
        """
        The header lines after Host of the outgoing request, up to where the request id's value stands.

        Args:
            route: What may pass is the route's to say.
            identity: Lines that tell the upstream who calls.
            ours: Lines that tell it of the connection, `Peer.lines` or `Peer.own_lines`.
        """
        written_for = self._written_for
        if written_for[0] is route and written_for[1] is identity and written_for[2] is ours:
            return self._written
        lines = self.lines
        if self.underscored and "underscore_headers" in route.allow:
            lines = [*lines, *(line for _, line in self.underscored)]
        if route.session_cookie and b"cookie" in self._names:
            lines = without_cookie(lines, route.session_cookie)
        if route.forward_authorization and self.authorization is not None:
            lines = [*lines, b"Authorization: %b\r\n" % self.authorization]
        if route.withheld is not None:
            lines = route.withheld.prune(lines)
        if route.request_headers is not None:
            lines = route.request_headers.apply(lines)
        if self.chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        elif self.content_length is not None:
            framing = b"Content-Length: %d\r\n" % self.content_length
        else:
            framing = b""
        label = b"X-Gateway-Request-Id: " if route.own else b"X-Request-Id: "
        self._written = b"".join((*lines, framing, identity, ours, label))
        self._written_for = (route, identity, ours)
        return self._written

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp's callback, once a header line."""
        lower = name.lower()
        value = value.strip(b" \t")  # RFC 9112 section 5: no part of it; llhttp leaves what stands behind
        kind = _SPECIAL.get(lower)
        if kind is None:
            if lower.translate(None, _USUAL):
                self._unusual(name, lower, value)
            elif not lower.startswith(OURS):
                self._names.append(lower)
                self.lines.append(b"%b: %b\r\n" % (name, value))
            return
        if kind == _HOST:
            self._single("Host", self.host)
            self.host = value
        elif kind == _AUTHORIZATION:
            if self.authorization is not None:
                self._fault = self._fault or MalformedCredentials()
            self.authorization = value
        elif kind == _SINGLE:
            if lower in self._names:
                self._single("Content-Type", value)
            self._names.append(lower)
            self.lines.append(b"%b: %b\r\n" % (name, value))
        elif kind == _LENGTH:
            self._length(value)
        elif kind == _CODING:
            if self._te is not None:
                self._fault = self._fault or BadRequest("Transfer-Encoding stands twice")
            self._te = value.lower()
        elif kind == _CONNECTION:
            self._seen_connection += b"," + value.lower()
        elif kind == _EXPECT:
            if value.lower() != b"100-continue" or self.expects_continue:
                self._fault = self._fault or ExpectationFailed()
            self.expects_continue = True
        elif kind == _FORWARDING:
            known = self.forwarding.get(lower)
            self.forwarding[lower] = value if known is None else known + b", " + value
        elif kind == _UPGRADE:
            self.upgrade += b"," + value.lower()
        elif kind == _PROXY_CONNECTION and b"close" in value.lower():
            self._seen_connection += b",close"  # llhttp obeys it, and would refuse the next request

    def renew(self) -> None:
        """Forget llhttp's place: the last request had a body, which this reader never sees."""
        self._parser = HttpRequestParser(self)

    def _single(self, name: str, known: object) -> None:
        if known is not None:
            self._fault = self._fault or BadRequest(f"{name} stands twice")

    def _unusual(self, name: bytes, lower: bytes, value: bytes) -> None:
        """One that CGI and its heirs take for another: WSGI reads ``X_Client_Id``, PHP ``X.Client.Id`` as ours."""
        dashed = lower.translate(_DASHED)
        if dashed in (b"transfer-encoding", b"content-length", b"host"):
            self._fault = self._fault or BadRequest("A framing header is misspelt")
        elif dashed in _SPECIAL or dashed.startswith(OURS):
            return
        line = b"%b: %b\r\n" % (name, value)
        if b"_" in lower:
            self.underscored.append((lower, line))
        else:
            self._names.append(lower)
            self.lines.append(line)

    def _length(self, value: bytes) -> None:
        if self.content_length is not None or _DIGITS.fullmatch(value) is None:
            self._fault = self._fault or BadRequest("Content-Length is malformed")
        else:
            self.content_length = int(value)

    def _settle(self) -> None:
        """Decide what the whole head means, once all lines are known."""
        if self._fault is not None:
            raise self._fault
        if not self.host:
            if not self.http10 or self.host is not None:
                raise BadRequest("Host is missing")
            self.host = b""
        if self._te is not None:
            self._settle_coding(self._te)
        self.keep_alive = not self.http10
        if self._seen_connection:
            self._settle_connection()
        if self.http10:
            self.expects_continue = False

    def _settle_coding(self, coding: bytes) -> None:
        if self.content_length is not None:
            raise BadRequest("Transfer-Encoding and Content-Length exclude each other")
        if self.http10:
            raise BadRequest("HTTP/1.0 has no Transfer-Encoding")
        if coding != b"chunked":
            if _CODING_LIST.fullmatch(coding) and coding.count(b"chunked") <= 1:
                raise CodingNotImplemented
            raise BadRequest("Transfer-Encoding is malformed")
        self.chunked = True

    def _settle_connection(self) -> None:
        options = self.options
        if b"close" in options:
            self.keep_alive = False
        elif b"keep-alive" in options:
            self.keep_alive = True
        listed = options - {b"close", b"keep-alive", b"upgrade", b"te", b""}
        if not listed:
            return
        if not listed.isdisjoint(_UNLISTABLE) or any(name.startswith(OURS) for name in listed):
            raise BadRequest("Connection lists a header that is not hop-by-hop")
        self.drop(listed)

    @property
    def options(self) -> set[bytes]:
        """What Connection lists, in lower case."""
        return {option.strip(b" \t") for option in self._seen_connection.split(b",")}

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header that may be forwarded, by its lower-case name."""
        return _values(self._names, self.lines, name)

    def add(self, name: bytes, line: bytes) -> None:
        """Forward another line, CRLF included."""
        self._names.append(name)
        self.lines.append(line)

    def find(self, name: bytes) -> bytes | None:
        """The value of a header that may be forwarded, by its lower-case name; None when it is absent or stands twice."""
        if self._names.count(name) != 1:
            return None
        return self.lines[self._names.index(name)][len(name) + 2 : -2].strip(b" \t")

    def drop(self, names: set[bytes]) -> None:
        """Take the lines of these (lower-case) names out of what may be forwarded."""
        kept = [(name, line) for name, line in zip(self._names, self.lines, strict=True) if name not in names]
        self._names = [name for name, _ in kept]
        self.lines = [line for _, line in kept]
        self.underscored = [(name, line) for name, line in self.underscored if name not in names]


def _values(names: list[bytes], lines: list[bytes], name: bytes) -> list[bytes]:
    return [line[len(name) + 2 : -2].strip(b" \t") for known, line in zip(names, lines, strict=True) if known == name]


def _is_too_large(head: bytes) -> bool:
    """Whether the header section or one of its lines is; the target has a limit of its own."""
    section = head[head.find(b"\r\n") + 2 :]
    return len(section) > MAX_HEAD or max(map(len, section.split(b"\r\n"))) > MAX_LINE


class Peer:
    """Who is at the other end of a client connection, and the header lines that tell the upstream so."""

    __slots__ = ("_host", "_lines", "address", "own_lines", "scheme", "source", "trusted")

    def __init__(self, address: str, scheme: str, *, trusted: bool, certificate: bytes | None = None) -> None:
        """``certificate`` is the client's, DER, verified.  One that is too long for a header counts as none."""
        self.address = address
        """IP address without port; empty for a unix socket."""
        self.scheme = scheme
        self.trusted = trusted
        """Whether it is one of ``trusted_proxies``: then its forwarding headers are appended to."""
        self.own_lines = f"X-Gateway-Peer: {address}\r\nX-Gateway-Scheme: {scheme}\r\n".encode("ascii")
        """What the gateway's own endpoints are told of the connection, and no client can say."""
        if certificate is not None and len(certificate) <= MAX_CERTIFICATE:
            self.own_lines += b"X-Gateway-Client-Certificate: %b\r\n" % b64encode(certificate)
        self.source: bytes | None = None
        """What it counts as where it is no proxy, once that was asked."""
        self._host: bytes | None = None
        self._lines = b""

    def lines(self, host: bytes, forwarding: dict[bytes, bytes]) -> bytes:
        """Forwarded (RFC 7239), X-Forwarded-* and Via (RFC 9110 section 7.6.3), CRLF after each."""
        if self.trusted and forwarding:
            return self._appended(host, forwarding)
        if host != self._host:
            self._host = host
            self._lines = self._write(host, {})
        return self._lines

    def request_id(self, forwarding: dict[bytes, bytes]) -> str | None:
        """The request id of a trusted proxy, if it sent a sane one."""
        given = forwarding.get(b"x-request-id") if self.trusted else None
        return given.decode("ascii") if given and _REQUEST_ID.fullmatch(given) else None

    def _appended(self, host: bytes, forwarding: dict[bytes, bytes]) -> bytes:
        return self._write(host, forwarding)

    def _write(self, host: bytes, before: dict[bytes, bytes]) -> bytes:
        address = self.address.encode("ascii") or b"unknown"
        node = b'"[%b]"' % address if b":" in address else address
        scheme = self.scheme.encode("ascii")
        quoted = host.replace(b"\\", b"").replace(b'"', b"")
        element = b'for=%b;proto=%b;host="%b"' % (node, scheme, quoted) if host else b"for=%b;proto=%b" % (node, scheme)

        def after(name: bytes, value: bytes) -> bytes:
            return before[name] + b", " + value if name in before else value

        return b"".join((
            b"Forwarded: ", after(b"forwarded", element),
            b"\r\nX-Forwarded-For: ", after(b"x-forwarded-for", address),
            b"\r\nX-Forwarded-Proto: ", before.get(b"x-forwarded-proto", scheme),
            b"\r\nX-Forwarded-Host: " + before.get(b"x-forwarded-host", host) if host else b"",
            b"\r\nVia: ", after(b"via", b"1.1 gateway"), b"\r\n",
        ))  # fmt: skip


class BadResponse(Exception):
    """The upstream's answer can't be relayed."""


class ResponseReader:
    """
    Reads one head of an upstream's answer (llhttp keeps no place beyond it: bodies are framed by `gateway.edge.upstream`).

    Attributes after construction: ``status``, ``status_line`` (what stands after ``HTTP/1.1 ``), ``lines`` (what may pass),
    ``content_length`` (bytes or None), ``chunked``, ``keep_alive``, ``dated`` (it has a Date), ``plain`` (the head as an HTTP/1.1
    client gets it when the length is known and the connection goes on; without the empty line where a Date has to follow),
    ``binds`` (it asks for a login of the connection, NTLM or Negotiate), ``personal`` (it sets a cookie or binds, or is one
    connection's own), ``addressed`` (a header holds an address), ``is_events`` (text/event-stream), ``to_websocket`` (a 101).
    """

    __slots__ = (
        "_coding", "_connection", "_names", "_twice", "_upgrade", "addressed", "binds", "chunked", "content_length", "dated",
        "edited", "is_events", "keep_alive", "lines", "personal", "plain", "status", "status_line", "to_websocket",
    )  # fmt: skip

    def __init__(self, head: bytes) -> None:
        """
        Read one whole head.

        Raises:
            BadResponse: Malformed, or ambiguous in its framing.
        """
        found = _STATUS_LINE.fullmatch(head, 0, head.find(b"\r\n"))
        if found is None:
            raise BadResponse("status line")
        self.status = int(found[2])
        self.status_line: bytes = found[0][9:] if found[3] is not None else found[2] + b" "
        self.lines: list[bytes] = []
        self._names: list[bytes] = []
        self._connection = b""
        self._coding: bytes | None = None
        self._twice = False
        self._upgrade = b""
        self.content_length: int | None = None
        try:
            HttpResponseParser(self).feed_data(head)
        except HttpParserUpgrade:
            pass
        except HttpParserError:
            raise BadResponse("head") from None
        self._settle(http10=found[1] == b"0")

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp's callback, once a header line."""
        lower = name.lower()
        value = value.strip(b" \t")
        if lower == b"content-length":
            self._twice = self._twice or self.content_length is not None or _DIGITS.fullmatch(value) is None
            self.content_length = int(value) if not self._twice else 0
        elif lower == b"connection":
            self._connection += b"," + value.lower()
        elif lower == b"transfer-encoding":
            self._twice = self._twice or self._coding is not None
            self._coding = value.lower()
        elif lower == b"upgrade":
            self._upgrade += b"," + value.lower()
        elif lower not in _RESPONSE_DROP:
            self._names.append(lower)
            self.lines.append(b"%b: %b\r\n" % (name, value))

    def _settle(self, *, http10: bool) -> None:
        self.chunked = self._coding is not None
        if self._twice or (self.chunked and (self._coding != b"chunked" or self.content_length is not None or http10)):
            raise BadResponse("framing")
        self.keep_alive = not http10
        options: set[bytes] = set()
        if self._connection:
            options = {option.strip(b" \t") for option in self._connection.split(b",")}
            self.keep_alive = b"close" not in options and (not http10 or b"keep-alive" in options)
            listed = options - {b"close", b"keep-alive", b""}
            if listed:
                kept = [i for i, name in enumerate(self._names) if name not in listed]
                self.lines = [self.lines[i] for i in kept]
                self._names = [self._names[i] for i in kept]
        self.to_websocket = self.status == 101 and b"upgrade" in options and elements((self._upgrade,)) == [b"websocket"]
        self.binds = any(map(_BINDING.search, self.values(b"www-authenticate")))
        self.personal = self.binds or b"set-cookie" in self._names or self.status == 101
        self.is_events = any(value[:17].lower() == b"text/event-stream" for value in self.values(b"content-type"))
        self.addressed = not ADDRESSES.isdisjoint(self._names)
        self.edited: dict[HeaderEdits, ResponseReader] = {}
        """Itself after the edits of a route, each kept as long as it is."""
        self._write()

    def with_lines(self, lines: list[bytes]) -> ResponseReader:
        """The same answer with other header lines."""
        other = copy(self)
        other.lines = lines
        other._names = [line[: line.index(b":")].lower() for line in lines]
        other.edited = {}
        other._write()
        return other

    def _write(self) -> None:
        length = b"" if self.content_length is None else b"Content-Length: %d\r\n" % self.content_length
        self.dated = b"date" in self._names
        end = b"\r\n" if self.dated else b""
        self.plain = b"".join((b"HTTP/1.1 ", self.status_line, b"\r\n", *self.lines, length, end))

    def values(self, name: bytes) -> list[bytes]:
        """All values of a header that may pass, by its lower-case name."""
        return _values(self._names, self.lines, name)
