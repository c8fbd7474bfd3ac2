"""``{prefix}/forward-auth``: another proxy asks, and nothing but a permit is 2xx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from gateway.config.model import Store
from gateway.errors import GatewayError, StoreUnavailable
from gateway.oauth.tokens import digest_access
from gateway.store.limits import RedisLimits
from gateway.upstreams.introduction import Done
from tests.edge.rig import TOKEN, Rig, a_token, get, post
from tests.servers import ValkeyServer
from tests.store.stores import a_wire

PATH = "/v1/forward-auth"
LOOSE = ["semicolon", "encoded_slash", "double_slash"]
ROUTES: list[dict[str, Any]] = [
    {"path": "/orders/", "upstream": "a", "scopes": ["orders"]},
    {"path": "/only/", "upstream": "a", "methods": ["GET"]},
    {"path": "/admin/", "upstream": "a", "scopes": ["admin"]},
    {"path": "/public/", "upstream": "a", "public": True},
    {"path": "/loose/", "upstream": "a", "public": True, "allow": LOOSE},
    {"path": "/near/", "upstream": "a", "public": True, "ip_allow": ["192.0.2.0/24"]},
    {"path": "/reports/", "upstream": "a", "scopes": ["admin"], "enforce": "report"},
    {"path": "/key/", "upstream": "a", "credential": "key"},
    {"path": "/told/", "upstream": "a", "identity": {"headers": {"X-Remote-User": "sub"}}},
    {"path": "/cors/", "upstream": "a", "cors": {"origins": ["https://app.example"]}},
    {"path": "/hosted/", "upstream": "a", "public": True, "hosts": ["api.example"]},
]
MORE: dict[str, Any] = {
    "trusted_proxies": ["127.0.0.1"], "credentials": {"key": {"header": {"name": "X-Api-Key", "value": "ours"}}},
}  # fmt: skip


@pytest.fixture
async def rig(unstarted: Rig) -> Rig:
    """A gateway that other proxies ask; the token has the scope orders."""
    await unstarted.start(routes=ROUTES, **MORE)
    unstarted.allow("orders")
    return unstarted


def named(target: str, *lines: str, method: str = "GET", host: str = "gw", auth: bool = True) -> bytes:
    """As nginx, Caddy and Traefik ask."""
    said = f"X-Forwarded-Method: {method}", f"X-Forwarded-Host: {host}", f"X-Forwarded-Uri: {target}"
    return get(PATH, *said, "X-Forwarded-For: 192.0.2.7", *lines, auth=auth, host="guard")


def behind(target: str, *lines: str, method: str = "GET", host: str = "gw", auth: bool = True) -> bytes:
    """As Envoy asks."""
    return get(PATH + target, "X-Forwarded-For: 192.0.2.7", *lines, auth=auth, host=host, method=method)


ASKS = pytest.mark.parametrize("ask", [named, behind])


@ASKS
@pytest.mark.parametrize(("target", "more", "status", "code"), [
    ("/orders/1?x=a%20b&y", {}, 200, ""),
    ("/orders/1", {"method": "DELETE"}, 200, ""),
    ("/orders/1", {"method": "HEAD"}, 200, ""),
    ("/public/x", {"auth": False}, 200, ""),
    ("/hosted/x", {"host": "api.example:8443"}, 200, ""),
    ("/loose/a%2Fb;c", {}, 200, ""),
    ("/reports/x", {"auth": False}, 200, ""),
    ("/near/x", {}, 200, ""),
    ("/orders/1", {"auth": False}, 401, "token_missing"),
    ("/orders/1", {"auth": False, "method": "OPTIONS"}, 401, "token_missing"),
    ("/admin/x", {}, 403, "insufficient_scope"),
    ("/only/x", {"method": "POST"}, 403, "method_not_allowed"),
    ("/nowhere", {}, 403, "not_found"),
    ("/hosted/x", {}, 403, "not_found"),
    ("/ADMIN/x", {}, 403, "not_found"),
    ("/v1/oauth/token", {"method": "POST"}, 403, "not_found"),
    ("/v1/forward-auth", {}, 403, "not_found"),
    ("/public/%70", {}, 403, "ambiguous_target"),
    ("/loose//x", {}, 403, "ambiguous_target"),
    ("/loose/a%2fb", {}, 403, "ambiguous_target"),
    ("/public//x", {}, 403, "ambiguous_target"),
    ("/public/../admin/x", {}, 403, "ambiguous_target"),
    ("/public/%2e%2e/admin/x", {}, 403, "ambiguous_target"),
    ("/public/..%2fadmin", {}, 403, "ambiguous_target"),
    ("/public/a%2Fb", {}, 403, "ambiguous_target"),
    ("/public/a\\b", {}, 403, "ambiguous_target"),
    ("/public/%252e", {}, 403, "ambiguous_target"),
    ("/public/x?q=\"", {}, 403, "ambiguous_target"),
])  # fmt: skip
async def test_the_answer_is_what_the_request_itself_would_get(
    rig: Rig, ask: Any, target: str, more: dict[str, Any], status: int, code: str
) -> None:
    """The route's own decision; a target that would be forwarded in another form than it was decided in is none."""
    client = await rig.client()
    answer = await client.ask(ask(target, **more), more.get("method", "GET") if ask is behind else "GET")
    assert answer.status == status
    if code and answer.body:
        assert answer.problem["code"] == code
    assert rig.origin.requests == rig.authority.requests == []
    assert (await client.ask(named("/orders/1"))).status == 200, "one client's fault ends nobody else's connection"


