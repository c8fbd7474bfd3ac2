"""A reader that remembers says what a fresh one says: whatever came before on the connection."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.model import Config
from gateway.edge.head import BadResponse, RequestReader, ResponseReader
from gateway.edge.upstream import MAX_KNOWN_HEAD, MAX_KNOWN_HEADS, Speaker
from gateway.errors import GatewayError
from gateway.guard.bearer import bearer
from gateway.routing import Router

PLAIN = Router(Config.model_validate({
    "upstreams": {"a": {"targets": ["http://127.0.0.1:1"]}},
    "routes": [{"path": "/", "upstream": "a"}],
})).routes[0]  # fmt: skip
PASSING_TOKENS = Router(Config.model_validate({
    "upstreams": {"a": {"targets": ["http://127.0.0.1:1"]}},
    "routes": [{"path": "/", "upstream": "a", "forward_authorization": True, "allow": ["underscore_headers"]}],
})).routes[0]  # fmt: skip

LINES = st.lists(
    st.sampled_from([
        b"Host: a", b"Host: b", b"host:a", b"Authorization: Bearer abc", b"Authorization: Bearer abd",
        b"Authorization: Bearer abcdef", b"Authorization: Bearer a b", b"Authorization: Bearer a\x80c",
        b"Authorization: bearer abc", b"Authorization: Bearer ", b"Authorization: Bearer abc, def", b"X-Copy: Bearer abc",
        b"X-Copy: abc", b"Content-Length: 0", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Expect: 100-continue",
        b"Connection: close", b"Connection: keep-alive", b"Connection: x-copy", b"Upgrade: h2c", b"X_Under: 1",
        b"X-Client-Id: me", b"X-Forwarded-For: 1.2.3.4", b"Content-Type: a/b", b"X: \x00", b"no colon",
        b"Authorization: Bearer abc \t", b"Authorization:Bearer abc", b"Authorization:  Bearer abc", b"AUTHORIZATION: Bearer xyz",
        b"Authorization: Bearer", b"Authorization: Bearer Bearer abc", b"Authorization: Basic abc",
        b"X-Copy: Authorization: Bearer abc",
        b"Authorization: Bearer " + b"a" * 4096, b"Authorization: Bearer " + b"a" * 4097, b"X-Pad: " + b"p" * 8000,
        b"X-Pad: " + b"p" * 8180, b"Authorization: Bearer abc" + b" " * 8100, b"Proxy-Connection: close", b"Origin: https://a",
        b"Sec-WebSocket-Key: x", b"Connection: Upgrade", b"Upgrade: websocket", b"X-HTTP-Method: PUT", b"X-Tab: a\t",
    ]),
    max_size=5,
)  # fmt: skip
REQUEST_LINES = st.sampled_from([
    b"GET / HTTP/1.1", b"GET /other HTTP/1.1", b"HEAD / HTTP/1.1", b"POST / HTTP/1.1", b"GET / HTTP/1.0", b"GET / HTTP/2.0",
    b"GET  / HTTP/1.1", b"get / HTTP/1.1", b"\nGET / HTTP/1.1", b"GET / HTTP/1.1 ", b"FOO / HTTP/1.1", b"GET a HTTP/1.1",
    b"CONNECT a:1 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET /\x01 HTTP/1.1",
])  # fmt: skip
HEADS = st.builds(lambda line, lines: b"\r\n".join([line, *lines, b"", b""]), REQUEST_LINES, LINES)
SIMPLE = b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer abc\r\n\r\n"


def bearer_of(reader: RequestReader) -> Any:
    """The token that is looked up, or why there is none: one that the reader took from its place was held to the same rules."""
    try:
        return reader.token or bearer(reader.authorization)
    except GatewayError as error:
        return type(error)


def said(reader: RequestReader, head: bytes) -> Any:
    """All that the rest of the edge can learn of a head."""
    try:
        reader.read(head)
    except GatewayError as error:
        return type(error)
    return (
        reader.method, reader.target, reader.http10, reader.host, reader.authorization, reader.content_length, reader.chunked,
        reader.keep_alive, reader.expects_continue, reader.upgrade, reader.forwarding, reader.lines, reader.token_digest,
        bearer_of(reader),
        reader.write(PLAIN, b"I: 1\r\n", b"O: 1\r\n"), reader.write(PASSING_TOKENS, b"I: 1\r\n", b"O: 1\r\n"),
    )  # fmt: skip


@given(st.lists(HEADS, min_size=2, max_size=5))
@example([SIMPLE, SIMPLE.replace(b"abc", b"xyz"), SIMPLE])
@example([SIMPLE, SIMPLE.replace(b"abc", b"a\r\nX-Client-Id: me")])
@example([SIMPLE, SIMPLE.replace(b"abc", b"")])
@example([SIMPLE, SIMPLE.replace(b"Bearer abc", b"Bearer")])
def test_what_came_before_changes_nothing(heads: list[bytes]) -> None:
    """A fault ends the connection, so nothing is read after one."""
    remembering = RequestReader()
    for head in heads:
        # llhttp accepts only a request line that the canonical target would accept too: that check is the caller's.
        fresh = said(RequestReader(), head)
        again = said(remembering, head)
        if head.startswith(b"GET /\x01") and fresh != again:
            assert again[1] == b"/\x01"  # and `gateway.edge.target` refuses it: see test_target
            return
        assert again == fresh
        if isinstance(fresh, type) or not remembering.keep_alive:
            return
        if fresh[5] or fresh[6]:
            remembering.renew()


def test_the_same_lines_are_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the memory is for."""
    reader = RequestReader()
    reader.read(SIMPLE)
    lines = reader.lines
    monkeypatch.setattr(RequestReader, "_settle", lambda self: pytest.fail("parsed again"))
    reader.read(SIMPLE.replace(b"/ ", b"/other?x=1 "))
    assert (reader.target, reader.lines) == (b"/other?x=1", lines)
    reader.read(SIMPLE.replace(b"abc", b"another.token"))
    assert reader.authorization == b"Bearer another.token"
    assert reader.token == b"another.token"


