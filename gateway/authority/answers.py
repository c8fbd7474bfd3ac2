"""Successful answers: JSON that nobody may store (RFC 6749 section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from aiohttp import web

from gateway.errors import Headers
from gateway.oauth.refusals import NO_STORE
from gateway.oauth.secrets import IssuedKey

_JSON: Headers = (("Content-Type", "application/json"), *NO_STORE)


def answer(document: Mapping[str, object], *, status: int = 200, headers: Headers = ()) -> web.Response:
    """Answer with a JSON object."""
    return web.Response(body=orjson.dumps(document), status=status, headers=(*_JSON, *headers))


PENDING = {"pending": True}
"""What an answer says of a client that waits for the operator."""


def answer_created(issued: IssuedKey, location: str, *, pending: bool = False) -> web.Response:
    """Answer 201 with a credential: the only time that its secret is shown."""
    document: dict[str, object] = {
        "client_id": issued.client_id,
        "client_key": issued.client_key,
        "client_secret": issued.client_secret,
        **(PENDING if pending else {}),
    }
    return answer(document, status=201, headers=(("Location", location),))


def answer_empty(status: int) -> web.Response:
    """Answer without a body."""
    return web.Response(status=status, headers=NO_STORE)
