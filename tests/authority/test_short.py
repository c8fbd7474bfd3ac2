"""Short requests: answered as aiohttp would answer them, and nothing but a whole request is one (ADR 0006)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.authority.application import RUNNER_OPTIONS
from gateway.authority.body import MAX_BODY
from gateway.authority.pipe import join
from gateway.authority.short import SHORT, ShortCuts, within
from tests.authority.conftest import House, by

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


def write(body: bytes, *, line: str = "POST /v1/oauth/token HTTP/1.1", **headers: str) -> bytes:
    """A request as the edge writes it."""
    lines = [line, "Host: authority", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Edge(asyncio.Protocol):
    """The other end: what it reads, answer by answer."""

    def __init__(self) -> None:
        self.data = b""
        self.lost = False
        self._news = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what comes."""
        async with asyncio.timeout(5):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        await self.until(lambda: b"\r\n\r\n" in self.data)
        end = self.data.find(b"\r\n\r\n")
        head = self.data[:end].decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:])
        whole = end + 4 + int(headers["Content-Length"])
        await self.until(lambda: len(self.data) >= whole)
        body, self.data = self.data[end + 4 : whole], self.data[whole:]
        for name in ("Server", "Date"):
            headers.pop(name, None)
        return int(head[0].split()[1]), headers, body


class Far:
    """An application at the far end of a pipe, with the short cuts or as aiohttp alone."""

    def __init__(self, application: web.Application, server: Callable[[], asyncio.Protocol]) -> None:
        self.cuts = ShortCuts(application)
        self.made = 0
        self.transports: list[asyncio.Transport] = []
        self._server = server

    def rest(self) -> asyncio.Protocol:
        self.made += 1
        return self._server()

    def connect(self, *, short: bool = True) -> tuple[Edge, asyncio.Transport]:
        edge = Edge()
        transport = join(asyncio.get_running_loop(), edge, self.cuts.protocol(self.rest) if short else self._server())
        self.transports.append(transport)
        return edge, transport


@pytest.fixture
def far(house: House) -> Iterator[Far]:
    """The authority."""
    server = house.http.server
    assert isinstance(server, TestServer)
    runner = server.runner
    assert isinstance(runner, web.AppRunner)
    far = Far(runner.app, runner._server)  # type: ignore[arg-type]  # the protocol's factory
    yield far
    for transport in far.transports:
        transport.abort()


ALIKE = {
    "no credentials": (b"grant_type=client_credentials", {}),
    "an unknown client": (b"grant_type=client_credentials", {"Authorization": "Basic eDp5"}),
    "not Basic": (b"grant_type=client_credentials", {"Authorization": "Digest x"}),
    "no type": (b"grant_type=client_credentials", {"Content_Type": "text/plain"}),
    "a coding": (b"grant_type=client_credentials", {"Content_Encoding": "gzip"}),
    "a broken escape": (b"grant_type=%zz", {}),
    "not UTF-8": (b"grant_type=\xff", {}),
    "a name twice": (b"grant_type=client_credentials&grant_type=client_credentials", {}),
    "nothing": (b"", {}),
    "a header beyond ASCII": (b"token=x", {"X_Name": "J\u00f6rg"}),
    "as long as may be": (b"token=" + b"x" * (MAX_BODY - 6), {}),
}


@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
@pytest.mark.parametrize("what", ALIKE)
async def test_a_refusal_is_alike(far: Far, endpoint: str, what: str) -> None:
    """Status, headers and body."""
    body, headers = ALIKE[what]
    data = write(body, line=f"POST /v1/oauth/{endpoint} HTTP/1.1", **{"Content_Type": FORM["Content-Type"], **headers})
    answers = []
    for short in (True, False):
        edge, transport = far.connect(short=short)
        transport.write(data)
        answers.append(await edge.answer())
    assert answers[0] == answers[1]
    assert answers[0][0] >= 400
    assert far.made == 0


async def test_an_answer_is_alike(far: Far, house: House) -> None:
    """The fields of a pair, of introspection and of a revocation; each connection serves many."""
    client = await house.client()
    seen = []
    for short in (True, False):
        edge, transport = far.connect(short=short)

        async def ask(name: str, form: str) -> tuple[int, dict[str, str], dict[str, object]]:
            line = f"POST /v1/oauth/{name} HTTP/1.1"
            transport.write(write(form.encode(), line=line, Content_Type=FORM["Content-Type"], **by(client)))  # noqa: B023
            status, headers, body = await edge.answer()  # noqa: B023
            return status, headers, json.loads(body)

        pair = await ask("token", "grant_type=client_credentials")
        token = pair[2]["access_token"]
        described, revoked = await ask("introspect", f"token={token}"), await ask("revoke", f"token={token}")
        dead = await ask("introspect", f"token={token}")
        seen.append([(status, headers, sorted(body)) for status, headers, body in (pair, described, revoked, dead)])
        assert described[2]["active"] is True
        assert dead[2] == {"active": False}
    assert seen[0] == seen[1]
    assert far.made == 0


