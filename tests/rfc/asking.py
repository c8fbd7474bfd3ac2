"""What the tests of several RFCs ask, and how they read the answers."""

from __future__ import annotations

import base64
import re
import socket
from typing import Any

import httpx

from tests.blackbox import Gateway

Credential = dict[str, str]
FORM = {"content-type": "application/x-www-form-urlencoded"}


def basic(user: str, password: str) -> dict[str, str]:
    """The header of HTTP Basic."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def own(client: Credential) -> tuple[str, str]:
    """A client's Basic, as httpx wants it."""
    return client["client_key"], client["client_secret"]


def post(gateway: Gateway, body: str, *headers: tuple[str, str], path: str = "/v1/oauth/token") -> httpx.Response:
    """A raw form."""
    return httpx.post(f"{gateway.url}{path}", content=body, headers=[*FORM.items(), *headers])


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and error code, after the checks that hold for every refusal of RFC 6749 section 5.2."""
    body = answer.json()
    assert set(body) <= {"error", "error_description", "error_uri"}
    assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]*", body.get("error_description", ""))
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    return answer.status_code, body["error"]


def describe(gateway: Gateway, status: int = 201, **metadata: Any) -> dict[str, Any]:
    """Register by RFC 7591."""
    answer = httpx.post(f"{gateway.url}/v1/oauth/register", json=metadata)
    assert answer.status_code == status, answer.text
    document: dict[str, Any] = answer.json()
    return document


def raw(gateway: Gateway, message: str, body: bytes = b"") -> bytes:
    """Send bytes, lines without their CR, and read until the gateway closes or two seconds are over without a byte."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=2) as connection:
        connection.sendall(message.replace("\n", "\r\n").encode("latin-1") + body)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def refresh(gateway: Gateway, client: Credential, pair: dict[str, Any], **form: str) -> httpx.Response:
    """Present the refresh token of a pair."""
    return gateway.token(client, grant_type="refresh_token", refresh_token=pair["refresh_token"], **form)
