"""CORS as header lines: who may read what, and what a preflight is told."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.model import Cors as CorsSection
from gateway.cors import Cors, requested_method, without_cors

APP = "https://app.example.com"


def a_cors(*methods: str, **section: Any) -> Cors:
    return Cors(CorsSection.model_validate({"origins": [APP], **section}), methods)


def test_a_preflight_is_told_the_route_s_methods_and_the_headers_of_a_bearer_client() -> None:
    """The defaults are those that calling an API with a token and JSON needs."""
    assert a_cors("POST", "GET").preflight(APP.encode()) == (
        b"Access-Control-Allow-Origin: https://app.example.com\r\nVary: Origin\r\nAccess-Control-Allow-Methods: GET, POST\r\n"
        b"Access-Control-Allow-Headers: Authorization, Content-Type\r\nAccess-Control-Max-Age: 600\r\n"
    )


def test_a_route_of_any_method_names_those_that_everybody_uses() -> None:
    assert b"Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE\r\n" in a_cors().preflight(APP.encode())


def test_everything_that_is_configured_is_said() -> None:
    section = a_cors(
        "GET", methods=["PUT"], headers=["X-A", "X-B"], expose_headers=["X-Total", "ETag"], credentials=True, max_age="1h"
    )
    assert section.preflight(APP.encode()) == (
        b"Access-Control-Allow-Origin: https://app.example.com\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
        b"Access-Control-Allow-Methods: PUT\r\nAccess-Control-Allow-Headers: X-A, X-B\r\nAccess-Control-Max-Age: 3600\r\n"
    )
    assert section.answer(APP.encode()) == (
        b"Access-Control-Allow-Origin: https://app.example.com\r\nAccess-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
        b"Access-Control-Expose-Headers: X-Total, ETag\r\n"
    )


def test_a_refusal_lets_the_page_read_its_challenge() -> None:
    line = b"Access-Control-Expose-Headers: ETag, WWW-Authenticate, Retry-After\r\n"
    assert line in a_cors(expose_headers=["ETag"]).refusal(APP.encode())


@pytest.mark.parametrize(
    "origin",
    [
        None, b"", b"null", b"http://app.example.com", b"https://app.example.com:444", b"https://app.example.com.evil.test",
        b"https://evil.test/https://app.example.com", b"https://APP.example.com", b"https://xapp.example.com", b"*",
    ],
)  # fmt: skip
def test_another_origin_learns_only_that_answers_vary(origin: bytes | None) -> None:
    """A cache must not give one origin's answer to another."""
    cors = a_cors(credentials=True)
    assert not cors.allows(origin)
    assert cors.answer(origin) == cors.refusal(origin) == b"Vary: Origin\r\n"


def test_any_origin_gets_one_answer_that_caches_may_share() -> None:
    """And the wildcard of headers does not stand for Authorization."""
    cors = a_cors(origins=["*"], headers=["*"])
    assert cors.answer(b"https://a.example") == cors.answer(None) == b"Access-Control-Allow-Origin: *\r\n"
    assert b"Vary" not in cors.preflight(b"https://a.example")
    assert b"Access-Control-Allow-Headers: *, Authorization\r\n" in cors.preflight(b"https://a.example")


@pytest.mark.parametrize("value", [None, b"", b"get", b"G ET", b"A" * 33, b"\xc3\xa9", b"GET, POST"])
def test_no_route_is_asked_for_a_method_that_none_could_take(value: bytes | None) -> None:
    assert requested_method(value) is None
    assert requested_method(b"PATCH") == b"PATCH"


def test_only_lines_of_the_protocol_are_taken_out() -> None:
    """In any case, and no line whose name only begins alike."""
    others = [b"Access-Controls: x\r\n", b"Vary: Accept\r\n"]
    assert without_cors([b"access-control-allow-origin: *\r\n", b"ACCESS-Control-Max-Age: 5\r\n", *others]) == others
