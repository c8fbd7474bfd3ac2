"""
The rest of hardening.md section 2.1, case by case: what test_framing's two tables cannot say, and the parser's traps.

house.md, "What is known about the parser", lists what llhttp leaves open; each of those is a `test_trap_…` here, or is named in
`HELD`, which says where else it is held.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import orjson
import pytest

from gateway.edge.head import MAX_LINES, RequestReader
from gateway.edge.target import canonical
from gateway.errors import BadRequest, GatewayError, HeadTooLarge
from tests.edge.rig import OK, OriginConnection, Rig, chunk, get, post, post_chunked
from tests.edge.test_framing import SMUGGLED, assert_refusal, lines

HERE = Path(__file__).parent
HELD = {
    "no version, HTTP/0.9, HTTP/2.0, RTSP/1.0, ICE/1.0": "S21-",
    "no Host, two Hosts, odd Hosts": "S27-",
    "any number of leading CRLF": "S31-crlf-100",
    "raw # and odd bytes in the target": "S28-path-",
    "absolute-form": "S25-absolute",
    "gzip, chunked": "S04-gzip-chunked",
    "TE on HTTP/1.0": "S20-te",
    "Transfer_Encoding": "S04-underscore",
    "two Connection headers": "S22-two-lines",
    "100 KB of chunk extensions": "S07-long-extension",
    "an answer of HTTP/2.0": "F13-http-2",
    "status 020": "F13-status-020",
    "control bytes in the reason": "F13-reason-control",
    "an answer's TE that is not chunked": "F13-te-gzip",
    "HEAD's answer has no body": "test_s30_an_answer_to_head_has_no_body",
    "Connection: upgrade ends llhttp's message": "test_s24_an_upgrade_with_a_body_keeps_its_framing",
    "a body ended by EOF": "test_an_answer_of_unknown_length_is_framed_for_its_client",
    "thousands of pipelined requests": "test_s18_ten_thousand_pipelined_requests_stay_bounded",
    "pause_writing drives pause_reading": "test_x03_a_client_that_reads_slowly_pauses_the_upstream",
}


def test_every_case_and_every_trap_is_held_somewhere() -> None:
    """S01 to S32 stand in the names or docstrings of tests; so does each of `HELD`."""
    sources = "".join(path.read_text() for path in HERE.glob("test_*.py") if path.name != Path(__file__).name)
    named = set(re.findall(r"\bS(\d\d)\b|_s(\d\d)(?=_)", sources + Path(__file__).read_text().partition("S01 to S32")[2]))
    assert {int(one or other) for one, other in named} >= set(range(1, 33))
    assert [trap for trap, place in HELD.items() if place not in sources] == []


# --- what the table of refusals can't hold ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code in range(0x20) if code not in b"\t\r\n"] + [0x7F])
def test_s10_no_control_passes_anywhere(code: int) -> None:
    """S10: NUL, 01 to 1f and 7f, in a method, target, query, version, name and value, at either end and within."""
    for place in ("G{}ET", "/{}x", "/x{}", "/x?{}", "HTTP/1.{}1", "{}X", "X{}", "X{}Y"):
        head = "GET /public/x HTTP/1.1\r\nHost: gw\r\nX: y\r\n\r\n"
        old = {"G": "GET", "/": "/public/x", "H": "HTTP/1.1"}.get(place[0], "X")
        assert_read_refused(head.replace(old, place.format(chr(code)), 1).encode("latin-1"))
    for value in ("{}y", "y{}", "y{}y"):
        assert_read_refused(f"GET /x HTTP/1.1\r\nHost: gw\r\nX: {value.format(chr(code))}\r\n\r\n".encode("latin-1"))


@pytest.mark.parametrize("character", [*map(chr, b' "(),/:;<=>?@[\\]{}\t'), "\x80", "\xa0", "\xff"])
def test_s12_a_name_is_a_token(character: str) -> None:
    """S12: each separator and byte above ASCII, at either end of a name and within."""
    for name in (f"{character}Name", f"Na{character}me", f"Name{character}"):
        if character != ":" or name[0] == ":":  # else it is a name and its value
            assert_read_refused(f"GET /x HTTP/1.1\r\nHost: gw\r\n{name}: y\r\n\r\n".encode("latin-1"))


def assert_read_refused(head: bytes) -> None:
    """Refused by the reader, or by the rules of the target that every request passes next."""
    reader = RequestReader()
    try:
        reader.read(head)
        canonical(reader.target)
    except GatewayError:
        return
    pytest.fail(f"accepted: {head!r}")


async def test_s07_extensions_up_to_a_kibibyte_are_dropped(rig: Rig) -> None:
    """S07: ignored, and not forwarded; the content is."""
    client = await rig.client()
    body = b"5;" + b"evil" * 200 + b"\r\nhello\r\n" + b'5;a="evil"\r\nworld\r\n0;evil\r\n\r\n'
    assert (await client.ask(get("/public/x", "Transfer-Encoding: chunked", method="POST") + body)).status == 200
    assert rig.origin.requests[0].body == b"helloworld"
    assert b"evil" not in rig.origin.bytes_seen
    await client.assert_kept()


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length", "Transfer-Encoding", "Host", "Authorization", "X-Client-Id", "X-Token-Subject", "X-Token-Issuer",
        "Connection",
    ],
)
async def test_s08_a_trailer_is_no_header_of_this_or_the_next_request(rig: Rig, name: str) -> None:
    """S08: and the limit is one answer of 400 (test_framing has it with its limits)."""
    client = await rig.client()
    message = post_chunked("/public/x", b"hello", last=False) + b"0\r\n%b: close\r\n\r\n" % name.encode()
    assert (await client.ask(message)).status == 200
    await client.assert_kept()
    assert b"close" not in rig.origin.bytes_seen


@pytest.mark.parametrize("extra", [0, 1])
def test_s13_a_hundred_header_lines_and_no_more(extra: int) -> None:
    """S13: 100 are read, 101 are refused."""
    head = lines(*(b"X: y" for _ in range(MAX_LINES - 1 + extra)), first=b"GET /x HTTP/1.1")
    if extra:
        with pytest.raises(HeadTooLarge):
            RequestReader().read(head)
    else:
        RequestReader().read(head)


async def test_s14_a_withheld_body_that_comes_after_an_early_answer_is_no_request(rig: Rig) -> None:
    """S14, S17: the upstream decided by the head; client and upstream both end, whatever the client sends then."""

    async def early(connection: OriginConnection) -> None:
        await connection.head()
        await connection.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        await connection.rest()

    rig.origin.script = early
    client = await rig.client()
    await client.send(get("/public/x", "Expect: 100-continue", f"Content-Length: {len(SMUGGLED)}", method="POST"))
    answer = await client.response("POST")
    assert (answer.status, answer.one("connection")) == (417, b"close")
    await client.send(SMUGGLED)
    await client.assert_closed()
    assert len(rig.origin.connections) == 1
    assert b"smuggled" not in rig.origin.bytes_seen


async def test_s16_an_early_refusal_of_a_chunked_body_leaves_no_request_behind(rig: Rig) -> None:
    """S16: 401, 404 and 413 at the head, with the body and a request in the same segment, on a kept connection."""
    for target, status in (("/v1/resource", 401), ("/nowhere", 404), ("/small/x", 413)):
        client = await rig.client()
        await client.assert_kept()
        length = f"Content-Length: {len(SMUGGLED)}"
        framing = length if status == 413 else "Transfer-Encoding: chunked"
        body = SMUGGLED if status == 413 else chunk(SMUGGLED) + b"0\r\n\r\n"
        answer = await client.ask(get(target, framing, method="POST") + body + SMUGGLED)
        assert (answer.status, answer.one("connection")) == (status, b"close")
        await client.assert_closed()
    assert b"smuggled" not in rig.origin.bytes_seen


async def test_s18_final_answers_are_as_many_as_the_upstream_saw_requests(rig: Rig) -> None:
    """S18, G2: of a hundred pipelined requests of all kinds each has one answer, and the upstream saw the good ones, in order."""
    rig.origin.answer = lambda request: (
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.target), request.target)
    )
    client = await rig.client()
    kinds = [
        lambda n: get(f"/public/{n}"),
        lambda n: get(f"/nowhere/{n}"),
        lambda n: post(f"/public/{n}", SMUGGLED),
        lambda n: post_chunked(f"/public/{n}", SMUGGLED, b"0\r\n\r\n"),
        lambda n: get(f"/v1/resource?{n}"),
    ]
    sending = asyncio.create_task(client.send(b"".join(kinds[n % 5](n) for n in range(100))))
    statuses = []
    for n in range(100):
        answer = await client.response()
        statuses.append(answer.status)
        assert answer.status != 200 or answer.body == b"/public/%d" % n
    await sending
    assert statuses == [200, 404, 200, 200, 401] * 20
    assert [request.target for request in rig.origin.requests] == [b"/public/%d" % n for n in range(100) if n % 5 in (0, 2, 3)]


async def test_s21_whatever_is_asked_the_answer_says_http_1_1(rig: Rig) -> None:
    """S21: HTTP/1.0 too (RFC 9112 section 2.3), and HTTP/0.9 gets a whole head."""
    asked = [(get("/public/x", version="1.0"), 200), (b"GET /public/x\r\n\r\n", 400), (b"PRI * HTTP/2.0\r\n\r\n", 505)]
    for request, status in asked:
        client = await rig.client()
        assert (await client.ask(request)).first.startswith(b"HTTP/1.1 %d " % status)
        await client.assert_closed()


async def test_s26_no_target_at_all_is_400(rig: Rig) -> None:
    """S26: neither two blanks nor one."""
    for request in (b"GET  HTTP/1.1\r\nHost: gw\r\n\r\n", b"GET HTTP/1.1\r\nHost: gw\r\n\r\n"):
        client = await rig.client()
        assert_refusal(await client.ask(request), 400)
        await client.assert_closed()


async def test_s27_a_valid_host_that_nobody_has_is_404(unstarted: Rig) -> None:
    """S27: in any case, with or without a port; those that a route names are served."""
    rig = await unstarted.start(routes=[{"path": "/", "hosts": ["api.example"], "upstream": "a", "public": True}])
    client = await rig.client()
    for host in ("API.example", "api.example:8080", "api.example."):
        assert (await client.ask(get("/x", host=host))).status == 200
    for host in ("other.example", "api.example.evil", "xapi.example", "127.0.0.1", "[::1]"):
        assert (await client.ask(get("/x", host=host))).status == 404


@pytest.mark.parametrize("target", ["/public/x", "/under/x", "/v1/resource"])
async def test_s29_no_back_end_is_told_another_method(rig: Rig, target: str) -> None:
    """S29: override headers never pass, in any case or with underscores, so that nothing runs a method that nobody permitted."""
    client = await rig.client()
    names = ("X-HTTP-Method-Override", "x-http-method", "X-Method-Override", "X_HTTP_Method_Override", "x-http_method-OVERRIDE")
    assert (await client.ask(get(target, *(f"{name}: DELETE" for name in names), method="POST", auth=True))).status == 200
    assert rig.origin.requests[0].first.startswith(b"POST ")
    assert b"DELETE" not in rig.origin.bytes_seen


async def test_s31_a_blank_line_between_requests_is_forgiven_once(rig: Rig) -> None:
    """S31: old clients send CRLF after a body; two are none of HTTP's."""
    client = await rig.client()
    await client.send(post("/public/x", b"hello") + b"\r\n" + get("/public/y"))
    assert [(await client.response()).status for _ in range(2)] == [200, 200]
    await client.send(b"\r")
    await client.send(b"\n" + get("/public/z"))
    assert (await client.response()).status == 200
    assert_refusal(await client.ask(b"\r\n\r\n" + get("/public/w")), 400)
    await client.assert_closed()
    assert [request.target for request in rig.origin.requests] == [b"/public/x", b"/public/y", b"/public/z"]


