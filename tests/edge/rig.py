"""
An `Edge` in the test's own loop, between a raw client and an origin that does as it is told.

Everything is real but the verdicts: sockets on free ports, bytes as they are.  Nothing sleeps: whoever waits, waits for bytes
or for an event, and not longer than `PATIENCE`.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.config.model import Config
from gateway.edge.downstream import Downstream
from gateway.edge.listener import Edge
from gateway.errors import GatewayError, InvalidToken
from gateway.guard.limits import LimitStore
from gateway.guard.verdict import Verdict
from gateway.issuers.building import Installed
from gateway.oauth.records import AccessToken
from gateway.oauth.tokens import AccessRef, digest_access, mint_access
from gateway.routing import Router
from gateway.telemetry.accesslog import AccessLog
from gateway.telemetry.metrics import Registry
from gateway.upstreams.connecting import look_up
from gateway.upstreams.introduction import Assertions
from gateway.upstreams.ports import Resolve

PATIENCE = 5.0
"""Seconds after which a test gives up waiting."""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FOR_EVER = 1e18


def a_token(number: int = 0) -> bytes:
    """An access token; the same number gives the same one."""
    return mint_access("abc", number.to_bytes(32, "big")).encode("ascii")


def a_verdict(
    client_id: str = "gwc_me", scopes: Iterable[str] = (), deadline: float = FOR_EVER, *, client_key: str = "gwk_x",
    plan: str = "",
) -> Verdict:  # fmt: skip
    """What the guard knows of a token."""
    return Verdict(AccessToken(client_id, client_key, "chain", frozenset(), 0, 0, 0), frozenset(scopes), deadline, plan)


TOKEN = a_token()
AUTH = b"Authorization: Bearer " + TOKEN + b"\r\n"


class FakeVerdicts:
    """The guard's cache as two dicts: ``warm`` is known already, ``cold`` has to be fetched."""

    def __init__(self) -> None:
        self.warm: dict[bytes, Verdict] = {}
        self.cold: dict[bytes, Verdict | GatewayError] = {}
        self.known: dict[bytes, Verdict] = {}
        """Before the store went away."""
        self.held: list[tuple[AccessRef, Callable[[Verdict | GatewayError], None]]] | None = None
        """When a list, answers wait in it until `release`, or for ever."""
        self.asked = asyncio.Event()
        self.fetches = 0

    def find(self, digest: bytes, now: float) -> Verdict | None:
        verdict = self.warm.get(digest)
        return verdict if verdict is not None and now < verdict.deadline else None

    def stale(self, digest: bytes, now: float, most: float) -> Verdict | None:
        verdict = self.known.get(digest)
        return verdict if verdict is not None and now < verdict.deadline else None

    def fetch(self, ref: AccessRef, done: Callable[[Verdict | GatewayError], None]) -> None:
        self.fetches += 1
        self.asked.set()
        if self.held is not None:
            self.held.append((ref, done))
        else:
            asyncio.get_running_loop().call_soon(done, self.cold.get(ref.digest) or InvalidToken())

    def release(self) -> None:
        """Give the answers that were held."""
        held, self.held = self.held or [], None
        for ref, done in held:
            done(self.cold.get(ref.digest) or InvalidToken())


@dataclass
class Head:
    """A head as it stood on the wire."""

    first: bytes
    lines: list[tuple[str, bytes]]
    raw: bytes = b""

    def all(self, name: str) -> list[bytes]:
        return [value for known, value in self.lines if known.lower() == name.lower()]

    def one(self, name: str) -> bytes | None:
        values = self.all(name)
        assert len(values) < 2, f"{name} stands {len(values)} times"
        return values[0] if values else None


@dataclass
class Request(Head):
    """What an origin was asked."""

    body: bytes = b""
    trailers: bytes = b""

    @property
    def target(self) -> bytes:
        return self.first.split(b" ")[1]


@dataclass
class Response(Head):
    """What a client was answered."""

    body: bytes = b""
    interim: list[Head] = field(default_factory=list)
    trailers: bytes = b""

    @property
    def status(self) -> int:
        return int(self.first.split(b" ")[1])

    @property
    def problem(self) -> dict[str, Any]:
        assert self.one("content-type") == b"application/problem+json"
        return orjson.loads(self.body)  # type: ignore[no-any-return]


