"""Routes with ``enforce: report``: everything passes, nothing is lost of what would not have."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.guard.reports import Finding
from gateway.oauth.tokens import digest_access
from tests.edge.rig import TOKEN, Rig, a_token, a_verdict, get

ROUTES: list[dict[str, Any]] = [
    {"path": "/reports", "upstream": "a", "scopes": ["orders"], "enforce": "report"},
    {"path": "/reports/small", "upstream": "a", "enforce": "report", "max_body": "10B", "methods": ["POST"]},
    {"path": "/enforces", "upstream": "a", "scopes": ["orders"]},
    {"path": "/public/", "upstream": "a", "public": True},
]


@pytest.fixture
async def rig(unstarted: Rig) -> Rig:
    return await unstarted.start(routes=ROUTES)


OURS = f"Authorization: Bearer {TOKEN.decode()}"


def bearer(token: bytes) -> str:
    return f"Authorization: Bearer {token.decode()}"


def ask(path: str, authorization: str = "") -> bytes:
    return get(path, authorization) if authorization else get(path)


@pytest.mark.parametrize(("headers", "code", "client"), [
    ("", "token_missing", ""), ("Authorization: Basic YTpi", "token_missing", ""), (bearer(b"x"), "invalid_token", ""),
    (bearer(b""), "invalid_token", ""), (bearer(a_token(7)), "invalid_token", ""), (OURS, "insufficient_scope", "gwc_me"),
])  # fmt: skip
async def test_every_request_passes_and_what_would_have_refused_it_is_noted(
    rig: Rig, headers: str, code: str, client: str
) -> None:
    """The upstream is told who it is as far as that is known, and never sees the token."""
    connection = await rig.client()
    for _ in range(2):  # looked up, and remembered
        answer = await connection.ask(ask("/reports", headers))
        assert (answer.status, answer.body) == (200, b"ok")
    assert rig.edge.reports.take() == {Finding("/reports", "GET", client, code): 2}
    for request in rig.origin.requests:
        assert request.all("authorization") == []
        assert request.all("x-client-id") == ([client.encode()] if client else [])


async def test_one_that_would_have_passed_is_noted_too(rig: Rig) -> None:
    """Whatever is known only later: a token that has to be looked up."""
    token = a_token(3)
    rig.verdicts.cold[digest_access(token)] = a_verdict("gwc_other", ["orders"])
    connection = await rig.client()
    assert (await connection.ask(ask("/reports", bearer(token)))).status == 200
    assert rig.edge.reports.take() == {Finding("/reports", "GET", "gwc_other", ""): 1}


async def test_a_store_that_is_away_keeps_nobody_out(rig: Rig) -> None:
    rig.verdicts.cold[digest_access(a_token(3))] = StoreUnavailable("test")
    connection = await rig.client()
    assert (await connection.ask(ask("/reports", bearer(a_token(3))))).status == 200
    assert rig.edge.reports.take() == {Finding("/reports", "GET", "", "store_unavailable"): 1}


async def test_a_flood_of_bad_tokens_passes_without_asking_the_store(unstarted: Rig) -> None:
    rig = await unstarted.start(routes=ROUTES, listen={"bad_tokens": 1})
    connection = await rig.client()
    for number in range(20):
        assert (await connection.ask(ask("/reports", bearer(a_token(number + 10))))).status == 200
    codes = {finding.code: count for finding, count in rig.edge.reports.take().items()}
    assert codes.keys() == {"invalid_token", "too_many_requests"}
    assert rig.verdicts.fetches == codes["invalid_token"] < 20


async def test_what_is_refused_on_public_routes_is_refused_here(rig: Rig) -> None:
    """Methods, sizes, ambiguous requests; none of it is a finding."""
    for request, status in (
        (get("/reports/small"), 405), (b"POST /reports/small HTTP/1.1\r\nHost: gw\r\nContent-Length: 11\r\n\r\n", 413),
        (get("/reports/../x"), 400), (get("/reports", OURS, OURS), 400),
    ):  # fmt: skip
        connection = await rig.client()
        assert (await connection.ask(request)).status == status
    assert rig.edge.reports.take() == {}


async def test_the_other_routes_enforce(rig: Rig) -> None:
    for headers, status in (("", 401), (OURS, 403), (bearer(a_token(7)), 401)):
        connection = await rig.client()
        assert (await connection.ask(ask("/enforces", headers))).status == status
    assert rig.edge.reports.take() == {}
    assert rig.origin.requests == []
    assert rig.verdicts.warm.keys() == {digest_access(TOKEN)}
