"""Paths that are rewritten, and the P cases of hardening.md section 2.2 that have no test elsewhere."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.config.model import Config
from gateway.edge.listener import Edge
from gateway.edge.target import canonical, rewritten
from gateway.errors import GatewayError
from gateway.routing import Router
from tests.edge.rig import Rig, get
from tests.edge.test_target import PIECES, readings

LOOSE = ["semicolon", "encoded_slash", "double_slash"]
ROUTES: list[dict[str, Any]] = [
    {"path": "/api/", "strip_prefix": True},
    {"path": "/part/of/", "strip_prefix": "/part"},
    {"path": "/old/", "rewrite": "/new/prefix/"},
    {"path": "/one", "rewrite": "/the/other"},
    {"path": "/loose/", "strip_prefix": True, "allow": LOOSE},
    {"path": "/shop", "rewrite": "/legacy/shop", "allow": LOOSE},
    {"path": "/deep/", "rewrite": "/legacy/"},
    {"path": "/legacy/admin/", "scopes": ["admin"], "public": False},
    {"path": "/public/"},
]


async def a_rig(unstarted: Rig, *more: dict[str, Any]) -> Rig:
    return await unstarted.start(routes=[{"upstream": "a", "public": True, **route} for route in [*ROUTES, *more]])


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/api/x?y=/api/z", "/x?y=/api/z"),
        ("/api/", "/"),
        ("/api/?", "/?"),
        ("/api/a:b@c", "/a:b@c"),
        ("/api/@evil.com", "/@evil.com"),
        ("/api/:80", "/:80"),
        ("/api/http:evil", "/http:evil"),
        ("/%61pi/%7Ex", "/~x"),
        ("/part/of/x", "/of/x"),
        ("/old/x", "/new/prefix/x"),
        ("/one?a", "/the/other?a"),
        ("//loose//x//", "/x/"),
        ("/loose//evil.com", "/evil.com"),
        ("/loose;v=1/x;y/z", "/x;y/z"),
        ("/loose/a%2fb", "/a%2Fb"),
        ("/shop;jsessionid=1F?a", "/legacy/shop;jsessionid=1F?a"),
        ("http://gw/api/x", "/x"),
    ],
)
async def test_p17_what_was_matched_is_what_is_forwarded(unstarted: Rig, asked: str, sent: str) -> None:
    """One slash at the beginning, the query untouched; the second time from memory, all the same."""
    rig = await a_rig(unstarted)
    client = await rig.client()
    for _ in range(2):
        assert (await client.ask(get(asked))).status == 200
    assert [request.target for request in rig.origin.requests] == [sent.encode()] * 2


@pytest.mark.parametrize(
    "asked",
    [
        "/api//evil.com", "/api/%2fevil.com", "/api/%2f..", "/api/..", "/api/%5Cevil.com", "/api/\\evil.com", "/api/%2e%2e/x",
        "/loose/%2fevil.com", "/loose/%5cevil.com", "/loose/%2f%2fevil.com", "/loose/;/evil.com", "/loose/..;/x",
        "/loose/%2f..", "/loose/x/%2e%2e;/y", "/api;x/y", "/api/x;y",
    ],
)  # fmt: skip
async def test_p17_nothing_becomes_another_host_or_climbs_out(unstarted: Rig, asked: str) -> None:
    """``//host`` after the prefix is gone, even where encoded slashes are allowed."""
    rig = await a_rig(unstarted)
    client = await rig.client()
    for _ in range(2):
        answer = await client.ask(get(asked))
        assert (answer.status, answer.problem["code"]) == (400, "ambiguous_target")
        client = await rig.client()
    assert rig.origin.bytes_seen == b""