@pytest.mark.parametrize(
    "data",
    [
        write(b"", line="GET /.well-known/oauth-authorization-server HTTP/1.1"),
        write(b"token=x", line="POST /v1/oauth/token?token=x HTTP/1.1", Content_Type=FORM["Content-Type"]),
        write(b"{}", line="POST /v1/oauth/leaks HTTP/1.1"),
    ],
)
async def test_anything_else_is_for_aiohttp_and_the_connection_is_short_again_after_it(far: Far, data: bytes) -> None:
    """A request that was there as a whole leaves no doubt where the next one begins."""
    edge, transport = far.connect()
    for _ in range(2):
        transport.write(data)
        assert (await edge.answer())[0] < 500
        transport.write(write(b"grant_type=x", Content_Type=FORM["Content-Type"]))
        assert (await edge.answer())[0] == 401
    assert far.made == 1


@pytest.mark.parametrize("framing", ["Content-Length: 600", "Transfer-Encoding: chunked"])
async def test_a_body_that_looks_like_a_request_is_none(far: Far, house: House, framing: str) -> None:
    """What may still be a body stays with aiohttp for as long as the connection lasts."""
    client = await house.client()
    within_body = write(b"grant_type=client_credentials", Content_Type=FORM["Content-Type"], **by(client))
    edge, transport = far.connect()
    head = f"POST /v1/oauth/token HTTP/1.1\r\nHost: authority\r\nContent-Type: {FORM['Content-Type']}\r\n{framing}\r\n\r\n"
    chunked = framing.startswith("T")
    for data in (head.encode(), b"%x\r\n" % len(within_body) if chunked else b"", within_body):
        transport.write(data)
        for _ in range(3):  # so that each is read by itself
            await asyncio.sleep(0)
    assert edge.data == b""
    transport.write(b"\r\n0\r\n\r\n" if chunked else b"x" * (600 - len(within_body)))
    assert (await edge.answer())[0] == 401
    assert house.tokens.calls == []
    assert far.made == 1


async def test_a_body_beyond_the_limit_is_for_aiohttp(far: Far) -> None:
    """413, as ever (X06)."""
    edge, transport = far.connect()
    transport.write(write(b"token=" + b"x" * MAX_BODY, Content_Type=FORM["Content-Type"]))
    assert (await edge.answer())[0] == 413
    assert far.made == 1


async def test_what_is_under_way_ends_although_the_connection_did(far: Far, house: House) -> None:
    """As with aiohttp: a token that the store holds was noted, counted and logged."""
    client = await house.client()
    edge, transport = far.connect()
    transport.write(write(b"grant_type=client_credentials", Content_Type=FORM["Content-Type"], **by(client)))
    while not house.tokens.calls:  # noqa: ASYNC110  # the store's side has no event of its own
        await asyncio.sleep(0)
    transport.abort()
    async with asyncio.timeout(5):
        while not house.count("gateway_tokens_issued_total", 'grant="client_credentials"'):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert edge.lost
    assert edge.data == b""


async def test_a_second_request_before_the_answer_ends_the_connection(far: Far) -> None:
    """The edge never sends one; whoever does is confused."""
    edge, transport = far.connect()
    data = write(b"grant_type=x", Content_Type=FORM["Content-Type"], Authorization="Basic eDp5")
    transport.write(data)
    await asyncio.sleep(0)
    transport.write(data)
    await edge.until(lambda: edge.lost)


def own(handle: Handle, *middlewares: web.Middleware) -> Far:
    """An application of one short endpoint."""
    application = web.Application()
    application[SHORT] = {"/v1/oauth/token": within(handle, middlewares)}
    return Far(application, lambda: pytest.fail("it is short"))


async def test_middlewares_stand_in_their_order() -> None:
    """The first one outermost."""
    seen = []

    def middleware(name: str) -> web.Middleware:
        @web.middleware
        async def call(request: web.Request, handler: Handle) -> web.StreamResponse:
            seen.append(name)
            return await handler(request)

        return call

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=request.path.encode(), headers={"X-Method": request.method})

    edge, transport = own(handle, middleware("outer"), middleware("inner")).connect()
    transport.write(write(b""))
    status, headers, body = await edge.answer()
    assert (status, headers["X-Method"], body) == (200, "POST", b"/v1/oauth/token")
    assert seen == ["outer", "inner"]


async def test_an_answer_that_closes() -> None:
    """It arrives, says so, and the connection ends."""
    async def handle(_request: web.Request) -> web.Response:
        response = web.Response(status=503)
        response.force_close()
        return response

    edge, transport = own(handle).connect()
    transport.write(write(b""))
    status, headers, _ = await edge.answer()
    assert (status, headers["Connection"]) == (503, "close")
    await edge.until(lambda: edge.lost)


@pytest.mark.parametrize("value", ["a\nb: c", "a\rb", "a\r\nb: c"])
async def test_a_header_never_breaks_its_line(value: str) -> None:
    """Whatever an endpoint puts there: no answer, and no second header of somebody's making."""
    async def handle(_request: web.Request) -> web.Response:
        response = web.Response()
        response.headers["X-Name"] = value
        return response

    failed: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failed.append(context))
    edge, transport = own(handle).connect()
    transport.write(write(b""))
    await edge.until(lambda: edge.lost)
    assert edge.data == b""


def test_the_authority_answers_these_in_short(far: Far) -> None:
    """Those of which there are many."""
    assert [path for path, _ in far.cuts.endpoints.values()] == ["/v1/oauth/token", "/v1/oauth/introspect", "/v1/oauth/revoke"]


def test_aiohttp_never_ends_a_connection_that_it_thinks_idle() -> None:
    """It does not see what is short on it."""
    assert RUNNER_OPTIONS["keepalive_timeout"] > 365 * 86_400
