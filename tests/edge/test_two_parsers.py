"""
S04 and its kin: framing is decided by four parsers, and whatever the edge accepts they all frame alike; else it is refused.

The corpus is made as smuggler and PortSwigger's lists are: every byte at every seam of ``Transfer-Encoding: chunked`` and of
``Content-Length``, alone and beside the other one, with a request behind it that only one of two readings would see.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.chunks import ChunkDecoder, ChunkError
from gateway.edge.head import BadResponse, RequestReader, ResponseReader
from gateway.edge.target import canonical
from gateway.errors import GatewayError
from tests.edge.other_parsers import aiohttp_answer, aiohttp_stream, h11_answer, h11_stream, llhttp_answer, llhttp_stream
from tests.edge.rig import Rig

BYTES = [bytes((code,)) for code in range(256)]
SEAMS = [
    b"Transfer-Encoding:%bchunked", b"Transfer-Encoding%b: chunked", b"%bTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked%b", b"X: X%bTransfer-Encoding: chunked", b"Transfer-Encoding: chunked%bX: X",
    b"X: X\r%bTransfer-Encoding: chunked", b"X: X%b\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r%bX: X",
    b"Transfer-Encoding: chunked%b\nX: X", b"Transfer%bEncoding: chunked", b"Transfer-Encoding: chun%bked",
]  # fmt: skip
LENGTHS = [
    b"Content-Length:%b5", b"Content-Length%b: 5", b"%bContent-Length: 5", b"Content-Length: 5%b", b"Content%bLength: 5",
    b"Content-Length: 0%b5", b"X: X%bContent-Length: 5", b"X: X\r%bContent-Length: 5",
]  # fmt: skip
VALUES = [
    b"chunked", b"CHUNKED", b"chUnked", b" chunked ", b"identity", b"chunked, identity", b"identity, chunked", b"chunked,chunked",
    b"chunked, chunked", b"chunked chunked", b",chunked", b"chunked,", b", ,chunked", b'"chunked"', b"'chunked'", b"xchunked",
    b"chunkedx", b"chunked;a=b", b"chunked; q=1", b"gzip", b"gzip, chunked", b"chunked, gzip", b"", b" ", b"x", b"\\chunked",
    b"%63hunked", b"=?utf-8?q?chunked?=", b"chunked\xc2\xa0", b"\xef\xbd\x83hunked", b"cow, chunked", b"chunked\r\n ",
    b"\r\n chunked",
    b"null", b"chunk", b"nothing\r\n\tchunked", b"trailers, chunked", b"deflate;chunked", b"chunked\\0",
]  # fmt: skip
NAMES = [
    b"Transfer-Encoding", b"transfer-encoding", b"TRANSFER-ENCODING", b"Transfer_Encoding", b"Transfer Encoding",
    b"TransferEncoding",
    b"Transfer-Encod\xc4\xb1ng", b"X-Transfer-Encoding", b"Transfer-Encoding-X", b"\xe2\x80\x8bTransfer-Encoding",
    b"Foo: bar\r\n Transfer-Encoding",
]  # fmt: skip
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gw\r\n\r\n"


def _around(line: bytes, other: bytes) -> list[bytes]:
    """A line alone, before and after the other framing."""
    return [line, line + b"\r\n" + other, other + b"\r\n" + line]


def _corpus() -> list[bytes]:
    te, length = b"Transfer-Encoding: chunked", b"Content-Length: 5"
    heads = [seam % byte for seam in SEAMS for byte in BYTES]
    heads += [seam % byte + b"\r\n" + length for seam in SEAMS[:4] for byte in BYTES if not byte.isalnum()]
    heads += [seam % byte for seam in LENGTHS for byte in BYTES]
    heads += [seam % byte + b"\r\n" + te for seam in LENGTHS[:4] for byte in BYTES if not byte.isalnum()]
    heads += [line for value in VALUES for line in _around(b"Transfer-Encoding: " + value, length)]
    heads += [line for name in NAMES for line in _around(name + b": chunked", length)]
    heads += [te + b"\r\nTransfer-Encoding: " + value for value in VALUES]
    heads += [b"Transfer-Encoding: " + value + b"\r\n" + te for value in VALUES]
    heads += [length + b"\r\n" + line for line in (length, b"Content-Length: 6", b"content-length:5", b"Content-Length:",
        b"Content-Length: 5,5")]
    return heads


CORPUS = _corpus()


def message(lines: bytes, version: bytes = b"1.1") -> bytes:
    """A body that is five bytes by length and none in chunks; then the request that must never be taken for another."""
    return b"POST /x HTTP/" + version + b"\r\nHost: gw\r\n" + lines + b"\r\n\r\n0\r\n\r\n" + SMUGGLED


def ours(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    """Method, target and content of all that the edge accepts of these bytes, up to the first refusal or unfinished one."""
    read, used = [], RequestReader()
    while data:
        data = data[2:] if data[:2] == b"\r\n" else data
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            break
        try:
            used.read(data[:end])
            canonical(used.target)
        except GatewayError:
            break
        data = data[end:]
        content = b""
        if used.chunked:
            decoder = ChunkDecoder()
            try:
                pieces, size = decoder.feed(data)
            except ChunkError:
                break
            if not decoder.done:
                break
            content, data = b"".join(pieces), data[size:]
        elif used.content_length:
            content, data = data[: used.content_length], data[used.content_length :]
            if len(content) < used.content_length:
                break
        if used.chunked or used.content_length:
            used.renew()
        read.append((used.method, used.target, content))
        if not used.keep_alive:
            break
    return read


def assert_agreed(data: bytes) -> bool:
    """What the edge accepts the others accept, and alike.  Whether it accepts anything."""
    mine = ours(data)
    blank_line = data[:2] == b"\r\n" or b"\r\n\r\n\r\n" in data  # before a request line; h11 knows none
    for other in (llhttp_stream, aiohttp_stream) if blank_line else (llhttp_stream, aiohttp_stream, h11_stream):
        assert other(data)[: len(mine)] == mine, (other.__name__, data)
    return bool(mine)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_s04_what_is_accepted_is_framed_alike_by_all(version: bytes) -> None:
    """S01 to S05, S09 to S12: some 7,000 heads; what little of it is accepted is accepted by everybody, in one framing."""
    assert len(CORPUS) > 6_500
    accepted = sum(assert_agreed(message(lines, version)) for lines in CORPUS)
    assert 20 < accepted < len(CORPUS) / 4  # so that neither all nor nothing is tested


def test_s04_nothing_that_looks_like_chunked_is_passed_on_as_something_else() -> None:
    """Of an accepted head no line that goes on has to do with framing, however it is spelt."""
    for lines in CORPUS:
        reader = RequestReader()
        try:
            reader.read(b"POST /x HTTP/1.1\r\nHost: gw\r\n" + lines + b"\r\n\r\n")
        except GatewayError:
            continue
        for line in reader.lines:
            name, _, value = line.partition(b":")
            assert name.lower().replace(b"_", b"-").strip() not in (b"transfer-encoding", b"content-length"), lines
            assert value.endswith(b"\r\n")
            assert re.fullmatch(rb"[\t\x20-\x7e\x80-\xff]*", value[:-2]), lines


async def test_s04_on_the_wire(rig: Rig) -> None:
    """Every twentieth of them, and a request behind: as many final answers as requests reached the origin (G2)."""
    for lines in CORPUS[::20]:
        rig.origin.requests.clear()
        data = message(lines).replace(b"/x", b"/public/x").replace(b"/smuggled", b"/public/smuggled")
        expected = [target for _, target, _ in ours(data)]
        client = await rig.client()
        await client.send(data)
        for _ in expected:
            assert (await client.response()).status == 200, lines
        if b"/public/smuggled" not in expected:
            answer = await client.response()
            assert 400 <= answer.status < 600, lines
            assert answer.one("connection") == b"close"
            await client.assert_closed()
        assert [request.target for request in rig.origin.requests] == expected, lines
        client.close()


SNIPPETS = [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b",", b";", b"\x00", b"\x0b", b"\xa0", b"0", b"5", b"+", b"chunked",
    b"X: y\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Connection: close\r\n", b"HTTP/1.0", b"\r\n\r\n",
    SMUGGLED]  # fmt: skip
WOUNDS = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 4), st.sampled_from(SNIPPETS)), max_size=3)


@given(st.sampled_from(CORPUS), WOUNDS)
def test_mutated_further_they_still_agree(lines: bytes, wounds: list[tuple[int, int, bytes]]) -> None:
    """Whole streams of requests, wounded anywhere, bodies included."""
    data = bytearray(message(lines))
    for at, size, snippet in wounds:
        data[at : at + size] = snippet
    assert_agreed(bytes(data))


# --- answers ------------------------------------------------------------------------------------------------------------

ANSWERS = [b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n\r\n0\r\n\r\n" for lines in CORPUS]


def our_answer(data: bytes) -> tuple[int, bool, int | None] | None:
    """Status and framing; None when it is refused."""
    try:
        answer = ResponseReader(data[: data.index(b"\r\n\r\n") + 4])
    except BadResponse:
        return None
    return answer.status, answer.chunked, answer.content_length


def assert_answer_agreed(data: bytes) -> bool:
    mine = our_answer(data)
    if mine is None:
        return False
    for other in (aiohttp_answer, h11_answer):
        assert other(data) == mine, (other.__name__, data)
    assert llhttp_answer(data[: data.index(b"\r\n\r\n") + 4]) == mine[0]
    return True


def test_f13_an_accepted_answer_is_framed_alike_by_all() -> None:
    """The same corpus from the upstream's side."""
    accepted = sum(map(assert_answer_agreed, ANSWERS))
    assert 20 < accepted < len(ANSWERS) / 4


@given(st.sampled_from(ANSWERS), WOUNDS)
def test_f13_mutated_answers_still_agree(answer: bytes, wounds: list[tuple[int, int, bytes]]) -> None:
    data = bytearray(answer)
    for at, size, snippet in wounds:
        data[at : at + size] = snippet
    if b"\r\n\r\n" in data:
        assert_answer_agreed(bytes(data))
