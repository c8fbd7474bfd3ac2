"""
A real gateway between raw clients and origins that misbehave, with bystanders on another route who must notice nothing.

The gateway process lives as long as the test session of its xdist worker; the origins live in the loop of each test, on
listening sockets that are held all the time, so that nobody else can get their ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from tests.edge.rig import PATIENCE, Client, Origin, OriginConnection, Request, Response, get, post
from tests.ops.running import Gateway

HASTY = "400ms"
"""Every timeout of the routes below ``/hasty/``."""
OUT = "1s"
"""How long a failing target of several is left out."""
BYSTANDERS = 3
SEVERAL = ("three", "one-dead")
"""Upstreams with three targets."""

Outcome = int | str
"""What a client got: a status, ``cut`` for an answer that broke off, ``nothing`` for a connection that just ended."""


@dataclass(frozen=True)
class Footprint:
    """What a gateway holds: by its own metrics, by the kernel, and by looking into it (`tests.faults.probed`)."""

    connections: int
    upstream_connections: int
    descriptors: int
    tasks: int
    downstreams: int
    upstreams: int
    exchanges: int

    def within(self, other: Footprint) -> bool:
        """Whether it is nowhere larger."""
        return all(mine <= theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True))


class ProbedGateway(Gateway):
    """
    A gateway that can be looked into.

    Attributes:
        bearer: A token that passes.
        store_port: Where its store listens; for `footprint`.
    """

    def __init__(self, directory: Path, config: dict[str, Any], **environ: str) -> None:
        whole = {"listen": {"port": 0}, "admin": {"port": 0}, "oauth": {"registration": "open"}, **config}
        (directory / "config.yaml").write_text(json.dumps(whole))  # JSON is YAML
        repository = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [repository, os.environ.get("PYTHONPATH", "")]))
        super().__init__(directory, PYTHONPATH=path, **environ)
        self.program = ("-m", "tests.faults.probed", str(directory / "probe"))
        self.bearer = ""
        self.store_port = 0

    def start(self) -> ProbedGateway:
        """Start it and get a token."""
        super().start()
        self.bearer = self.token(self.register())["access_token"]
        return self

    @property
    def auth(self) -> str:
        """The header line that lets a request pass."""
        return f"Authorization: Bearer {self.bearer}"

    def look(self, command: str = "") -> dict[str, int]:
        """What lives in it; see `tests.faults.probed`."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(PATIENCE)
            probe.connect(str(self.directory / "probe"))
            probe.sendall(command.encode())
            probe.shutdown(socket.SHUT_WR)
            return dict(json.loads(probe.makefile("rb").read()))

    def footprint(self) -> Footprint:
        """What it holds now."""
        living = self.look()
        return Footprint(
            int(self.metric("gateway_connections")), int(self.metric("gateway_upstream_connections")),
            self._descriptors(), living.get("Task", 0), living.get("Downstream", 0),
            living.get("Upstream", 0), living.get("Exchange", 0),
        )  # fmt: skip

    def _descriptors(self) -> int:
        """Open ones, without those to the store: a link that was dialled anew on a busy machine is nobody's leak."""
        connections = psutil.Process(self.pid).net_connections("tcp4")
        to_store = sum(bool(one.raddr) and one.raddr.port == self.store_port for one in connections)
        return len(os.listdir(f"/proc/{self.pid}/fd")) - to_store

    def memory(self) -> int:
        """Resident bytes, after a collection."""
        self.look()
        return int(psutil.Process(self.pid).memory_info().rss)

    def cpu(self) -> float:
        """Seconds on a core so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


class HeldOrigin(Origin):
    """An origin on a listening socket that outlives it."""

    def __init__(self, held: socket.socket) -> None:
        super().__init__()
        self._held = held
        self.answer = echo

    @property
    def idle(self) -> bool:
        """Whether every connection's script has come to its end, most by seeing that the gateway ended the connection."""
        return not self._running

    async def start(self, port: int = 0) -> None:
        """Serve on the held socket."""
        self.port = self._held.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=self._held.dup(), limit=1 << 24)

    async def stop(self) -> None:
        """Serve no more; who has connected meanwhile is sent away."""
        await super().stop()
        self.send_away()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:  # accepted by the loop just before the end
            writer.transport.abort()
        else:
            await super()._accept(reader, writer)

    def send_away(self) -> None:
        """End what stands in the backlog while nobody accepts: pools open connections ahead of their need."""
        if self._server is None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._held.accept()[0].close()