@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
async def test_s32_rfc6749_5_2_two_credentials_at_an_oauth_endpoint(rig: Rig, endpoint: str) -> None:
    """S32, O06: invalid_request in the endpoint's own JSON, uncached; the connection ends and the authority hears nothing."""
    client = await rig.client()
    message = post(f"/v1/oauth/{endpoint}", b"a=b", "Authorization: Basic eA==", "Authorization: Bearer evil")
    answer = await client.ask(message, "POST")
    assert (answer.status, answer.one("connection"), answer.one("content-type")) == (400, b"close", b"application/json")
    said = orjson.loads(answer.body)
    assert (said["error"], said.keys()) == ("invalid_request", {"error", "error_description"})
    assert (answer.one("cache-control"), answer.one("pragma")) == (b"no-store", b"no-cache")
    await client.assert_closed()
    assert rig.authority.bytes_seen == b""


@pytest.mark.parametrize("message", [
    post("*", b"", "Authorization: a", "Authorization: b"),
    post("/v1/oauth/../x", b"", "Authorization: a", "Authorization: b"),
    b"POST /v1/oauth/token HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\nHost: a b\r\n\r\n",
    b"POST http://x/v1/oauth/token HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
])  # fmt: skip
async def test_s32_two_credentials_are_told_first_wherever_they_were_sent(rig: Rig, message: bytes) -> None:
    """S32: what else is wrong with the request changes neither the answer nor that the connection ends."""
    client = await rig.client()
    assert_refusal(await client.ask(message, "POST"), 400)
    await client.assert_closed()


