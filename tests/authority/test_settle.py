"""What is said to have ended is known to have ended by the guard of this worker."""

from __future__ import annotations

from aiohttp.test_utils import TestServer

from gateway.authority.application import RUNNER_OPTIONS, build
from gateway.authority.hasher import Hasher
from gateway.config.model import Config
from gateway.store.admissions import RedisAdmissions
from gateway.store.authorizations import RedisAuthorizations
from gateway.store.caller import RedisCaller
from gateway.store.clients import RedisClients
from gateway.store.tokens import RedisTokens
from gateway.telemetry.metrics import Registry
from tests.authority.conftest import basic
from tests.authority.test_throttle import PASSWORD
from tests.endpoints import served
from tests.servers import fake_redis

ENDS_NOTHING = {
    ("POST", "/v1/oauth/token"), ("POST", "/v1/oauth/introspect"), ("POST", "/v1/oauth/register"), ("POST", "/v1/register"),
    ("POST", "/v1/clients"), ("POST", "/v1/clients/{client_id}/keys"),
}  # fmt: skip


async def test_every_answer_that_ends_something_waits_and_no_other(aiohttp_client, hasher: Hasher) -> None:  # type: ignore[no-untyped-def]
    """By the router: DELETE, PUT and each POST that is not named above; and a spent refresh token."""
    waited: list[int] = []

    async def caught_up() -> None:
        waited.append(1)

    caller = RedisCaller(fake_redis())
    config = Config.model_validate({"oauth": {"registration": "open", "refresh_grace": "0s", "sign_in": True}})
    stores = RedisClients(caller), RedisTokens(caller), RedisAdmissions(caller), RedisAuthorizations(caller)
    app = build(config, *stores, hasher, registry=Registry(), caught_up=caught_up)
    server = TestServer(app)
    await server.start_server(**RUNNER_OPTIONS)
    http = await aiohttp_client(server)

    async def ask(method: str, path: str, **more: object) -> int:
        del waited[:]
        return (await http.request(method, path, **more)).status

    ann = {"username": "ann", "password": PASSWORD}
    key = await (await http.post("/v1/register", json=ann)).json()
    other = await (await http.post("/v1/register", json={**ann, "username": "bob"})).json()
    own = basic(key["client_key"], key["client_secret"])
    account, bob = basic("ann", PASSWORD), basic("bob", PASSWORD)
    described = await (await http.post("/v1/oauth/register", json={})).json()
    manager = {"Authorization": f"Bearer {described['registration_access_token']}"}
    tokens = await (await http.post("/v1/oauth/token", data={"grant_type": "client_credentials"}, headers=own)).json()
    refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    calls = {
        ("GET", "/v1/clients/{client_id}"): {"headers": own},
        ("POST", "/v1/oauth/introspect"): {"headers": own, "data": {"token": tokens["access_token"]}},
        ("POST", "/v1/oauth/token"): {"headers": own, "data": refresh},
        ("POST", "/v1/oauth/revoke"): {"headers": own, "data": {"token": tokens["access_token"]}},
        ("POST", "/v1/oauth/leaks"): {"headers": own, "json": {"found": []}},
        ("POST", "/v1/oauth/account/sign-out"): {"headers": account},
        ("PUT", "/v1/oauth/account/password"): {"headers": account, "json": {"password": PASSWORD}},
        ("PUT", "/v1/oauth/register/{client_id}"): {"headers": manager, "json": {"client_id": described["client_id"]}},
        ("DELETE", "/v1/oauth/register/{client_id}"): {"headers": manager},
    }
    for (method, path), more in calls.items():
        of = described["client_id"] if "register" in path else key["client_id"]
        assert await ask(method, path.replace("{client_id}", of), **more) < 300, path
        assert bool(waited) is (method in ("PUT", "DELETE") or (method == "POST" and (method, path) not in ENDS_NOTHING)), path
    assert await ask("POST", "/v1/oauth/token", headers=own, data=refresh) == 400  # spent: its chain is dead
    assert waited
    client = f"/v1/clients/{other['client_id']}"
    for path in (f"{client}/keys/{other['client_key']}", client, "/v1/oauth/account"):
        assert await ask("DELETE", path, headers=bob) == 204
        assert waited


async def test_no_endpoint_is_unknown_here() -> None:
    """A new POST has to be put on one of the two sides."""
    ending = {path for method, path in await served() if method == "POST"} - {path for _, path in ENDS_NOTHING}
    assert ending == {"/v1/oauth/revoke", "/v1/oauth/leaks", "/v1/oauth/account/sign-out"}