def echo(request: Request) -> bytes:
    """An answer that says whose it is: the target and the request's body."""
    body = request.target + b" " + request.body
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def plan(ports: dict[str, int]) -> dict[str, Any]:
    """
    The configuration of the arena: each upstream has a route of its name; ``/hasty/`` is ``wild`` with short timeouts.

    Only what has several targets takes failing ones out of service, so that each fault of the others is met as it is.
    """
    targets = {name: [f"http://127.0.0.1:{port}"] for name, port in ports.items()}
    targets["three"] = targets["wild"] + targets["second"] + targets["third"]
    targets["one-dead"] = targets["refused"] + targets["second"] + targets["third"]
    routes: list[dict[str, Any]] = [{"path": f"/{name}/", "upstream": name} for name in targets if name != "three"]
    hasty = {"connect": HASTY, "first_byte": HASTY, "between_bytes": HASTY}
    routes.append({"path": "/hasty/", "upstream": "wild", "timeouts": hasty})
    routes.append({"path": "/deaf/", "upstream": "full", "timeouts": hasty})
    routes.append({"path": "/three/", "upstream": "three", "timeouts": hasty})
    upstreams: dict[str, Any] = {name: {"targets": found, "ejection": {"failures": 0}} for name, found in targets.items()}
    for name in SEVERAL:
        upstreams[name]["ejection"] = {"shortest": OUT, "longest": OUT, "ramp": "0s"}
    return {"upstreams": upstreams, "routes": routes}