_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)")


def parse_head(raw: bytes) -> Head:
    """Read a head strictly: whatever the gateway writes must have exactly this form."""
    assert raw.endswith(b"\r\n\r\n"), raw
    first, *lines = raw[:-4].split(b"\r\n")
    found = []
    for line in lines:
        match = _LINE.fullmatch(line)
        assert match is not None, line
        found.append((match[1].decode(), match[2]))
    return Head(first, found, raw)


class Wire:
    """One end of a TCP connection: reads exactly what it is asked for and remembers every byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.received = bytearray()
        self.read_to = 0

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            if self.writer.transport.is_closing():
                raise ConnectionResetError
            self.writer.write(piece)
            async with asyncio.timeout(PATIENCE):
                await self.writer.drain()

    async def until(self, marker: bytes) -> bytes:
        """All bytes up to and including a marker."""
        while (end := self.received.find(marker, self.read_to)) < 0:
            if not await self._more():
                raise EOFError(bytes(self.received[self.read_to :]))
        return self._take(end + len(marker) - self.read_to)

    async def exactly(self, size: int) -> bytes:
        while len(self.received) - self.read_to < size:
            if not await self._more():
                raise EOFError(bytes(self.received[self.read_to :]))
        return self._take(size)

    async def rest(self) -> bytes:
        """Everything until the other side ends the connection, in either way."""
        while await self._more():
            pass
        return self._take(len(self.received) - self.read_to)

    async def _more(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            try:
                data = await self.reader.read(65536)
            except ConnectionError:
                data = b""
        self.received += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        taken = bytes(self.received[self.read_to : self.read_to + size])
        self.read_to += size
        return taken

    async def chunked(self) -> tuple[bytes, bytes, list[int]]:
        """Content, trailer section and chunk sizes of a chunked body."""
        content, sizes = b"", []
        while True:
            line = await self.until(b"\r\n")
            assert re.fullmatch(rb"[0-9a-f]+\r\n", line), line
            size = int(line, 16)
            if size == 0:
                trailers = b""
                while (line := await self.until(b"\r\n")) != b"\r\n":
                    trailers += line
                return content, trailers, sizes
            sizes.append(size)
            content += await self.exactly(size)
            assert await self.exactly(2) == b"\r\n"

    async def body(self, head: Head) -> tuple[bytes, bytes]:
        """Content and trailers of a body that is framed by its head; none when it is not."""
        coding, length = head.one("transfer-encoding"), head.one("content-length")
        assert coding is None or length is None
        if coding is not None:
            content, trailers, _ = await self.chunked()
            return content, trailers
        return (await self.exactly(int(length)) if length is not None else b""), b""

    def end(self) -> None:
        """Shut down our sending side."""
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """End the connection with an RST."""
        sock = self.writer.get_extra_info("socket")
        if sock is None:  # it has ended already
            return
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Client(Wire):
    """A client that sends whatever bytes it likes."""

    async def response_head(self) -> Head:
        """The next head, interim or not."""
        return parse_head(await self.until(b"\r\n\r\n"))

    async def response(self, method: str = "GET") -> Response:
        interim = []
        while True:
            head = parse_head(await self.until(b"\r\n\r\n"))
            assert head.first.startswith(b"HTTP/1.1 ")
            status = int(head.first.split(b" ")[1])
            if status >= 200:
                break
            interim.append(head)
        answer = Response(head.first, head.lines, head.raw, interim=interim)
        if method == "HEAD" or status in (204, 304):
            return answer
        if not head.all("transfer-encoding") and not head.all("content-length"):
            assert answer.one("connection") == b"close"
            answer.body = await self.rest()
        else:
            answer.body, answer.trailers = await self.body(head)
        return answer

    async def ask(self, request: bytes, method: str = "GET") -> Response:
        await self.send(request)
        return await self.response(method)

    async def assert_closed(self) -> None:
        """The gateway ends the connection and says nothing more on it."""
        assert await self.rest() == b""

    async def assert_kept(self) -> None:
        """The connection serves another request."""
        answer = await self.ask(get("/public/kept"))
        assert (answer.status, answer.body) == (200, b"ok")


class OriginConnection(Wire):
    """A connection as the origin sees it; ``read_head`` is the last head that was read."""

    read_head: Head

    async def request(self) -> Request:
        """The next request, whole."""
        head = await self.head()
        request = Request(head.first, head.lines, head.raw)
        request.body, request.trailers = await self.body(head)
        return request

    async def head(self) -> Head:
        self.read_head = parse_head(await self.until(b"\r\n\r\n"))
        return self.read_head

    async def hold(self) -> None:
        """Stay open, and neither read nor write, until the origin stops."""
        await asyncio.Event().wait()


Script = Callable[[OriginConnection], Awaitable[None]]


class Origin:
    """An upstream that records everything and follows a script, one run of it a connection."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        """What the standing script was asked."""
        self.connections: list[OriginConnection] = []
        self.script: Script = self.serve
        self.answer: bytes | Callable[[Request], bytes] = OK
        self.connected = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._running: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None

    @property
    def bytes_seen(self) -> bytes:
        return b"".join(bytes(connection.received) for connection in self.connections)

    async def start(self, port: int = 0, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._accept, host, port, limit=1 << 24, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self.connections:
            connection.writer.transport.abort()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def serve(self, connection: OriginConnection) -> None:
        """Answer each request with `answer`."""
        while True:
            try:
                request = await connection.request()
            except EOFError:
                return
            self.requests.append(request)
            await connection.send(self.answer(request) if callable(self.answer) else self.answer)

    def replies(self, *pieces: bytes, close: bool = False) -> None:
        """Read a request, answer in these pieces, and perhaps end the connection; again for the next one."""

        async def script(connection: OriginConnection) -> None:
            while True:
                try:
                    self.requests.append(await connection.request())
                except EOFError:
                    return
                await connection.send(*pieces)
                if close:
                    connection.close()
                    return

        self.script = script

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        connection = OriginConnection(reader, writer)
        self.connections.append(connection)
        self.connected.set()
        try:
            await self.script(connection)
        except (ConnectionError, EOFError, TimeoutError, asyncio.CancelledError):
            pass
        except Exception as error:
            self.failure = error
        finally:
            self._running.discard(task)
            writer.close()


DEFAULT_ROUTES: list[dict[str, Any]] = [
    {"path": "/v1/resource", "upstream": "a"},
    {"path": "/v1/orders/", "upstream": "a", "methods": ["GET", "POST"], "scopes": ["orders"]},
    {"path": "/admin/", "upstream": "a", "scopes": ["admin"]},
    {"path": "/public/", "upstream": "a", "public": True},
    {"path": "/small/", "upstream": "a", "public": True, "max_body": "10B"},
    {"path": "/open/loose/", "upstream": "a", "public": True, "allow": ["semicolon", "encoded_slash", "double_slash"]},
    {"path": "/under/", "upstream": "a", "public": True, "allow": ["underscore_headers"]},
    {"path": "/keeps/", "upstream": "a", "forward_authorization": True},
    {
        "path": "/quick/", "upstream": "a", "public": True,
        "timeouts": {"connect": "200ms", "first_byte": "200ms", "between_bytes": "200ms"},
    },
]  # fmt: skip


class Rig:
    """Everything that a test of the data plane needs."""

    def __init__(self, log: Any) -> None:
        self.origin = Origin()
        self.authority = Origin()
        self.verdicts = FakeVerdicts()
        self.verdicts.warm[digest_access(TOKEN)] = a_verdict()
        self.registry = Registry()
        self.log = log
        self.faults: list[dict[str, Any]] = []
        self.edge: Edge
        self.installed: Installed | None = None
        """Other authorization servers, as configured."""
        self.pause = 10.0
        """Seconds between two fetches of their keys."""
        self.port = 0
        self.tls: Callable[[], ssl.SSLContext] | None = None
        """What the edge speaks TLS with."""
        self.client_tls: ssl.SSLContext | None = None
        """What its clients do."""
        self.assertions: Assertions | None = None
        """Who signs for upstreams who calls."""
        self._clients: list[Client] = []

    async def start(
        self, *, routes: list[dict[str, Any]] | None = None, targets: list[str] | None = None,
        upstream: dict[str, Any] | None = None, backlog: int = 100, resolve: Resolve = look_up,
        limit_store: LimitStore | None = None, **config: Any,
    ) -> Rig:  # fmt: skip
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.faults.append(context))
        await self.origin.start()
        await self.authority.start()
        self.config = Config.model_validate({
            "upstreams": {"a": {"targets": targets or [f"http://127.0.0.1:{self.origin.port}"], **(upstream or {})}},
            "routes": DEFAULT_ROUTES if routes is None else routes, **config,
        })  # fmt: skip
        self.access_log = AccessLog(self.log.fileno(), self.registry, readable=False)
        if self.config.issuers:
            self.installed = Installed(self.config, self.registry, pause=self.pause)
            self.installed.start()
        self.edge = Edge(
            self.config, Router(self.config), self.verdicts, self._connect_authority, self.registry, self.access_log,
            self.tls, resolve=resolve, limit_store=limit_store, assertions=self.assertions,
            issuers=self.installed.issuers if self.installed is not None else None,
        )  # fmt: skip
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen(backlog)
        self.port = sock.getsockname()[1]
        await self.edge.start([sock])
        return self

    def allow(self, *scopes: str) -> None:
        """Give the test's token these scopes."""
        self.verdicts.warm[digest_access(TOKEN)] = a_verdict(scopes=scopes)

    async def stop(self) -> None:
        for client in self._clients:
            client.writer.transport.abort()
        if self.port:
            await self.edge.drain(0)
            pools = [pool for group in self.edge.groups.values() for pool in group.pools]
            await self.eventually(lambda: self.edge.connections == 0 and not any(pool.open for pool in pools))
            self.access_log.close()
        if self.installed is not None:
            await self.installed.close()
        await self.origin.stop()
        await self.authority.stop()

    async def _connect_authority(self, factory: Any) -> Any:
        return await asyncio.get_running_loop().create_connection(factory, "127.0.0.1", self.authority.port)

    async def client(self) -> Client:
        async with asyncio.timeout(PATIENCE):
            name = None if self.client_tls is None else "gw.test"
            streams = await asyncio.open_connection(
                "127.0.0.1", self.port, limit=1 << 24, ssl=self.client_tls, server_hostname=name
            )
            client = Client(*streams)
        self._clients.append(client)
        return client

    async def connected(self) -> tuple[Client, Downstream]:
        """A client and the gateway's end of its connection, to feed it in exactly the pieces a test wants."""
        before = set(self.edge._connections)
        client = await self.client()
        await self.eventually(lambda: len(self.edge._connections) > len(before))
        (down,) = set(self.edge._connections) - before
        return client, down

    async def eventually(self, condition: Callable[[], object]) -> None:
        """Let the loop run until a condition holds."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while not condition():
            assert asyncio.get_running_loop().time() < end, "it did not happen"
            await asyncio.sleep(0.001)

    def logged(self) -> list[dict[str, Any]]:
        """The access log so far."""
        self.access_log.close()
        self.access_log._thread = None
        size = os.fstat(self.log.fileno()).st_size
        return [orjson.loads(line) for line in os.pread(self.log.fileno(), size, 0).splitlines()]

    async def assert_unharmed(self) -> None:
        """A stranger is served as if nothing had been."""
        self.origin.script = self.origin.serve
        self.origin.answer = OK
        client = await self.client()
        await client.assert_kept()
        await client.assert_kept()
        client.close()


def get(target: str, *lines: str, auth: bool = False, host: str = "gw", version: str = "1.1", method: str = "GET") -> bytes:
    """A request without a body."""
    head = [f"{method} {target} HTTP/{version}", f"Host: {host}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n" + (AUTH if auth else b"") + b"\r\n"


def post(target: str, body: bytes, *lines: str, auth: bool = False, length: int | None = None) -> bytes:
    """A request with a body by length."""
    size = len(body) if length is None else length
    return get(target, f"Content-Length: {size}", *lines, auth=auth, method="POST") + body


def post_chunked(target: str, *pieces: bytes, lines: tuple[str, ...] = (), auth: bool = False, last: bool = True) -> bytes:
    """A request with a chunked body."""
    head = get(target, "Transfer-Encoding: chunked", *lines, auth=auth, method="POST")
    return head + b"".join(chunk(piece) for piece in pieces) + (b"0\r\n\r\n" if last else b"")


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)
