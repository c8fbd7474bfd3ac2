"""Questions to another server's introspection endpoint and its answers: pure (RFC 7662)."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from gateway.errors import InvalidToken
from gateway.oauth.foreign import Rules
from gateway.oauth.remote_introspection import find_active, question, read_answer

NOW = 1_000_000.0
RULES = Rules("https://idp.example", frozenset(), leeway=60)
GOOD: dict[str, Any] = {"active": True, "token_type": "bearer", "client_id": "app"}


def test_rfc7662_2_1_the_caller_proves_who_it_is_one_way() -> None:
    """In Basic both parts are form-encoded (RFC 6749 section 2.3.1)."""
    form, headers = question("t", "a:b", "c d%", post=False)
    assert form == {"token": "t", "token_type_hint": "access_token"}
    assert b64decode(headers["Authorization"].removeprefix("Basic ")) == b"a%3Ab:c+d%25"
    form, headers = question("t", "a:b", "c d%", post=True)
    assert (form["client_id"], form["client_secret"], headers) == ("a:b", "c d%", {})


@pytest.mark.parametrize(("status", "body"), [
    (500, b'{"active":true}'), (201, b'{"active":true}'), (302, b""), (401, b'{"active":false}'), (200, b'{"active":null}'),
    (200, b'{"active":"false"}'), (200, b"{}"), (200, b""), (200, b"\xff"), (200, b"[" * 5000),
])  # fmt: skip
def test_what_is_no_answer_says_nothing_of_the_token(status: int, body: bytes) -> None:
    with pytest.raises(ValueError, match=r"status|no introspection answer"):
        read_answer(status, body)


def test_rfc7662_4_the_leeway_is_not_added_to_the_end() -> None:
    """An answer may not be believed past ``exp``; for the rest clocks may differ."""
    assert find_active({**GOOD, "exp": NOW + 1, "iat": NOW + 59}, RULES, NOW, typed=True).expires_at == NOW + 1
    assert find_active(GOOD, RULES, NOW, typed=True).expires_at == float("inf")
    with pytest.raises(InvalidToken):
        find_active({**GOOD, "exp": NOW}, RULES, NOW, typed=True)


@pytest.mark.parametrize(("kind", "typed", "passes"), [
    ("Bearer", True, True), ("BEARER", False, True), (None, True, False), (None, False, True), ("DPoP", False, False),
    ("refresh_token", False, False), (7, False, False),
])  # fmt: skip
def test_only_bearer_tokens_are_taken(kind: Any, *, typed: bool, passes: bool) -> None:
    """RFC 9449 section 7.2: one that is bound to a key is not good without it."""
    answer = {name: value for name, value in {**GOOD, "token_type": kind}.items() if value is not None}
    if passes:
        assert find_active(answer, RULES, NOW, typed=typed).client == "app"
        return
    with pytest.raises(InvalidToken):
        find_active(answer, RULES, NOW, typed=typed)
