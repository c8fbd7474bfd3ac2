"""Paths on their way to an upstream and back (hardening.md, P17)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rewriting import Rewriting, rewriting, without_dots


@pytest.mark.parametrize(
    ("route", "strip", "rewrite", "asked", "sent"),
    [
        ("/api/", True, None, "/api/x/y", "/x/y"),
        ("/api/", True, None, "/api/", "/"),
        ("/api/v1/", True, None, "/api/v1/x", "/x"),
        ("/api/x", True, None, "/api/x", "/"),
        ("/api/v1/", "/api", None, "/api/v1/x", "/v1/x"),
        ("/api/v1/", "/api/", None, "/api/v1/x", "/v1/x"),
        ("/api/v1/", "/api/v1", None, "/api/v1/x", "/x"),
        ("/api/x", "/api", None, "/api/x", "/x"),
        ("/api/x", "/api/x", None, "/api/x", "/"),
        ("/api/", False, "/new/prefix/", "/api/x", "/new/prefix/x"),
        ("/api/", False, "/", "/api/x", "/x"),
        ("/", False, "/new/", "/x", "/new/x"),
        ("/", False, "/new/", "/", "/new/"),
        ("/api", False, "/new", "/api", "/new"),
        ("/api", False, "/new/", "/api", "/new/"),
        # parameters (`allow: [semicolon]`) were not part of the match: those of segments that go, go
        ("/api/", True, None, "/api;v=1/x;y=2", "/x;y=2"),
        ("/api/v1/", "/api", None, "/api;a/v1%3Bb/x", "/v1%3Bb/x"),
        ("/api", False, "/new/app", "/api;jsessionid=7", "/new/app;jsessionid=7"),
        ("/api", False, "/new/", "/api;jsessionid=7", "/new/"),
        ("/api", True, None, "/api;jsessionid=7", "/"),
        # encoded slashes (`allow: [encoded_slash]`) end no segment
        ("/api/", True, None, "/api/a%2Fb/c", "/a%2Fb/c"),
        ("/a%2Fb/", True, None, "/a%2Fb/c", "/c"),
    ],
)
def test_p17_what_is_matched_is_replaced_and_nothing_else(
    route: str, strip: str | bool, rewrite: str | None, asked: str, sent: str
) -> None:
    """By whole segments."""
    change = rewriting(route, strip, rewrite)
    assert change is not None
    assert change.forward(asked.encode()) == sent.encode()
    if ";" not in asked and "%3B" not in asked:
        assert change.back(sent.encode()) == asked.encode()


@pytest.mark.parametrize(("strip", "rewrite"), [(False, None), (False, "/api/")])
def test_a_route_that_changes_nothing_has_no_rewriting(strip: str | bool, rewrite: str | None) -> None:
    """So that it costs nothing."""
    assert rewriting("/api/", strip, rewrite) is None


@pytest.mark.parametrize(
    ("public", "sent", "path", "back"),
    [
        ("/api/", "/new/app/", "/new/app/x", "/api/x"),
        ("/api/", "/new/app/", "/new/app", "/api/"),
        ("/api/", "/new/app/", "/new/application", "/new/application"),
        ("/api/", "/new/app/", "/new/", "/new/"),
        ("/api/", "/new/app/", "/new/app/../x", "/new/x"),
        ("/api/", "/new/app/", "/new/app/./x", "/api/x"),
        ("/api/", "/new/app/", "/new/app/.hidden", "/api/.hidden"),
        ("/api/", "/", "/x", "/api/x"),
        ("/api/", "/", "//x", "/api//x"),
        ("/", "/app/", "/app//evil.com", "/evil.com"),
        ("/", "/app/", "/app/\\evil.com", "/evil.com"),
        ("/", "/app/", "/app//\\/evil.com", "/evil.com"),
        ("/", "/app/", "/app/", "/"),
        ("/api", "/new", "/new;jsessionid=7", "/api;jsessionid=7"),
        ("/api", "/new", "/new/x", "/new/x"),
        ("/api", "/", "/", "/api"),
        ("/api", "/", "/x", "/x"),
    ],
)
def test_the_way_back(public: str, sent: str, path: str, back: str) -> None:
    """What lies elsewhere stays; what comes out is a path of this host."""
    assert Rewriting(public, sent).back(path.encode()) == back.encode()


@pytest.mark.parametrize(
    ("path", "without"),
    [
        ("/a/b/c/./../../g", "/a/g"), ("/../x", "/x"), ("/a/..", "/"), ("/a/.", "/a/"), ("/.", "/"), ("/a//../b", "/a/b"),
        ("/...", "/..."), ("/a/b/../", "/a/"), ("/../../", "/"),
        ("/a/..//evil.com", "/evil.com"), ("/./\\evil.com", "/evil.com"),
    ],
)  # fmt: skip
def test_rfc3986_5_2_4_remove_dot_segments(path: str, without: str) -> None:
    """Never above the root."""
    assert without_dots(path.encode()) == without.encode()


SEGMENTS = st.lists(st.sampled_from(["a", "B", "~", "x.y", "%2F", "a%2Fb", "@", "evil.com:80", ".a"]), max_size=4)
PREFIXES = SEGMENTS.map(lambda segments: "/" + "".join(f"{segment}/" for segment in segments))


@given(PREFIXES, PREFIXES, SEGMENTS, st.booleans())
def test_p17_forth_and_back_is_where_it_began(public: str, sent: str, rest: list[str], slash: bool) -> None:
    """Whatever the prefixes; and always below the new one, with one slash at its beginning."""
    change = Rewriting(public, sent)
    path = (public + "/".join(rest) + ("/" if slash and rest else "")).encode()
    there = change.forward(path)
    assert there.startswith(sent.encode())
    assert not there.startswith(b"//")
    assert change.back(there) == path


@given(PREFIXES, PREFIXES, st.text(alphabet="/\\.a;%2F", max_size=12))
def test_no_path_of_an_upstream_becomes_another_host(public: str, sent: str, path: str) -> None:
    """``//host`` and ``/\\host`` are network-path references to a browser; none is made here."""
    back = Rewriting(public, sent).back(b"/" + path.lstrip("/\\").encode())
    assert back.startswith(b"/")
    assert not back.startswith((b"//", b"/\\"))