# --- what the state machine found ---------------------------------------------------------------------------------------


async def test_s30_a_refusal_of_head_has_no_body_even_where_the_connection_ends(rig: Rig) -> None:
    """S30: a body that breaks or is too large, a target that is ambiguous; but what was no HEAD yet has one."""
    chunked = get("/public/x", "Transfer-Encoding: chunked", method="HEAD")
    for message, status in (
        (chunked + b"zz\r\n", 400),
        (get("/small/x", "Content-Length: 11", method="HEAD"), 413),
        (get("/public/../x", method="HEAD"), 400),
    ):
        client = await rig.client()
        await client.send(message)
        assert (await client.response("HEAD")).status == status
        await client.assert_closed()
    client = await rig.client()
    assert (await client.ask(get("/nowhere", method="HEAD"), "HEAD")).status == 404
    assert_refusal(await client.ask(b"GET /public/x HTTP/1.1\nHost"), 400)


async def test_f12_an_answer_to_http_1_0_that_breaks_off_is_reset(rig: Rig) -> None:
    """Its end is the connection's: an orderly one would make half an answer a whole one."""
    for ending in (b"zz\r\n", b""):
        begun = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"half")
        rig.origin.replies(begun, ending, close=not ending)
        client = await rig.client()
        await client.send(get("/public/x", version="1.0"))
        with pytest.raises(ConnectionResetError):
            await client.reader.read()


