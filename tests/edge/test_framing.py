"""
Attacks on the framing of HTTP/1.1: the S cases of hardening.md section 2.1.

Whatever is refused here is refused whole (G1): nothing reaches the origin, the connection ends, and what follows the refused
head on the wire, a complete and harmless request, is never read as one.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import pytest

from tests.edge.rig import AUTH, Response, Rig, chunk, get, post, post_chunked

SMUGGLED = get("/public/smuggled")
SAID = {
    "A framing header is misspelt", "A line of the head does not end in CRLF",
    "Connection lists a header that is not hop-by-hop", "Content-Length is malformed", "Content-Type stands twice",
    "Expectation failed", "HTTP version not supported", "HTTP/1.0 has no Transfer-Encoding", "Host is missing",
    "Host stands twice", "Method not allowed", "Not implemented", "Request header fields too large",
    "The Host header is not a host name with an optional port", "The chunked body is malformed", "The path holds a backslash",
    "The path holds a character or escape that is not allowed",
    "The path holds a dot-segment, or a segment that ends in a dot or space",
    "The path needs double_slash, which its route does not allow",
    "The query holds a character that must be percent-encoded", "The request carries more than one credential",
    "The request head is malformed", "The request line is malformed", "The request target must be a path",
    "The request target names another authority than Host", "Transfer-Encoding and Content-Length exclude each other",
    "Transfer-Encoding is malformed", "Transfer-Encoding stands twice", "URI too long",
}  # fmt: skip
"""All that a refusal at the parse level tells a client: texts of ours, never of the client's."""
WITH = {"Date", "Content-Type", "Cache-Control", "Content-Length", "Connection", "Allow", "WWW-Authenticate"}


def assert_refusal(answer: Response, status: int) -> None:
    """G1, G4: the status, problem+json that holds no byte of the request, no name or version of ours, and ``close``."""
    assert answer.status == status
    assert answer.one("connection") == b"close"
    assert {name for name, _ in answer.lines} <= WITH
    said = answer.problem
    assert (said.pop("status"), said.pop("type"), said.pop("title")) == (status, "about:blank", HTTPStatus(status).phrase)
    assert said.pop("detail") in SAID
    assert re.fullmatch(r"[a-z_]+", said.pop("code"))
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", said.pop("request_id"))
    assert said == {}


def lines(*extra: bytes, first: bytes = b"POST /public/x HTTP/1.1", host: bytes = b"Host: gw") -> bytes:
    return b"\r\n".join((first, host, *extra)) + b"\r\n\r\n"


CL5 = b"Content-Length: 5"
TE = b"Transfer-Encoding: chunked"


def _te(*values: bytes) -> bytes:
    return lines(*(b"Transfer-Encoding: " + value for value in values)) + b"0\r\n\r\n"


def _chunks(body: bytes) -> bytes:
    return lines(TE) + body


