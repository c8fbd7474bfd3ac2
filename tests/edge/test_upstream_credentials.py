"""``credential`` and ``identity`` on the wire: the gateway's own word arrives, once, and a client's under that name never."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from gateway.config.model import Config, Store
from gateway.errors import GatewayError, StoreUnavailable
from gateway.oauth.tokens import digest_access
from gateway.routing import Router
from gateway.store.limits import RedisLimits
from gateway.upstreams.introduction import Done
from tests.edge.frames import agree, hello
from tests.edge.rig import TOKEN, Client, Origin, Request, Rig, a_token, a_verdict, get, post
from tests.servers import ValkeyServer, free_port
from tests.store.stores import a_wire

CREDENTIALS = {
    "key": {"header": {"name": "X-Api-Key", "value": "ours"}},
    "other": {"header": {"name": "X-Api-Key", "value": "others"}},
    "basic": {"basic": {"username": "gateway", "password": "legacy"}},
}
LOOSE = {"upstream": "a", "allow": ["underscore_headers"]}
ROUTES: list[dict[str, Any]] = [
    {"path": "/key/", **LOOSE, "credential": "key"},
    {"path": "/basic/", **LOOSE, "credential": "basic"},
    {"path": "/public/", **LOOSE, "public": True, "credential": "key"},
    {"path": "/report/", **LOOSE, "enforce": "report", "credential": "key"},
    {"path": "/chosen/", **LOOSE, "credential": {"by_client": {"gwc_me": "key", "gwc_other": "other"}}},
    {"path": "/told/", **LOOSE, "identity": {"headers": {"X-Remote-User": "sub", "X-Roles": "scope"}}},
    {"path": "/open/", **LOOSE, "public": True},
    {"path": "/ws/", **LOOSE, "credential": "key", "streams": {}},
]


@pytest.fixture
async def rig(unstarted: Rig) -> Rig:
    return await unstarted.start(routes=ROUTES, credentials=CREDENTIALS)


def disguises(name: str) -> list[str]:
    """How a back end may be told it in other words."""
    return [name, name.upper(), name.lower(), name.replace("-", "_"), name.replace("-", "."), name.replace("-", "_", 1)]


@pytest.mark.parametrize(("path", "told"), [
    ("/key/x", [b"gwc_me"]), ("/public/x", []), ("/report/x", [b"gwc_me"]), ("/chosen/x", [b"gwc_me"]),
])  # fmt: skip
async def test_h01_h02_h03_the_upstream_sees_our_key_and_no_other(rig: Rig, path: str, told: list[bytes]) -> None:
    """In every disguise, with and without a token asked."""
    client = await rig.client()
    for _ in range(2):  # written, and kept
        assert (await client.ask(get(path, *(f"{name}: evil" for name in disguises("X-Api-Key")), auth=True))).status == 200
    for request in rig.origin.requests:
        assert b"evil" not in request.raw
        assert request.all("x-api-key") == [b"ours"]
        assert request.all("x-client-id") == told
        assert request.all("authorization") == []


async def test_h09_basic_stands_where_the_token_stood(rig: Rig) -> None:
    client = await rig.client()
    assert (await client.ask(post("/basic/x", b"body", auth=True))).status == 200
    (request,) = rig.origin.requests
    assert request.all("authorization") == [b"Basic Z2F0ZXdheTpsZWdhY3k="]
    assert TOKEN not in request.raw
    assert request.body == b"body"


async def test_clients_of_one_connection_each_show_their_own(rig: Rig) -> None:
    """As behind a proxy that shares its connections; who has none is 403, and nothing is forwarded."""
    for number, client_id in enumerate(("gwc_other", "gwc_third")):
        rig.verdicts.warm[digest_access(a_token(number + 1))] = a_verdict(client_id)
    client = await rig.client()
    tokens = (TOKEN, a_token(1), a_token(2), TOKEN, a_token(2), a_token(1))
    answers = [await client.ask(get("/chosen/x", f"Authorization: Bearer {token.decode()}")) for token in tokens]
    assert [answer.status for answer in answers] == [200, 200, 403, 200, 403, 200]
    assert {answer.problem["code"] for answer in answers if answer.status == 403} == {"no_upstream_credential"}
    assert [request.one("x-api-key") for request in rig.origin.requests] == [b"ours", b"others", b"ours", b"others"]
    await client.assert_kept()


async def test_who_must_be_looked_up_first_is_refused_alike(rig: Rig) -> None:
    """The verdict comes later; the answer is the same."""
    rig.verdicts.cold[digest_access(a_token(3))] = a_verdict("gwc_third")
    client = await rig.client()
    answer = await client.ask(get("/chosen/x", f"Authorization: Bearer {a_token(3).decode()}"))
    assert (answer.status, answer.problem["code"]) == (403, "no_upstream_credential")
    assert rig.origin.bytes_seen == b""


async def test_h01_h02_identity_in_the_upstream_s_words_is_ours_alone(rig: Rig) -> None:
    """Also on a public route beside it, which tells nobody of anything; the usual names are gone as ever."""
    client = await rig.client()
    evil = [f"{name}: evil" for known in ("X-Remote-User", "X-Roles", "X-Client-Id") for name in disguises(known)]
    for path in ("/told/x", "/open/x", "/public/x", "/key/x"):
        assert (await client.ask(get(path, *evil, auth=True))).status == 200
    assert all(b"evil" not in request.raw for request in rig.origin.requests)
    told = rig.origin.requests[0]
    assert (told.all("x-remote-user"), told.all("x-roles"), told.all("x-client-id")) == ([b"gwc_me"], [b""], [])
    assert all(request.all("x-remote-user") == [] for request in rig.origin.requests[1:])


async def test_a_client_can_t_have_our_lines_removed(rig: Rig) -> None:
    """Connection lists names of the client's own lines at most (CVE-2022-31813)."""
    client = await rig.client()
    assert (await client.ask(get("/key/x", "Connection: X-Api-Key, keep-alive", "X-Api-Key: evil", auth=True))).status == 200
    assert (await client.ask(get("/told/x", "Connection: X-Remote-User", auth=True))).status == 200
    assert rig.origin.requests[0].all("x-api-key") == [b"ours"]
    assert rig.origin.requests[1].all("x-remote-user") == [b"gwc_me"]