@pytest.mark.parametrize("target", ["/public/x#y", "http://gw/public/x", "public/x", "", "*", "/public/x y", "//gw/public/x"])
async def test_what_is_no_target_is_403(rig: Rig, target: str) -> None:
    """In X-Forwarded-Uri, where no parser has looked at it before."""
    assert (await (await rig.client()).ask(named(target))).status == 403


async def test_the_permit_says_who_calls_and_nothing_that_a_client_said(rig: Rig) -> None:
    """Hardening H01: neither a header nor a name of the client's comes back."""
    client = await rig.client()
    answer = await client.ask(named("/orders/1", "X-Client-Id: evil", "X_Client_Id: evil", "X-Token-Subject: evil"))
    assert (answer.one("x-client-id"), answer.one("x-client-scopes")) == (b"gwc_me", b"orders")
    assert answer.one("cache-control") == b"no-store"
    assert b"evil" not in answer.raw
    public = await client.ask(named("/public/x", "X-Client-Id: evil"))
    assert (public.status, public.one("x-client-id"), public.one("x-client-scopes")) == (200, None, None)


async def test_identity_is_told_in_the_route_s_words_and_a_credential_never(rig: Rig) -> None:
    """The key of the API is for the gateway's own requests."""
    client = await rig.client()
    told = await client.ask(named("/told/x"))
    assert (told.status, told.one("x-remote-user"), told.one("x-client-id")) == (200, b"gwc_me", None)
    shown = await client.ask(named("/key/x"))
    assert (shown.status, shown.one("x-client-id"), shown.one("x-api-key")) == (200, b"gwc_me", None)
    assert b"ours" not in shown.raw


async def test_a_401_names_the_route_s_metadata(rig: Rig) -> None:
    """RFC 9728 section 5.1, of what was asked about."""
    answer = await (await rig.client()).ask(named("/orders/1", auth=False))
    assert (answer.one("www-authenticate") or b"").endswith(b'/.well-known/oauth-protected-resource/orders/"')


FULL = ("X-Forwarded-Method: GET", "X-Forwarded-Host: gw", "X-Forwarded-Uri: /public/x", "X-Forwarded-For: 192.0.2.7")


@pytest.mark.parametrize("missing", range(4))
async def test_each_header_is_needed(rig: Rig, missing: int) -> None:
    """Nothing is guessed."""
    client = await rig.client()
    assert (await client.ask(get(PATH, *FULL))).status == 200
    answer = await client.ask(get(PATH, *(line for i, line in enumerate(FULL) if i != missing)))
    assert (answer.status, answer.problem["code"]) == (403, "forward_auth_invalid")


@pytest.mark.parametrize("extra", [
    "X-Forwarded-Uri: /public/x", "X-Forwarded-Uri: /admin/x", "X-Forwarded-Uri:", "X-Forwarded-Method: GET",
    "X-Forwarded-Method: POST", "X-Forwarded-Host: gw", "X-Forwarded-Host: other",
])  # fmt: skip
async def test_what_stands_twice_is_refused(rig: Rig, extra: str) -> None:
    """Before or behind the other, equal ones too."""
    client = await rig.client()
    for lines in ((*FULL, extra), (extra, *FULL)):
        assert (await client.ask(get(PATH, *lines))).status == 403


