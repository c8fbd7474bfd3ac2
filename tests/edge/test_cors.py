"""CORS on the wire: preflights are answered before authorization, and an answer is readable for the origins of its route only."""

from __future__ import annotations

from typing import Any

import pytest

from tests.edge.rig import AUTH, TOKEN, Response, Rig, get, post

APP = "https://app.example.com"
OTHER = "https://other.example.com"
ROUTES: list[dict[str, Any]] = [
    {"path": "/v1/orders/", "upstream": "a", "methods": ["GET", "POST"], "cors": {"origins": [APP, OTHER]}},
    {"path": "/v1/orders/", "upstream": "a", "methods": ["DELETE"]},
    {"path": "/any/", "upstream": "a", "public": True, "cors": {"origins": ["*"]}},
    {"path": "/public/", "upstream": "a", "public": True},
    {"path": "/small/", "upstream": "a", "public": True, "max_body": "1B", "cors": {"origins": [APP]}},
]


@pytest.fixture
async def rig(unstarted: Rig) -> Rig:
    return await unstarted.start(routes=ROUTES)


def preflight(path: str, method: str = "POST", origin: str = APP, *lines: str) -> bytes:
    return get(path, f"Origin: {origin}", f"Access-Control-Request-Method: {method}", *lines, method="OPTIONS")


def cors_lines(answer: Response) -> dict[str, bytes]:
    return {name: value for name, value in answer.lines if name.lower().startswith("access-control-")}


async def test_a_preflight_is_answered_without_a_token_and_never_forwarded(rig: Rig) -> None:
    """OPTIONS is none of the route's methods; what counts is the one that the browser wants to use."""
    client = await rig.client()
    answer = await client.ask(preflight("/v1/orders/7", "POST", APP, "Access-Control-Request-Headers: authorization"))
    assert answer.status == 204
    assert answer.all("vary") == [b"Origin"]
    assert cors_lines(answer) == {
        "Access-Control-Allow-Origin": APP.encode(),
        "Access-Control-Allow-Methods": b"GET, HEAD, POST",
        "Access-Control-Allow-Headers": b"Authorization, Content-Type",
        "Access-Control-Max-Age": b"600",
    }
    again = await client.ask(preflight("/v1/orders/7", "GET", OTHER))
    assert again.one("access-control-allow-origin") == OTHER.encode()
    await client.assert_kept()
    assert [request.target for request in rig.origin.requests] == [b"/public/kept"]


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "https://app.example.com:443", "HTTPS://APP.EXAMPLE.COM"])
async def test_a_preflight_of_another_origin_is_refused(rig: Rig, origin: str) -> None:
    """The Fetch standard, section 3.2.3, encourages 403, and no header of the protocol stands in it."""
    client = await rig.client()
    answer = await client.ask(preflight("/v1/orders/7", "POST", origin))
    assert (answer.status, answer.problem["code"]) == (403, "origin_not_allowed")
    assert cors_lines(answer) == {}
    assert answer.one("vary") == b"Origin"
    assert rig.origin.requests == []


async def test_an_entry_without_cors_answers_no_preflight_for_its_methods(rig: Rig) -> None:
    """The path is the same, the method's entry decides; and what no entry takes is 405 as ever."""
    client = await rig.client()
    assert (await client.ask(preflight("/v1/orders/7", "DELETE"))).status == 405
    assert (await client.ask(preflight("/v1/orders/7", "PATCH"))).status == 405
    assert (await client.ask(preflight("/nowhere"))).status == 404
    assert rig.origin.requests == []


@pytest.mark.parametrize("method", ["patch", "TRACE", "CONNECT", "G\xe9T", "M" * 100])
async def test_a_preflight_for_a_method_that_nobody_takes_is_not_forwarded(rig: Rig, method: str) -> None:
    """The route takes OPTIONS, so without care it would be the upstream's; the browser compares the methods by itself."""
    client = await rig.client()
    answer = await client.ask(preflight("/any/x", method))
    assert answer.status == 204
    assert rig.origin.requests == []


async def test_any_other_options_goes_on_as_any_request(rig: Rig) -> None:
    """Without an origin, without a method, or on a route that leaves the protocol to its upstream."""
    client = await rig.client()
    half = get("/any/x", f"Origin: {APP}", method="OPTIONS")
    other_half = get("/any/x", "Access-Control-Request-Method: GET", method="OPTIONS")
    twice = preflight("/any/x", "GET", APP, f"Origin: {OTHER}")
    for request in (half, other_half, twice, preflight("/public/x")):
        assert (await client.ask(request)).body == b"ok"
    assert [request.first.split(b" ")[0] for request in rig.origin.requests] == [b"OPTIONS"] * 4
    assert (await client.ask(get("/v1/orders/7", f"Origin: {APP}", method="OPTIONS"))).status == 405