@pytest.mark.parametrize("asked", ["/api", "/apix/y", "/old", "/one/", "/one/x", "/API/x"])
async def test_p10_a_rewritten_prefix_ends_at_a_segment_s_end(unstarted: Rig, asked: str) -> None:
    """As every other one."""
    rig = await a_rig(unstarted)
    assert (await (await rig.client()).ask(get(asked))).status == 404
    assert rig.origin.bytes_seen == b""


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("/deep/x", 200), ("/deep/administration", 200), ("/deep/admin", 404),
        ("/deep/admin/", 404), ("/deep/admin/x", 404), ("/deep/Admin/x", 404), ("/deep/%41dmin/x", 404),
        ("/api/legacy/admin/x", 404),
        ("/loose/legacy%2Fadmin/x", 404), ("/loose/legacy/%2561dmin/x", 404), ("/loose/legacy;x/admin;y/z", 404),
        ("/loose/legacy//admin/x", 404), ("/loose/legacy%5Cadmin%5Cx", 404),
    ],
)  # fmt: skip
async def test_p17_a_rewritten_path_goes_not_around_another_route(unstarted: Rig, asked: str, status: int) -> None:
    """What /legacy/admin/ asks a scope for is reached through no open route, under no reading."""
    rig = await a_rig(unstarted)
    assert (await (await rig.client()).ask(get(asked))).status == status
    assert (rig.origin.bytes_seen == b"") == (status == 404)


@pytest.mark.parametrize(
    ("host", "asked", "status"),
    [
        ("api.example", "/admin/x", 401), ("other.example", "/admin/x", 404), ("other.example", "/admin", 404),
        ("other.example", "/ADMIN/x", 404), ("other.example", "/%61dmin/x", 404), ("127.0.0.1", "/admin/x", 404),
        ("other.example", "/x", 200), ("api.example", "/x", 200),
    ],
)  # fmt: skip
async def test_h10_another_host_is_no_way_around_a_route(unstarted: Rig, host: str, asked: str, status: int) -> None:
    """The upstream is told its own Host, so /admin/ is the same there whichever the client named."""
    rig = await unstarted.start(routes=[
        {"path": "/", "upstream": "a", "public": True}, {"path": "/admin/", "hosts": ["API.example"], "upstream": "a"},
    ])  # fmt: skip
    assert (await (await rig.client()).ask(get(asked, host=host))).status == status
    assert (rig.origin.bytes_seen == b"") == (status != 200)


async def test_h10_hosts_that_the_upstream_is_told_are_apart(unstarted: Rig) -> None:
    """Two virtual hosts of one server."""
    rig = await unstarted.start(routes=[
        {"path": "/", "hosts": ["www.example"], "upstream": "a", "public": True, "preserve_host": True},
        {"path": "/admin/", "hosts": ["api.example"], "upstream": "a", "preserve_host": True},
    ])  # fmt: skip
    client = await rig.client()
    assert (await client.ask(get("/admin/x", host="www.example"))).status == 200
    assert (await client.ask(get("/admin/x", host="api.example"))).status == 401


async def test_the_log_tells_what_the_client_asked(unstarted: Rig) -> None:
    """Not what the upstream got."""
    rig = await a_rig(unstarted)
    await (await rig.client()).ask(get("/old/x?y"))
    assert [line["path"] for line in rig.logged()] == ["/old/x"]


