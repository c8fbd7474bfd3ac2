"""The client's side of client_credentials: what is asked, and which answers hold a token that can be sent."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qsl

import pytest

from gateway.oauth.basic import read_basic
from gateway.oauth.client_credentials import LONGEST, MAX_ANSWER, MAX_TOKEN, UNSAID, Granted, NoToken, read_answer, token_request

SOUND = {"access_token": "abc.DEF-_~+/==", "token_type": "Bearer", "expires_in": 60}


def request(**changed: Any) -> tuple[list[tuple[str, str]], str]:
    said = {"post": False, "scope": (), "resource": (), "audience": None, **changed}
    form, authorization = token_request("the:id", "s+e c/ret%", **said)
    return parse_qsl(form, strict_parsing=True, keep_blank_values=True), authorization


def test_rfc6749_2_3_1_basic_holds_both_parts_form_encoded() -> None:
    """A colon or a percent sign in one of them changes nothing, and our own server reads it back."""
    form, authorization = request()
    assert form == [("grant_type", "client_credentials")]
    assert b64decode(authorization.removeprefix("Basic ")) == b"the%3Aid:s%2Be+c%2Fret%25"
    read = read_basic(authorization, form_encoded=True)
    assert read is not None
    assert (read.user, read.password) == ("the:id", "s+e c/ret%")


def test_rfc6749_4_4_2_and_rfc8707_2_what_is_asked_for_stands_in_the_form() -> None:
    form, authorization = request(post=True, scope=("a", "b"), resource=("https://a", "urn:b"), audience="c d")
    assert authorization == ""
    assert form == [
        ("grant_type", "client_credentials"), ("scope", "a b"), ("resource", "https://a"), ("resource", "urn:b"),
        ("audience", "c d"),
        ("client_id", "the:id"), ("client_secret", "s+e c/ret%"),
    ]  # fmt: skip


@pytest.mark.parametrize(("changed", "life"), [
    ({}, 60), ({"token_type": "bearer"}, 60), ({"token_type": "BEARER", "scope": "x", "refresh_token": "y"}, 60),
    ({"expires_in": "60"}, 60), ({"expires_in": 60.5}, 60.5), ({"expires_in": None}, UNSAID), ({"expires_in": 10**9}, LONGEST),
    ({"access_token": "a" * MAX_TOKEN}, 60),
])  # fmt: skip
def test_rfc6749_5_1_a_bearer_token_and_its_life(changed: dict[str, Any], life: float) -> None:
    answer = {**SOUND, **changed}
    assert read_answer(200, json.dumps(answer).encode()) == Granted(answer["access_token"], life)


@pytest.mark.parametrize("changed", [
    {"token_type": "mac"}, {"token_type": "DPoP"}, {"token_type": None}, {"token_type": ["Bearer"]}, {"access_token": ""},
    {"access_token": None}, {"access_token": 5}, {"access_token": "a b"}, {"access_token": "a\r\nX-Client-Id: evil"},
    {"access_token": "a\n"}, {"access_token": "ü"}, {"access_token": "a=b"}, {"access_token": "a" * (MAX_TOKEN + 1)},
    {"expires_in": 0}, {"expires_in": -5}, {"expires_in": "soon"}, {"expires_in": True}, {"expires_in": [60]},
    {"expires_in": 0.5}, {"expires_in": float("nan")},
])  # fmt: skip
def test_h08_no_token_that_could_not_be_sent_is_taken(changed: dict[str, Any]) -> None:
    """And why says nothing of it."""
    with pytest.raises(NoToken) as refused:
        read_answer(200, json.dumps({**SOUND, **changed}).encode())
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"access_token=x&token_type=bearer", b"\xff", b"[" * 100_000, b'"x"'])
def test_no_object_is_no_answer(body: bytes) -> None:
    with pytest.raises(NoToken, match=r"^the answer is "):
        read_answer(200, body)


def test_an_endless_answer_is_none() -> None:
    with pytest.raises(NoToken, match="longer"):
        read_answer(200, b" " * (MAX_ANSWER + 1))


@pytest.mark.parametrize(("status", "answer", "why"), [
    (400, {"error": "invalid_scope", "error_description": "s3cret"}, "status 400, invalid_scope"),
    (401, {"error": "invalid_client"}, "status 401, invalid_client"), (400, {"error": "s3cret"}, "status 400"),
    (400, {"error": ["invalid_scope"]}, "status 400"), (302, {}, "status 302"),
    (500, "s3cret", "status 500"), (201, SOUND, "status 201"),
])  # fmt: skip
def test_rfc6749_5_2_of_a_refusal_only_a_known_error_is_told(status: int, answer: Any, why: str) -> None:
    """A description may quote what was sent."""
    with pytest.raises(NoToken) as refused:
        read_answer(status, json.dumps(answer).encode())
    assert str(refused.value) == why


def test_the_token_is_in_no_repr() -> None:
    assert "abc" not in repr(read_answer(200, json.dumps(SOUND).encode()))
