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
        ("/deep/x", 200), ("/deep/administration", 200), ("/deep/admin", 200),
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


async def test_the_log_tells_what_the_client_asked(unstarted: Rig) -> None:
    """Not what the upstream got."""
    rig = await a_rig(unstarted)
    await (await rig.client()).ask(get("/old/x?y"))
    assert [line["path"] for line in rig.logged()] == ["/old/x"]


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