REFUSED = [
    # S01: both framings
    ("S01-cl-te", lines(CL5, TE) + b"0\r\n\r\n", 400),
    ("S01-te-cl", lines(TE, CL5) + b"0\r\n\r\n", 400),
    ("S01-te-cl-0", lines(TE, b"Content-Length: 0") + b"0\r\n\r\n", 400),
    ("S01-te-cl-identity", lines(CL5, b"Transfer-Encoding: identity") + b"hello", 400),
    # S02, S03: two lengths
    ("S02-differ", lines(CL5, b"Content-Length: 10") + b"hello", 400),
    ("S02-list", lines(b"Content-Length: 5, 10") + b"hello", 400),
    ("S03-same", lines(CL5, CL5) + b"hello", 400),
    ("S03-list", lines(b"Content-Length: 5, 5") + b"hello", 400),
    # S04: transfer codings in disguise
    ("S04-xchunked", _te(b"xchunked"), 501),
    ("S04-chunked-identity", _te(b"chunked, identity"), 400),
    ("S04-identity-chunked", _te(b"identity, chunked"), 501),
    ("S04-gzip-chunked", _te(b"gzip, chunked"), 501),
    ("S04-gzip", _te(b"gzip"), 501),
    ("S04-chunked-chunked", _te(b"chunked, chunked"), 400),
    ("S04-chunked-space-chunked", _te(b"chunked chunked"), 400),
    ("S04-quoted", _te(b'"chunked"'), 400),
    ("S04-tab", _te(b"\tchunked\t"), 400),
    ("S04-vt", _te(b"\x0bchunked"), 400),
    ("S04-ff", _te(b"chunked\x0c"), 400),
    ("S04-nul", _te(b"chunked\x00"), 400),
    ("S04-nbsp", _te(b"\xa0chunked"), 400),
    ("S04-comma", _te(b"chunked,"), 400),
    ("S04-comma-first", _te(b",chunked"), 400),
    ("S04-parameter", _te(b"chunked;x=y"), 400),
    ("S04-empty", _te(b""), 400),
    ("S04-two", _te(b"chunked", b"chunked"), 400),
    ("S04-two-identity", _te(b"identity", b"chunked"), 400),
    ("S04-space-before-colon", lines(b"Transfer-Encoding : chunked") + b"0\r\n\r\n", 400),
    ("S04-tab-before-colon", lines(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n", 400),
    ("S04-leading-space", lines(b" Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    ("S04-underscore", lines(b"Transfer_Encoding: chunked") + b"0\r\n\r\n", 400),
    ("S04-underscore-length", lines(b"Content_Length: 5") + b"hello", 400),
    ("S04-lf-in-value", lines(b"X: y\nTransfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    # S05: lengths that are none
    *(
        (f"S05-{value!r}", lines(b"Content-Length: " + value) + b"hello", 400)
        for value in (
            b"+5", b"-5", b"0x5", b"5_0", b"5.0", b"1e1", b"", "٥".encode(), b"5;a", b"99999999999999999999", b"5 5", b"\x0b5",
            b"5\x0c", b"5 ,", b'"5"', b"0000000000000000000000005",
        )
    ),
    # S07 is half here: an extension with a bare LF or a control
    # S09: line ends
    ("S09-bare-lf", b"GET /public/x HTTP/1.1\nHost: gw\n\n", 400),
    ("S09-lf-in-head", b"GET /public/x HTTP/1.1\r\nHost: gw\nX: y\r\n\r\n", 400),
    ("S09-cr-in-value", lines(b"X: a\rb"), 400),
    ("S09-cr-in-name", lines(b"X\r: ab"), 400),
    ("S09-cr-in-request-line", b"GET /public/x\r HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    ("S09-crcrlf", b"GET /public/x HTTP/1.1\r\r\nHost: gw\r\n\r\n", 400),
    ("S09-cr-smuggles-te", lines(b"X: a\rTransfer-Encoding: chunked"), 400),
    ("S09-lfcr", b"GET /public/x HTTP/1.1\r\nHost: gw\r\n\n\r\n\r\n", 400),
    # S10: controls
    *(
        (f"S10-{place}-{code:02x}", message, 400)
        for code in (0, 1, 8, 0x0B, 0x1F, 0x7F)
        for place, message in (
            ("value", lines(b"X: a" + bytes((code,)) + b"b")),
            ("name", lines(b"X" + bytes((code,)) + b": b")),
            ("target", lines(first=b"GET /public/" + bytes((code,)) + b" HTTP/1.1")),
            ("query", lines(first=b"GET /public/?" + bytes((code,)) + b" HTTP/1.1")),
        )
    ),
    # S11: folding
    ("S11-space", lines(b"X: a\r\n b"), 400),
    ("S11-tab", lines(b"X: a\r\n\tb"), 400),
    ("S11-first", lines(host=b" Host: gw"), 400),
    ("S11-host", lines(host=b"Host:\r\n gw"), 400),
    ("S11-te", lines(b"Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n", 400),
    # S12: names
    ("S12-space-before-colon", lines(b"X : y"), 400),
    ("S12-space-in-name", lines(b"X Y: y"), 400),
    ("S12-empty", lines(b": y"), 400),
    ("S12-no-colon", lines(b"X"), 400),
    ("S12-quotes", lines(b'"X": y'), 400),
    ("S12-bracket", lines(b"X[]: y"), 400),
    ("S12-latin", lines(b"X\xe4: y"), 400),
    ("S12-utf8", lines("Xä: y".encode()), 400),
    # S13: sizes
    ("S13-target", lines(first=b"GET /public/" + b"a" * 8192 + b" HTTP/1.1"), 414),
    ("S13-target-unfinished", b"GET /public/" + b"a" * 9000, 400),
    ("S13-line", lines(b"X: " + b"a" * 8190), 431),
    ("S13-block", lines(*(b"X-%d: " % n + b"a" * 8000 for n in range(5))), 431),
    ("S13-block-just", lines(*(b"X-%d: " % n + b"a" * 6550 for n in range(5))), 431),
    ("S13-block-unfinished", b"GET /public/x HTTP/1.1\r\n" + b"X: y\r\n" * 7000, 431),
    ("S13-lines", lines(*(b"X: y" for _ in range(100))), 431),
    # S15: expectations
    ("S15-other", lines(CL5, b"Expect: 200-ok"), 417),
    ("S15-obfuscated", lines(CL5, b"Expect: 100-continue, x"), 417),
    ("S15-twice", lines(CL5, b"Expect: 100-continue", b"Expect: 100-continue"), 417),
    ("S15-empty", lines(CL5, b"Expect: "), 417),
    ("S15-y", lines(CL5, b"Expect: y 100-continue"), 417),
    # S20: HTTP/1.0
    ("S20-te", lines(TE, first=b"POST /public/x HTTP/1.0") + b"0\r\n\r\n", 400),
    ("S20-te-keep-alive", lines(TE, b"Connection: keep-alive", first=b"POST /public/x HTTP/1.0") + b"0\r\n\r\n", 400),
    # S21: versions
    *(
        (f"S21-{version.decode() or 'none'}", lines(first=b"GET /public/x" + version), 400)
        for version in (
            b"", b" ", b" HTTP/1.", b" http/1.1", b" HTTP/1.1 ", b" RTSP/1.0", b" ICE/1.0", b" HTTP/1.1x", b" HTTP /1.1",
            b" HTTP/ 1.1", b" HTTP/+1.1", b"  HTTP/1.1", b"\tHTTP/1.1", b" HTTP/1,1", b" HTTP/1.1/", b" HTTP/-1.1",
        )
    ),
    *(
        (f"S21-{version.decode()}", lines(first=b"GET /public/x" + version), 505)
        for version in (b" HTTP/0.9", b" HTTP/1.2", b" HTTP/2.0", b" HTTP/1.10", b" HTTP/11", b" HTTP/2", b" HTTP/01.1")
    ),
    ("S21-pri", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("S21-pri-1.1", b"PRI * HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    # S22: strip abuse
    *(
        (f"S22-{name.decode()}", lines(b"Connection: " + name, b"X-Client-Id: evil"), 400)
        for name in (
            b"X-Client-Id", b"x-client-scopes", b"Authorization", b"close, X-Forwarded-For", b"Content-Length", b"Host", b"Via",
            b"Transfer-Encoding", b"Forwarded", b"x-request-id", b"x-gateway-peer", b"keep-alive,\tHost",
        )
    ),
    ("S22-two-lines", lines(b"Connection: close", b"Connection: Host"), 400),
    # S25: absolute form
    ("S25-other-host", lines(first=b"GET http://other/public/x HTTP/1.1"), 400),
    ("S25-other-port", lines(first=b"GET http://gw:81/public/x HTTP/1.1"), 400),
    ("S25-userinfo", lines(first=b"GET http://u@gw/public/x HTTP/1.1"), 400),
    ("S25-no-host", b"GET http://gw/public/x HTTP/1.1\r\n\r\n", 400),
    ("S25-1.0-no-host", b"GET http://gw/public/x HTTP/1.0\r\n\r\n", 400),
    ("S25-1.0-empty-authority", b"GET http:///public/x HTTP/1.0\r\n\r\n", 400),
    ("S25-fragment", lines(first=b"GET http://gw/public/x#y HTTP/1.1"), 400),
    ("S25-ftp", lines(first=b"GET ftp://gw/public/x HTTP/1.1"), 400),
    ("S25-dots", lines(first=b"GET http://gw/public/../admin/x HTTP/1.1"), 400),
    # S26: other forms
    ("S26-authority", lines(first=b"GET gw:80 HTTP/1.1"), 400),
    ("S26-star", lines(first=b"GET * HTTP/1.1"), 400),
    ("S26-relative", lines(first=b"GET admin HTTP/1.1"), 400),
    ("S26-two-slashes", lines(first=b"GET //gw/x HTTP/1.1"), 400),
    ("S26-query", lines(first=b"GET ?x HTTP/1.1"), 400),
    ("S26-connect", lines(first=b"CONNECT gw:443 HTTP/1.1"), 405),
    ("S26-connect-path", lines(first=b"CONNECT /public/x HTTP/1.1"), 405),
    # S27: hosts
    ("S27-missing", b"GET /public/x HTTP/1.1\r\n\r\n", 400),
    ("S27-two", lines(b"Host: gw"), 400),
    ("S27-two-differ", lines(b"Host: other"), 400),
    *(
        (f"S27-{host!r}", lines(host=b"Host: " + host), 400)
        for host in (
            b"", b" ", b"gw, other", b"u@gw", b"gw/x", b"gw:x", b"gw:", b"gw:99999", b"gw\\x", b"gw..x", b"..", b"[::1",
            b"[::1]x",
            b"gw?x", b"gw#x", b"gw x", b"%67w", b"gw:80:80", b"\xe4", b"http://gw", b".gw", b":80", b"[zz]",
        )
    ),
    # S28: characters of the target
    *(
        (f"S28-path-{code:02x}", lines(first=b"GET /public/a" + bytes((code,)) + b"b HTTP/1.1"), 400)
        for code in b'# "<>^`{|}\\[]\x80\xe4\xff'
    ),
    *(
        (f"S28-query-{code:02x}", lines(first=b"GET /public/?a" + bytes((code,)) + b"b HTTP/1.1"), 400)
        for code in b"# \x80\xe4\xff"
    ),
    # S29: methods
    ("S29-lower", lines(first=b"get /public/x HTTP/1.1"), 400),
    ("S29-space", lines(first=b"G ET /public/x HTTP/1.1"), 400),
    ("S29-unknown", lines(first=b"FOO /public/x HTTP/1.1"), 400),
    ("S29-long", lines(first=b"G" * 1024 + b" /public/x HTTP/1.1"), 400),
    ("S29-odd", lines(first=b'G=":<> /public/x HTTP/1.1'), 400),
    ("S29-empty", lines(first=b" /public/x HTTP/1.1"), 400),
    # S31: rubbish
    ("S31-crlf-2", b"\r\n\r\n" + get("/public/x"), 400),
    ("S31-crlf-100", b"\r\n" * 100 + get("/public/x"), 400),
    ("S31-spaces", b"   \r\n" + get("/public/x"), 400),
    ("S31-space-first", b" " + get("/public/x"), 400),
    ("S31-lf", b"\n" + get("/public/x"), 400),
    ("S31-cr", b"\r" + get("/public/x"), 400),
    ("S31-tls", bytes.fromhex("160301020001000001fc0303") + bytes(range(256)), 400),
    ("S31-binary", bytes(range(255, 0, -1)), 400),
    # S32: twice what stands once
    ("S32-authorization", lines(b"Authorization: Bearer a", b"Authorization: Bearer b"), 400),
    ("S32-authorization-body", lines(b"Authorization: a", b"Authorization: b", CL5) + b"hello", 400),
    ("S32-authorization-chunked", lines(b"Authorization: a", b"Authorization: b", TE), 400),
    ("S32-content-type", lines(b"Content-Type: a/b", b"Content-Type: a/b"), 400),
]  # fmt: skip


@pytest.mark.parametrize(("message", "status"), [pytest.param(m, s, id=i) for i, m, s in REFUSED])
async def test_it_is_refused_whole(rig: Rig, message: bytes, status: int) -> None:
    """G1, G4: one answer that says nothing of the request, the connection's end, and not a byte for the origin."""
    client = await rig.client()
    await client.send(message + SMUGGLED)
    answer = await client.response()
    assert_refusal(answer, status)
    await client.assert_closed()
    assert rig.origin.bytes_seen == b""
    await rig.assert_unharmed()


@pytest.mark.parametrize(("message", "status"), [pytest.param(m, s, id=i) for i, m, s in REFUSED])
async def test_it_is_refused_whole_on_a_used_connection(rig: Rig, message: bytes, status: int) -> None:
    """The same as the second request of a connection, in two pieces that tear it in the middle."""
    client, down = await rig.connected()
    await client.assert_kept()
    seen = len(rig.origin.bytes_seen)
    middle = len(message) // 2
    down.data_received(message[:middle])
    if down._state == 0:
        down.data_received(message[middle:] + SMUGGLED)
    assert_refusal(await client.response(), status)
    await client.assert_closed()
    assert len(rig.origin.bytes_seen) == seen


@pytest.mark.parametrize(("message", "status"), [pytest.param(m, s, id=i) for i, m, s in REFUSED if len(m) < 500])
async def test_it_is_refused_whole_byte_by_byte(rig: Rig, message: bytes, status: int) -> None:
    """S13: a fault may be seen sooner than the whole head, and then as the general one; never as none."""
    client, down = await rig.connected()
    for byte in message + SMUGGLED:
        if down._state == 0:
            down.data_received(bytes((byte,)))
    answer = await client.response()
    assert_refusal(answer, answer.status)
    assert answer.status in (status, 400)
    await client.assert_closed()
    assert rig.origin.bytes_seen == b""


BAD_CHUNKS = [
    ("S06-hex-prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("S06-plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("S06-minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    ("S06-underscore", b"5_0\r\nhello\r\n0\r\n\r\n"),
    ("S06-space-after", b"5 \r\nhello\r\n0\r\n\r\n"),
    ("S06-space-before", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("S06-overflow", b"FFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n"),
    ("S06-empty", b"\r\nhello\r\n0\r\n\r\n"),
    ("S06-no-crlf-after-data", b"5\r\nhello0\r\n\r\n"),
    ("S06-lf-after-data", b"5\r\nhello\n0\r\n\r\n"),
    ("S06-cr-after-data", b"5\r\nhello\r0\r\n\r\n"),
    ("S06-data-too-long", b"5\r\nhello!\r\n0\r\n\r\n"),
    ("S06-lf-after-size", b"5\nhello\r\n0\r\n\r\n"),
    ("S06-cr-in-size", b"5\r5\r\nhello\r\n0\r\n\r\n"),
    ("S06-not-hex", b"g\r\nhello\r\n0\r\n\r\n"),
    ("S07-long-extension", b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n"),
    ("S07-lf-in-extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("S07-cr-in-extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("S07-nul-in-extension", b"5;a\x00\r\nhello\r\n0\r\n\r\n"),
    ("S07-crlf-in-quotes", b'5;a="\r\nGET /public/smuggled HTTP/1.1\r\n\r\n"\r\nhello\r\n0\r\n\r\n'),
    ("S07-many-extensions", b"".join(b"1;" + b"a" * 1000 + b"\r\nx\r\n" for _ in range(20)) + b"0\r\n\r\n"),
    ("S08-trailers-too-long", b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n"),
    ("S08-trailer-malformed", b"0\r\nX\r\n\r\n"),
    ("S08-trailer-lf", b"0\r\nX: y\n\r\n\r\n"),
    ("S08-trailer-space-before-colon", b"0\r\nX : y\r\n\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("good", [b"", chunk(b"first")], ids=["first-chunk", "later-chunk"])
@pytest.mark.parametrize("body", [pytest.param(b, id=i) for i, b in BAD_CHUNKS])
async def test_a_broken_chunked_body_never_becomes_a_whole_request(rig: Rig, body: bytes, good: bytes) -> None:
    """400 and the end; the origin may have seen a beginning, but never its end, and its connection is not used again."""
    client = await rig.client()
    await client.assert_kept()
    await client.send(get("/public/x", "Transfer-Encoding: chunked", method="POST") + good)
    await rig.eventually(lambda: b"POST" in rig.origin.bytes_seen)
    await client.send(body + SMUGGLED)
    assert_refusal(await client.response(), 400)
    await client.assert_closed()
    assert [request.target for request in rig.origin.requests] == [b"/public/kept"]
    assert b"smuggled" not in rig.origin.bytes_seen
    assert b"0\r\n\r\n" not in rig.origin.bytes_seen
    await rig.origin.connections[0].rest()
    await rig.assert_unharmed()
    assert len(rig.origin.connections) == 2


ACCEPTED = [
    ("S04-case", _te(b"CHUNKED"), b"/public/x"),
    ("S05-zeros", lines(b"Content-Length: 005") + b"hello", b"/public/x"),
    ("S07-extension", _chunks(b'5;a=b;c="d \t"\r\nhello\r\n0;x\r\n\r\n'), b"/public/x"),
    ("S13-just-fits", lines(b"X: " + b"a" * 8180, *(b"X-%d: y" % n for n in range(98))), b"/public/x"),
    ("S13-target-just-fits", lines(first=b"GET /public/" + b"a" * 8184 + b" HTTP/1.1"), b"/public/" + b"a" * 8184),
    ("S22-ordinary", lines(b"Connection: X-Mine, keep-alive", b"X-Mine: y"), b"/public/x"),
    ("S25-absolute", lines(first=b"GET http://gw/public/x?y HTTP/1.1"), b"/public/x?y"),
    ("S25-absolute-case", lines(first=b"GET HTTP://GW/public/x HTTP/1.1"), b"/public/x"),
    ("S28-query-encoded-once", lines(first=b'GET /public/x?"<>^`{|} HTTP/1.1'), b"/public/x?%22%3C%3E%5E%60%7B%7C%7D"),
    ("S28-query-untouched", lines(first=b"GET /public/x?%zz%&a=%2F../;[] HTTP/1.1"), b"/public/x?%zz%&a=%2F../;[]"),
    ("S31-crlf", b"\r\n" + get("/public/x"), b"/public/x"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "target"), [pytest.param(m, t, id=i) for i, m, t in ACCEPTED])
async def test_it_is_served(rig: Rig, message: bytes, target: bytes) -> None:
    """G3: what is odd but allowed is written anew; the next request on the connection begins where it should."""
    client = await rig.client()
    answer = await client.ask(message)
    assert (answer.status, rig.origin.requests[0].target) == (200, target)
    await client.assert_kept()


@pytest.mark.parametrize(("message", "target"), [pytest.param(m, t, id=i) for i, m, t in ACCEPTED if len(m) < 2000])
async def test_it_is_served_byte_by_byte(rig: Rig, message: bytes, target: bytes) -> None:
    """S13: how a message is cut into segments changes nothing."""
    client, down = await rig.connected()
    for byte in message + get("/public/kept"):
        down.data_received(bytes((byte,)))
    assert (await client.response()).status == (await client.response()).status == 200
    assert [request.target for request in rig.origin.requests] == [target, b"/public/kept"]


async def test_s08_trailers_are_dropped(rig: Rig) -> None:
    """No field of a trailer section reaches the upstream, least of all one with a name that matters."""
    trailers = b"Content-Length: 5\r\nHost: evil\r\nAuthorization: evil\r\nX-Client-Id: evil\r\nTransfer-Encoding: evil\r\n"
    client = await rig.client()
    answer = await client.ask(post_chunked("/public/x", b"hello", last=False) + b"0\r\n" + trailers + b"\r\n")
    assert answer.status == 200
    (request,) = rig.origin.requests
    assert (request.body, request.trailers) == (b"hello", b"")
    assert b"evil" not in rig.origin.bytes_seen
    await client.assert_kept()


async def test_s13_memory_is_bounded_while_a_head_arrives(rig: Rig) -> None:
    """A head that never ends is refused as soon as it is too long."""
    client, down = await rig.connected()
    fed = 0
    down.data_received(b"GET /public/x HTTP/1.1\r\n")
    while down._state == 0:
        down.data_received(b"X: " + b"y" * 997 + b"\r\n")
        fed += 1002
        assert len(down._buffer) <= 42_000
    assert (await client.response()).status == 431
    assert fed < 42_000


@pytest.mark.parametrize("upgrade", ["foo", "websocket", "h2c", "TLS/1.2"])
async def test_s24_an_upgrade_is_an_ordinary_request(rig: Rig, upgrade: str) -> None:
    """Nothing is tunnelled: the origin never hears of it, and the next request is one."""
    client = await rig.client()
    wanted = get("/public/x", f"Upgrade: {upgrade}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMA")
    await client.send(wanted + SMUGGLED)
    assert (await client.response()).status == (await client.response()).status == 200
    assert [r.target for r in rig.origin.requests] == [b"/public/x", b"/public/smuggled"]
    assert all(r.one("upgrade") is r.one("connection") is r.one("http2-settings") is None for r in rig.origin.requests)
    await client.assert_kept()


async def test_s24_an_upgrade_with_a_body_keeps_its_framing(rig: Rig) -> None:
    """llhttp leaves the body of an upgrade to somebody else."""
    client = await rig.client()
    await client.send(post("/public/x", SMUGGLED, "Upgrade: foo", "Connection: upgrade"))
    assert (await client.response()).status == 200
    (request,) = rig.origin.requests
    assert request.body == SMUGGLED
    await client.assert_kept()


@pytest.mark.parametrize("method", ["TRACE", "TRACK"])
async def test_s26_trace_is_not_allowed(rig: Rig, method: str) -> None:
    """TRACE echoes credentials."""
    client = await rig.client()
    assert (await client.ask(get("/public/x", method=method))).status in (400, 405)
    assert rig.origin.bytes_seen == b""


async def test_s26_options_star_is_answered_here(rig: Rig) -> None:
    """It asks about the gateway itself."""
    client = await rig.client()
    answer = await client.ask(get("*", method="OPTIONS"))
    assert answer.status in (200, 204, 404)
    assert rig.origin.bytes_seen == b""
    await client.assert_kept()


async def test_s29_a_method_outside_the_routes_is_405(rig: Rig) -> None:
    """With Allow, and without a method override."""
    client = await rig.client()
    answer = await client.ask(get("/v1/orders/1", "X-HTTP-Method-Override: GET", method="DELETE", auth=True))
    assert (answer.status, answer.one("allow")) == (405, b"GET, HEAD, POST")
    assert rig.origin.bytes_seen == b""
    await client.assert_kept()


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_s30_a_body_is_framed_whatever_the_method(rig: Rig, method: str) -> None:
    """A body of a GET is a body, not a request."""
    client = await rig.client()
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    await client.send(get("/public/x", f"Content-Length: {len(SMUGGLED)}", method=method) + SMUGGLED)
    assert (await client.response(method)).status == 200
    (request,) = rig.origin.requests
    assert request.body == SMUGGLED
    assert (await client.ask(get("/public/y"))).status == 200


async def test_s19_each_pipelined_request_is_authorized_by_itself(rig: Rig) -> None:
    """200, then 401: what the first was allowed says nothing of the second."""
    client = await rig.client()
    await client.send(get("/v1/resource", auth=True) + get("/v1/resource") + get("/v1/resource", auth=True))
    assert [(await client.response()).status for _ in range(3)] == [200, 401, 200]
    assert len(rig.origin.requests) == 2


async def test_a_token_in_the_query_is_no_token(rig: Rig) -> None:
    """O13: RFC 6750 section 2.3 is off, and the access log has no query."""
    client = await rig.client()
    token = AUTH.split()[2].decode()
    answer = await client.ask(get(f"/v1/resource?access_token={token}"))
    assert (answer.status, b"error" in answer.one("www-authenticate")) == (401, False)
    assert token.encode() not in answer.body + answer.one("www-authenticate")
    assert token not in str(rig.logged())
