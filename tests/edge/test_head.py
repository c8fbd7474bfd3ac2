"""Header rules: whose names are whose (H cases of hardening.md section 2.3), and how heads are read beside other parsers."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.edge.chunks import ChunkDecoder, ChunkError
from gateway.edge.head import BadResponse, Peer, RequestReader, ResponseReader
from gateway.errors import GatewayError
from tests.edge.other_parsers import aiohttp_reads, llhttp_reads
from tests.edge.rig import AUTH, Rig, get

IDENTITY = ["X-Client-Id", "X-Client-Scopes", "X-Token-Subject", "X-Token-Issuer"]
SPOOFABLE = [
    "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Uri", "X-Forwarded-Prefix",
    "Forwarded",
    "X-Real-IP", "X-Original-URL", "X-Rewrite-URL", "X-Original-Method", "X-Gateway-Peer", "X-Gateway-Scheme",
    "X-Client-Cert", "Via",
    "X-Request-Id", "X-Gateway-Request-Id", "X-Client-IP", "Proxy",
]  # fmt: skip
HOP_BY_HOP = ["TE", "Trailer", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Upgrade",
"HTTP2-Settings"]


def disguises(name: str) -> list[str]:
    """The same name as a careless back end would see it."""
    mixed = "".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(name))
    return [name, name.lower(), name.upper(), mixed, name.replace("-", "_"), name.upper().replace("-", "_", 1),
    mixed.replace("-", "_")]


@pytest.mark.parametrize("target", ["/v1/resource", "/public/x", "/under/x", "/keeps/x"])
@pytest.mark.parametrize("name", IDENTITY + SPOOFABLE)
async def test_h01_h02_h03_h04_h07_a_name_of_ours_is_ours_alone(rig: Rig, name: str, target: str) -> None:
    """In every disguise, twice, on open routes and on those that allow underscores: nothing the client said gets through."""
    client = await rig.client()
    lines = [f"{disguise}: evil" for disguise in disguises(name)] * 2
    assert (await client.ask(get(target, *lines, auth=True))).status == 200
    (request,) = rig.origin.requests
    assert b"evil" not in request.raw
    assert b"_" not in b"".join(known.encode() for known, _ in request.lines)
    assert request.one("x-client-id") == (None if target in ("/public/x", "/under/x") else b"gwc_me")
    assert request.one("x-forwarded-for") == b"127.0.0.1"
    assert request.one("x-forwarded-host") == b"gw"
    assert request.one("x-forwarded-proto") == b"http"
    assert request.one("forwarded") == b'for=127.0.0.1;proto=http;host="gw"'
    assert request.one("via") == b"1.1 gateway"
    assert len(request.all("x-request-id")) == 1


@given(st.lists(st.tuples(st.sampled_from(IDENTITY + SPOOFABLE), st.integers(0, 2**20), st.integers(0, 2**10)), max_size=6))
def test_h01_whatever_the_disguise(names: list[tuple[str, int, int]]) -> None:
    """Any case of any letter, any dash as underscore: no client byte under a name of ours is among the lines that go out."""
    lines = b""
    for name, cases, dashes in names:
        letters = [c.upper() if cases >> i % 20 & 1 else c.lower() for i, c in enumerate(name)]
        written = "".join("_" if c == "-" and dashes >> i % 10 & 1 else c for i, c in enumerate(letters))
        lines += written.encode() + b": evil\r\n"
    reader = RequestReader()
    reader.read(b"GET /x HTTP/1.1\r\nHost: gw\r\nX-Mine: fine\r\n" + lines + b"\r\n")
    assert b"".join(reader.lines) == b"X-Mine: fine\r\n"
    assert reader.underscored == []
    assert b"evil" not in Peer("127.0.0.1", "http", trusted=False).lines(b"gw", reader.forwarding)


@pytest.mark.parametrize(("target", "passes"), [("/public/x", False), ("/under/x", True)])
async def test_h03_other_names_with_an_underscore_need_leave(rig: Rig, target: str, *, passes: bool) -> None:
    """``allow: [underscore_headers]``; framing and identity never."""
    client = await rig.client()
    message = get(target, "X_Mine: a", "X_Client_Id: evil", "Content_Type: b", "Connection: x_gone", "X_Gone: c")
    assert (await client.ask(message)).status == 200
    assert rig.origin.requests[0].one("x_mine") == (b"a" if passes else None)
    assert b"evil" not in rig.origin.bytes_seen
    assert b"X_Gone" not in rig.origin.bytes_seen


@pytest.mark.parametrize("name", HOP_BY_HOP)
async def test_s23_hop_by_hop_headers_end_here(rig: Rig, name: str) -> None:
    """RFC 9110 section 7.6.1."""
    client = await rig.client()
    assert (await client.ask(get("/public/x", f"{name}: evil", f"Connection: {name}"))).status == 200
    assert b"evil" not in rig.origin.bytes_seen
    assert rig.origin.requests[0].one("connection") is None


async def test_s22_what_connection_lists_is_dropped(rig: Rig) -> None:
    """In any case, over two lines; what the gateway sets is set afterwards."""
    client = await rig.client()
    message = get("/v1/resource", "Connection: X-ONE", "connection: keep-alive ,\tx-two", "X-One: a", "x-two: b",
    "X-Three: c", auth=True)
    assert (await client.ask(message)).status == 200
    (request,) = rig.origin.requests
    assert (request.one("x-one"), request.one("x-two"), request.one("x-three")) == (None, None, b"c")
    assert request.one("x-client-id") == b"gwc_me"


@pytest.mark.parametrize(("target", "kept"), [("/v1/resource", False), ("/public/x", False), ("/keeps/x", True)])
async def test_h09_authorization_stays_here(rig: Rig, target: str, *, kept: bool) -> None:
    """Unless the route asks for it."""
    client = await rig.client()
    assert (await client.ask(get(target, auth=True))).status == 200
    assert rig.origin.requests[0].one("authorization") == (AUTH[15:-2] if kept else None)


async def test_h10_the_upstream_gets_its_own_host(rig: Rig) -> None:
    """The configured target; the client's stands in X-Forwarded-Host."""
    client = await rig.client()
    await client.ask(get("/public/x", host="other.example:81"))
    await client.ask(get("/public/x", host="gw"))
    first, second = rig.origin.requests
    assert first.one("host") == second.one("host") == b"127.0.0.1:%d" % rig.origin.port
    assert (first.one("x-forwarded-host"), second.one("x-forwarded-host")) == (b"other.example:81", b"gw")
    assert first.one("forwarded") == b'for=127.0.0.1;proto=http;host="other.example:81"'