async def test_a_key_of_the_client_s_own_passes_where_the_gateway_shows_none(rig: Rig) -> None:
    """And so do answers' headers of that name everywhere."""
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nX-Api-Key: theirs\r\nX-Remote-User: x\r\nContent-Length: 2\r\n\r\nok"
    client = await rig.client()
    answer = await client.ask(get("/open/x", "X-Api-Key: mine"))
    assert rig.origin.requests[0].all("x-api-key") == [b"mine"]
    answer = await client.ask(get("/key/x", auth=True))
    assert (answer.one("x-api-key"), answer.one("x-remote-user")) == (b"theirs", b"x")


async def test_a_websocket_shows_it_too(rig: Rig) -> None:
    rig.origin.script = agree
    client = await rig.client()
    await client.send(hello("/ws/x", "X-Api-Key: evil"))
    assert (await client.response_head()).first == b"HTTP/1.1 101 Switching Protocols"
    assert rig.origin.connections[0].read_head.all("x-api-key") == [b"ours"]


def test_another_upstream_at_the_same_targets_is_guarded_too() -> None:
    """What it believes it believes by whatever name the gateway calls it; one at other targets is another's matter."""
    same = "http://127.0.0.1:7"
    routes = [
        {"path": "/told/", "upstream": "a", "identity": {"headers": {"X-Remote-User": "sub"}}},
        {"path": "/same/", "upstream": "b", "public": True},
        {"path": "/other/", "upstream": "c", "public": True},
    ]
    upstreams = {"a": {"targets": [same]}, "b": {"targets": ["http://127.0.0.1:9", same]}, "c": {"targets": ["http://127.0.0.1:9"]}}
    same_one, other = Router(Config.model_validate({"upstreams": upstreams, "routes": routes})).routes[1:]
    lines = [b"X_Remote.User: evil\r\n", b"X-A: b\r\n"]
    assert same_one.withheld is not None
    assert same_one.withheld.prune(lines) == lines[1:]
    assert other.withheld is None


# --- tokens of the upstream's own authorization server ----------------------------------------------------------------


