"""``credential`` and ``identity`` on the wire: the gateway's own word arrives, once, and a client's under that name never."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.model import Config
from gateway.oauth.tokens import digest_access
from gateway.routing import Router
from tests.edge.frames import agree, hello
from tests.edge.rig import TOKEN, Rig, a_token, a_verdict, get, post

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
