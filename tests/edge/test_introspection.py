"""Tokens that their issuer is asked about (RFC 7662), over the whole data plane: real issuers and sockets, questions counted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.issuers import introspection
from gateway.issuers.introspection import FAILURES, Introspector
from gateway.upstreams.breaker import State
from tests.edge.rig import TOKEN, Rig, get
from tests.issuers.idp import AUDIENCE, Idp, make_key

ROUTES: list[dict[str, Any]] = [
    {"path": "/both", "upstream": "a", "issuers": ["own", "idp"], "scopes": ["read"]},
    {"path": "/two", "upstream": "a", "issuers": ["idp", "second"]},
    {"path": "/second", "upstream": "a", "issuers": ["own", "second"]},
    {"path": "/ours", "upstream": "a"},
]


@pytest.fixture
async def idp() -> AsyncIterator[Idp]:
    idp = await Idp().start()
    yield idp
    await idp.stop()


@pytest.fixture
async def second() -> AsyncIterator[Idp]:
    second = await Idp().start()
    yield second
    await second.stop()


async def start(rig: Rig, idp: Idp, second: Idp | None = None, *, issuer: dict[str, Any] | None = None, **section: Any) -> Rig:
    """``idp`` takes any token, ``second`` those with its prefix."""
    other = second or Idp()
    return await rig.start(routes=ROUTES, issuers={
        "idp": {"issuer": idp.url, "introspection": idp.section(**section), **(issuer or {})},
        "second": {"issuer": other.url, "introspection": other.section(prefix="sec_")},
    })  # fmt: skip


def asker(rig: Rig) -> Introspector:
    assert rig.installed is not None
    return rig.installed._introspectors[0]


def ask(path: str, token: str | bytes) -> bytes:
    return get(path, f"Authorization: Bearer {token if isinstance(token, str) else token.decode()}")


async def status(rig: Rig, path: str, token: str | bytes) -> int:
    return (await (await rig.client()).ask(ask(path, token))).status


async def test_rfc7662_2_an_active_token_passes_and_the_upstream_is_told_whose_it_is(unstarted: Rig, idp: Idp) -> None:
    """The issuer is asked once; the secret goes form-encoded in Basic (RFC 6749 section 2.3.1)."""
    rig = await start(unstarted, idp)
    token = idp.mint("opaque-1")
    connection = await rig.client()
    for _ in range(3):
        assert (await connection.ask(ask("/both", token))).status == 200
    assert idp.introspected == [token]
    request = rig.origin.requests[0]
    told = [request.one(name) for name in ("x-client-id", "x-token-subject", "x-token-issuer", "x-client-scopes")]
    assert told == [b"idp:app", b"idp:ann", idp.url.encode(), b"read"]
    assert request.all("authorization") == []


async def test_the_secret_may_go_in_the_form(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp, auth="post")
    assert await status(rig, "/both", idp.mint("opaque-1")) == 200


@pytest.mark.parametrize("changed", [
    {"exp": int(time.time()) - 1}, {"nbf": int(time.time()) + 3600}, {"iss": "https://other.example"}, {"aud": "https://other"},
    {"aud": None}, {"client_id": None}, {"client_id": "a\r\nb"}, {"sub": "ö"}, {"scope": "a\r\nb"}, {"cnf": {"jkt": "x"}},
    {"token_type": None}, {"token_type": "DPoP"}, {"token_type": 7}, {"token_use": "refresh_token"},
    {"active": False}, {"exp": "x"},
])  # fmt: skip
async def test_rfc7662_4_what_an_answer_must_say(unstarted: Rig, idp: Idp, changed: dict[str, Any]) -> None:
    """A refresh token above all, which some servers call active too."""
    rig = await start(unstarted, idp, issuer={"audience": [AUDIENCE]})
    token = idp.mint("opaque-1")
    idp.opaque[token] = {name: value for name, value in {**idp.opaque[token], **changed}.items() if value is not None}
    answer = await (await rig.client()).ask(ask("/both", token))
    assert (answer.status, answer.problem["code"]) == (401, "invalid_token")
    assert idp.introspected == [token]


async def test_an_answer_may_leave_out_what_it_need_not_say(unstarted: Rig, idp: Idp) -> None:
    """RFC 7662 section 2.2: but for the client, without whom there is nobody to name."""
    rig = await start(unstarted, idp, require_token_type=False)
    token = idp.mint("opaque-1")
    idp.opaque[token] = {"active": True, "client_id": "app", "scope": "read"}
    assert await status(rig, "/both", token) == 200


async def test_no_token_reaches_an_issuer_that_it_can_not_be_from(unstarted: Rig, idp: Idp, second: Idp) -> None:
    """Counted at their sockets: JWTs of others, JWTs of nobody, own tokens broken or not, and what begins as another's."""
    rig = await start(unstarted, idp, second)
    rig.allow("read")
    third = Idp()
    third.port = 9
    others = [
        TOKEN, TOKEN[:-1] + b"?", b"gwa_" + b"x" * 52, b"gwr_abc", b"gws_abc",
        third.token(), idp.token(iss=None), idp.token(iss=7),
        idp.token().rpartition(".")[0], idp.token() + ".x.y", "sec_x", second.token(), "x" * 5000, "a b",
    ]  # fmt: skip
    for token in others:
        await status(rig, "/both", token)
    assert (idp.introspected, second.introspected) == ([], [])
    assert await status(rig, "/two", second.mint("sec_1")) == await status(rig, "/two", idp.mint("first-1")) == 200
    assert (idp.introspected, second.introspected) == (["first-1"], ["sec_1"])
    assert [await status(rig, *what) for what in (("/second", "first-1"), ("/ours", "first-1"), ("/ours", "sec_1"))] == [401] * 3
    assert (idp.introspected, second.introspected) == (["first-1"], ["sec_1"])