class Issuer(Origin):
    """A token endpoint that numbers its tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.life: object = 3600
        self.answer = self.issue

    def issue(self, _request: Request) -> bytes:
        token = {"access_token": f"upstream-{len(self.requests)}", "token_type": "Bearer", "expires_in": self.life}
        return self.say(200, json.dumps(token).encode())

    @staticmethod
    def say(status: int, body: bytes, *lines: bytes) -> bytes:
        head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(body))
        return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    await issuer.start()
    yield issuer
    await issuer.stop()


async def fetching(rig: Rig, issuer: Issuer, *, port: int = 0, **section: Any) -> Rig:
    """A rig whose routes show a token of this issuer."""
    oauth = {
        "token_endpoint": f"http://127.0.0.1:{port or issuer.port}/t?tenant=a%20b", "client_id": "me", "client_secret": "s3cret",
        "scope": ["read"], **section,
    }  # fmt: skip
    routes = [
        {"path": "/token/", "upstream": "a", "credential": "them"}, {"path": "/more/", "upstream": "a", "credential": "them"},
        {"path": "/public/", "upstream": "a", "public": True, "credential": "them"},
        {"path": "/plain/", "upstream": "a", "public": True},
        {"path": "/ws/", "upstream": "a", "credential": "them", "streams": {"subprotocol": True}},
    ]  # fmt: skip
    return await rig.start(routes=routes, credentials={"them": {"oauth": oauth}})


def shown(rig: Rig) -> list[bytes | None]:
    return [request.one("authorization") for request in rig.origin.requests]


async def test_a_hundred_requests_at_once_fetch_one_token(unstarted: Rig, issuer: Issuer) -> None:
    """Of several routes, with and without a body; nothing is sent before it is there."""
    rig = await fetching(unstarted, issuer)
    clients = [await rig.client() for _ in range(100)]
    requests = [get("/token/x", auth=True), post("/more/x", b"a body", auth=True), get("/public/x"), get("/token/y", auth=True)]
    answers = await asyncio.gather(*(client.ask(requests[number % 4]) for number, client in enumerate(clients)))
    assert [answer.status for answer in answers] == [200] * 100
    assert shown(rig) == [b"Bearer upstream-1"] * 100
    assert {request.body for request in rig.origin.requests if request.first.startswith(b"POST")} == {b"a body"}
    (asked,) = issuer.requests
    assert asked.first == b"POST /t?tenant=a%20b HTTP/1.1"
    assert asked.one("authorization") == b"Basic bWU6czNjcmV0"
    assert asked.body == b"grant_type=client_credentials&scope=read"
    assert all(TOKEN not in request.raw for request in (*rig.origin.requests, asked))


async def test_requests_that_are_pipelined_behind_one_that_waits_are_answered_in_turn(unstarted: Rig, issuer: Issuer) -> None:
    rig = await fetching(unstarted, issuer)
    client = await rig.client()
    await client.send(get("/token/1", auth=True) + post("/token/2", b"body", auth=True) + get("/plain/3"))
    assert [(await client.response()).status for _ in range(3)] == [200] * 3
    assert [request.target for request in rig.origin.requests] == [b"/token/1", b"/token/2", b"/plain/3"]
    assert shown(rig) == [b"Bearer upstream-1"] * 2 + [None]


@pytest.mark.parametrize("answer", [
    Issuer.say(401, b'{"error":"invalid_client"}'), Issuer.say(200, b'{"access_token":"x","token_type":"mac"}'),
    Issuer.say(200, b'{"access_token":"a\\r\\nX-Client-Id: evil","token_type":"bearer"}'), Issuer.say(500, b"s3cret"),
    Issuer.say(307, b"", b"Location: http://127.0.0.1:9/"), Issuer.say(200, b" " * 70_000), b"nonsense\r\n\r\n",
    Issuer.say(200, b"x", b"Content-Encoding: gzip"),
])  # fmt: skip
async def test_f10_without_a_token_it_is_502_and_the_endpoint_is_left_alone(
    unstarted: Rig, issuer: Issuer, answer: bytes
) -> None:
    """Once for all that wait and all that come within a second; nothing of what was said gets out, and nothing is forwarded."""
    issuer.answer = answer
    rig = await fetching(unstarted, issuer)
    clients = [await rig.client() for _ in range(20)]
    answers = list(await asyncio.gather(*(client.ask(get("/token/x", auth=True)) for client in clients)))
    answers += [await client.ask(get("/token/x", auth=True)) for client in clients]
    assert {(answer.status, answer.problem["code"]) for answer in answers} == {(502, "upstream_credential_failed")}
    assert len(issuer.requests) == 1
    assert all(b"s3cret" not in answer.body and b"127.0.0.1" not in answer.body for answer in answers)
    assert rig.origin.requests == []
    assert (await clients[0].ask(get("/plain/x"))).status == 200


async def test_f10_an_endpoint_that_is_down_is_502_and_one_that_is_silent_504_in_time(unstarted: Rig, issuer: Issuer) -> None:
    issuer.script = lambda connection: connection.hold()
    rig = await fetching(unstarted, issuer, timeout="50ms")
    answer = await (await rig.client()).ask(get("/token/x", auth=True))
    assert (answer.status, answer.problem["code"]) == (504, "upstream_credential_timeout")


async def test_f10_a_refused_connection_is_502(unstarted: Rig, issuer: Issuer) -> None:
    rig = await fetching(unstarted, issuer, port=free_port())
    answer = await (await rig.client()).ask(get("/token/x", auth=True))
    assert (answer.status, answer.problem["code"]) == (502, "upstream_credential_failed")


async def test_cookies_and_proxies_of_the_environment_play_no_part(
    unstarted: Rig, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    issuer.answer = lambda request: Issuer.say(200, json.dumps({
        "access_token": "abc", "token_type": "bearer", "expires_in": 1,
    }).encode(), b"Set-Cookie: a=b; Path=/")  # fmt: skip
    rig = await fetching(unstarted, issuer)
    client = await rig.client()
    for _ in range(2):
        assert (await client.ask(get("/token/x", auth=True))).status == 200
        for introduction in rig.edge.introductions.values():
            for source in introduction._sources:
                source._keeping.line = b""  # type: ignore[attr-defined]  # as if it had died
            introduction._forget()
    assert len(issuer.requests) >= 2
    assert all(request.one("cookie") is None for request in issuer.requests)


async def test_a_token_that_the_upstream_refuses_is_shown_no_more(
    unstarted: Rig, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 401 is the caller's; the next request shows a new one, on every route.  Other statuses change nothing."""
    monkeypatch.setattr("gateway.upstreams.keeping.REST", 0.0)
    rig = await fetching(unstarted, issuer)
    rig.origin.answer = lambda request: (
        b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n" if request.one("authorization") == b"Bearer upstream-1" else
        b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    )  # fmt: skip
    client = await rig.client()
    asked = [(await client.ask(get(path, auth=True))).status for path in ("/token/x", "/more/x", "/token/x", "/public/x")]
    assert asked == [401, 403, 403, 403]
    assert shown(rig) == [b"Bearer upstream-1"] + [b"Bearer upstream-2"] * 3
    assert len(issuer.requests) == 2


