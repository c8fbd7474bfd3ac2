"""A reader that remembers says what a fresh one says: whatever came before on the connection."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.model import Config
from gateway.edge.head import RequestReader
from gateway.errors import GatewayError
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


def said(reader: RequestReader, head: bytes) -> Any:
    """All that the rest of the edge can learn of a head."""
    try:
        reader.read(head)
    except GatewayError as error:
        return type(error)
    return (
        reader.method, reader.target, reader.http10, reader.host, reader.authorization, reader.content_length, reader.chunked,
        reader.keep_alive, reader.expects_continue, reader.upgrade, reader.forwarding, reader.lines, reader.token_digest,
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