# --- the P cases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 99, 101, 500])
async def test_p09_hosts_match_in_any_letters_however_many_there_are(unstarted: Rig, size: int) -> None:
    """CVE-2026-27588: a long list was compared by case."""
    hosts = [f"Tenant{number}.Example" for number in range(size)]
    rig = await unstarted.start(routes=[
        {"path": "/x/", "upstream": "a", "public": True}, {"path": "/x/", "upstream": "a", "hosts": hosts},
    ])  # fmt: skip
    client = await rig.client()
    for host in (hosts[0], hosts[-1].upper(), hosts[-1].lower() + ":8080", hosts[size // 2] + "."):
        assert (await client.ask(get("/x/y", host=host))).status == 401
    assert (await client.ask(get("/x/y", host="other.example"))).status == 200


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("/admin/x", 401), ("/ADMIN/x", 404), ("/Admin/x", 404), ("/%41dmin/x", 404), ("/admin%2e/x", 400),
        ("/admin%20/x", 400), ("/admin./x", 400), ("/admin/./x", 400), ("/%EF%BD%81dmin/x", 200),
        ("/public%EF%BC%8Fadmin", 200), ("/adm%C4%B1n/x", 200), ("/%E2%84%AAeys/x", 404), ("/caf%C3%A9/x", 401),
        ("/cafe%CC%81/x", 200), ("/CAF%C3%89/x", 404), ("/administrator", 200),
    ],
)  # fmt: skip
async def test_p09_p11_p16_an_open_catch_all_is_no_way_to_a_protected_sibling(unstarted: Rig, asked: str, status: int) -> None:
    """Another letter case is refused; another string (no normalisation of Unicode) is another path, forwarded as it is."""
    rig = await unstarted.start(routes=[
        {"path": "/", "upstream": "a", "public": True}, {"path": "/admin/", "upstream": "a"}, {"path": "/keys/", "upstream": "a"},
        {"path": "/caf%C3%A9/", "upstream": "a"},
    ])  # fmt: skip
    assert (await (await rig.client()).ask(get(asked))).status == status
    assert [request.target for request in rig.origin.requests] == ([asked.encode()] if status == 200 else [])


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("/open?/../admin/x", 200), ("/open?x=/admin/../", 200), ("/open%3f/../admin/x", 400), ("/open%3Fadmin", 404),
        ("/open#/admin", 400), ("/open%23/../admin", 400), ("/admin/x?/open", 401), ("/admin/x?/../../open", 401),
        ("/admin%3f/open", 404), ("/open/?", 404),
    ],
)  # fmt: skip
async def test_p12_policy_sees_the_path_alone(unstarted: Rig, asked: str, status: int) -> None:
    """CVE-2025-54576: whatever the query says; an encoded ? or # is data of the path."""
    routes: list[dict[str, Any]] = [{"path": "/open", "upstream": "a", "public": True}, {"path": "/admin/", "upstream": "a"}]
    rig = await unstarted.start(routes=routes)
    assert (await (await rig.client()).ask(get(asked))).status == status
    assert [request.target for request in rig.origin.requests] == ([asked.encode()] if status == 200 else [])


@pytest.mark.parametrize("asked", ["/a.*/x", "/a.b/(c+)+$/", "/a.b/x"])
async def test_p13_a_route_s_path_is_no_pattern(unstarted: Rig, asked: str) -> None:
    """Its dots, stars and brackets are letters: there is nothing that could backtrack."""
    routes = [{"path": path, "upstream": "a", "public": True} for path in ("/a.*/", "/a.b/(c+)+$/")]
    rig = await unstarted.start(routes=routes)
    client = await rig.client()
    assert (await client.ask(get(asked))).status == (404 if asked == "/a.b/x" else 200)
    assert (await client.ask(get("/a.b/" + "c" * 4000))).status == 404


@pytest.mark.parametrize(
    ("method", "asked", "status"),
    [
        ("GET", "/v1/orders/x", 401), ("HEAD", "/v1/orders/x", 401), ("DELETE", "/v1/orders/x", 405),
        ("POST", "/v1/orders/x", 405), ("POST", "/v1/orders/open", 200), ("HEAD", "/v1/orders/open", 405),
        ("GET", "/v1/orders/open", 405), ("GET", "/v1/x", 200), ("OPTIONS", "/v1/orders/x", 405),
    ],
)  # fmt: skip
async def test_p14_a_wrong_method_never_falls_through_to_an_open_route(
    unstarted: Rig, method: str, asked: str, status: int
) -> None:
    """HEAD follows GET, and nothing else follows anything."""
    rig = await unstarted.start(routes=[
        {"path": "/v1/", "upstream": "a", "public": True}, {"path": "/v1/orders/", "upstream": "a", "methods": ["GET"]},
        {"path": "/v1/orders/open", "upstream": "a", "methods": ["POST"], "public": True},
    ])  # fmt: skip
    client = await rig.client()
    await client.send(get(asked, method=method))
    answer = await client.response(method)
    assert answer.status == status
    assert (answer.one("allow") is not None) == (status == 405)
    assert (rig.origin.bytes_seen == b"") == (status != 200)


@pytest.mark.parametrize("asked", ["/", "/index.html", "/v1", "/favicon.ico", "/.well-known/x"])
async def test_p15_what_no_route_names_is_404(rig: Rig, asked: str) -> None:
    """With a token too: there is no default route."""
    for auth in (False, True):
        assert (await (await rig.client()).ask(get(asked, auth=auth))).status == 404
    assert rig.origin.bytes_seen == b""


