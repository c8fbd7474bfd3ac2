"""The authority's application over fakeredis, with the real adapters and the real scripts."""

from __future__ import annotations

import functools
import logging
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import ClientResponse, DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer
from redis.asyncio import Redis

from gateway.authority.application import RUNNER_OPTIONS, build
from gateway.authority.hasher import Hasher
from gateway.authority.operators import add_client
from gateway.authority.settle import CaughtUp
from gateway.authority.short import ShortCuts
from gateway.config.model import Config
from gateway.console.application import ConsolePages
from gateway.errors import StoreUnavailable
from gateway.oauth.secrets import IssuedKey
from gateway.store.admissions import RedisAdmissions
from gateway.store.authorizations import RedisAuthorizations
from gateway.store.caller import RedisCaller
from gateway.store.clients import RedisClients
from gateway.store.sessions import RedisSessions
from gateway.store.signing_keys import RedisSigningKeys
from gateway.store.tokens import RedisTokens
from gateway.telemetry.metrics import Registry
from tests.servers import fake_redis

PASSWORD = "client-password"
SECRET = b"what the store does not have: 32"


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def by(issued: IssuedKey) -> dict[str, str]:
    """The header of a client's key and secret."""
    return basic(issued.client_key, issued.client_secret)


class Breakable:
    """A store adapter whose next calls fail: every one, or those named."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.broken: set[str] = set()
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if name in self.broken or "*" in self.broken:
                raise StoreUnavailable(f"{name}: test")
            return await method(*args, **kwargs)

        return call


@dataclass
class House:
    """A running authority with its store."""

    http: TestClient[Any, Any]
    clients: Any
    tokens: Any
    admissions: Any
    authorizations: Any
    hasher: Hasher
    registry: Registry
    sessions: Any
    redis: Any
    issued: list[str] = field(default_factory=list)
    """Every secret that was handed out, for the test that none shows in a log."""

    async def client(self, scopes: str = "", permissions: str = "", username: str | None = None) -> IssuedKey:
        """A client, made as the operator does: without hashing anything."""
        issued = await add_client(
            self.clients, self.hasher, username=username,
            scopes=frozenset(scopes.split()), permissions=frozenset(permissions.split()),
        )
        self.issued.append(issued.client_secret)
        return issued

    async def register(self, username: str = "ann", password: str = PASSWORD) -> IssuedKey:
        """An account with its first client, over HTTP."""
        answer = await self.http.post("/v1/register", json={"username": username, "password": password})
        assert answer.status == 201, await answer.text()
        document = await answer.json()
        issued = IssuedKey(document["client_id"], document["client_key"], document["client_secret"])
        self.issued.append(issued.client_secret)
        return issued

    async def post(self, name: str, headers: dict[str, str], **form: str) -> ClientResponse:
        """A form to an OAuth endpoint."""
        return await self.http.post(f"/v1/oauth/{name}", headers=headers, data=form)

    async def token(self, client: IssuedKey, **form: str) -> dict[str, Any]:
        """A pair of tokens."""
        answer = await self.post("token", by(client), grant_type="client_credentials", **form)
        assert answer.status == 200, await answer.text()
        return self._noted(await answer.json())

    async def refresh(self, client: IssuedKey, refresh_token: str, **form: str) -> tuple[int, dict[str, Any]]:
        """Present a refresh token."""
        answer = await self.post("token", by(client), grant_type="refresh_token", refresh_token=refresh_token, **form)
        return answer.status, self._noted(await answer.json())

    async def introspect(self, client: IssuedKey, token: str) -> dict[str, Any]:
        """What introspection says."""
        answer = await self.post("introspect", by(client), token=token)
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found

    async def is_active(self, client: IssuedKey, token: str) -> bool:
        """Whether a token lives."""
        return (await self.introspect(client, token))["active"] is True

    def count(self, name: str, labels: str = "") -> float:
        """A counter's value."""
        series = self.registry.snapshot().get(name, {"series": {}})["series"]
        return float(series.get(labels, 0))

    def _noted(self, document: dict[str, Any]) -> dict[str, Any]:
        self.issued += [document[name] for name in ("access_token", "refresh_token") if name in document]
        return document


class ShortRunner(web.AppRunner):
    """With the short cuts in front, as a worker has them; a body that comes after its head is aiohttp's, as everything else."""

    @property
    def server(self) -> Any:
        inner = super().server
        return inner and functools.partial(ShortCuts(self.app).protocol, inner)


class ShortServer(TestServer):
    """aiohttp's own, with the runner above."""

    async def _make_runner(self, **options: Any) -> web.BaseRunner[Any]:
        return ShortRunner(self.app, **options)


MakeHouse = Callable[..., Awaitable[House]]


@pytest.fixture
def hasher() -> Iterator[Hasher]:
    """The real one."""
    hasher = Hasher()
    yield hasher
    hasher.close()


@pytest.fixture
def house_with(aiohttp_client: Any, hasher: Hasher) -> MakeHouse:
    """Makes a house with other ``oauth`` settings, on fakeredis unless it is told otherwise."""

    async def make(
        redis: Redis | None = None, clock: Callable[[], float] = time.monotonic, caught_up: CaughtUp | None = None,
        secrets: Sequence[bytes] = (SECRET,), **oauth: Any,
    ) -> House:  # fmt: skip
        routes = oauth.pop("routes", [])
        config = Config.model_validate({
            "oauth": {"registration": "open", **oauth}, "routes": routes,
            "upstreams": {"a": {"targets": ["http://127.0.0.1:9"]}} if routes else {},
        })  # fmt: skip
        redis = redis or fake_redis()
        caller = RedisCaller(redis)
        clients, tokens, registry = Breakable(RedisClients(caller)), Breakable(RedisTokens(caller)), Registry()
        admissions, authorizations = Breakable(RedisAdmissions(caller)), Breakable(RedisAuthorizations(caller))
        sessions = Breakable(RedisSessions(caller))
        pages = ConsolePages(config.oauth, sessions, registry=registry) if config.oauth.sign_in else None
        app = build(
            config, clients, tokens, admissions, authorizations, hasher, registry=registry, clock=clock, caught_up=caught_up,
            sessions=sessions, pages=pages, signing_keys=RedisSigningKeys(caller), secrets=secrets,
        )  # fmt: skip
        server = ShortServer(app)
        await server.start_server(**RUNNER_OPTIONS)
        http = await aiohttp_client(server, cookie_jar=DummyCookieJar())
        return House(http, clients, tokens, admissions, authorizations, hasher, registry, sessions, redis)

    return make


@pytest.fixture
async def house(house_with: MakeHouse) -> House:
    """The shipped configuration: no scopes in use, registration open."""
    return await house_with()


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
