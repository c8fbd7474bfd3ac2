"""The oracle: for well-formed requests the edge and a plain aiohttp proxy say the same, to the client and to the upstream."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise

import pytest
from aiohttp import web

from tests.edge.rig import Client, Request, Response, Rig
from tests.reference.proxy import Proxy

OWN_WAYS = {
    "date", "server", "connection", "via", "transfer-encoding", "content-length", "host", "x-request-id", "keep-alive", "expect",
}  # fmt: skip
"""Headers in which two correct proxies may differ: framing of a hop, and names that each makes up for itself."""
REPLACED = (
    "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Client-Id", "x-client-scopes", "X-Forwarded-For",
    "X-Forwarded-Port", "Forwarded", "Via", "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "X-Gateway-Peer", "X-Request-Id",
)  # fmt: skip
HOP_BY_HOP = ("Keep-Alive", "TE", "Trailer", "Proxy-Authorization", "Proxy-Connection", "HTTP2-Settings")
TOKEN = "!#$%&'*+-.^`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SEGMENT = "abcXYZ019-_~!$&'()*+,=:@"
QUERY = SEGMENT + "/?%;[]."
VALUE = SEGMENT + "\"#/<=>?[]^`{|}\\;% \t.\u00e4\u20ac"
METHODS = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK",
    "UNLOCK", "REPORT", "SEARCH", "PURGE", "LINK", "UNLINK", "MERGE", "BIND", "NOTIFY", "SUBSCRIBE", "QUERY",
]  # fmt: skip
STATUSES = [
    200, 200, 200, 201, 202, 203, 204, 205, 206, 207, 226, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 409,
    410, 412, 413, 415, 416, 418, 422, 425, 428, 429, 431, 451, 499, 500, 501, 502, 503, 504, 507, 511, 599,
]  # fmt: skip


def compared(lines: list[tuple[str, bytes]], ways: Iterable[str] = OWN_WAYS) -> list[tuple[str, bytes]]:
    """The lines that must be equal; of one name their order matters, of two it does not (RFC 9110 section 5.3)."""
    return sorted(((name.lower(), value) for name, value in lines if name.lower() not in ways), key=lambda line: line[0])


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


def text(rng: random.Random, letters: str, most: int) -> str:
    return "".join(rng.choice(letters) for _ in range(rng.randrange(most + 1)))


def a_target(rng: random.Random) -> str:
    """In its one form already: what the gateway makes of others is its own affair (test_target)."""
    segments = [text(rng, SEGMENT, 6) + rng.choice(["", "", "x", "%C3%A4", "%20x", "100%25", "%22", "%5E"]) for _ in range(4)]
    path = "/public/" + "/".join(segment or "y" for segment in segments[: rng.randrange(4)])
    return path + rng.choice(["", "", "?" + text(rng, QUERY, 40) + "z", "?a=b&a=c&" + text(rng, QUERY, 9), "?%zz%", "?/../x?y"])


def a_line(rng: random.Random) -> str:
    """A header that means nothing to a proxy, or that it must not pass on."""
    match rng.randrange(10):
        case 0:
            return f"{rng.choice(REPLACED)}: evil"
        case 1:
            return f"{rng.choice(HOP_BY_HOP)}: x"
        case 2:
            return f"{rng.choice(['X_Under', 'x_client_id', 'X_Forwarded_For'])}: score"
        case 3:
            return f"Cookie: {text(rng, TOKEN, 5)}={text(rng, TOKEN, 9)}; b=\"{text(rng, TOKEN, 9)}\""
        case 4:
            return rng.choice(["Content-Encoding: gzip", "Content-Encoding: br, zstd", "Accept-Encoding: gzip;q=1.0, *;q=0"])
        case 5:
            return rng.choice(["X-Empty:", "X-Empty: ", "X-Empty:\t", "Range: bytes=0-1", "If-None-Match: \"x\", W/\"y\"",
                "Accept: */*"])
        case 6:
            return f"X-Long: {'y' * rng.randrange(7000)}"
        case 7:
            return f"X-Twice: {text(rng, VALUE, 5).strip()}"
        case _:
            blank = rng.choice(["", " ", "  ", "\t "])
            return f"X{text(rng, TOKEN, 12)}Y:{blank}{text(rng, VALUE, 30).strip()}{rng.choice(['', ' ', chr(9)])}"


def in_pieces(rng: random.Random, body: bytes) -> bytes:
    """The chunked coding, with sizes in either case and extensions; aiohttp's server gives trailers to the next request."""
    coded, at = b"", 0
    while at < len(body):
        piece = body[at : at + rng.choice([1, 7, 1000, 40_000, 100_000])]
        at += len(piece)
        coded += rng.choice([b"%x", b"%X", b"00%x"]) % len(piece) + rng.choice([b"", b"", b";a", b';a="b c";d=e']) + b"\r\n"
        coded += piece + b"\r\n"
    return coded + b"0" + rng.choice([b"", b";last"]) + b"\r\n\r\n"


def a_body(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice([0, 1, 2, 100, 1000, 16_384, 65_536, 70_001, 300_000]))