async def test_a_new_token_is_not_given_up_for_a_401(unstarted: Rig, issuer: Issuer) -> None:
    """An upstream that says 401 to everything costs one token in ten seconds, not one a request."""
    rig = await fetching(unstarted, issuer)
    rig.origin.answer = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
    client = await rig.client()
    for _ in range(20):
        assert (await client.ask(get("/token/x", auth=True))).status == 401
    assert len(issuer.requests) == 1


async def held(rig: Rig, issuer: Issuer, request: bytes) -> tuple[Client, asyncio.Event]:
    """A client whose request waits for a token, and what lets that come."""
    gate = asyncio.Event()

    async def script(connection: Any) -> None:
        issuer.requests.append(await connection.request())
        await gate.wait()
        await connection.send(issuer.issue(issuer.requests[-1]))

    issuer.script = script
    client = await rig.client()
    await client.send(request)
    await rig.eventually(lambda: issuer.requests)
    return client, gate


async def test_who_is_revoked_while_it_waits_is_refused(unstarted: Rig, issuer: Issuer) -> None:
    """The verdict that counts is that of the moment in which the request is sent."""
    rig = await fetching(unstarted, issuer)
    client, gate = await held(rig, issuer, get("/token/x", auth=True))
    rig.verdicts.warm.clear()
    gate.set()
    assert (await client.response()).status == 401
    assert rig.origin.requests == []


async def test_who_goes_away_while_it_waits_is_forgotten(unstarted: Rig, issuer: Issuer) -> None:
    """The token is kept for the next one."""
    rig = await fetching(unstarted, issuer)
    client, gate = await held(rig, issuer, get("/token/x", auth=True))
    client.reset()
    await rig.eventually(lambda: rig.edge.connections == 0)
    gate.set()
    other = await rig.client()
    assert (await other.ask(get("/token/y", auth=True))).status == 200
    assert [request.target for request in rig.origin.requests] == [b"/token/y"]
    assert len(issuer.requests) == 1


