"""
Introspection by another authorization server, from the asking side: RFC 7662.

Pure.  An answer is either about the token, which then is good or not, or no answer at all: what can't be read says nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import orjson

from gateway.errors import InvalidToken
from gateway.oauth.foreign import Holder, Rules, find_holder

_ACCESS = (None, "access_token", "access")


def question(token: str, client_id: str, client_secret: str, *, post: bool) -> tuple[dict[str, str], dict[str, str]]:
    """
    Form and headers of a request (section 2.1).

    Args:
        token: What is asked about.
        client_id: Who asks.
        client_secret: Its secret.
        post: Whether both stand in the form; else in HTTP Basic, form-encoded each (RFC 6749 section 2.3.1).
    """
    form = {"token": token, "token_type_hint": "access_token"}
    if post:
        return {**form, "client_id": client_id, "client_secret": client_secret}, {}
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return form, {"Authorization": f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}"}


def read_answer(status: int, body: bytes) -> Mapping[str, Any]:
    """
    Read an answer (section 2.2).

    Raises:
        ValueError: It is none; says what, and holds nothing of it.
    """
    if status in (400, 401, 403):
        raise ValueError(f"status {status}: it does not take our client or its secret")
    if status != 200:
        raise ValueError(f"status {status}")
    try:
        answer = orjson.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not isinstance(answer.get("active"), bool):
        raise ValueError("no introspection answer")
    return answer


def find_active(answer: Mapping[str, Any], rules: Rules, now: float, *, typed: bool) -> Holder:
    """
    Whose token it is, if it is good.

    Args:
        answer: As `read_answer` gives it.
        rules: What must stand there; of the leeway nothing is added to ``exp`` (section 4).
        now: Seconds since 1970.
        typed: Whether the answer has to call it a Bearer token; servers that do not may mean a refresh token.

    Raises:
        InvalidToken: It is not, or it is none for here.
    """
    if answer["active"] is not True:
        raise InvalidToken(reason="inactive")
    kind = answer.get("token_type")
    if not (isinstance(kind, str) and kind.lower() == "bearer") and (typed or kind is not None):
        raise InvalidToken(reason="no token_type Bearer")
    if answer.get("token_use") not in _ACCESS:
        raise InvalidToken(reason="token_use is another's than an access token's")
    if answer.get("iss", rules.issuer) != rules.issuer:
        raise InvalidToken(reason="iss")
    return find_holder(answer, rules, now, late=0.0)