async def test_h04_h05_a_trusted_peer_is_appended_to(unstarted: Rig) -> None:
    """Its chain, its request id if it is sane; the log names the peer and not what it says."""
    rig = await unstarted.start(trusted_proxies=["127.0.0.0/8"])
    client = await rig.client()
    lines = [
        "X-Forwarded-For: 203.0.113.1", "x-forwarded-for: 198.51.100.2", "X-Forwarded-Proto: https",
        "X-Forwarded-Host: api.example",
        "Forwarded: for=203.0.113.1", "Via: 1.1 front", "X-Request-Id: abc-1", "X-Client-Id: evil", "X-Forwarded-Port: evil",
    ]  # fmt: skip
    await client.ask(get("/public/x", *lines))
    await client.ask(get("/public/x"))
    await client.ask(get("/public/x", "X-Request-Id: a b", "X-Forwarded-For: unknown, [::1]:80, " + "10.0.0.1, " * 500))
    first, second, third = rig.origin.requests
    assert first.one("x-forwarded-for") == b"203.0.113.1, 198.51.100.2, 127.0.0.1"
    assert (first.one("x-forwarded-proto"), first.one("x-forwarded-host")) == (b"https", b"api.example")
    assert first.one("forwarded") == b'for=203.0.113.1, for=127.0.0.1;proto=http;host="gw"'
    assert (first.one("via"), first.one("x-request-id")) == (b"1.1 front, 1.1 gateway", b"abc-1")
    assert b"evil" not in first.raw
    assert second.one("x-forwarded-for") == b"127.0.0.1"
    assert second.one("x-request-id") != b"abc-1"
    assert b" " not in (third.one("x-request-id") or b"")
    assert {line["peer"] for line in rig.logged()} == {"127.0.0.1"}