async def test_a_truncated_request_behind_another_ends_the_connection_at_once(rig: Rig) -> None:
    """The client has ended its side: what is whole is answered, and the rest waits for nothing."""
    client = await rig.client()
    await client.send(get("/public/x") + post("/public/y", b"half", length=10))
    client.end()
    assert (await client.response()).status == 200
    await client.assert_closed()
    assert [request.target for request in rig.origin.requests] == [b"/public/x"]


async def test_who_pipelines_behind_a_close_still_gets_the_last_answer(rig: Rig) -> None:
    """RFC 9112 section 9.6: the gateway reads on a little, or a reset would take the answer away."""
    client, down = await rig.connected()
    await client.send(get("/public/x", "Connection: close") + get("/public/y"))
    await rig.eventually(lambda: len(rig.origin.requests) == 1 and down._exchange is None)
    await client.send(get("/public/z") * 100)
    assert (await client.response()).one("connection") == b"close"
    await client.assert_closed()
    assert len(rig.origin.requests) == 1


# --- traps of the parser ------------------------------------------------------------------------------------------------


async def test_trap_two_spaces_before_the_target(rig: Rig) -> None:
    """S26: llhttp skips them; RFC 9112 section 3 has one."""
    client = await rig.client()
    assert_refusal(await client.ask(b"GET  /public/x HTTP/1.1\r\nHost: gw\r\n\r\n"), 400)
    await client.assert_closed()
    assert rig.origin.bytes_seen == b""


async def test_trap_a_target_in_fragments_is_one_target(rig: Rig) -> None:
    """S13: on_url comes in pieces; the last of them is a route of its own here, and public."""
    client, down = await rig.connected()
    message = get("/nowhere" + "/public/x")
    for cut in range(1, len(message)):
        down.data_received(message[:cut])
        down.data_received(message[cut:])
        assert (await client.response()).status == 404
    assert rig.origin.bytes_seen == b""


def test_trap_trailers_arrive_as_headers() -> None:
    """S08: a reader that was fed a whole chunked message would take them; ours is given heads only, and says so if it is not."""
    reader = RequestReader()
    reader.read(b"POST /x HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert (reader.chunked, reader.lines) == (True, [])
    reader.renew()  # its place in the body is forgotten, or the next head would be a chunk
    reader.read(b"GET /y HTTP/1.1\r\nHost: gw\r\n\r\n")
    assert (reader.method, reader.target, reader.chunked) == (b"GET", b"/y", False)


def test_trap_a_fault_in_a_callback_is_kept_for_the_end() -> None:
    """S32: llhttp goes on to the end of the head, the first fault is what is raised, and no later line hides it."""
    reader = RequestReader()
    with pytest.raises(BadRequest, match="Host stands twice"):
        reader.read(b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: x\r\nAuthorization: x\r\nExpect: y\r\n\r\n")


async def test_trap_a_parser_that_saw_an_upgrade_reads_the_next_request(rig: Rig) -> None:
    """S24: HttpParserUpgrade stops llhttp for good; what follows is read by another."""
    client = await rig.client()
    for upgrade in ("foo", "h2c", "foo"):
        assert (await client.ask(get("/public/x", f"Upgrade: {upgrade}", "Connection: upgrade"))).status == 200
        assert (await client.ask(post("/public/x", b"hello", f"Upgrade: {upgrade}", "Connection: upgrade"))).status == 200
    await client.assert_kept()


async def test_trap_an_answer_that_upgrades_by_itself_is_no_tunnel(rig: Rig) -> None:
    """S24: a 200 with Upgrade is an ordinary answer, its framing as written."""
    rig.origin.answer = b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: foo\r\nContent-Length: 2\r\n\r\nok"
    client = await rig.client()
    for _ in range(2):
        answer = await client.ask(get("/public/x"))
        assert (answer.body, answer.one("upgrade"), answer.one("connection")) == (b"ok", None, None)
    rig.origin.answer = OK
    await client.assert_kept()