@dataclass
class Bystanders:
    """Clients of another upstream who ask all the time, each on one connection, and remember whatever is not as it should be."""

    arena: Arena
    count: int

    def __post_init__(self) -> None:
        self.answers = [0] * self.count
        self.failures: list[str] = []
        self.slowest = 0.0
        self._over = False
        self._may_ask = asyncio.Event()
        self._may_ask.set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to ask."""
        self._tasks = [asyncio.create_task(self._one(number)) for number in range(self.count)]

    async def go_on(self, answers: int = 3) -> None:
        """Return once each has got so many more answers."""
        aim = [had + answers for had in self.answers]
        await eventually(lambda: self.failures or all(has >= want for has, want in zip(self.answers, aim, strict=True)))

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """They ask nothing for the length of the block."""
        self._may_ask.clear()
        yield
        self._may_ask.set()

    async def end(self) -> None:
        """Ask no more."""
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _one(self, number: int) -> None:
        try:
            client = await self.arena.client()
            for turn in count():
                await self._may_ask.wait()
                if self._over:
                    break
                await self._ask(client, f"/calm/{number}/{turn}", b"b" * (turn % 3) * 7)
                self.answers[number] += 1
            client.close()
        except (EOFError, OSError, AssertionError) as error:
            self.failures.append(f"bystander {number} after {self.answers[number]} answers: {error!r}")

    async def _ask(self, client: Client, target: str, body: bytes) -> None:
        auth = self.arena.gateway.auth
        began = time.monotonic()
        answer = await client.ask(post(target, body, auth) if body else get(target, auth))
        self.slowest = max(self.slowest, time.monotonic() - began)
        assert (answer.status, answer.body) == (200, target.encode() + b" " + body), answer
        await asyncio.sleep(0.001)  # the load of others, not a flood


class Arena:
    """Everything that a test of faults needs; see ``conftest.py`` for what is checked when it ends."""

    def __init__(self, gateway: ProbedGateway, sockets: dict[str, socket.socket]) -> None:
        self.gateway = gateway
        self.calm, self.wild, self.second, self.third = (
            HeldOrigin(sockets[name]) for name in ("calm", "wild", "second", "third")
        )  # fmt: skip
        self._clients: list[Client] = []

    @contextlib.asynccontextmanager
    async def unharmed(self, *, bystanders: int = BYSTANDERS) -> AsyncIterator[Bystanders]:
        """
        While the block misbehaves, bystanders are served as ever; after it, nothing of it is left in the gateway.

        What the wild origin keeps open still counts: only the others are stopped before counting.
        """
        before = await self.rest()
        others = Bystanders(self, bystanders)
        others.start()
        await others.go_on()
        yield others
        await others.go_on()
        await others.end()
        assert others.failures == []
        assert others.slowest < PATIENCE
        for client in self._clients:
            client.writer.transport.abort()
        for origin in (self.calm, self.second, self.third):
            await origin.stop()
        await self.returns_to(before)

    async def rest(self) -> Footprint:
        """The footprint once nothing goes on any more, idle connections to the gateway's own authority apart."""
        found: list[Footprint] = []

        async def twice_the_same() -> bool:
            found.append(await asyncio.to_thread(self.gateway.footprint))
            return found[-1].connections == 0 and found[-1:] == found[-2:-1]

        await eventually_async(twice_the_same)
        return found[-1]

    async def returns_to(self, before: Footprint) -> None:
        """Wait until the gateway holds no more than before."""
        now = before

        async def back() -> bool:
            nonlocal now
            for origin in self._origins:
                origin.send_away()
            now = await asyncio.to_thread(self.gateway.footprint)
            return now.within(before)

        try:
            await eventually_async(back, PATIENCE - 1)  # after `PATIENCE` the origins' scripts end their connections themselves
        except TimeoutError:
            raise AssertionError(f"left behind: {now}, before it was {before}") from None

    async def clients_are_gone(self) -> None:
        """Wait until only the bystanders are connected to the gateway."""

        async def gone() -> bool:
            return await asyncio.to_thread(self.gateway.metric, "gateway_connections") <= BYSTANDERS

        await eventually_async(gone)

    async def memory_settles(self, burst: Callable[[], Awaitable[object]]) -> bool:
        """Whether ten bursts leave less than 150 KB behind, at the latest the fifteenth ten: a heap settles, a leak never."""
        held = await asyncio.to_thread(self.gateway.memory)
        for _ in range(15):
            for _ in range(10):
                await burst()
            held, before = await asyncio.to_thread(self.gateway.memory), held
            if held - before < 150_000:
                return True
        return False

    async def start(self) -> None:
        """Start the origins."""
        for origin in self._origins:
            await origin.start()

    async def stop(self) -> None:
        """Stop them and all clients."""
        for client in self._clients:
            client.writer.transport.abort()
        for origin in self._origins:
            await origin.stop()
        assert [origin.failure for origin in self._origins] == [None] * 4

    async def client(self) -> Client:
        """A connection to the gateway."""
        async with asyncio.timeout(PATIENCE):
            client = Client(*await asyncio.open_connection("127.0.0.1", self.gateway.port, limit=1 << 24))
        self._clients.append(client)
        return client

    async def outcome(self, request: bytes, method: str = "GET") -> Outcome:
        """Send a request on a connection of its own, and what became of it."""
        client = await self.client()
        try:
            with contextlib.suppress(ConnectionError):  # it was refused before it was sent whole
                await client.send(request)
            return (await client.response(method)).status
        except EOFError:
            return "cut" if client.received.startswith(b"HTTP/1.1 200 ") else "nothing"
        finally:
            client.close()

    async def outcomes(self, requests: Iterable[bytes]) -> list[Outcome]:
        """The same for several at once."""
        return list(await asyncio.gather(*(self.outcome(request) for request in requests)))

    async def ask(self, request: bytes, method: str = "GET") -> Response:
        """A request on a connection of its own."""
        client = await self.client()
        answer = await client.ask(request, method)
        client.close()
        return answer

    def get(self, target: str, *lines: str) -> bytes:
        """An authorized GET."""
        return get(target, self.gateway.auth, *lines)

    def post(self, target: str, body: bytes, *lines: str, length: int | None = None) -> bytes:
        """An authorized POST."""
        return post(target, body, self.gateway.auth, *lines, length=length)

    @property
    def _origins(self) -> tuple[HeldOrigin, ...]:
        return self.calm, self.wild, self.second, self.third


async def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Let the loop run until a condition holds."""

    async def holds() -> bool:
        return bool(condition())

    await eventually_async(holds, seconds)


async def eventually_async(condition: Callable[[], Awaitable[bool]], seconds: float = 2 * PATIENCE) -> None:
    """The same for a condition that has to be asked for."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - other processes tell nobody of their state
            await asyncio.sleep(0.005)


async def gone(connection: OriginConnection) -> None:
    """Return once the gateway has ended its connection to an origin, be it never: nobody else ends it meanwhile."""
    with contextlib.suppress(ConnectionError):
        while data := await connection.reader.read(65536):
            connection.received += data
