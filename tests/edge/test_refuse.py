"""The bytes of a refusal."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.edge.refuse import render
from gateway.errors import InvalidToken, PayloadTooLarge


def rendered(**other: Any) -> tuple[bytes, bytes]:
    """Head and body."""
    given = {
        "error": InvalidToken(), "is_oauth": False, "request_id": "r-1", "token_endpoint": "http://gw/v1/oauth/token",
        "date": "Mon, 23 Nov 2026 19:18:00 GMT", "connection": "", "head_only": False, **other,
    }  # fmt: skip
    head, end, body = render(given.pop("error"), **given).partition(b"\r\n\r\n")
    return head + end, body


def test_a_refusal_is_a_problem_with_its_length_and_its_headers() -> None:
    head, body = rendered()
    assert head.startswith(b"HTTP/1.1 401 Unauthorized\r\nDate: Mon, 23 Nov 2026 19:18:00 GMT\r\n")
    assert b"\r\nContent-Length: %d\r\n" % len(body) in head
    assert b"\r\nWWW-Authenticate: Bearer " in head
    assert b"Connection" not in head
    assert (orjson.loads(body)["code"], orjson.loads(body)["request_id"]) == ("invalid_token", "r-1")


def test_after_head_the_length_stands_without_the_body() -> None:
    head, body = rendered(head_only=True)
    assert body == b""
    assert b"Content-Length: 0" not in head


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_the_connection_s_fate_is_said(connection: str) -> None:
    assert f"\r\nConnection: {connection}\r\n".encode() in rendered(connection=connection)[0]


def test_rfc6749_5_2_an_oauth_endpoint_refuses_in_its_own_json() -> None:
    head, body = rendered(error=PayloadTooLarge(), is_oauth=True)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert orjson.loads(body)["error"] == "invalid_request"
