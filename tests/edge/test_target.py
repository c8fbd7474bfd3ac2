"""Paths: the P cases of hardening.md section 2.2, and that no reading of what is forwarded reaches a more protected route."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway.config.model import Config
from gateway.edge.listener import Edge
from gateway.edge.target import MAX_TARGET, Target, canonical, host_name, origin_form
from gateway.errors import BadRequest, GatewayError, UriTooLong
from gateway.routing import Router
from tests.edge.rig import Rig, get

REFUSED = [
    *((f"P01-{path}", path) for path in (
        "/public/../admin/x", "/public/./x", "/public/..", "/../admin/x", "/public/.", "/..", "/.", "/public/.../x",
        "/public/x/../../admin",
    )),
    *((f"P02-{path}", path) for path in (
        "/public/%2e%2e/admin/x", "/public/.%2e/admin", "/public/%2E./admin", "/public/%2e/x", "/public/%2e%2E", "/public/x%2e",
    )),
    *((f"P03-{path}", path) for path in (
        "/public%2fx", "/public/%2F..%2fadmin", "/public/..%2fadmin", "/public/%5c..%5cadmin", "/public\\..\\admin",
        "/public/%5Cx",
        "/public/a%2Fb", "/open/loose/..%2f..%2fadmin", "/open/loose/%2e%2e%2fx", "/open/loose/a%5C..%5Cadmin", "/open/loose/\\x",
    )),
    *((f"P04-{path}", path) for path in (
        "/public/%252e%252e%252fadmin", "/public/%25%32%65%25%32%65/admin", "/public/%25252e", "/public/%252F", "/public/%255c",
        "/public/%253b", "/public/%2500", "/public/%250d%250a", "/public/%257f", "/open/loose/%252e%252e/admin",
    )),
    *((f"P05-{path}", path) for path in (
        "/public/..;/admin/x", "/public;x/y", "/public/;/admin", "/public/a%3bb", "/open/loose/..;/x", "/open/loose/.;a/x",
        "/open/loose/;/x", "/open/loose/..%3b/x", "/open/loose/%2e%2e;x/y", "/open/loose/%3Bx/y", "/open/loose/a;%2Fx",
        "/open/loose/a;b=%5Cc",
        "/open/loose/a/..;b=c",
    )),
    *((f"P06-{path}", path) for path in (
        "//admin/x", "/public//../admin", "///", "/public//x", "/public/x//", "/open/loose//../x", "//open/loose/x/..",
    )),
    *((f"P07-{path}", path) for path in (
        "/public/%00", "/public/x%0d%0aX:%20y", "/public/%09", "/public/x%20", "/public/%20", "/public/a%20/b",
        "/public/%7f", "/public/%1F",
    )),
    *((f"P08-{path}", path) for path in (
        "/public/%", "/public/%1", "/public/%zz", "/public/%u002e", "/public/%c0%ae", "/public/%ff", "/public/%e4",
        "/public/%ed%a0%80",
        "/public/%2", "/public/%%41", "/public/%f8%88%80%80%80", "/public/%c3",
    )),
    *((f"P11-{path}", path) for path in ("/admin.", "/admin/x.", "/admin%20", "/admin/.", "/public/x./y")),
    *((f"P12-{path}", path) for path in ("/public/x#/../admin", "/public#", "/public/%3f/../../admin/x", "/public/#?")),
    *((f"P17-{path}", path) for path in ("/api//evil.com", "/%2f/evil.com", "/\\evil.com", "/%5cevil.com")),
]  # fmt: skip


@pytest.mark.parametrize("target", [pytest.param(target, id=name) for name, target in REFUSED])
async def test_an_ambiguous_path_is_400(rig: Rig, target: str) -> None:
    """Before any route is sought, with a token or without; nothing is forwarded."""
    for auth in (False, True):
        client = await rig.client()
        answer = await client.ask(get(target, auth=auth))
        assert (answer.status, answer.one("connection")) == (400, b"close")
        await client.assert_closed()
    assert rig.origin.bytes_seen == b""


PASSED = [
    ("P04-percent", "/public/100%25", "/public/100%25"),
    ("P04-other", "/public/%25zz%2541%25C3", "/public/%25zz%2541%25C3"),
    ("P12-query", "/public/x?/../admin", "/public/x?/../admin"),
    ("P12-escaped", "/public/a%3fb%23c", "/public/a%3Fb%23c"),
    ("P12-empty-query", "/public/x?", "/public/x?"),
    ("P16-fullwidth-slash", "/public/..%EF%BC%8Fadmin", "/public/..%EF%BC%8Fadmin"),
    ("P16-nfd", "/public/e%CC%81", "/public/e%CC%81"),
    ("unreserved", "/public/%61%2D%7e%5F", "/public/a-~_"),
    ("unreserved-dot", "/public/a%2eb", "/public/a.b"),
    ("capitals", "/public/%c3%a4%3a", "/public/%C3%A4%3A"),
    ("hidden", "/public/.x/..y", "/public/.x/..y"),
    ("sub-delims", "/public/!$&'()*+,=:@", "/public/!$&'()*+,=:@"),
    ("P05-loose", "/open/loose/a;x=y/b", "/open/loose/a;x=y/b"),
    ("P05-loose-encoded", "/open/loose/a%3bx/b", "/open/loose/a%3Bx/b"),
    ("P06-loose", "//open///loose//x", "/open/loose/x"),
    ("P03-loose", "/open/loose/a%2fb%5cc", "/open/loose/a%2Fb%5Cc"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "forwarded"), [pytest.param(t, f, id=name) for name, t, f in PASSED])
async def test_what_is_matched_is_what_is_forwarded(rig: Rig, target: str, forwarded: str) -> None:
    """The same canonical bytes."""
    client = await rig.client()
    assert (await client.ask(get(target))).status == 200
    assert rig.origin.requests[0].target == forwarded.encode()


@pytest.mark.parametrize(
    "target", ["/publicadmin", "/public..x", "/PUBLIC/x", "/Public/x", "/public%C3%A4", "/%70ublicx", "/public"]
)
async def test_p09_p10_what_only_looks_like_a_public_prefix_is_404(rig: Rig, target: str) -> None:
    """A prefix ends at a segment's end, and case counts."""
    client = await rig.client()
    assert (await client.ask(get(target))).status == 404
    assert rig.origin.bytes_seen == b""


