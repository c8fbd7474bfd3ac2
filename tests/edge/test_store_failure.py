"""``on_store_failure``: what becomes of requests while the store can't be asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.oauth.tokens import digest_access
from tests.edge.rig import Rig, a_token, a_verdict, get

KNOWN, UNKNOWN = a_token(3), a_token(4)
ROUTES: list[dict[str, Any]] = [
    {"path": "/cached", "upstream": "a", "scopes": ["orders"], "on_store_failure": "cached"},
    {"path": "/denies", "upstream": "a", "scopes": ["orders"]},
    {"path": "/public/", "upstream": "a", "public": True},
]


@pytest.fixture
async def rig(unstarted: Rig) -> Rig:
    """A store that went away when one token was known."""
    unstarted.verdicts.known[digest_access(KNOWN)] = a_verdict("gwc_known", ["orders"])
    unstarted.verdicts.cold = {digest_access(token): StoreUnavailable("test") for token in (KNOWN, UNKNOWN)}
    return await unstarted.start(routes=ROUTES)


def ask(path: str, token: bytes) -> bytes:
    return get(path, f"Authorization: Bearer {token.decode()}")


async def test_f_known_tokens_go_on_where_the_route_says_so_and_nobody_else_does(rig: Rig) -> None:
    """503 elsewhere, for tokens that nobody knew too; public routes do not notice."""
    connection = await rig.client()
    answers = [
        (await connection.ask(request)).status
        for request in (
            ask("/cached", KNOWN), ask("/cached", UNKNOWN), ask("/denies", KNOWN), get("/public/x"), get("/cached"),
            ask("/cached", b"x"),
        )
    ]
    assert answers == [200, 503, 503, 200, 401, 401]
    assert rig.origin.requests[0].one("x-client-id") == b"gwc_known"


async def test_scopes_count_as_ever(rig: Rig) -> None:
    rig.verdicts.known[digest_access(KNOWN)] = a_verdict("gwc_known")
    assert (await (await rig.client()).ask(ask("/cached", KNOWN))).status == 403


async def test_log_and_metric_tell_them_apart(rig: Rig) -> None:
    connection = await rig.client()
    rig.allow("orders")
    for request in (ask("/cached", KNOWN), get("/cached", auth=True), get("/public/x")):
        assert (await connection.ask(request)).status == 200
    series = rig.registry.snapshot()["gateway_stale_requests_total"]["series"]
    assert list(series.values()) == [1]
    await rig.stop()
    rig.log.seek(0)
    lines = [json.loads(line) for line in rig.log.read().splitlines()]
    assert [line.get("verdict", "") for line in lines] == ["stale", "", ""]