async def test_h06_a_user_agent_opens_nothing(rig: Rig) -> None:
    """Nor does a health header."""
    client = await rig.client()
    for agent in ("kube-probe/1.29", "GoogleHC/1.0", "ELB-HealthChecker/2.0"):
        assert (await client.ask(get("/v1/resource", f"User-Agent: {agent}", "X-Health: 1"))).status == 401
    assert rig.origin.bytes_seen == b""


async def test_what_is_nobodys_passes_unchanged(rig: Rig) -> None:
    """Order, case, repetition, empty and non-ASCII values."""
    lines = ["X-A: 1", "Cookie: a=b", "x-a: 2", "X-Empty:", "X-Latin: \xe4", "User-Agent: ua", "Accept: */*",
    "Content-Type: text/plain"]
    client = await rig.client()
    assert (await client.ask(get("/public/x", *lines))).status == 200
    made_here = ("X-F", "For", "Via", "Host", "X-Req")
    assert [(name, value) for name, value in rig.origin.requests[0].lines if not name.startswith(made_here)] == [
        ("X-A", b"1"), ("Cookie", b"a=b"), ("x-a", b"2"), ("X-Empty", b""), ("X-Latin", b"\xe4"), ("User-Agent", b"ua"),
        ("Accept", b"*/*"),
        ("Content-Type", b"text/plain"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "host", "expected"),
    [
        ("192.0.2.1", b"gw", b'for=192.0.2.1;proto=http;host="gw"'),
        ("2001:db8::1", b"gw:80", b'for="[2001:db8::1]";proto=http;host="gw:80"'),
        ("", b"", b"for=unknown;proto=http"),
    ],
)
def test_rfc7239_forwarded(address: str, host: bytes, expected: bytes) -> None:
    """RFC 7239 sections 4 and 6: IPv6 in brackets and quotes; a host only when there is one."""
    peer = Peer(address, "http", trusted=False)
    lines = dict(line.split(b": ", 1) for line in peer.lines(host, {}).removesuffix(b"\r\n").split(b"\r\n"))
    assert lines[b"Forwarded"] == expected
    assert lines.get(b"X-Forwarded-Host") == (host or None)


def test_a_peer_keeps_hosts_apart() -> None:
    """The lines are kept for one host, and written anew for another."""
    peer = Peer("192.0.2.1", "http", trusted=False)
    assert peer.lines(b"a", {}) is peer.lines(b"a", {})
    assert b"X-Forwarded-Host: b\r\n" in peer.lines(b"b", {})
    assert b"X-Forwarded-Host: a\r\n" in peer.lines(b"a", {})


# --- beside other parsers ---------------------------------------------------------------------------------------------