def a_request(rng: random.Random) -> tuple[str, bytes]:
    """A method, and a well-formed request with it."""
    method = rng.choice(METHODS[:7] if rng.random() < 0.7 else METHODS)
    lines = [a_line(rng) for _ in range(rng.randrange(9))]
    if rng.random() < 0.2:
        lines += ["Connection: " + rng.choice(["X-Gone", "keep-alive, x-gone", "X-Gone ,X-Gone2"]), "X-Gone: gone", "x-gone2: g"]
    head = [f"{method} {a_target(rng)} HTTP/1.1", f"Host: {rng.choice(['gw.example', 'GW:81', '127.0.0.1', '[::1]:8080'])}"]
    rng.shuffle(lines)
    # A body is asked about by aiohttp's client in its own way where a method has none by habit: those go without.
    body = a_body(rng) if method in ("POST", "PUT", "PATCH", "DELETE", "PROPFIND", "REPORT", "SEARCH", "QUERY") else b""
    if body and rng.random() < 0.5:
        lines.append(rng.choice(["Transfer-Encoding: chunked", "transfer-encoding:Chunked"]))
        coded = in_pieces(rng, body)
    else:
        lines += [f"Content-Length: {len(body)}"] if body or method in ("POST", "PUT", "PATCH") else []
        coded = body
    if body and rng.random() < 0.2:
        lines.append("Expect: 100-continue")
    return method, "\r\n".join(head + lines).encode() + b"\r\n\r\n" + coded


def an_answer(rng: random.Random, method: str) -> tuple[bytes, bool]:
    """A well-formed answer to it, and whether it ends with the connection."""
    status = rng.choice(STATUSES)
    lines = rng.sample(
        [
            b"X-B: 1", b"X-B: 2", b"x-b: 3", b"Set-Cookie: a=b; Path=/", b"Set-Cookie: c=d", b"ETag: \"x\"",
            b"Cache-Control: no-store",
            b"Location: /y", b"Connection: X-Hidden", b"X-Hidden: hidden", b"Keep-Alive: timeout=5", b"Content-Encoding: gzip",
            b"Content-Encoding: br", b"X-Utf: \xc3\xa4", b"WWW-Authenticate: Basic", b"X-Empty:", b"Vary: Accept, *",
            b"Server: legacy/1",
            b"Date: Mon, 23 Nov 2026 00:00:00 GMT", b"Content-Language: de", b"X-Odd!#$%&'*+.^`|~: [\"\\\x09\"]", b"Age: 0",
            b"Trailer: X", b"Proxy-Authenticate: Basic", b"X-Client-Id: theirs",
        ],
        rng.randrange(9),
    )  # fmt: skip
    reason = rng.choice([b"OK", b"Reason Phrase", b"!?", b"Not  Quite"])
    body = a_body(rng)
    # aiohttp's server makes a Content-Type up where there is none.
    head = [b"HTTP/1.1 %d %b" % (status, reason), rng.choice([b"Content-Type: text/plain", b"content-type:a/b; c=\"d\""]), *lines]
    ends = False
    if status in (204, 304):
        body = b""
        head += [b"Content-Length: 5"] if status == 304 and rng.random() < 0.5 else []
    elif method == "HEAD":
        head += [b"Content-Length: %d" % len(body)] if rng.random() < 0.7 else []
        body = b""
    else:
        match rng.randrange(4):
            case 0:
                head.append(b"Transfer-Encoding: chunked")
                body = in_pieces(rng, body)
            case 1:
                ends = True
            case _:
                head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body, ends


class Through:
    """A proxy's port, asked again and again on one connection while it lasts."""

    def __init__(self, rig: Rig, port: int) -> None:
        self._rig, self._port = rig, port
        self._client: Client | None = None

    async def ask(
        self, rng: random.Random, method: str, message: bytes, answer: bytes, *, ends: bool
    ) -> tuple[Response, Request]:
        """What the client got and what the origin was asked."""
        rig = self._rig
        rig.origin.requests.clear()
        cut = rng.randrange(len(answer))
        rig.origin.replies(answer[:cut], answer[cut:], close=ends)
        if self._client is None:
            main, rig.port = rig.port, self._port
            self._client = await rig.client()
            rig.port = main
        cuts = sorted(rng.randrange(len(message)) for _ in range(rng.randrange(4)))
        await self._client.send(*(message[a:b] for a, b in pairwise([0, *cuts, len(message)])))
        response = await self._client.response(method)
        if response.one("connection") == b"close":
            self._client.close()
            self._client = None
        # Nobody keeps a connection to the origin, whose next answer is another script's.
        for connection in rig.origin.connections:
            connection.writer.transport.abort()
        rig.origin.connections.clear()
        await rig.eventually(lambda: rig.edge.groups["a"].open == 0)
        (request,) = rig.origin.requests
        return response, request


@pytest.mark.parametrize("seed", range(12))
async def test_the_edge_says_what_a_plain_proxy_says(rig: Rig, reference: int, seed: int) -> None:
    """Status, reason, headers and body, in both directions, of requests as odd as HTTP allows, many on one connection."""
    rng = random.Random(seed)
    edge, plain = Through(rig, rig.port), Through(rig, reference)
    for _ in range(30):
        method, message = a_request(rng)
        answer, ends = an_answer(rng, method)
        ours, our_request = await edge.ask(rng, method, message, answer, ends=ends)
        theirs, their_request = await plain.ask(rng, method, message, answer, ends=ends)
        assert ours.first.split(b" ", 1)[1] == theirs.first.split(b" ", 1)[1], answer
        assert ours.body == theirs.body, message
        ways = OWN_WAYS - {name for name in ("date", "server") if f"\n{name}:".encode() in answer.lower()}
        assert compared(ours.lines, ways) == compared(theirs.lines, ways), answer
        assert our_request.first == their_request.first, message
        assert our_request.body == their_request.body, message
        assert compared(our_request.lines) == compared(their_request.lines), message
