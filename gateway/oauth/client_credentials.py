"""
The client's side of the client credentials grant (RFC 6749 section 4.4): what is sent to a token endpoint, and what comes back.

Pure.  Nothing that a token endpoint answers is repeated anywhere but the token, where it belongs.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlencode

MAX_ANSWER = 64 * 1024
"""Longest answer of a token endpoint, bytes."""
MAX_TOKEN = 8 * 1024 - 64
"""Longest token, characters: with its header's name it fits a line."""
UNSAID = 300
"""Seconds that a token is taken to live when nothing is said of it (``expires_in`` is only RECOMMENDED, section 5.1)."""
LONGEST = 86_400
"""Seconds after which a token is fetched anew, however long it lives."""

_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ERRORS = frozenset((
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
    "invalid_target",
))  # fmt: skip
"""RFC 6749 section 5.2 and RFC 8707 section 2: an error that is none of these is not shown, since it could be anything."""


class NoToken(Exception):
    """There is no token in the answer; the text says why, and holds nothing of the answer."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A token of somebody else's authorization server."""

    token: str = field(repr=False)
    life: float
    """Seconds from the answer on."""


def token_request(
    client_id: str, client_secret: str, *, post: bool, scope: Sequence[str], resource: Sequence[str], audience: str | None
) -> tuple[str, str]:
    """
    The form of a token request (RFC 6749 section 4.4.2), and the value of ``Authorization``; empty with ``post``.

    Args:
        client_id: Who asks.
        client_secret: Its secret.
        post: Whether both stand in the form (section 2.3.1); else in HTTP Basic, form-encoded each as the RFC has it.
        scope: Scopes to ask for; empty: none are named.
        resource: RFC 8707 section 2.
        audience: What some servers ask for in place of ``resource``.
    """
    form = [("grant_type", "client_credentials")]
    if scope:
        form.append(("scope", " ".join(scope)))
    form += [("resource", uri) for uri in resource]
    if audience is not None:
        form.append(("audience", audience))
    if post:
        return urlencode([*form, ("client_id", client_id), ("client_secret", client_secret)]), ""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return urlencode(form), f"Basic {b64encode(pair.encode('ascii')).decode('ascii')}"


def read_answer(status: int, body: bytes) -> Granted:
    """
    Read the answer of a token endpoint (RFC 6749 sections 5.1 and 5.2).

    Raises:
        NoToken: There is no bearer token in it that could be sent.
    """
    if len(body) > MAX_ANSWER:
        raise NoToken(f"the answer is longer than {MAX_ANSWER} bytes")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if status != 200:
        error = answer.get("error") if isinstance(answer, dict) else None
        raise NoToken(f"status {status}" + (f", {error}" if isinstance(error, str) and error in _ERRORS else ""))
    if not isinstance(answer, dict):
        raise NoToken("the answer is no JSON object")
    kind, token = answer.get("token_type"), answer.get("access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise NoToken("token_type is not Bearer")
    if not isinstance(token, str) or len(token) > MAX_TOKEN or _B64TOKEN.fullmatch(token) is None:
        raise NoToken("access_token is missing, too long or no b64token (RFC 6750 section 2.1)")
    return Granted(token, _life(answer.get("expires_in")))


def _life(said: Any) -> float:
    if said is None:
        return UNSAID
    if isinstance(said, str) and re.fullmatch(r"[0-9]{1,12}", said):
        said = int(said)  # some servers write it so
    if isinstance(said, bool) or not isinstance(said, int | float) or not said >= 1:
        raise NoToken("expires_in is no number of seconds above zero")
    return min(float(said), LONGEST)