SEEDS = [
    b"GET /a/b?c=d HTTP/1.1\r\nHost: gw\r\nX-A: b\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nContent-Type: a/b\r\n\r\nhello",
    b"POST /x HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, X-A\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET http://gw/x HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n",
    b"\r\nDELETE /x HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
]
SNIPPETS = [
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\x0b", b":", b",", b";", b"chunked",
    b"Transfer-Encoding: chunked\r\n", b"_",
    b"Content-Length: 3\r\n", b"Content-Length: 5\r\n", b"Host: x\r\n", b"X: y\r\n z\r\n", b"0", b"+", b"\xff", b"HTTP/1.1",
    b"identity, ", b"#",
    b"Transfer-Encoding: identity\r\n", b"\r\nGET /smuggled HTTP/1.1\r\n", b"Connection: Host\r\n", b"HEAD", b"\x85",
    b"\xa0", b"%0d%0a", b'"',
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A request with up to four wounds."""
    message = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(message)))
        size = draw(st.integers(0, 4))
        message[at : at + size] = draw(st.sampled_from([*SNIPPETS, b""]))
    return bytes(message)


def ours(message: bytes) -> tuple[RequestReader, bytes] | None:
    """What the edge reads first of these bytes, and what follows the head."""
    if message.startswith(b"\r\n"):
        message = message[2:]
    end = message.find(b"\r\n\r\n") + 4
    if end == 3:
        return None
    reader = RequestReader()
    try:
        reader.read(message[:end])
    except GatewayError:
        return None
    return reader, message[end:]


def _body_length(reader: RequestReader, rest: bytes) -> int:
    """Bytes of the body, all that is there when it is broken."""
    if not reader.chunked:
        return reader.content_length or 0
    try:
        return ChunkDecoder().feed(rest)[1]
    except ChunkError:
        return len(rest)


@example(b"POST /x HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n")
@given(mutated())
def test_what_ours_accepts_the_others_read_alike(message: bytes) -> None:
    """
    Method, target and framing, by aiohttp's Python parser and by llhttp.

    Where aiohttp refuses what we accept, it is one of `_aiohttp_is_stricter`.
    """
    read = ours(message)
    if read is None:
        return
    reader, rest = read
    message = message[: len(message) - len(rest) + _body_length(reader, rest)]  # what follows is another request
    assert (message[2:] if message.startswith(b"\r\n") else message).startswith(reader.method)
    raw = llhttp_reads(message)
    if not (reader.chunked and raw is None):  # then its body may be what llhttp refuses; ours is read later, as strictly
        assert raw is not None
        assert (raw.method, raw.target) == (reader.method, reader.target)
    other = aiohttp_reads(message)
    if other is None:
        assert reader.chunked or _aiohttp_is_stricter(reader, message)
        return
    assert (other.method, other.target) == (reader.method, reader.target)
    assert (other.chunked, other.length) == (reader.chunked, reader.content_length or 0)


def _aiohttp_is_stricter(reader: RequestReader, message: bytes) -> bool:
    """Bytes above ASCII in a target, which the target's own rules refuse; and an absolute target that yarl can't read."""
    return any(byte > 0x7E or byte < 0x21 for byte in reader.target) or not reader.target.startswith(b"/") or b"\xff" in message


@given(mutated())
def test_a_reader_that_read_before_reads_the_same(message: bytes) -> None:
    """Nothing of an earlier request, accepted or repeated, colours a later one."""
    fresh = ours(message)
    used = RequestReader()
    used.read(b"GET /a/b?c=d HTTP/1.1\r\nHost: gw\r\nX-A: b\r\nAuthorization: Bearer x\r\n\r\n")
    used.read(b"GET /other HTTP/1.1\r\nHost: gw\r\nX-A: b\r\nAuthorization: Bearer x\r\n\r\n")
    end = message.find(b"\r\n\r\n", 4) + 4
    head = message[2:end] if message.startswith(b"\r\n") else message[: message.find(b"\r\n\r\n") + 4]
    if fresh is None:
        if head:
            with pytest.raises(GatewayError):
                used.read(head)
        return
    used.read(head)
    reader, _ = fresh
    for name in (
        "authorization", "chunked", "content_length", "expects_continue", "forwarding", "host", "http10", "keep_alive",
        "lines", "method",
        "target", "underscored", "upgrade", "token_digest",
    ):  # fmt: skip
        assert getattr(used, name) == getattr(reader, name), name


@given(st.binary(max_size=80))
def test_no_bytes_of_an_answer_crash_the_reader(tail: bytes) -> None:
    """They are read, or refused; and what is read has one line a header."""
    for before in (b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n"):
        head = before + tail + b"\r\n\r\n"
        if head.find(b"\r\n\r\n") != len(head) - 4:
            continue
        try:
            answer = ResponseReader(head)
        except BadResponse:
            continue
        assert all(line.count(b"\n") == 1 == line.count(b"\r") and line.endswith(b"\r\n") for line in answer.lines)
        assert b"\r" not in answer.status_line
        assert b"\n" not in answer.status_line
