"""Headers of routes that change them, and the H cases of hardening.md section 2.3 that have no test elsewhere."""

from __future__ import annotations

import re

import msgpack
import pytest

from gateway.config.model import Config
from gateway.guard.verdict import Verdict
from gateway.oauth.tokens import find_partition
from gateway.store.codec import CorruptRecord, decode_token
from tests.edge.frames import agree, hello
from tests.edge.rig import OK, Rig, get, post


@pytest.mark.parametrize(
    ("host", "sent"), [("api.example:8443", b"api.example:8443"), ("API.example.", b"API.example."), ("[::1]:80", b"[::1]:80")]
)
async def test_h10_a_route_may_pass_the_client_s_host_on(unstarted: Rig, host: str, sent: bytes) -> None:
    """As the client wrote it, validated; other routes on the same connection keep the target's own."""
    routes = [{"path": "/kept/", "upstream": "a", "public": True, "preserve_host": True}]
    rig = await unstarted.start(routes=[*routes, {"path": "/public/", "upstream": "a", "public": True}])
    client = await rig.client()
    for target in ("/kept/x", "/public/x", "/kept/x"):
        assert (await client.ask(get(target, host=host))).status == 200
    assert [request.one("host") for request in rig.origin.requests] == [sent, b"127.0.0.1:%d" % rig.origin.port, sent]
    assert len(rig.origin.connections) == 1


async def test_h10_without_a_host_there_is_none_to_pass_on(unstarted: Rig) -> None:
    """HTTP/1.0 need not send one; an invalid one is 400 whatever the route."""
    rig = await unstarted.start(routes=[{"path": "/kept/", "upstream": "a", "public": True, "preserve_host": True}])
    client = await rig.client()
    assert (await client.ask(b"GET /kept/x HTTP/1.0\r\n\r\n")).status == 200
    assert rig.origin.requests[0].one("host") == b"127.0.0.1:%d" % rig.origin.port
    for host in ("evil\\.example", "a@b", "gw, evil", "gw:99999"):
        assert (await (await rig.client()).ask(get("/kept/x", host=host))).status == 400
    assert len(rig.origin.requests) == 1


# --- request_headers and response_headers -----------------------------------------------------------------------------

EDITED = {
    "path": "/edited/", "upstream": "a", "public": True, "allow": ["underscore_headers"],
    "request_headers": {
        "set": {"X-Api-Key": "of the route", "Authorization": "Basic eA==", "User-Agent": "gateway"},
        "add": {"X-List": "b"}, "remove": ["Cookie", "X_Loose"],
    },
    "response_headers": {"set": {"Server": "none"}, "add": {"X-List": "d"}, "remove": ["X-Powered-By"]},
}  # fmt: skip
PLAIN = {"path": "/public/", "upstream": "a", "public": True}


async def test_a_route_edits_what_its_upstream_gets(unstarted: Rig) -> None:
    """After everything was stripped; the same connection's other routes see nothing of it."""
    rig = await unstarted.start(routes=[EDITED, PLAIN])
    client = await rig.client()
    lines = ["X-API-KEY: a", "x-api-key: b", "X-List: a", "Cookie: c=d", "X_Loose: e", "Authorization: evil", "User-Agent: ua"]
    for target in ("/edited/x", "/public/x", "/edited/x"):
        assert (await client.ask(get(target, *lines))).status == 200
    first, second, third = rig.origin.requests
    for request in (first, third):
        assert (request.one("x-api-key"), request.one("authorization")) == (b"of the route", b"Basic eA==")
        assert (request.all("x-list"), request.one("user-agent")) == ([b"a", b"b"], b"gateway")
        assert (request.one("cookie"), request.one("x_loose")) == (None, None)
    assert (second.all("x-api-key"), second.all("x-list"), second.one("cookie")) == ([b"a", b"b"], [b"a"], b"c=d")
    assert second.one("authorization") is None


async def test_s22_what_a_route_sets_no_client_takes_off_by_listing_it(unstarted: Rig) -> None:
    """RFC 9110 section 7.6.1: stripped first, set afterwards."""
    rig = await unstarted.start(routes=[EDITED])
    client = await rig.client()
    assert (await client.ask(get("/edited/x", "Connection: X-Api-Key, X-List", "X-Api-Key: evil", "X-List: evil"))).status == 200
    (request,) = rig.origin.requests
    assert (request.one("x-api-key"), request.one("x-list"), request.one("connection")) == (b"of the route", b"b", None)
    assert b"evil" not in request.raw