@pytest.mark.parametrize("target", ["/open/loose/x/a;b", "/v1/resource;x", "/v1//resource", "/v1%2Fresource"])
async def test_a_loose_route_loosens_no_other(rig: Rig, target: str) -> None:
    """``allow`` is the matched route's alone."""
    client = await rig.client()
    status = (await client.ask(get(target, auth=True))).status
    assert status == (200 if target.startswith("/open/") else 400)


# --- canonical, as a function ------------------------------------------------------------------------------------------

PIECES = st.sampled_from([
    "/", "/", "/", "a", "A", "admin", "Admin", "secret", "open", ".", "..", ";", ";x=1", "%2F", "%2f", "%5C", "\\", "%2e",
    "%2E", "%252e",
    "%252F", "%253B", "%3B", "%25", "%2561", "%61", "%41", "%C3%A9", "%c3%89", "%00", "%20", ":", "%3A", "%253A", "x:y", "?",
    "q", "=", "#", "%",
    "é", " ", "//", "~", "%7E", "%E2%84%AA", "k", "@", "+", "%2B", "%25%36%31",
])  # fmt: skip
TARGETS = st.lists(PIECES, max_size=14).map(lambda pieces: ("/" + "".join(pieces)).encode("utf-8"))


def read(raw: bytes) -> Target | None:
    try:
        return canonical(raw)
    except GatewayError:
        return None


@given(TARGETS)
@example(b"/a?%zz")
@example(b"/a//b;c/%2f?x")
def test_canonical_is_idempotent(raw: bytes) -> None:
    """What is forwarded is its own canonical form: nobody behind the gateway canonicalises it into something else."""
    target = read(raw)
    assume(target is not None)
    assert target is not None
    again = canonical(target.forward)
    assert (again.forward, again.path) == (target.forward, target.path)
    assert again.needs == target.needs - {"double_slash"}


@given(st.binary(max_size=40))
def test_whatever_bytes_come_nothing_odd_goes_out(raw: bytes) -> None:
    """Only visible ASCII, exactly one leading slash, no fragment, no dot-segment."""
    target = read(b"/" + raw)
    if target is None:
        return
    assert re.fullmatch(rb"/[!-~]*", target.forward)
    path = target.forward.partition(b"?")[0]
    assert not path.startswith(b"//")
    assert b"#" not in target.forward
    assert not {b".", b".."} & set(path.split(b"/"))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_the_fast_path_says_what_the_slow_one_says(text: str) -> None:
    """A query that is not plain takes the slow one; the path comes out the same."""
    fast, slow = read(b"/" + text.replace("?", "").encode()), read(b"/" + text.replace("?", "").encode() + b'?"')
    assert (fast is None) == (slow is None)
    if fast is not None and slow is not None:
        assert slow.forward == fast.forward + b"?%22"
        assert (slow.path, slow.needs) == (fast.path, fast.needs)


def readings(forward: bytes) -> set[str]:
    """Every reading a back end may have of a path."""
    path = forward.partition(b"?")[0].decode("ascii")
    seen = {path}
    for _ in range(2):
        for step in (
            unquote,
            lambda p: unquote(unquote(p)),
            lambda p: p.replace("\\", "/"),
            lambda p: re.sub(r";[^/]*", "", p),
            lambda p: re.sub("//+", "/", p),
            str.casefold,
            str.lower,
        ):
            seen |= {step(known) for known in seen}
    return seen


