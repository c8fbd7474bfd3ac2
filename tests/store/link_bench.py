"""A verdict link on a server, with what tests do to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

from gateway.errors import GatewayError
from gateway.guard.verdict import Verdict
from gateway.guard.verdicts import Verdicts
from gateway.oauth.records import AccessToken, Client
from gateway.oauth.tokens import AccessRef, text
from gateway.store.codec import encode_client, encode_token
from gateway.store.dial import Address
from gateway.store.handshake import Login
from gateway.store.keys import Keys
from gateway.store.link import VerdictLink
from gateway.telemetry.metrics import Registry
from tests.servers import ValkeyServer

TIMEOUT = 0.4
PATIENT = 10.0
"""Seconds; where a test is not about time, a busy machine shall not fail it."""
KEYS = Keys("gw")
CLIENT_ID = f"gwc_abc{'A' * 22}"
CLIENT_KEY = f"gwk_abc{'B' * 22}"
SCOPES = frozenset(("orders:read",))
CLIENT = Client(CLIENT_ID, "someone", scopes=SCOPES)


def a_ref(number: int = 1) -> AccessRef:
    """The n-th token."""
    return AccessRef("abc", sha256(str(number).encode()).digest())


def a_token(number: int = 1, *, lives: float = 3600.0, client_id: str = CLIENT_ID) -> AccessToken:
    """The record of the n-th token; the number stands in its chain id."""
    now = int(time.time() * 1000)
    return AccessToken(client_id, CLIENT_KEY, text(number.to_bytes(16, "big")), SCOPES, 0, now, now + int(lives * 1000))


def write(server: ValkeyServer, *numbers: int, client: Client = CLIENT) -> None:
    """Put a client and some tokens into the store."""
    server.call("SET", KEYS.client(client.client_id), encode_client(client))
    for number in numbers:
        server.call("SET", KEYS.token(a_ref(number)), encode_token(a_token(number, client_id=client.client_id)), "PX", 3_600_000)


class LinkBench:
    """A link with the verdict cache upon it."""

    def __init__(self, address: Address, login: Login, timeout: float, *, keeps_stale: bool = False) -> None:
        self.registry = Registry()
        self.link = VerdictLink(address, login, prefix="gw", timeout=timeout, registry=self.registry)
        clock = asyncio.get_running_loop().time
        self.verdicts = Verdicts(self.link, clock=clock, registry=self.registry, keeps_stale=keeps_stale)

    def fetch(self, number: int = 1) -> asyncio.Future[Verdict | GatewayError]:
        """A verdict from the store."""
        return once(self.verdicts.fetch, a_ref(number))

    def find(self, number: int = 1) -> Verdict | None:
        """A kept verdict."""
        return self.verdicts.find(a_ref(number).digest, asyncio.get_running_loop().time())

    def stale(self, number: int = 1) -> Verdict | None:
        """What was known when the link was lost."""
        return self.verdicts.stale(a_ref(number).digest, asyncio.get_running_loop().time(), 60.0)

    async def keep(self, number: int = 1) -> None:
        """Look a token up and see that it is kept."""
        answer = await self.fetch(number)
        assert isinstance(answer, Verdict), repr(answer)
        assert self.find(number) is answer

    async def fence(self) -> None:
        """Return after everything that the server sent until now was carried out: its pushes precede this answer."""
        await once(self.link.fetch_token, a_ref(-1))

    def metric(self, name: str) -> float:
        """A metric, summed over its labels."""
        return float(sum(self.registry.snapshot()[name]["series"].values()))


@asynccontextmanager
async def a_link(
    address: Address, login: Login | None = None, *, timeout: float = TIMEOUT, keeps_stale: bool = False
) -> AsyncIterator[LinkBench]:
    """A link that is started and, after the test, closed."""
    bench = LinkBench(address, login or Login(), timeout, keeps_stale=keeps_stale)
    await bench.link.start()
    try:
        yield bench
    finally:
        await bench.link.close()


def once(fetch: Callable[[Any, Callable[[Any], None]], None], what: Any) -> asyncio.Future[Any]:
    """Call a fetch and await its ``done``; it fails if that is called twice or within the call."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    fetching = True

    def done(answer: object) -> None:
        assert not fetching, "done was called within fetch"
        if not future.cancelled():
            future.set_result(answer)

    fetch(what, done)
    fetching = False
    return future


async def until(condition: Callable[[], object], seconds: float = 5.0) -> float:
    """Poll a condition; the seconds that it took.  Fails after a deadline."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "the condition did not come true"
        await asyncio.sleep(0.002)
    return time.monotonic() - began