async def test_a_route_s_own_credentials_replace_the_client_s(unstarted: Rig) -> None:
    """Even where the route passes Authorization on; the token still decides."""
    rig = await unstarted.start(routes=[{**EDITED, "public": False, "forward_authorization": True}])
    client = await rig.client()
    assert (await client.ask(get("/edited/x"))).status == 401
    assert (await client.ask(get("/edited/x", auth=True))).status == 200
    assert rig.origin.requests[0].one("authorization") == b"Basic eA=="


@pytest.mark.parametrize("framing", ["length", "chunked", "close", "none"])
async def test_a_route_edits_the_answers_of_its_upstream(unstarted: Rig, framing: str) -> None:
    """However they are framed, remembered or not; other routes get the same head unedited."""
    rig = await unstarted.start(routes=[EDITED, PLAIN])
    head = b"HTTP/1.1 %b OK\r\nserver: x\r\nX-Powered-By: php\r\nX-List: c\r\nX-Mine: m\r\n"
    rig.origin.replies({
        "length": head % b"200" + b"Content-Length: 2\r\n\r\nok",
        "chunked": head % b"200" + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "close": head % b"200" + b"\r\nok",
        "none": head % b"204" + b"\r\n",
    }[framing], close=framing == "close")  # fmt: skip
    client = await rig.client()
    for target in ("/edited/x", "/public/x", "/edited/y", "/public/y"):
        answer = await client.ask(get(target))
        edited = target.startswith("/edited/")
        assert answer.all("server") == ([b"none"] if edited else [b"x"])
        assert answer.all("x-list") == ([b"c", b"d"] if edited else [b"c"])
        assert answer.all("x-powered-by") == ([] if edited else [b"php"])
        assert (answer.one("x-mine"), answer.body) == (b"m", b"" if framing == "none" else b"ok")