# --- no reading reaches a more protected route, rewritten or not ------------------------------------------------------

SPACE = [
    # path, what changes it, allow, level: 0 public, then scopes a, a b, a b c
    ("/", {}, LOOSE, 0),
    ("/open/", {"strip_prefix": True}, LOOSE, 0),
    ("/admin/", {}, [], 1),
    ("/a/", {"rewrite": "/admin/"}, ["encoded_slash"], 1),
    ("/admin/secret/", {}, [], 2),
    ("/k/", {"rewrite": "/admin/secret/x:y/"}, LOOSE, 2),
    ("/Admin/Secret/x:y/keys/", {}, [], 3),
    ("/secret", {"rewrite": "/caf%C3%A9/admin"}, LOOSE, 0),
    ("/x:y/admin/", {"strip_prefix": "/x:y"}, ["semicolon"], 1),
]
SCOPES = ["a", "b", "c"]
ROUTER = Router(Config.model_validate({
    "upstreams": {"u": {"targets": ["http://127.0.0.1:1"]}},
    "oauth": {"scopes": dict.fromkeys(SCOPES, "x")},
    "routes": [
        {"path": path, **change, "allow": allow, "upstream": "u", "public": not level, "scopes": SCOPES[:level]}
        for path, change, allow, level in SPACE
    ],
}))  # fmt: skip
# What each route protects, as the upstream calls it.  Where two send the same path, whoever wrote them meant the lower level.
RESOURCES = {"/": 0, "/admin/": 1, "/admin/secret/": 2, "/admin/secret/x:y/": 2, "/admin/secret/x:y/keys/": 3, "/café/admin": 0}


def level_of(reading: str) -> int:
    """How protected a back end's resource is: by the most specific path that leads to it, in any letters."""
    folded = reading.casefold()
    best = max((path for path in RESOURCES if (folded.startswith(path) if path.endswith("/") else folded == path)), key=len)
    return RESOURCES[best]


class _Bare:
    router = ROUTER


PATHS = st.lists(
    PIECES | st.sampled_from(["open/", "a/", "k/", "admin/", "secret", "x:y/", "keys/", "/x%3Ay", "Secret", "%2Fadmin"]),
    max_size=10,
).map(lambda pieces: ("/" + "".join(pieces)).encode("utf-8"))


@given(PATHS)
@example(b"/open/admin/x")
@example(b"/open/Admin/x")
@example(b"/open/%2561dmin/x")
@example(b"/open/admin%2Fsecret/x")
@example(b"/open;x/admin;y/z")
@example(b"/open//admin//x")
@example(b"/a/secret/x")
@example(b"/a/secret%2Fx")
@example(b"/k/keys/x")
@example(b"/k/KEYS%2Fx")
@example(b"/x:y/admin/secret/x")
@example(b"/open/%2F/admin/")
@example(b"/open/..%2Fadmin/")
@example(b"/secret;x")
def test_p03_p04_p05_p06_p09_p17_no_reading_of_what_is_sent_reaches_a_more_protected_route(raw: bytes) -> None:
    """Decoded once or twice, backslash as slash, parameters cut, slashes merged, case folded: also through a rewritten path."""
    try:
        target = canonical(raw)
        match = Edge._match(_Bare(), "gw", b"GET", target)  # type: ignore[arg-type]
        if match.route.rewriting is not None:
            target = rewritten(target, match.route.rewriting)
    except GatewayError:
        assume(False)
    path = target.forward.partition(b"?")[0]
    assert re.fullmatch(rb"/[!-~]*", path)
    assert not re.match(rb"/(?:/|\\|%2F|%5C)", path) or match.route.rewriting is None
    assert not {b".", b".."} & set(re.split(rb"/|%2F|%5C", re.sub(rb"(?:;|%3B)[^/]*", b"", path)))
    if match.route.own:
        return
    allowed = len(match.scopes)
    for reading in readings(target.forward):
        assert level_of(reading) <= allowed, reading
    assert level_of(unquote(path.decode())) <= allowed
