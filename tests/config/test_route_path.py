"""A route's path must be one that the edge can hand to the router."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.route_path import path_fault
from gateway.config.route_rules import METHODS
from gateway.edge.target import canonical
from gateway.errors import GatewayError


@pytest.mark.parametrize(
    "path",
    ["/", "/v1/resource", "/v1/", "/a.b/c", "/~x/_y-z", "/a@b:c", "/caf%C3%A9", "/a%20b", "/(a)!$&'*+,=", "/%3A", "/100%25", "/.well-known/x"],
)
def test_a_canonical_path_is_sound(path: str) -> None:
    """As the edge would leave it."""
    assert path_fault(path) == ""


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("", "begins with /"), ("v1", "begins with /"), ("*", "begins with /"), ("http://h/", "begins with /"),
        ("/a/./b", "no segment . or .."), ("/a/..", "no segment . or .."), ("/...", "ends in a dot"), ("/a./b", "ends in a dot"),
        ("/a%20", "ends in a dot or a space"), ("//a", "empty segment"), ("/a//", "empty segment"),
        ("/%2e%2e/a", "%2e means ."), ("/%41", "%41 means A"), ("/%7E", "%7E means ~"),
        ("/a%2fb", "read in two ways"), ("/a%5Cb", "read in two ways"), ("/a%3Bb", "read in two ways"), ("/a%00", "read in two ways"),
        ("/a%0a", "read in two ways"), ("/a%7F", "read in two ways"), ("/%252e", "encoded twice"), ("/%252F", "encoded twice"),
        ("/caf%c3%a9", "in capitals: %C3"), ("/%C0%AE", "not UTF-8"), ("/%FF", "not UTF-8"),
        ("/a;b", "parameters"), ("/a\\b", "backslash"), ("/a b", "space"), ("/a\tb", "U+0009"), ("/café", "write %C3%A9 for é"),
        ("/100%", "begins no escape"), ("/%zz", "begins no escape"), ("/a?b", "path alone"), ("/a#b", "path alone"), ("/{id}", "U+007B"),
        ("/" + "a" * 3000, "at most"),
    ],
)  # fmt: skip
def test_any_other_path_says_what_to_write(path: str, part: str) -> None:
    """hardening.md P18, and whatever else the edge would never produce."""
    assert part in path_fault(path)


def test_an_encoded_slash_may_be_data_where_the_route_says_so() -> None:
    """And still hides no dot-segment."""
    assert path_fault("/a%2Fb", encoded_slash=True) == ""
    assert "no segment . or .." in path_fault("/a%2F..%2Fb", encoded_slash=True)


PIECES = st.sampled_from(["/", "a", "B1", ".", "..", "~", "%2F", "%2f", "%5C", "%3B", ";", "%41", "%2E", "%25", "%252E", "%2525", "%C3%A9", "%c3%a9",
                          "%FF", "%20", " ", "%00", "%7F", "\\", "!", "@", ":", "%3A", "é", "{", "%", "%4", '"', "|"])  # fmt: skip


@settings(max_examples=1500, deadline=None)
@given(st.lists(PIECES, max_size=8).map(lambda pieces: "/" + "".join(pieces)), st.booleans())
def test_a_path_is_sound_exactly_when_the_edge_leaves_it_as_it_is(path: str, encoded_slash: bool) -> None:
    """Two rooms that may not import each other decide the same."""
    allowed = {"encoded_slash"} if encoded_slash else set()
    try:
        target = canonical(path.encode("latin-1", "replace"))
    except GatewayError:
        can_match = False
    else:
        can_match = target.path == path and target.needs <= allowed
    assert (path_fault(path, encoded_slash=encoded_slash) == "") is can_match, path_fault(path, encoded_slash=encoded_slash)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_each_method_that_a_route_may_name_can_arrive(method: str) -> None:
    """The parser takes it."""
    seen: list[bool] = []

    class Protocol:
        def on_headers_complete(self) -> None:
            seen.append(True)

    httptools.HttpRequestParser(Protocol()).feed_data(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert seen == [True]