ALL = ["semicolon", "encoded_slash", "double_slash"]
ROUTES = [
    ("/", ALL, 0), ("/open/", ALL, 0), ("/open/secret/", ALL, 2), ("/admin", [], 1), ("/admin/", [], 1), ("/a/",
    ["encoded_slash"], 1),
    ("/a/admin/", [], 2), ("/x:y", [], 2), ("/a/x:y/", [], 3), ("/Admin/Secret/", [], 3), ("/caf%C3%A9/", [], 1), ("/k/", [], 1),
]  # fmt: skip
ROUTER = Router(Config.model_validate({
    "upstreams": {"a": {"targets": ["http://127.0.0.1:1"]}},
    "routes": [{"path": path, "upstream": "a", "allow": allow, "public": level == 0} for path, allow, level in ROUTES],
}))  # fmt: skip
LEVEL = {path: level for path, _, level in ROUTES}


def level_of(reading: str) -> int:
    """How protected a back end's resource is, by the most specific configured route, written as the back end reads it."""
    best = max((path for path in LEVEL if _covers(unquote(path).casefold(), reading.casefold())), key=len)
    return LEVEL[best]


def _covers(route: str, path: str) -> bool:
    return path.startswith(route) if route.endswith("/") else path == route


@given(TARGETS)
@example(b"/%2561dmin/x")
@example(b"/open/secret%2Fx")
@example(b"/open%2Fsecret/x")
@example(b"/x%3Ay")
@example(b"/admin/secret/x")
@example(b"/a/x%253Ay/z")
@example(b"/%E2%84%AA/x")
@example(b"/open;x/secret/y")
@example(b"/open/;x=1/secret/y")
@example(b"/%2561;%2F")
@example(b"//open//secret/")
def test_no_reading_reaches_a_more_protected_route(raw: bytes) -> None:
    """The permit that the matched route asked for is enough for whatever a back end makes of the path."""
    target = read(raw)
    assume(target is not None)
    assert target is not None
    try:
        match = Edge._match(_Bare(), "gw", b"GET", target)  # type: ignore[arg-type]
    except GatewayError:
        return
    allowed = LEVEL.get(match.route.path)
    if allowed is None:  # one of the gateway's own
        return
    for reading in readings(target.forward):
        assert level_of(reading) <= allowed, reading


class _Bare:
    router = ROUTER


# --- the other forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "host", "expected"),
    [
        (b"http://gw/x?y", b"gw", b"/x?y"), (b"http://gw", b"gw", b"/"), (b"http://gw?x", b"gw", b"/?x"),
        (b"HTTPS://GW:80/x", b"gw:80", b"/x"),
        (b"http://gw//x", b"gw", b"//x"), (b"http://other/x", b"gw", None), (b"http:///x", b"", None), (b"gw:80", b"gw", None),
        (b"*", b"gw", None), (b"x", b"gw", None), (b"http://gw/x#y", b"gw", None), (b"ftp://gw/x", b"gw", None), (b"", b"gw",
        None),
        (b"http://gw:80/x", b"gw", None), (b"http:/gw/x", b"gw", None), (b"http://gw\\x/", b"gw", None),
    ],
)  # fmt: skip
def test_s25_origin_form(raw: bytes, host: bytes, expected: bytes | None) -> None:
    """RFC 9112 section 3.2.2: absolute-form, for the host that Host names."""
    if expected is None:
        with pytest.raises(BadRequest):
            origin_form(raw, host)
    else:
        assert origin_form(raw, host) == expected


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"gw", "gw"), (b"GW.Example", "gw.example"), (b"gw.example.", "gw.example"), (b"gw:80", "gw"), (b"[::1]", "[::1]"),
        (b"[::1]:80", "[::1]"), (b"127.0.0.1:65535", "127.0.0.1"), (b"a_b", "a_b"), (b"gw:65536", None), (b"a..b", None),
        (b"", None),
        (b"gw:", None), (b"gw/", None), (b"u@gw", None), (b"gw\n", None), (b"\xc3\xa4", None), (b"[::1", None), (b".", None),
    ],
)  # fmt: skip
def test_s27_host_name(value: bytes, name: str | None) -> None:
    """Lower case, without port and trailing dot."""
    if name is None:
        with pytest.raises(BadRequest):
            host_name(value)
    else:
        assert host_name(value) == name


def test_a_target_may_have_8_kib() -> None:
    """And not a byte more."""
    assert canonical(b"/" + b"a" * (MAX_TARGET - 1))
    with pytest.raises(UriTooLong):
        canonical(b"/" + b"a" * MAX_TARGET)