TOKENS = st.sampled_from([b"abc", b"xyz", b"a" * 4096, b"a" * 4097, b"", b"a b", b"a\tb", b"a\r\nX: y", b"abc\x00", b"a,b",
    b"-._~+/==", b"=a",
    b"Bearer abc", b"abc\r\nContent-Length: 3", b"abc ", b" abc", b"\xe4"])  # fmt: skip


@given(
    before=LINES, after=LINES, tokens=st.lists(TOKENS, min_size=2, max_size=6), scheme=st.sampled_from([b"Bearer ", b"bearer "]),
    padding=st.sampled_from([b"", b"", b" ", b"\t", b" " * 8100]),
)
@example(before=[], after=[], tokens=[b"abc", b"a" * 4096], scheme=b"Bearer ", padding=b" " * 8100)
@example(before=[b"X-Pad: " + b"p" * 8000] * 3, after=[], tokens=[b"abc", b"a" * 4096], scheme=b"Bearer ", padding=b" " * 8000)
def test_another_token_in_the_same_lines_is_the_only_thing_that_changes(
    before: list[bytes], after: list[bytes], tokens: list[bytes], scheme: bytes, padding: bytes
) -> None:
    """What the shortcut is for, with lines before and behind, and with what is no token but stands where one does."""
    remembering = RequestReader()
    for token in tokens:
        lines = [b"GET / HTTP/1.1", b"Host: a", *before, b"Authorization: " + scheme + token + padding, *after, b"", b""]
        head = b"\r\n".join(lines)
        if head.find(b"\r\n\r\n") != len(head) - 4:
            return
        fresh, again = said(RequestReader(), head), said(remembering, head)
        assert again == fresh
        if isinstance(fresh, type) or not remembering.keep_alive or fresh[5] or fresh[6]:
            return


# --- answers ------------------------------------------------------------------------------------------------------------

ANSWER_LINES = st.lists(
    st.sampled_from([
        b"Content-Length: 2", b"Content-Length: 3", b"content-length: 2", b"Transfer-Encoding: chunked", b"Connection: close",
        b"Connection: keep-alive", b"Connection: X-Gone", b"X-Gone: 1", b"Set-Cookie: a=b", b"Date: then", b"Location: /x",
        b"WWW-Authenticate: NTLM", b"WWW-Authenticate: Basic", b"Content-Type: text/event-stream", b"X: " + b"y" * 900,
        b"Upgrade: websocket", b"X: \x00", b"Keep-Alive: 5", b"X-Tab: \t", b"Content-Length: 2, 2",
    ]),
    max_size=4,
)  # fmt: skip
STATUS_LINES = st.sampled_from([
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200 Ok", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 No", b"HTTP/1.1 101 Up",
    b"HTTP/1.1 103 Early", b"HTTP/1.1 200", b"HTTP/1.1 020 OK",
])  # fmt: skip
ANSWERS = st.builds(lambda line, lines: b"\r\n".join([line, *lines, b"", b""]), STATUS_LINES, ANSWER_LINES)


def told(read: Callable[[bytes], ResponseReader], head: bytes) -> Any:
    """All that the rest of the edge can learn of an answer's head."""
    try:
        answer = read(head)
    except BadResponse as error:
        return str(error)
    return {name: deepcopy(getattr(answer, name)) for name in ResponseReader.__slots__ if name != "edited"}


@given(st.lists(ANSWERS, min_size=2, max_size=80))
def test_a_known_answer_is_what_it_was(heads: list[bytes]) -> None:
    """However many were read between; and editing it for a route leaves what is remembered alone."""
    speaker = Speaker()
    for head in [*heads, *heads]:
        assert told(speaker.read_head, head) == told(ResponseReader, head)
        try:
            speaker.read_head(head).with_lines([b"X-Edited: 1\r\n"])
        except BadResponse:
            continue
    assert len(speaker._heads) <= MAX_KNOWN_HEADS
    assert not any(b"Set-Cookie" in head or len(head) > MAX_KNOWN_HEAD for head in speaker._heads)
