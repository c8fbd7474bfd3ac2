"""HTTP as the gateway speaks it between client and upstream: RFC 9110, 9112, 9111, 3986 and 6455; from outside, in raw bytes."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from tests.blackbox import ANSWER, Gateway, Origin
from tests.rfc.asking import raw


def send(gateway: Gateway, request: bytes) -> bytes:
    """Everything that comes back until the gateway closes (the request asks for that) or refuses."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def ask(
    gateway: Gateway, pair: dict[str, Any], *lines: str, target: str = "/v1/resource", method: str = "GET", body: bytes = b""
) -> bytes:
    """One authorized request on a connection of its own."""
    head = [
        f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{gateway.port}", f"Authorization: Bearer {pair['access_token']}",
        "Connection: close", *lines,
    ]  # fmt: skip
    return send(gateway, "\r\n".join([*head, "", ""]).encode("latin-1") + body)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("name", ["Authorization", "X-Client-Id", "X-Request-Id", "Host", "Content-Length"])
def test_rfc9110_7_6_1_connection_cannot_name_what_is_ours(gateway: Gateway, pair: dict[str, Any], name: str) -> None:
    assert status(ask(gateway, pair, f"Connection: {name}")) == 400


def test_rfc9110_7_6_1_hop_by_hop_headers_go_no_further(gateway: Gateway, origin: Origin, pair: dict[str, Any]) -> None:
    sent = ("Connection: X-Mine", "X-Mine: 1", "Keep-Alive: 5", "TE: trailers", "Proxy-Connection: x", "X-Kept: 1")
    answer = ask(gateway, pair, *sent)
    assert status(answer) == 200
    seen = origin.seen[-1]
    for gone in ("X-Mine", "Keep-Alive", "TE", "Proxy-Connection", "Authorization"):
        assert not seen.header(gone)
    assert seen.header("X-Kept") == ["1"]


def test_rfc9110_7_6_3_via_names_the_gateway(gateway: Gateway, origin: Origin, pair: dict[str, Any]) -> None:
    ask(gateway, pair)
    assert origin.seen[-1].header("Via") == ["1.1 gateway"]


def test_rfc9110_10_1_1_expect_is_answered_here_and_only_100_continue_is_known(
    gateway: Gateway, origin: Origin, pair: dict[str, Any]
) -> None:
    answer = ask(gateway, pair, "Expect: 100-continue", "Content-Length: 2", method="POST", body=b"hi")
    assert status(answer[answer.find(b"HTTP/1.1 2") :]) == 200
    assert (origin.seen[-1].body, origin.seen[-1].header("Expect")) == (b"hi", [])
    assert status(ask(gateway, pair, "Expect: miracles")) == 417
    refused = ask(gateway, {"access_token": "x"}, "Expect: 100-continue", "Content-Length: 2", method="POST")
    assert status(refused) == 401, "who may not pass is not told to go on"


@pytest.mark.parametrize("lines", [
    ("Content-Length: 2", "Transfer-Encoding: chunked"), ("Content-Length: 2", "Content-Length: 3"), ("Content-Length: 2, 2",),
    ("Content-Length: +2",), ("Content-Length: 0x2",), ("Content-Length: -1",), ("Transfer-Encoding: gzip, chunked",),
    ("Transfer-Encoding: chunked, identity",), ("Transfer-Encoding: xchunked",), ("Transfer-Encoding : chunked",),
])  # fmt: skip
def test_rfc9112_6_3_a_body_that_can_be_read_in_two_ways_is_refused(
    gateway: Gateway, origin: Origin, pair: dict[str, Any], lines: tuple[str, ...]
) -> None:
    """And the connection closes: what follows is nobody's request."""
    before = len(origin.seen)
    smuggled = b"GET /v1/resource?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    head = (f"POST /v1/resource HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nAuthorization: Bearer {pair['access_token']}\r\n"
            + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode("ascii")  # fmt: skip
    answer = send(gateway, head + b"0\r\n\r\n" + smuggled)
    assert status(answer) in (400, 501)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert len(origin.seen) == before


def test_rfc9111_3_5_nothing_is_cached(gateway: Gateway, origin: Origin, pair: dict[str, Any]) -> None:
    """Every authorized request reaches the upstream."""
    before = len(origin.seen)
    for _ in range(3):
        assert ask(gateway, pair).endswith(ANSWER)
    assert len(origin.seen) == before + 3