async def test_a_websocket_whose_token_is_a_subprotocol_waits_too(unstarted: Rig, issuer: Issuer) -> None:
    """What its handshake said is read once."""
    rig = await fetching(unstarted, issuer)
    rig.origin.script = agree
    client = await rig.client()
    await client.send(hello("/ws/x", f"Sec-WebSocket-Protocol: bearer, {TOKEN.decode()}", auth=False))
    head = await client.response_head()
    assert (head.first, head.one("sec-websocket-protocol")) == (b"HTTP/1.1 101 Switching Protocols", b"bearer")
    assert rig.origin.connections[0].read_head.all("authorization") == [b"Bearer upstream-1"]


# --- assertions -------------------------------------------------------------------------------------------------------


class Signing:
    """Numbers what it signs."""

    def __init__(self) -> None:
        self.ready = False
        self.failure: GatewayError | None = None
        self.written = 0

    def write(self, _audience: str, claims: Mapping[str, bytes], now: float) -> tuple[bytes, float]:
        if not self.ready:
            return b"", now
        self.written += 1
        return b"%b.%d" % (claims["client_id"], self.written), now + 30

    def wait(self, done: Done) -> None:
        self.ready = self.failure is None
        asyncio.get_running_loop().call_soon(done, self.failure)

    def close(self) -> None:
        """Nothing is under way."""


async def asserting(rig: Rig, signing: Signing) -> Rig:
    routes = [
        {"path": "/signed/", **LOOSE, "identity": {"assertion": {"audience": "https://legacy"}}},
        {"path": "/beside/", **LOOSE, "public": True},
    ]  # fmt: skip
    rig.assertions = signing
    return await rig.start(routes=routes)


async def test_h01_h02_an_assertion_is_ours_alone(unstarted: Rig) -> None:
    """It waits for the key at first, then stands for each caller; a client's own never arrives, on public routes neither."""
    signing = Signing()
    rig = await asserting(unstarted, signing)
    rig.verdicts.warm[digest_access(a_token(1))] = a_verdict("gwc_other")
    client = await rig.client()
    evil = [f"{name}: evil" for name in disguises("X-Identity-Assertion")]
    for token in (TOKEN, a_token(1), TOKEN, a_token(1)):
        assert (await client.ask(get("/signed/x", *evil, f"Authorization: Bearer {token.decode()}"))).status == 200
    assert (await client.ask(get("/beside/x", *evil, auth=True))).status == 200
    said = [request.all("x-identity-assertion") for request in rig.origin.requests]
    assert said == [[b"gwc_me.1"], [b"gwc_other.2"], [b"gwc_me.1"], [b"gwc_other.2"], []]
    assert all(b"evil" not in request.raw for request in rig.origin.requests)
    assert rig.origin.requests[0].one("x-client-id") == b"gwc_me"


async def test_without_a_key_to_sign_with_nothing_is_forwarded(unstarted: Rig) -> None:
    """503, as for anything that the store is needed for; no request goes on without what its upstream is to be told."""
    signing = Signing()
    signing.failure = StoreUnavailable("test")
    rig = await asserting(unstarted, signing)
    answer = await (await rig.client()).ask(get("/signed/x", auth=True))
    assert (answer.status, answer.problem["code"]) == (503, "store_unavailable")
    assert rig.origin.requests == []


# --- beside limits ----------------------------------------------------------------------------------------------------


async def test_who_waits_for_a_credential_or_gets_none_uses_no_limit_up(
    unstarted: Rig, issuer: Issuer, valkey: ValkeyServer
) -> None:
    """A request counts once, when it goes on; one that is refused for want of a credential does not."""
    limit = {"limits": [{"rate": "2/h", "by": "client"}], "upstream": "a"}
    oauth = {"token_endpoint": f"http://127.0.0.1:{issuer.port}/t", "client_id": "me", "client_secret": "s3cret"}
    routes = [
        {"path": "/fails/", **limit, "credential": {"by_client": {"gwc_other": "them"}}},
        {"path": "/token/", **limit, "credential": "them"},
    ]  # fmt: skip
    async with a_wire(Store(url=valkey.unix_url)) as wire:
        rig = await unstarted.start(routes=routes, credentials={"them": {"oauth": oauth}}, limit_store=RedisLimits(wire, "one"))
        client = await rig.client()
        paths = ["/fails/x"] * 3 + ["/token/x"] * 3
        assert [(await client.ask(get(path, auth=True))).status for path in paths] == [403] * 3 + [200, 200, 429]
    assert shown(rig) == [b"Bearer upstream-1"] * 2