@pytest.mark.parametrize("extra", ["X-Forwarded-Uri: /public/x", "X-Forwarded-Method: GET", "X-Forwarded-Host: other"])
async def test_a_path_behind_the_endpoint_allows_no_second_source(rig: Rig, extra: str) -> None:
    """Hardening: a client's header that Envoy passes on takes no part, and is no permit."""
    client = await rig.client()
    assert (await client.ask(behind("/public/x", "X-Forwarded-Host: gw"))).status == 200
    answer = await client.ask(behind("/public/x", extra))
    assert (answer.status, answer.problem["code"]) == (403, "forward_auth_invalid")


@pytest.mark.parametrize("path", ["/v1/%66orward-auth", "/v1/forward-auth;x", "/v1/forward-authx", "/V1/forward-auth"])
async def test_the_endpoint_has_one_spelling(rig: Rig, path: str) -> None:
    assert (await (await rig.client()).ask(get(path, *FULL))).status in (403, 404)


async def test_a_query_behind_the_endpoint_is_no_target(rig: Rig) -> None:
    """Caddy leaves the client's there; what counts is X-Forwarded-Uri."""
    assert (await (await rig.client()).ask(get(f"{PATH}?/public/x", *FULL))).status == 200


@pytest.mark.parametrize("method", ["get", "GETX", "CONNECT", "TRACE", "GET, GET", ""])
async def test_a_method_that_nobody_knows_is_403(rig: Rig, method: str) -> None:
    assert (await (await rig.client()).ask(named("/public/x", method=method))).status == 403


@pytest.mark.parametrize("host", ["", "a, b", "user@gw", "gw/x", "gw:99999"])
async def test_a_host_that_is_none_is_403(rig: Rig, host: str) -> None:
    assert (await (await rig.client()).ask(named("/public/x", host=host))).status == 403


async def test_a_preflight_is_a_request_like_any(rig: Rig) -> None:
    """204 would be a permit: CORS is the other proxy's, or the upstream's."""
    client = await rig.client()
    lines = "Origin: https://app.example", "Access-Control-Request-Method: GET"
    for ask in (named, behind):
        assert (await client.ask(ask("/cors/x", *lines, method="OPTIONS", auth=False), "GET")).status == 401


async def test_two_credentials_and_a_token_in_the_query_are_403(rig: Rig) -> None:
    for request in (named("/orders/1", "Authorization: Basic YTpi"), named("/orders/1?access_token=" + a_token(9).decode())):
        answer = await (await rig.client()).ask(request)
        assert (answer.status, answer.problem["code"]) == (403, "invalid_request")


async def test_a_body_is_none_of_our_business(rig: Rig) -> None:
    """It would wait for its client; what is asked needs none."""
    assert (await (await rig.client()).ask(post(PATH, b"x", *FULL))).status == 403


async def test_only_a_trusted_proxy_may_ask(unstarted: Rig) -> None:
    """403 where there are others; where there are none, the endpoint is not there."""
    await unstarted.start(routes=ROUTES, **{**MORE, "trusted_proxies": ["192.0.2.1"]})
    client = await unstarted.client()
    for request in (named("/public/x"), behind("/public/x")):
        answer = await client.ask(request)
        assert (answer.status, answer.problem["code"]) == (403, "forbidden")


async def test_without_trusted_proxies_there_is_no_endpoint(unstarted: Rig) -> None:
    await unstarted.start(routes=ROUTES, **{**MORE, "trusted_proxies": []})
    client = await unstarted.client()
    for request in (named("/public/x"), behind("/public/x")):
        assert (await client.ask(request)).status == 404


async def test_addresses_are_the_client_s(rig: Rig) -> None:
    """``ip_allow`` looks at X-Forwarded-For, as ever behind a trusted proxy."""
    client = await rig.client()
    assert (await client.ask(named("/near/x"))).status == 200
    far = get(PATH, *FULL[:2], "X-Forwarded-Uri: /near/x", "X-Forwarded-For: 192.0.2.7, 198.51.100.1")
    assert (await client.ask(far)).status == 403


async def test_a_token_that_has_to_be_looked_up_first(rig: Rig) -> None:
    """Unknown is 401; a store that is away 503, and public routes do not notice."""
    gone = a_token(5)
    rig.verdicts.cold[digest_access(gone)] = StoreUnavailable("test")
    client = await rig.client()

    def of(token: bytes) -> bytes:
        return named("/orders/1", f"Authorization: Bearer {token.decode()}", auth=False)

    assert [(await client.ask(of(token))).status for token in (a_token(6), gone)] == [401, 503]
    assert (await client.ask(named("/public/x"))).status == 200