async def test_its_jwts_are_asked_about_too_or_verified_by_its_keys(unstarted: Rig, idp: Idp) -> None:
    """As the entry says: asked, so that a revocation counts, with no key fetched at all."""
    rig = await start(unstarted, idp)
    token = idp.token()
    idp.mint(token)
    assert await status(rig, "/both", token) == 200
    assert (idp.introspected, idp.fetches) == ([token], 0)
    assert await status(rig, "/both", idp.token(jti="2")) == 401


async def test_jwts_may_be_verified_by_keys_and_only_others_asked_about(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp, jwts=False, issuer={"audience": [AUDIENCE]})
    assert await status(rig, "/both", idp.token()) == await status(rig, "/both", idp.mint("opaque-1")) == 200
    assert await status(rig, "/both", idp.token(key=make_key())) == 401
    assert (idp.introspected, idp.fetches) == (["opaque-1"], 1)


async def test_those_who_come_at_a_time_with_one_token_are_one_question(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp, cache="0s")
    token, idp.hold = idp.mint("opaque-1"), asyncio.Event()
    waiting = [asyncio.ensure_future(status(rig, "/both", token)) for _ in range(50)]
    joined = 'issuer="idp",outcome="joined"'
    await rig.eventually(lambda: rig.registry.snapshot()["gateway_issuer_tokens_total"]["series"][joined] == 49)
    idp.hold.set()
    assert set(await asyncio.gather(*waiting)) == {200}
    assert idp.introspected == [token]


async def test_questions_at_a_time_are_bounded(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp, max_concurrent=2)
    idp.hold = asyncio.Event()
    waiting = [asyncio.ensure_future(status(rig, "/both", f"t-{number}")) for number in range(20)]
    await rig.eventually(lambda: len(asker(rig)._tasks) == 20 and idp.asking == 2)
    idp.hold.set()
    assert set(await asyncio.gather(*waiting)) == {401}
    assert (idp.most_asking, len(idp.introspected)) == (2, 20)


async def test_who_waits_too_long_for_a_turn_is_503_and_that_is_no_failure_of_the_issuer(unstarted: Rig, idp: Idp) -> None:
    """Nobody leaves it alone because others sent many tokens."""
    rig = await start(unstarted, idp, max_concurrent=2, timeout="200ms")
    idp.hold = asyncio.Event()
    assert set(await asyncio.gather(*(status(rig, "/both", f"t-{number}") for number in range(20)))) == {503}
    idp.hold.set()
    assert asker(rig)._breaker.state is State.SERVING
    assert await status(rig, "/both", idp.mint("opaque-1")) == 200


async def test_an_answer_is_believed_as_long_as_configured(unstarted: Rig, idp: Idp) -> None:
    """A token that is revoked meanwhile passes until then, and not once more."""
    rig = await start(unstarted, idp, cache="300ms")
    token = idp.mint("opaque-1")
    assert await status(rig, "/both", token) == 200
    began = time.monotonic()
    del idp.opaque[token]
    while await status(rig, "/both", token) == 200:
        assert time.monotonic() < began + 2
    assert time.monotonic() > began + 0.2
    assert len(idp.introspected) == 2


async def test_rfc7662_4_no_answer_is_believed_past_the_token_s_end(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp, cache="10m")
    token = idp.mint("opaque-1", exp=time.time() + 0.4)
    assert await status(rig, "/both", token) == 200
    while await status(rig, "/both", token) == 200:
        assert time.time() < idp.opaque[token]["exp"] + 0.1
    assert idp.introspected == [token, token]