async def test_an_interim_answer_loses_what_the_route_removes(unstarted: Rig) -> None:
    """103 says beforehand what the answer will say; nothing is added to it."""
    rig = await unstarted.start(routes=[EDITED])
    rig.origin.replies(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Powered-By: php\r\nServer: x\r\n\r\n", OK)
    answer = await (await rig.client()).ask(get("/edited/x"))
    assert [head.lines for head in answer.interim] == [[("Link", b"</a>")]]


async def test_the_gateway_s_own_refusals_are_not_edited(unstarted: Rig) -> None:
    """``response_headers`` are the upstream's answers'."""
    rig = await unstarted.start(routes=[{**EDITED, "public": False}])
    answer = await (await rig.client()).ask(get("/edited/x"))
    assert (answer.status, answer.one("server"), answer.one("x-list")) == (401, None, None)


# --- addresses in answers ---------------------------------------------------------------------------------------------


async def test_addresses_of_the_upstream_come_back_as_the_client_knows_them(unstarted: Rig) -> None:
    """Location, Content-Location, Refresh, Set-Cookie; by the client's own Host, and for each route by its own path."""
    rig = await unstarted.start(routes=[PLAIN, {"path": "/api/", "rewrite": "/new/app/", "upstream": "a", "public": True}])
    own = b"127.0.0.1:%d" % rig.origin.port
    rig.origin.answer = (
        b"HTTP/1.1 302 Found\r\nLocation: http://%b/new/app/x?y\r\nContent-Location: /new/app/y\r\n"
        b"Refresh: 5; url=http://%b/\r\nSet-Cookie: a=b; Domain=127.0.0.1; Path=/new/app\r\nSet-Cookie: c=d\r\n"
        b"X-Url: http://%b/\r\nContent-Length: 0\r\n\r\n" % (own, own, own)
    )
    client = await rig.client()
    for host in ("api.example", "other.example:81"):
        name = host.partition(":")[0].encode()
        moved = await client.ask(get("/api/z", host=host))
        assert moved.one("location") == b"http://%b/api/x?y" % host.encode()
        assert moved.one("content-location") == b"/api/y"
        assert moved.one("refresh") == b"5; url=http://%b/" % host.encode()
        assert moved.all("set-cookie") == [b"a=b; Domain=%b; Path=/api" % name, b"c=d"]
        plain = await client.ask(get("/public/z", host=host))
        assert plain.one("location") == b"http://%b/new/app/x?y" % host.encode()
        assert plain.one("content-location") == b"/new/app/y"
        assert plain.all("set-cookie") == [b"a=b; Domain=%b; Path=/new/app" % name, b"c=d"]
        assert moved.one("x-url") == plain.one("x-url") == b"http://%b/" % own


async def test_one_remembered_answer_is_mapped_for_each_client_anew(unstarted: Rig) -> None:
    """The same head to the byte, for clients that call the gateway by different names, and with a route's edits."""
    routes = [PLAIN, {"path": "/edited/", "upstream": "a", "public": True, "response_headers": {"add": {"X-List": "d"}}}]
    rig = await unstarted.start(routes=routes)
    rig.origin.answer = b"HTTP/1.1 201 Created\r\nLocation: http://127.0.0.1:%d/x\r\nContent-Length: 0\r\n\r\n" % rig.origin.port
    client = await rig.client()
    for _ in range(2):
        for host in ("one.example", "two.example"):
            for target in ("/public/x", "/edited/x"):
                answer = await client.ask(get(target, host=host))
                assert answer.one("location") == b"http://%b/x" % host.encode()
                assert answer.all("x-list") == ([b"d"] if target == "/edited/x" else [])
    nameless = await client.ask(b"GET /public/x HTTP/1.0\r\n\r\n")
    assert nameless.one("location") == b"/x"


@pytest.mark.parametrize(("trusted", "location"), [(True, b"https://api.example/x"), (False, b"http://gw/x")])
async def test_h04_a_trusted_proxy_says_what_the_client_calls_us(unstarted: Rig, trusted: bool, location: bytes) -> None:
    """X-Forwarded-Proto and -Host of a stranger name nothing."""
    rig = await unstarted.start(trusted_proxies=["127.0.0.1"] if trusted else [])
    rig.origin.answer = b"HTTP/1.1 201 Created\r\nLocation: http://127.0.0.1:%d/x\r\nContent-Length: 0\r\n\r\n" % rig.origin.port
    client = await rig.client()
    answer = await client.ask(get("/public/x", "X-Forwarded-Proto: https", "X-Forwarded-Host: api.example"))
    assert answer.one("location") == location


async def test_f16_addresses_elsewhere_pass_to_the_byte(rig: Rig) -> None:
    """Nothing is followed, whatever it names."""
    client = await rig.client()
    head = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nSet-Cookie: a=b; Domain=example\r\nContent-Length: 0\r\n\r\n"
    for location in (b"https://login.example/?back=http://127.0.0.1", b"//cdn.example/x", b"/x", b"x", b"", b"\xe4", b"mailto:a"):
        rig.origin.answer = head % location
        answer = await client.ask(get("/public/x"))
        assert (answer.one("location"), answer.one("set-cookie")) == (location, b"a=b; Domain=example")
    assert len(rig.origin.requests) == 7
    assert b"Cookie" not in rig.origin.bytes_seen


async def test_the_gateway_s_own_answers_are_not_mapped(rig: Rig) -> None:
    """The authority knows what clients call it."""
    rig.authority.answer = b"HTTP/1.1 201 Created\r\nLocation: http://gateway/x\r\nContent-Length: 0\r\n\r\n"
    assert (await (await rig.client()).ask(get("/v1/oauth/token"))).one("location") == b"http://gateway/x"


# --- the H cases ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/v1/oauth/token", "/v1/register"])
async def test_h02_h07_the_own_endpoints_hear_no_client_s_word_on_itself(rig: Rig, target: str) -> None:
    """Identity, peer, scheme and request id are the edge's to say, there too."""
    client = await rig.client()
    names = (
        "X-Client-Id", "x_client_scopes", "X_Token-Subject", "X-Gateway-Peer", "X_Gateway_Scheme", "X-Gateway-Request-Id",
        "X-Forwarded-For",
    )  # fmt: skip
    assert (await client.ask(get(target, *(f"{name}: evil" for name in names)))).status == 200
    (request,) = rig.authority.requests
    assert b"evil" not in request.raw
    assert request.one("x-gateway-peer") == b"127.0.0.1"


@pytest.mark.parametrize("name", ["X-Client-Id ", " X-Client-Id", "X-Client-Id\t", "X-Client-Id\x0b", "X-Cl\xefent-Id"])
async def test_h01_a_name_with_something_around_it_is_400(rig: Rig, name: str) -> None:
    """No back end gets to trim it."""
    client = await rig.client()
    assert (await client.ask(get("/public/x", "A: b", f"{name}: evil"))).status == 400
    assert rig.origin.bytes_seen == b""


@pytest.mark.parametrize(
    "line",
    [
        "X-Original-URL: /public/x", "X-Rewrite-URL: /public/x", "X-Forwarded-Uri: /public/x", "X-Forwarded-Prefix: /public",
        "X-Original-Method: OPTIONS", "X-HTTP-Method-Override: OPTIONS", "X-Forwarded-Host: open.example",
        "Forwarded: host=open.example", "X-Host: open.example", "X-Forwarded-For: 127.0.0.1", "X-Middleware-Subrequest: a:a:a",
        "X-Client-Id: gwc_me", "X-Gateway-Peer: 127.0.0.1", "User-Agent: kube-probe/1.30", "X-Client-Cert: x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("trusted", [False, True], ids=["stranger", "trusted"])
async def test_h04_h06_h07_no_header_but_host_decides(unstarted: Rig, line: str, trusted: bool) -> None:
    """Neither route nor permit, not even from a trusted proxy."""
    routes = [
        {"path": "/v1/resource", "upstream": "a"}, PLAIN,
        {"path": "/v1/resource", "hosts": ["open.example"], "upstream": "a", "public": True},
    ]  # fmt: skip
    rig = await unstarted.start(routes=routes, trusted_proxies=["127.0.0.0/8"] if trusted else [])
    assert (await (await rig.client()).ask(get("/v1/resource", line))).status == 401
    assert rig.origin.bytes_seen == b""


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/health", "/ping"])
async def test_h06_health_has_its_own_port(rig: Rig, path: str) -> None:
    """The public one knows no such path."""
    assert (await (await rig.client()).ask(get(path, "User-Agent: kube-probe/1.30"))).status == 404


def test_h04_nobody_is_trusted_by_default() -> None:
    """CVE-2026-40575 was a default of everybody."""
    assert Config().trusted_proxies == ()


@pytest.mark.parametrize(
    "chain",
    ["unknown", "_hidden, 10.0.0.1", "[2001:db8::1]:4711, 2001:db8::2", "10.0.0.1:80", "'; drop table", ",,,", "10.0.0.1," * 800],
    ids=["unknown", "obfuscated", "ipv6", "port", "garbage", "commas", "800"],
)
async def test_h05_a_trusted_chain_goes_on_as_it_came(unstarted: Rig, chain: str) -> None:
    """Appended to, never parsed for anything; the peer is logged."""
    rig = await unstarted.start(trusted_proxies=["127.0.0.1"])
    assert (await (await rig.client()).ask(get("/public/x", f"X-Forwarded-For: {chain}"))).status == 200
    assert rig.origin.requests[0].one("x-forwarded-for") == chain.encode() + b", 127.0.0.1"
    assert [line["peer"] for line in rig.logged()] == ["127.0.0.1"]


async def test_h05_a_stranger_s_chain_is_gone(rig: Rig) -> None:
    """Replaced, not appended to."""
    client = await rig.client()
    lines = ["X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1", "X-Real-IP: 10.0.0.1", "Via: 1.0 x"]
    await client.ask(get("/public/x", *lines))
    (request,) = rig.origin.requests
    assert (request.one("x-forwarded-for"), request.one("via")) == (b"127.0.0.1", b"1.1 gateway")
    assert b"10.0.0.1" not in request.raw


@pytest.mark.parametrize("scopes", [b"a\r\nX-Evil: b", b"a\nb", b"a \r\n\r\nGET / HTTP/1.1", b"\xc3\xa4", b"a\x00b"])
def test_h08_no_record_of_the_store_writes_a_line_of_its_own(scopes: bytes) -> None:
    """White space separates scopes, whatever white space it is; what else can't stand in a header is a corrupt record."""
    fields = {"c": b"c" * 22, "k": b"k" * 22, "h": b"", "s": scopes, "e": 0, "i": 0, "x": 1}
    try:
        token = decode_token(msgpack.packb(fields, use_bin_type=False), "abc")
    except CorruptRecord:
        return
    identity = Verdict(token, token.scopes, 0.0).identity
    assert re.fullmatch(rb"X-Client-Id: gwc_[a-z]+\r\nX-Client-Scopes: [!-~ ]*\r\n", identity)


@pytest.mark.parametrize("client_id", ["gwc_abc\r\nX-Evil: bbbbbbbbbbb", "gwc_abc" + "x" * 21 + "\n", "gwc_abc" + "\xe4" * 22])
def test_h08_a_client_id_has_one_form(client_id: str) -> None:
    """A record that names another is not looked up, so nothing is written of it."""
    assert find_partition(client_id) is None


@pytest.mark.parametrize(
    "line",
    [
        b"Strict-Transport-Security: max-age=63072000", b'Alt-Svc: h3=":443"', b'Clear-Site-Data: "cookies"',
        b'WWW-Authenticate: Bearer realm="legacy"', b"Access-Control-Allow-Origin: *",
        b"Set-Cookie: __Host-session=x; Secure; Path=/", b"Set-Cookie: session=x", b"X-Client-Id: theirs", b"Server: legacy",
        b"X-Request-Id: theirs",
    ],
)  # fmt: skip
async def test_h11_what_an_upstream_says_to_browsers_passes(rig: Rig, line: bytes) -> None:
    """It speaks for its own site; a route may drop it (`response_headers`)."""
    rig.origin.answer = b"HTTP/1.1 401 Unauthorized\r\n" + line + b"\r\nDate: x\r\nContent-Length: 0\r\n\r\n"
    answer = await (await rig.client()).ask(get("/public/x"))
    assert [f"{name}: ".encode() + value for name, value in answer.lines] == [line, b"Date: x", b"Content-Length: 0"]


@pytest.mark.parametrize(
    "name",
    ["Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "TE", "Trailer", "Upgrade", "HTTP2-Settings", "X-Mine", "Location"],
)
async def test_s23_f15_hop_by_hop_headers_of_an_answer_end_here(rig: Rig, name: str) -> None:
    """In interim answers too, in any letters, over two Connection lines; what was listed leaves nothing behind."""
    listed = f"Connection: keep-alive\r\n{name}: secret\r\nconnection: {name.upper()} ,\tX-Other\r\nX-Other: secret\r\n".encode()
    final = b"HTTP/1.1 200 OK\r\n" + listed + b"Date: x\r\nContent-Length: 2\r\n\r\nok"
    rig.origin.replies(b"HTTP/1.1 103 Early Hints\r\n" + listed + b"\r\n" + final)
    client = await rig.client()
    answer = await client.ask(get("/public/x"))
    assert (answer.lines, [head.lines for head in answer.interim]) == ([("Date", b"x"), ("Content-Length", b"2")], [[]])
    assert b"secret" not in bytes(client.received)


@pytest.mark.parametrize("name", ["__Host-gateway", "gateway"])
async def test_c08_the_session_cookie_stays_between_the_browser_and_the_pages(unstarted: Rig, name: str) -> None:
    """It is cut out of what an upstream gets, for each route and over again, and an upstream can't set it; others pass."""
    issuer = "https://gw.example" if name.startswith("__") else "http://127.0.0.1"
    path = {"upstream": "a", "public": True}
    rig = await unstarted.start(
        routes=[{"path": "/a/", **path}, {"path": "/b/", **path, "request_headers": {"add": {"X-Y": "z"}}}],
        oauth={"sign_in": True, "issuer": issuer},
    )
    rig.origin.answer = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nSet-Cookie: %b=evil; Path=/; Secure\r\nset-cookie: =%b=evil\r\n"
        b"Content-Length: 2\r\n\r\nok" % (name.encode(), name.encode())
    )
    client = await rig.client()
    for target in ("/a/x", "/b/x", "/a/x", "/a/y"):
        answer = await client.ask(get(target, f"Cookie: a=b; {name}=secret; c=d", f"cookie: {name}=secret"))
        assert answer.all("set-cookie") == [b"a=b"]
    assert [request.all("cookie") for request in rig.origin.requests] == [[b"a=b; c=d"]] * 4
    assert b"secret" not in rig.origin.bytes_seen


async def test_c08_without_pages_no_cookie_is_special(rig: Rig) -> None:
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: gateway=a\r\nContent-Length: 2\r\n\r\nok"
    answer = await (await rig.client()).ask(get("/public/x", "Cookie: gateway=secret"))
    assert (answer.one("set-cookie"), rig.origin.requests[0].one("cookie")) == (b"gateway=a", b"gateway=secret")


async def test_c08_the_pages_themselves_get_and_set_it(unstarted: Rig) -> None:
    """What comes from the authority passes as it is."""
    rig = await unstarted.start(routes=[{"path": "/", "upstream": "a", "public": True}], oauth={"sign_in": True})
    rig.authority.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: gateway=new; Path=/\r\nContent-Length: 2\r\n\r\nok"
    answer = await (await rig.client()).ask(get("/v1/account", "Cookie: a=b; gateway=secret"))
    assert answer.one("set-cookie") == b"gateway=new; Path=/"
    assert rig.authority.requests[0].one("cookie") == b"a=b; gateway=secret"


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd", b"x-unknown, gzip"])
async def test_f18_what_is_labelled_is_not_opened(rig: Rig, coding: bytes) -> None:
    """A plain body under a label of compression, both ways."""
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: 5\r\n\r\nplain" % coding
    client = await rig.client()
    answer = await client.ask(post("/public/x", b"plain", f"Content-Encoding: {coding.decode()}"))
    assert (answer.one("content-encoding"), answer.body) == (coding, b"plain")
    assert (rig.origin.requests[0].one("content-encoding"), rig.origin.requests[0].body) == (coding, b"plain")


async def test_a_websocket_route_rewrites_and_edits_too(unstarted: Rig) -> None:
    """The handshake is sent by the route's path, Host and headers; the 101 comes back in the client's terms."""
    rig = await unstarted.start(routes=[{
        "path": "/ws/", "upstream": "a", "public": True, "streams": {}, "strip_prefix": True, "preserve_host": True,
        "request_headers": {"set": {"X-Api-Key": "k"}}, "response_headers": {"remove": ["Server"]},
    }])  # fmt: skip
    rig.origin.script = lambda connection: agree(connection, b"Set-Cookie: a=b; Path=/; Domain=127.0.0.1", b"Server: x")
    client = await rig.client()
    await client.send(hello("/ws/x?y").replace(b"Host: gw", b"Host: api.example"))
    answer = await client.response_head()
    assert (answer.first, answer.one("server")) == (b"HTTP/1.1 101 Switching Protocols", None)
    assert answer.one("set-cookie") == b"a=b; Path=/ws/; Domain=api.example"
    seen = rig.origin.connections[0].read_head
    assert seen.first == b"GET /x?y HTTP/1.1"
    assert (seen.one("host"), seen.one("x-api-key"), seen.one("connection")) == (b"api.example", b"k", b"Upgrade")


@pytest.mark.parametrize(
    "name",
    ["X.Client.Id", "X~Client~Id", "X-Client.Scopes", "X!Client_Id", "X.Forwarded.For", "X.Real.IP", "X.HTTP.Method.Override",
     "X.Gateway.Peer"],
)  # fmt: skip
@pytest.mark.parametrize("target", ["/public/x", "/under/x"])
async def test_h01_h04_no_other_character_disguises_a_name(rig: Rig, name: str, target: str) -> None:
    """PHP reads a dot, CGI any character, as it reads a dash."""
    client = await rig.client()
    assert (await client.ask(get(target, f"{name}: evil", "X.Other: kept"))).status == 200
    (request,) = rig.origin.requests
    assert b"evil" not in request.raw
    assert request.one("x.other") == b"kept"


@pytest.mark.parametrize("name", ["Content.Length", "Transfer~Encoding", "Content!Length"])
async def test_s04_no_other_character_disguises_framing(rig: Rig, name: str) -> None:
    """As with an underscore."""
    client = await rig.client()
    assert (await client.ask(get("/public/x", f"{name}: 5"))).status == 400
    assert rig.origin.bytes_seen == b""


async def test_h03_what_a_route_sets_or_removes_no_client_says_in_disguise(unstarted: Rig) -> None:
    """A back end behind WSGI takes X_Api_Key for X-Api-Key, and which of the two wins is chance."""
    rig = await unstarted.start(routes=[{
        "path": "/", "upstream": "a", "public": True, "allow": ["underscore_headers"],
        "request_headers": {"set": {"X-Api-Key": "ours"}, "remove": ["X_Debug"]},
    }])  # fmt: skip
    client = await rig.client()
    disguises = ("X_Api_Key", "X_Api-Key", "x.api.key", "X-Debug", "X_debug", "X.Debug")
    assert (await client.ask(get("/x", *(f"{name}: evil" for name in disguises)))).status == 200
    (request,) = rig.origin.requests
    assert b"evil" not in request.raw
    assert request.one("x-api-key") == b"ours"
