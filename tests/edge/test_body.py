"""A request's body: where it ends, how large it may be, what goes on."""

from __future__ import annotations

import pytest

from gateway.edge.body import InboundBody
from gateway.errors import BadRequest, PayloadTooLarge


def test_a_length_ends_the_body_and_leaves_the_next_request() -> None:
    body = InboundBody(5, -1)
    assert body.feed(b"he") == (b"he", 2)
    assert not body.done
    assert body.feed(b"lloGET /") == (b"llo", 3)
    assert body.done
    assert body.received == 5


def test_chunks_are_framed_anew_without_extensions_and_trailers() -> None:
    body = InboundBody(None, -1)
    message = b"2;a=b\r\nhe\r\n03\r\nllo\r\n0\r\nX-Trailer: x\r\n\r\n"
    assert body.feed(message + b"GET /") == (b"5\r\nhello\r\n0\r\n\r\n", len(message))
    assert (body.done, body.received) == (True, 5)


def test_half_a_chunk_line_gives_nothing_yet() -> None:
    body = InboundBody(None, -1)
    assert body.feed(b"5\r") == (b"", 2)
    assert body.feed(b"\nhel") == (b"3\r\nhel\r\n", 4)


@pytest.mark.parametrize("length", [11, None])
def test_x05_one_byte_over_the_limit_is_too_large(length: int | None) -> None:
    """The limit itself passes; it counts content, not framing."""
    body = InboundBody(length, 10)
    body.feed(b"0" * 10 if length else b"a\r\n0123456789\r\n")
    with pytest.raises(PayloadTooLarge):
        body.feed(b"0" if length else b"1\r\n0\r\n")


def test_s06_a_broken_chunk_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        InboundBody(None, -1).feed(b"+5\r\nhello\r\n")
