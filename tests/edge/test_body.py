"""A request's body: where it ends, how large it may be, what goes on."""

from __future__ import annotations

import pytest

from gateway.edge.body import MAX_PIECES, InboundBody
from gateway.edge.pace import Pace
from gateway.errors import BadRequest, PayloadTooLarge


def a_body(length: int | None, limit: int = -1) -> InboundBody:
    return InboundBody(length, limit, Pace(0, 0.0))


def test_a_length_ends_the_body_and_leaves_the_next_request() -> None:
    body = a_body(5)
    assert body.feed(b"he") == (b"he", 2)
    assert not body.done
    assert body.feed(b"lloGET /") == (b"llo", 3)
    assert body.done
    assert body.received == 5


def test_chunks_are_framed_anew_without_extensions_and_trailers() -> None:
    body = a_body(None)
    message = b"2;a=b\r\nhe\r\n03\r\nllo\r\n0\r\nX-Trailer: x\r\n\r\n"
    assert body.feed(message + b"GET /") == (b"5\r\nhello\r\n0\r\n\r\n", len(message))
    assert (body.done, body.received) == (True, 5)


def test_half_a_chunk_line_gives_nothing_yet() -> None:
    body = a_body(None)
    assert body.feed(b"5\r") == (b"", 2)
    assert body.feed(b"\nhel") == (b"3\r\nhel\r\n", 4)


@pytest.mark.parametrize("length", [11, None])
def test_x05_one_byte_over_the_limit_is_too_large(length: int | None) -> None:
    """The limit itself passes; it counts content, not framing."""
    body = a_body(length, 10)
    body.feed(b"0" * 10 if length else b"a\r\n0123456789\r\n")
    with pytest.raises(PayloadTooLarge):
        body.feed(b"0" if length else b"1\r\n0\r\n")


def test_s06_a_broken_chunk_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        a_body(None).feed(b"+5\r\nhello\r\n")


def test_x08_many_tiny_chunks_are_taken_in_turns() -> None:
    """One call does a bounded amount of work; nothing is lost or doubled between two."""
    body = a_body(None)
    message = b"1\r\na\r\n" * (3 * MAX_PIECES) + b"0\r\n\r\n"
    left, content, calls = message, b"", 0
    while not body.done:
        before = body.received
        out, used = body.feed(left)
        assert body.received - before <= MAX_PIECES
        content += out.partition(b"\r\n")[2].partition(b"\r\n")[0]
        left, calls = left[used:], calls + 1
    assert (content, left, calls) == (b"a" * 3 * MAX_PIECES, b"", 3)