@pytest.mark.parametrize("answer", [
    {"status": 500}, {"status": 401, "text": "leaked"}, {"status": 302, "headers": {"Location": "/keys"}}, {"status": 429},
    {"body": b"{"}, {"body": b"[]"}, {"body": b'{"active":"true"}'}, {"body": b'{"active":1}'}, {"body": b"{}"}, {"body": b""},
    {"body": b'{"active":true,"x":"' + b"x" * 300_000 + b'"}'},
])  # fmt: skip
async def test_what_is_no_answer_is_503_and_lets_nobody_pass(
    unstarted: Rig, idp: Idp, answer: dict[str, Any], caplog: Any
) -> None:
    """Never 401, never 200; a redirect is not followed, and the log holds neither token nor secret nor answer."""
    rig = await start(unstarted, idp)
    idp.answer = web.Response(**answer)
    found = await (await rig.client()).ask(ask("/both", idp.mint("opaque-1")))
    assert (found.status, found.problem["code"]) == (503, "issuer_unavailable")
    assert int(found.one("retry-after") or 0) >= 1
    assert found.all("www-authenticate") == []
    assert idp.asked == ["POST /introspect"]
    logged = caplog.text + str([vars(record) for record in caplog.records])
    assert not any(word in logged for word in ("opaque-1", idp.secret, "leaked", "xxxx"))


async def test_a_wrong_secret_is_the_operator_s_fault_and_nobody_s_401(unstarted: Rig, idp: Idp, caplog: Any) -> None:
    rig = await start(unstarted, idp, client_secret="wrong")
    assert await status(rig, "/both", idp.mint("opaque-1")) == 503
    (event,) = [record for record in caplog.records if record.msg == "issuer.introspection_failed"]
    assert event.facts["reason"] == "status 401: it does not take our client or its secret"


async def test_an_issuer_that_fails_is_left_alone_and_asked_one_question_to_see(
    unstarted: Rig, idp: Idp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The breaker opens after five failures, so the sixth comes back at once; it closes with the first good answer."""
    monkeypatch.setattr(introspection, "SHORTEST", 0.2)
    rig = await start(unstarted, idp)
    rig.allow("read")
    idp.broken = True
    token = idp.mint("opaque-1")
    assert [await status(rig, "/both", token) for _ in range(FAILURES + 20)] == [503] * (FAILURES + 20)
    assert len(idp.introspected) == FAILURES
    assert rig.registry.snapshot()["gateway_issuer_breaker_open"]["series"]['issuer="idp"'] == 1
    assert await status(rig, "/both", TOKEN) == 200
    began = time.monotonic()
    while len(idp.introspected) == FAILURES:
        assert await status(rig, "/both", token) == 503
    assert time.monotonic() >= began + 0.1  # one trial, which failed: twice as long again
    assert len(idp.introspected) == FAILURES + 1
    idp.broken = False
    while await status(rig, "/both", token) != 200:
        assert time.monotonic() < began + 3
    assert len(idp.introspected) == FAILURES + 2
    assert rig.registry.snapshot()["gateway_issuer_breaker_open"]["series"]['issuer="idp"'] == 0


async def test_an_issuer_that_is_silent_or_gone_is_503_in_time(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp, timeout="200ms")
    idp.hold = asyncio.Event()
    began = time.monotonic()
    assert await status(rig, "/both", "t-1") == 503
    assert time.monotonic() < began + 1
    await idp.stop()
    assert await status(rig, "/both", "t-2") == 503


async def test_a_stream_goes_on_past_the_cache_and_ends_when_its_token_is_revoked(unstarted: Rig, idp: Idp) -> None:
    """It is asked after again, every ten seconds at the latest."""
    rig = await start(unstarted, idp, cache="0s")
    rig.origin.replies(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b"data: 1\n\n")
    connection = await rig.client()
    token = idp.mint("opaque-1")
    await connection.send(ask("/both", token))
    await connection.response_head()
    for _ in range(2):
        asked = len(idp.introspected)
        rig.edge.streams.tick(rig.edge.loop.time() + 11 * (1 + len(idp.introspected)))
        await rig.eventually(lambda asked=asked: len(idp.introspected) > asked and not rig.edge.streams._asking)
    assert rig.registry.snapshot()["gateway_streams"]["series"]['kind="events"'] == 1
    del idp.opaque[token]
    rig.edge.streams.tick(rig.edge.loop.time() + 100)
    await connection.rest()
    await rig.stop()
    rig.log.seek(0)
    (line,) = [json.loads(line) for line in rig.log.read().splitlines()]
    assert (line["refusal"], line["client_id"]) == ("token_revoked", "idp:app")


async def test_x12_random_tokens_cost_their_source(unstarted: Rig, idp: Idp) -> None:
    """So that nobody has us hammer an issuer."""
    rig = await unstarted.start(
        routes=[{"path": "/idp", "upstream": "a", "issuers": ["idp"]}], listen={"bad_tokens": 5},
        issuers={"idp": {"issuer": idp.url, "introspection": idp.section()}},
    )  # fmt: skip
    found = [await status(rig, "/idp", f"random-{number}") for number in range(40)]
    assert set(found) == {401, 429}
    assert len(idp.introspected) == found.count(401) <= 12
