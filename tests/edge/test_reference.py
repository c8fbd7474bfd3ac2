"""The oracle: for well-formed requests the edge and a plain aiohttp proxy say the same, to the client and to the upstream."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.edge.rig import Client, Request, Response, Rig, chunk
from tests.reference.proxy import Proxy

OWN_WAYS = {
    "date", "server", "connection", "via", "transfer-encoding", "content-length", "host", "x-request-id", "keep-alive", "expect",
}  # fmt: skip
"""Headers in which two correct proxies may differ: framing of a hop, and names that each makes up for itself."""


def compared(lines: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return sorted((name.lower(), value) for name, value in lines if name.lower() not in OWN_WAYS)


@pytest.fixture
async def reference(rig: Rig) -> AsyncIterator[int]:
    """The port of a plain aiohttp proxy before the rig's origin."""
    application = Proxy(f"http://127.0.0.1:{rig.origin.port}").application()
    runner = web.AppRunner(application, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port: int = runner.addresses[0][1]
    yield port
    await runner.cleanup()


def a_request(rng: random.Random) -> tuple[str, bytes]:
    """A method, and a well-formed request with it."""
    method = rng.choice(["GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
    target = rng.choice(["/public/x", "/public/a/b.c", "/public/%C3%A4", "/public/100%25", "/public/a-b_c~d",
    "/public/!$&'()*+,=:@"])
    target += rng.choice(["", "", "?a=b", "?a=%20&b=%2F..%2f", "?/../x", "?q=%zz"])
    lines = rng.sample(
        [
            "X-A: 1", "X-A: 2", "x-lower: v", "Cookie: a=b; c=d", "User-Agent: ua/1.0", "Accept: */*",
            "Accept-Encoding: gzip", "X-Empty:",
            "Range: bytes=0-1", "If-None-Match: \"x\"", "Origin: http://o", "Content-Type: text/plain", "X-Client-Id: evil",
            "X-Forwarded-For: 6.6.6.6", "Connection: X-Gone", "X-Gone: gone", "TE: trailers", "Authorization: Basic eA==",
            "X_Under: score",
            "Via: 1.0 other", "X-Real-IP: 6.6.6.6", "Content-Encoding: gzip", "X-Long: " + "y" * 3000,
        ],
        rng.randrange(8),
    )  # fmt: skip
    body = rng.choice([b"", b"x", b"hello" * rng.randrange(1, 2000)])
    head = [f"{method} {target} HTTP/1.1", "Host: gw.example", *lines]
    if method in ("GET", "HEAD", "OPTIONS", "DELETE"):
        body = b""
    elif body and rng.random() < 0.5:
        head.append("Transfer-Encoding: chunked")
        size = rng.randrange(1, 3000)
        body = b"".join(chunk(body[at : at + size]) for at in range(0, len(body), size)) + b"0\r\n\r\n"
    else:
        head.append(f"Content-Length: {len(body)}")
    return method, "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


def an_answer(rng: random.Random, method: str) -> bytes:
    """A well-formed answer to it."""
    status = rng.choice([200, 200, 201, 204, 206, 301, 304, 400, 404, 418, 500, 503])
    lines = rng.sample(
        [
            b"X-B: 1", b"X-B: 2", b"Set-Cookie: a=b", b"Set-Cookie: c=d", b"ETag: \"x\"", b"Cache-Control: no-store",
            b"Location: /y",
            b"Connection: X-Hidden", b"X-Hidden: hidden", b"Keep-Alive: timeout=5", b"Content-Encoding: gzip",
            b"X-Latin: \xc3\xa4",
            b"WWW-Authenticate: Basic",
        ],
        rng.randrange(6),
    )  # fmt: skip
    body = rng.choice([b"", b"y", b"world" * rng.randrange(1, 3000)])
    head = [b"HTTP/1.1 %d Reason" % status, b"Content-Type: text/plain", *lines]
    if status in (204, 304):
        body = b""
    elif rng.random() < 0.4 and method != "HEAD":
        head.append(b"Transfer-Encoding: chunked")
        body = (chunk(body) if body else b"") + b"0\r\n\r\n"
    else:
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + (b"" if method == "HEAD" else body)


async def through(rig: Rig, port: int, method: str, message: bytes, answer: bytes) -> tuple[Response, Request]:
    """Send a request to a proxy on a connection of its own."""
    before = len(rig.origin.requests)
    rig.origin.answer = answer
    main, rig.port = rig.port, port
    try:
        client: Client = await rig.client()
    finally:
        rig.port = main
    response = await client.ask(message, method)
    client.close()
    assert len(rig.origin.requests) == before + 1
    return response, rig.origin.requests[-1]


@pytest.mark.parametrize("seed", range(8))
async def test_the_edge_says_what_a_plain_proxy_says(rig: Rig, reference: int, seed: int) -> None:
    """Status, headers and body, in both directions."""
    rng = random.Random(seed)
    for _ in range(25):
        method, message = a_request(rng)
        answer = an_answer(rng, method)
        ours, our_request = await through(rig, rig.port, method, message, answer)
        theirs, their_request = await through(rig, reference, method, message, answer)
        assert (ours.status, ours.body) == (theirs.status, theirs.body), message
        assert compared(ours.lines) == compared(theirs.lines), answer
        assert our_request.first == their_request.first, message
        assert our_request.body == their_request.body, message
        assert compared(our_request.lines) == compared(their_request.lines), message