async def test_pipelined_questions_are_answered_in_turn(rig: Rig) -> None:
    """A look-up holds the next ones back."""
    client = await rig.client()
    waits = named("/orders/1", f"Authorization: Bearer {a_token(6).decode()}", auth=False)
    await client.send(waits + named("/orders/1") + named("/admin/x") + named("/public/x"))
    assert [(await client.response()).status for _ in range(4)] == [401, 200, 403, 200]


async def test_log_and_metric_say_what_was_asked(rig: Rig) -> None:
    """Route, method and path are those of the request that is asked about."""
    client = await rig.client()
    await client.ask(named("/orders/1?secret=x", method="PUT"))
    await client.ask(behind("/admin/x"))
    series = rig.registry.snapshot()["gateway_forward_auth_total"]["series"]
    assert sorted(series.values()) == [1, 1]
    await rig.stop()
    lines = rig.logged()
    assert [(line["method"], line["path"], line["status"], line["verdict"]) for line in lines] == [
        ("PUT", "/orders/1", 200, "forward-auth"), ("GET", "/admin/x", 403, "forward-auth"),
    ]  # fmt: skip
    assert lines[0]["client_id"] == "gwc_me"
    assert TOKEN.decode() not in str(lines)


@pytest.fixture
async def limits(valkey: ValkeyServer) -> AsyncIterator[RedisLimits]:
    """The limits of a worker, on a real store."""
    async with a_wire(Store(url=valkey.unix_url)) as wire:
        yield RedisLimits(wire, "one")


@ASKS
async def test_rates_count_and_slots_are_free_after_the_answer(unstarted: Rig, limits: RedisLimits, ask: Any) -> None:
    """Nobody tells the gateway when the request ends."""
    routes = [
        {"path": "/rate/", "upstream": "a", "limits": [{"rate": "2/h"}]},
        {"path": "/slots/", "upstream": "a", "limits": [{"concurrency": 1}]},
    ]  # fmt: skip
    await unstarted.start(routes=routes, limit_store=limits, trusted_proxies=["127.0.0.1"])
    client = await unstarted.client()
    answers = [await client.ask(ask("/rate/x")) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [(answer.one("ratelimit") or b"").partition(b";t=")[0] for answer in answers[:2]] == [b'"rate";r=1', b'"rate";r=0']
    assert int(answers[2].one("retry-after") or 0) > 0
    assert [(await client.ask(ask("/slots/x"))).status for _ in range(3)] == [200, 200, 200]


class Signer:
    """An authority whose key has to be fetched first, or can't be."""

    def __init__(self, refused: GatewayError | None = None) -> None:
        self.ready = False
        self.refused = refused

    def write(self, audience: str, claims: Mapping[str, bytes], now: float) -> tuple[bytes, float]:
        """What is signed is `tests.upstreams`' to look at."""
        return (b"signed.for." + audience.encode() if self.ready else b"", float("inf"))

    def wait(self, done: Done) -> None:
        """Later, as in earnest."""
        self.ready = self.refused is None
        asyncio.get_running_loop().call_soon(done, self.refused)

    def close(self) -> None:
        """Nothing is under way."""


@ASKS
@pytest.mark.parametrize(("refused", "statuses"), [(None, [200, 200]), (StoreUnavailable("test"), [503, 503])])
async def test_a_signed_assertion_is_part_of_the_answer(
    unstarted: Rig, ask: Any, refused: GatewayError | None, statuses: list[int]
) -> None:
    """Waited for where the key has to be fetched; without one nothing passes."""
    unstarted.assertions = Signer(refused)
    identity = {"assertion": {"audience": "https://legacy.example"}}
    await unstarted.start(routes=[{"path": "/signed/", "upstream": "a", "identity": identity}], trusted_proxies=["127.0.0.1"])
    client = await unstarted.client()
    answers = [await client.ask(ask("/signed/x")) for _ in range(2)]
    assert [answer.status for answer in answers] == statuses
    assert [b"signed.for.https://legacy.example" in answer.raw for answer in answers] == [refused is None] * 2


async def test_what_a_route_reports_is_reported(rig: Rig) -> None:
    """It passes, and counts as what would have been refused."""
    client = await rig.client()
    answer = await client.ask(named("/reports/x"))
    assert (answer.status, answer.one("x-client-id")) == (200, b"gwc_me")
    (finding,) = rig.edge.reports.take()
    assert (finding.client_id, finding.code) == ("gwc_me", "insufficient_scope")
