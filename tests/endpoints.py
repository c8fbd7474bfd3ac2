"""Which own endpoints there are, as the router has them: what documents are held against."""

from __future__ import annotations

from aiohttp import hdrs

from gateway.authority.application import build
from gateway.authority.hasher import Hasher
from gateway.config.model import Config
from gateway.store.admissions import RedisAdmissions
from gateway.store.authorizations import RedisAuthorizations
from gateway.store.caller import RedisCaller
from gateway.store.clients import RedisClients
from gateway.store.signing_keys import RedisSigningKeys
from gateway.store.tokens import RedisTokens
from gateway.telemetry.metrics import Registry
from tests.servers import fake_redis


async def served() -> set[tuple[str, str]]:
    """Method and path of each, with registration open and sign-in; HEAD follows GET."""
    redis, hasher = fake_redis(), Hasher()
    caller = RedisCaller(redis)
    config = Config.model_validate({"oauth": {"registration": "open", "sign_in": True}})
    try:
        stores = RedisClients(caller, "gw"), RedisTokens(caller, "gw"), RedisAdmissions(caller, "gw")
        authorizations = RedisAuthorizations(caller, "gw")
        application = build(
            config, *stores, authorizations, hasher, registry=Registry(),
            signing_keys=RedisSigningKeys(caller), secrets=[bytes(32)],
        )  # fmt: skip
    finally:
        hasher.close()
        await redis.aclose()
    return {("GET", "/v1/forward-auth")} | {  # that one is the edge's own
        (route.method, route.resource.canonical)
        for route in application.router.routes()
        if route.resource is not None and route.method != hdrs.METH_HEAD
    }
