"""
The authority's end of the pipe: requests to the OAuth endpoints are answered here, everything else by aiohttp (docs/adr/0006).

What makes this safe is who writes: only the edge, one request after another, each head written by itself from parsed lines
(docs/adr/0002).  A request is short when its line is to the byte an endpoint's, and the body of the Content-Length that the edge
counted is all there.  Whatever else comes goes to aiohttp unread, and so does all that follows what may not have ended yet:
no byte of a body is ever taken for a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Middleware
from multidict import CIMultiDict

from gateway.authority.asked import ShortRequest
from gateway.authority.body import MAX_BODY

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]

SHORT: web.AppKey[Mapping[str, Endpoint]] = web.AppKey("short", Mapping)
"""Where an application keeps what answers short requests, by path; their responses are whole and set no cookies."""

_LENGTH = b"\r\nContent-Length: "
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


def within(endpoint: Endpoint, middlewares: Sequence[Middleware]) -> Endpoint:
    """An endpoint with an application's middlewares around it, the first one outermost, as aiohttp has them."""
    for middleware in reversed(middlewares):
        endpoint = partial(middleware, handler=endpoint)
    return endpoint


class ShortCuts:
    """Makes the protocols of one application."""

    def __init__(self, application: web.Application) -> None:
        self.endpoints = {f"POST {path} HTTP/1.1".encode("ascii"): (path, ask) for path, ask in application[SHORT].items()}
        """By request line."""
        self._answering: set[asyncio.Task[None]] = set()

    def protocol(self, rest: Callable[[], asyncio.Protocol]) -> Short:
        """A connection; ``rest`` makes aiohttp's protocol, once something else is asked."""
        return Short(self, rest)

    def start(self, answering: Awaitable[None]) -> None:
        """Answer: to the end, also when the connection ends before."""
        task = asyncio.ensure_future(answering)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)


class Short(asyncio.Protocol):
    """One connection."""

    __slots__ = ("_busy", "_cuts", "_framed", "_inner", "_rest", "_transport")

    def __init__(self, cuts: ShortCuts, rest: Callable[[], asyncio.Protocol]) -> None:
        self._cuts = cuts
        self._rest = rest
        self._transport = cast(asyncio.Transport, None)
        self._inner: asyncio.Protocol | None = None
        self._framed = True
        """Whether what comes next begins a request for certain."""
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the pipe."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Called by the pipe."""
        if self._busy:  # nobody who waits for an answer has more to say
            self._transport.abort()
            return
        if self._framed:
            body = _find_body(data)
            endpoint = self._cuts.endpoints.get(data[: data.find(b"\r\n")])
            if endpoint is not None and body is not None and len(data) - body <= MAX_BODY:
                path, ask = endpoint
                self._busy = True
                self._cuts.start(self._answer(ask, ShortRequest(path, _read_headers(data[: body - 4]), data[body:])))
                return
            self._framed = body is not None
        if self._inner is None:
            self._inner = self._rest()
            self._inner.connection_made(self._transport)
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Called by the pipe."""
        return None if self._inner is None else self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the pipe."""
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Called by the pipe; a short answer is written whole."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Called by the pipe."""
        if self._inner is not None:
            self._inner.resume_writing()

    async def _answer(self, endpoint: Endpoint, request: ShortRequest) -> None:
        try:
            response = cast(web.Response, await endpoint(cast(web.Request, request)))
            answer = _write(response)
        except BaseException:
            self._transport.abort()
            raise
        self._busy = False
        self._transport.write(answer)
        if response.keep_alive is False:
            self._transport.close()


def _find_body(data: bytes) -> int | None:
    """Where the body begins, if this is a whole request and its body has a length; None where it may go on, or can't be told."""
    begin = data.find(b"\r\n\r\n") + 4
    at = data.find(_LENGTH, 0, begin)
    if begin == 3 or data.find(b"\r\nTransfer-Encoding:", 0, begin) >= 0:
        return None
    length = 0 if at < 0 else int(data[at + len(_LENGTH) : data.find(b"\r\n", at + 2)])
    return begin if len(data) == begin + length else None


def _read_headers(head: bytes) -> CIMultiDict[str]:
    lines = (line.partition(": ") for line in head.decode("utf-8", "surrogateescape").split("\r\n")[1:])
    return CIMultiDict([(name, value) for name, _, value in lines])


def _write(response: web.Response) -> bytes:
    """
    An answer as aiohttp would send it, its own Server and Date left out.

    Raises:
        ValueError: If a header has a line break.
    """
    body = cast(bytes, response.body or b"")
    lines = [_STATUS_LINES[response.status], *[f"{name}: {value}\r\n" for name, value in response.headers.items()]]
    if response.keep_alive is False:
        lines.append("Connection: close\r\n")
    head = "".join(lines)
    if head.count("\n") != len(lines) or head.count("\r") != len(lines):
        raise ValueError("a header has a line break")
    return b"%bContent-Length: %d\r\n\r\n%b" % (head.encode("utf-8"), len(body), body)
