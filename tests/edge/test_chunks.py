"""The chunked coding: ours against llhttp and aiohttp's Python parser, and against the grammar of RFC 9112 section 7.1."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.chunks import MAX_EXTENSION, MAX_TRAILERS, ChunkDecoder, ChunkError
from tests.edge.other_parsers import aiohttp_reads, llhttp_reads


def ours(body: bytes, cuts: list[int] | None = None) -> tuple[bytes, int] | None:
    """Content and length of the message; None when it is refused; length -1 when it is unfinished."""
    decoder, content, at = ChunkDecoder(), b"", 0
    edges = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts or [])})
    try:
        for start, end in pairwise(edges):
            pieces, used = decoder.feed(body[start:end])
            content += b"".join(pieces)
            at += used
            if decoder.done:
                return content, at
    except ChunkError:
        return None
    return content, -1


HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


TOKEN = st.text("abcXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=5).map(str.encode)
QUOTED = st.text(' \t!#[]^~abc;,=\\"', max_size=6).map(lambda t: b'"' + t.replace("\\", "\\\\").replace('"',
'\\"').encode() + b'"')
EXTENSION = st.tuples(TOKEN, st.none() | TOKEN | QUOTED).map(lambda e: b";" + e[0] + (b"=" + e[1] if e[1] is not None else b""))
CONTENTS = st.binary(min_size=1, max_size=20)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body by the RFC's grammar, and its content."""
    body, content = b"", b""
    for piece in draw(st.lists(CONTENTS, max_size=5)):
        size = draw(st.sampled_from([b"%x", b"%X", b"0%x", b"000%X"])) % len(piece)
        body += size + b"".join(draw(st.lists(EXTENSION, max_size=2))) + b"\r\n" + piece + b"\r\n"
        content += piece
    body += draw(st.sampled_from([b"0", b"00", b"0000"])) + b"".join(draw(st.lists(EXTENSION, max_size=1))) + b"\r\n"
    for name in draw(st.lists(TOKEN, max_size=2)):
        body += name + b":" + draw(st.sampled_from([b"", b" ", b"\t"])) + draw(st.sampled_from([b"", b"a", b"a b\tc",
        b"\xe4"])) + b"\r\n"
    return body + b"\r\n", content


@given(bodies(), st.binary(max_size=5), st.lists(st.integers(0, 10_000), max_size=6))
def test_rfc9112_7_1_everything_in_the_grammar_is_read(message: tuple[bytes, bytes], after: bytes, cuts: list[int]) -> None:
    """With the exact end, however it is cut; what follows is left alone."""
    body, content = message
    assert ours(body, cuts) == (content, len(body))
    assert ours(body + after) == (content, len(body))


@given(bodies(), st.data())
def test_what_ours_accepts_the_others_accept_with_the_same_content(message: tuple[bytes, bytes], data: st.DataObject) -> None:
    """Mutated at random: never more lenient than llhttp or aiohttp, and never of another opinion."""
    body = bytearray(message[0])
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(body)))
        match data.draw(st.sampled_from(["insert", "delete", "replace"])):
            case "insert":
                body[at:at] = data.draw(st.sampled_from([b"\r", b"\n", b"\r\n", b" ", b"\t", b";", b"0", b"a", b"\x00", b"x",
                b'"', b":"]))
            case "delete":
                del body[at : at + 1]
            case _:
                body[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
    mutated = bytes(body)
    result = ours(mutated)
    if result is None or result[1] < 0:
        return
    content, length = result
    for read in (llhttp_reads, aiohttp_reads):
        other = read(HEAD + mutated[:length])
        assert other is not None
        assert (other.content, other.done) == (content, True)


@given(st.binary(max_size=60), st.lists(st.integers(0, 100), max_size=6))
def test_cuts_change_nothing(body: bytes, cuts: list[int]) -> None:
    """Whether it is refused, unfinished or done, and what its content is."""
    whole, cut = ours(body), ours(body, cuts)
    if whole is None or cut is None:
        # In pieces a fault may show later, never earlier than the message's end.
        assert whole is None or whole[1] < 0 or cut is not None
        assert cut is None or cut[1] < 0
    else:
        assert whole == cut


@pytest.mark.parametrize(
    "body",
    [
        b"5;" + b"a" * (MAX_EXTENSION + 1),
        b"0\r\nX: " + b"a" * MAX_TRAILERS,
        b"0\r\n" + b"X: y\r\n" * (MAX_TRAILERS // 6 + 1),
        b"".join(b"1;" + b"a" * 1000 + b"\r\nx\r\n" for _ in range(17)),
        b"5\rx", b"5\r\nhellox", b"5\r\nhello\rx", b"g\r\n", b"5\n", b" 5\r\n", b"5 \r\n", b"\r\n", b"-1\r\n", b"5,5\r\n",
        b"0x5\r\n",
        b"1" * 16 + b"\r\n", b"0\r\nx\r\n\r\n", b"0\r\n x: y\r\n", b"0\r\nx: \x00\r\n", b"0\r\nx: y\n", b"0\r\n\n",
    ],
)  # fmt: skip
def test_s06_s07_s08_refused_whole_and_byte_by_byte(body: bytes) -> None:
    """Bounded while it arrives."""
    assert ours(body) is None
    assert ours(body, list(range(len(body)))) is None


def test_a_million_tiny_chunks_keep_nothing() -> None:
    """X08: state does not grow."""
    decoder = ChunkDecoder()
    for _ in range(100):
        pieces, used = decoder.feed(b"1\r\nx\r\n" * 1000)
        assert (b"".join(pieces), used) == (b"x" * 1000, 6000)
    assert decoder._line == b""