async def test_an_answer_is_readable_for_the_allowed_origin_that_asked(rig: Rig) -> None:
    """The head is remembered by the pool, to the byte: one client's origin must not stand in another's answer."""
    client, stranger = await rig.client(), await rig.client()
    for _ in range(2):
        for origin, allowed in ((APP, APP.encode()), (OTHER, OTHER.encode()), ("https://evil.test", None)):
            answer = await client.ask(get("/v1/orders/7", f"Origin: {origin}", auth=True))
            assert (answer.status, answer.one("access-control-allow-origin")) == (200, allowed)
            assert answer.one("vary") == b"Origin"
        answer = await stranger.ask(get("/v1/orders/7", auth=True))
        assert cors_lines(answer) == {}
        assert answer.one("vary") == b"Origin"  # or a cache would give it to pages too
        plain = await stranger.ask(get("/public/x", f"Origin: {APP}"))
        assert {name for name, _ in plain.lines} == {"Content-Length", "Date"}


@pytest.mark.parametrize(
    ("framing", "version"),
    [("Content-Length: 2\r\n\r\nok", "1.1"), ("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "1.1"), ("\r\nok", "1.1"),
     ("Content-Length: 2\r\n\r\nok", "1.0")],
)  # fmt: skip
async def test_what_the_upstream_says_of_cors_is_replaced_on_a_route_with_cors_and_passes_on_others(
    rig: Rig, framing: str, version: str
) -> None:
    """HTTP/1.1 framings of all kinds; Vary is added to."""
    theirs = "Access-Control-Allow-Origin: https://evil.test\r\naccess-control-allow-credentials: true\r\n"
    upstream = f"{theirs}Vary: Accept\r\n{framing}"
    rig.origin.replies(f"HTTP/1.1 200 OK\r\n{upstream}".encode(), close=framing.startswith("\r\n"))
    client = await rig.client()
    answer = await client.ask(get("/v1/orders/7", f"Origin: {APP}", auth=True, version=version))
    assert cors_lines(answer) == {"Access-Control-Allow-Origin": APP.encode()}
    assert (answer.all("vary"), answer.body) == ([b"Accept", b"Origin"], b"ok")
    open_one = await (await rig.client()).ask(get("/any/x", version=version))
    assert cors_lines(open_one) == {"Access-Control-Allow-Origin": b"*"}
    unchanged = await (await rig.client()).ask(get("/public/x", f"Origin: {APP}", version=version))
    assert unchanged.all("access-control-allow-origin") == [b"https://evil.test"]
    assert unchanged.all("vary") == [b"Accept"]


async def test_the_gateway_s_own_refusals_are_readable_for_an_allowed_origin(rig: Rig) -> None:
    """A page has to see that its token has expired, not only that something failed."""
    client = await rig.client()
    wrong = TOKEN[:-4] + b"AAAA"
    for token, code in ((b"", "token_missing"), (b"Authorization: Bearer " + wrong + b"\r\n", "invalid_token")):
        for origin, allowed in ((APP, APP.encode()), ("https://evil.test", None)):
            answer = await client.ask(get("/v1/orders/7", f"Origin: {origin}")[:-2] + token + b"\r\n")
            assert (answer.status, answer.problem["code"]) == (401, code)
            assert answer.one("access-control-allow-origin") == allowed
            assert answer.one("access-control-expose-headers") == (allowed and b"WWW-Authenticate, Retry-After")
            assert answer.one("vary") == b"Origin"


async def test_a_bad_gateway_and_a_body_that_is_too_large_are_readable_too(rig: Rig) -> None:
    client = await rig.client()
    answer = await client.ask(post("/small/x", b"ab", f"Origin: {APP}"))
    assert (answer.status, answer.one("access-control-allow-origin")) == (413, APP.encode())
    rig.origin.replies(b"nonsense\r\n\r\n", close=True)
    client = await rig.client()
    answer = await client.ask(get("/v1/orders/7", f"Origin: {APP}", auth=True))
    assert (answer.status, answer.one("access-control-allow-origin")) == (502, APP.encode())


async def test_a_preflight_is_counted_and_logged_and_its_body_ends_the_connection(rig: Rig) -> None:
    client = await rig.client()
    await client.send(preflight("/v1/orders/7?x=secret", "POST", APP, "Content-Length: 5") + b"hello" + preflight("/any/x"))
    answer = await client.response()
    assert (answer.status, answer.one("connection")) == (204, b"close")
    await client.assert_closed()
    (line,) = rig.logged()
    assert (line["method"], line["path"], line["status"], line["route"]) == ("OPTIONS", "/v1/orders/7", 204, "/v1/orders/")
    assert "secret" not in str(line)


async def test_pipelined_answers_keep_each_its_own_origin(rig: Rig) -> None:
    client = await rig.client()
    asks = [get("/v1/orders/1", f"Origin: {o}")[:-2] + AUTH + b"\r\n" for o in (APP, OTHER, "https://evil.test", APP)]
    await client.send(b"".join(asks) + preflight("/v1/orders/1", "GET", OTHER))
    answers = [await client.response() for _ in range(5)]
    allowed = [answer.one("access-control-allow-origin") for answer in answers]
    assert allowed == [APP.encode(), OTHER.encode(), None, APP.encode(), OTHER.encode()]
