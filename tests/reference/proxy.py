"""
A plain proxy on aiohttp, as one would write it in an afternoon: the tests' oracle and a peer in the benchmark.

For a well-formed request it answers, and tells the upstream, what the gateway must (contract.md): hop-by-hop headers stripped
both ways (RFC 9110 section 7.6.1), the client's Authorization and whatever names are the gateway's replaced, bodies streamed.
It decides nothing that is hard: ambiguous targets, smuggling and limits are left to aiohttp.

    python -m tests.reference.proxy --port 8080 --upstream http://127.0.0.1:9000 [--redis redis://…] [--access-log]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import uuid
from collections.abc import Awaitable, Callable

import uvloop
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict
from redis.asyncio import Redis
from yarl import URL

Find = Callable[[str], Awaitable[tuple[str, str] | None]]
"""From a token to (client id, scopes separated by blanks), or None."""

_HOP_BY_HOP = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "http2-settings",
))  # fmt: skip
_REPLACED = frozenset((
    "authorization", "expect", "host", "forwarded", "via", "x-request-id", "x-real-ip", "x-original-url", "x-original-uri",
    "x-original-method", "x-rewrite-url", "x-http-method-override", "x-http-method", "x-method-override",
))  # fmt: skip
_OURS = ("x-forwarded-", "x-client-", "x-gateway-")
_AUTOMATIC = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

class Proxy:
    """Relays every request to one upstream; with ``find`` only those that bear a good token."""

    def __init__(self, upstream: str, find: Find | None = None) -> None:
        self._upstream, self._find = upstream, find

    def application(self) -> web.Application:
        """The application; serve it with ``auto_decompress=False``, so that bodies stay as they are."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._relay)
        application.cleanup_ctx.append(self._client)
        return application

    async def _client(self, application: web.Application):  # type: ignore[no-untyped-def]
        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=60), auto_decompress=False, cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None), trust_env=False, skip_auto_headers=_AUTOMATIC,
        )  # fmt: skip
        async with self._session:
            yield

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        identity: tuple[str, str] | None = None
        if self._find is not None:
            scheme, _, token = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
            identity = await self._find(token.strip(" "))
            if identity is None:
                return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        try:
            return await self._forward(request, identity)
        except ClientError:
            return web.Response(status=502)

    async def _forward(self, request: web.Request, identity: tuple[str, str] | None) -> web.StreamResponse:
        url = URL(self._upstream + request.raw_path, encoded=True)
        body = request.content if request.body_exists else None
        headers = outbound(request, identity)
        async with self._session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=_passed(answer.headers))
            if "Content-Length" not in answer.headers and request.version >= (1, 1) and answer.status not in (204, 304):
                response.enable_chunked_encoding()
            await response.prepare(request)
            if request.method != "HEAD":
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            await response.write_eof()
            return response


def outbound(request: web.Request, identity: tuple[str, str] | None) -> CIMultiDict[str]:
    """The headers for the upstream."""
    headers = _passed(request.headers)
    for name in list(headers):
        if name.lower() in _REPLACED or name.lower().startswith(_OURS) or "_" in name:
            headers.popall(name, None)
    peer = request.remote or "unknown"
    headers["Host"] = request.host
    if identity is not None:
        headers["X-Client-Id"], headers["X-Client-Scopes"] = identity
    headers["X-Request-Id"] = uuid.uuid4().hex
    headers["Forwarded"] = f'for={peer};proto={request.scheme};host="{request.host}"'
    headers["X-Forwarded-For"] = peer
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Host"] = request.host
    headers["Via"] = "1.1 gateway"
    return headers


def _passed(headers) -> CIMultiDict[str]:  # type: ignore[no-untyped-def]
    """All lines of a head but the hop-by-hop ones and those that Connection lists."""
    listed = {option.strip().lower() for value in headers.getall("Connection", ()) for option in value.split(",")}
    return CIMultiDict(line for line in headers.items() if line[0].lower() not in _HOP_BY_HOP | listed)


def redis_find(url: str) -> Find:
    """Look each token up with one GET of redis-py: ``bench:TOKEN`` holds "client scope scope … "."""
    store = Redis.from_url(url, decode_responses=True)

    async def find(token: str) -> tuple[str, str] | None:
        record = await store.get(f"bench:{token}")
        if record is None:
            return None
        client, _, scopes = record.partition(" ")
        return client, scopes.strip()

    return find


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="tests.reference.proxy")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--redis")
    parser.add_argument("--access-log", action="store_true")
    options = parser.parse_args()
    if options.access_log:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    application = Proxy(options.upstream, redis_find(options.redis) if options.redis else None).application()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(
        application, host="127.0.0.1", port=options.port, print=None, backlog=4096, auto_decompress=False,
        access_log=logging.getLogger("aiohttp.access") if options.access_log else None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