@pytest.mark.parametrize(("target", "sent"), [
    ("/v1/r%65source", "/v1/resource"), ("/v1/%7Ex/../resource", None), ("/v1/./resource", None), ("/v1//resource", None),
    ("/v1/resource%2f..", None), ("/v1/resource%00", None), ("/v1/resource;x", None), ("/v1/resource%5c", None),
    ("/v1/resource?a=%2f&b=../c", "/v1/resource?a=%2f&b=../c"),
])  # fmt: skip
def test_rfc3986_6_2_2_what_is_matched_is_what_is_sent(
    gateway: Gateway, origin: Origin, pair: dict[str, Any], target: str, sent: str | None
) -> None:
    """Normalized once; what could be read in two ways is refused."""
    before = len(origin.seen)
    answer = status(ask(gateway, pair, target=target))
    if sent is None:
        assert answer in (400, 404)
        assert len(origin.seen) == before
    else:
        assert (answer, origin.seen[-1].path) == (200, sent)


def test_rfc6455_4_a_handshake_is_an_ordinary_request_where_the_route_has_no_streams(
    gateway: Gateway, origin: Origin, pair: dict[str, Any]
) -> None:
    answer = send(gateway, "\r\n".join([
        "GET /v1/resource HTTP/1.1", f"Host: 127.0.0.1:{gateway.port}", f"Authorization: Bearer {pair['access_token']}",
        "Connection: Upgrade, close", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "", "",
    ]).encode("ascii"))  # fmt: skip
    assert status(answer) == 200
    assert origin.seen[-1].header("Upgrade") == []


@pytest.mark.parametrize("header", [
    "X-Client-Id", "x_client_id", "X-CLIENT-SCOPES", "X-Token-Subject", "X-Token-Issuer", "X-Gateway-Peer", "X-Real-IP",
])  # fmt: skip
def test_rfc9700_4_13_a_client_cannot_say_what_the_gateway_says(
    gateway: Gateway, origin: Origin, client: dict[str, str], pair: dict[str, Any], header: str
) -> None:
    ask(gateway, pair, f"{header}: forged", "X-Forwarded-For: 6.6.6.6")
    seen = origin.seen[-1]
    assert "forged" not in str(seen.headers)
    assert seen.header("X-Client-Id") == [client["client_id"]]
    assert "6.6.6.6" not in str(seen.headers)


@pytest.mark.parametrize("line", ["", "Host: a\nHost: b", "Host: a b", "Host: user@a"])
def test_rfc9112_3_2_one_valid_host(gateway: Gateway, line: str) -> None:
    assert raw(gateway, f"GET /public/ HTTP/1.1\n{line}\n\n".replace("\n\n\n", "\n\n")).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/nowhere", 404, "not_found"), ("GET", "/v1/resource", 401, "invalid_token"),
    ("PUT", "/v1/write/x", 405, "method_not_allowed"),
    ("GET", "/v1/%2e%2e/x", 400, "ambiguous_target"), ("POST", "/v1/register", 415, "unsupported_media_type"),
])  # fmt: skip
def test_rfc9457_3_1_refusals_are_problems(gateway: Gateway, method: str, path: str, status: int, code: str) -> None:
    answer = httpx.request(method, gateway.url + path, content=b"x" if method == "POST" else b"")
    body = answer.json()
    assert (answer.status_code, body["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["request_id"]
    assert isinstance(body["title"], str)
    assert body["code"] == code or status == 401
    if status == 405:
        assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("path", [
    "/public/../v1/resource", "/public/%2e%2e/v1/resource", "/public/%2E%2E/v1/resource", "/public/.%2e/v1/resource",
    "/public/..;/v1/resource", "/public/%252e%252e/v1/resource", "/public\\..\\v1/resource", "/public/%00", "/public/%zz",
    "/public/..%2fv1/resource", "/public//x",
])  # fmt: skip
def test_rfc3986_6_2_2_3_no_way_round_by_dot_segments(gateway: Gateway, origin: Origin, path: str) -> None:
    before = len(origin.seen)
    assert raw(gateway, f"GET {path} HTTP/1.1\nHost: gateway\nConnection: close\n\n").startswith(b"HTTP/1.1 400")
    assert len(origin.seen) == before
