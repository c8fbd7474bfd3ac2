"""Tokens of other authorization servers over the whole data plane: real issuers, real sockets (issue 5, item 7)."""

from __future__ import annotations

import asyncio
import hmac
import json
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.guard.reports import Finding
from gateway.oauth.tokens import digest_access
from tests.config.certificates import Authority
from tests.edge.rig import TOKEN, Rig, a_verdict, get
from tests.issuers.idp import AUDIENCE, Idp, make_key, published, sign

ROUTES: list[dict[str, Any]] = [
    {"path": "/both", "upstream": "a", "issuers": ["own", "idp"], "scopes": ["read"]},
    {"path": "/theirs", "upstream": "a", "issuers": ["idp"]},
    {"path": "/other", "upstream": "a", "issuers": ["own", "second"]},
    {"path": "/ours", "upstream": "a"},
    {"path": "/reports", "upstream": "a", "issuers": ["own", "idp"], "scopes": ["write"], "enforce": "report"},
    {"path": "/events", "upstream": "a", "issuers": ["own", "idp"]},
    {"path": "/public/", "upstream": "a", "public": True},
]


@pytest.fixture
async def idp() -> AsyncIterator[Idp]:
    idp = await Idp().start()
    yield idp
    await idp.stop()


@pytest.fixture
async def second() -> AsyncIterator[Idp]:
    second = await Idp("RS256").start()
    yield second
    await second.stop()


async def start(rig: Rig, idp: Idp, second: Idp | None = None, **changed: Any) -> Rig:
    """Routes that trust them, with keys found by metadata."""
    section = {"issuer": idp.url, "audience": [AUDIENCE], **changed}
    other = second.url if second is not None else "http://127.0.0.1:9"
    return await rig.start(routes=ROUTES, issuers={"idp": section, "second": {"issuer": other, "audience": [AUDIENCE]}})


def ask(path: str, token: str | bytes) -> bytes:
    return get(path, f"Authorization: Bearer {token if isinstance(token, str) else token.decode()}")


async def status(rig: Rig, path: str, token: str | bytes) -> int:
    return (await (await rig.client()).ask(ask(path, token))).status


def outcomes(rig: Rig, name: str = "gateway_issuer_tokens_total", issuer: str = "idp") -> dict[str, int]:
    series = rig.registry.snapshot()[name]["series"]
    found = {label.split('outcome="')[1][:-1]: n for label, n in series.items() if f'issuer="{issuer}"' in label}
    return {outcome: count for outcome, count in found.items() if count}


async def test_rfc9068_4_a_good_token_passes_and_the_upstream_is_told_whose_it_is(unstarted: Rig, idp: Idp) -> None:
    """By names that nobody of ours can have, and the client's own word for them is dropped."""
    rig = await start(unstarted, idp)
    connection = await rig.client()
    for _ in range(2):  # verified, and remembered
        said = f"Authorization: Bearer {idp.token()}", "X-Token-Issuer: https://evil.example", "x-client-id: gwc_admin"
        assert (await connection.ask(get("/both", *said))).status == 200
    for request in rig.origin.requests:
        assert request.one("x-client-id") == b"idp:app"
        assert request.one("x-token-subject") == b"idp:ann"
        assert request.one("x-token-issuer") == idp.url.encode()
        assert request.one("x-client-scopes") == b"read"
        assert request.all("authorization") == []


async def test_a_verdict_that_is_kept_is_found_at_once_and_costs_no_verification(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp)
    token = idp.token()
    connection = await rig.client()
    for _ in range(5):
        assert (await connection.ask(ask("/both", token))).status == 200
    assert outcomes(rig) == {"accepted": 1}
    assert idp.fetches == 1
    assert rig.verdicts.fetches == 0  # the store is not needed for it


async def test_own_tokens_are_good_only_where_the_route_says_so(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp)
    rig.allow("read")
    assert [await status(rig, path, TOKEN) for path in ("/both", "/theirs", "/other", "/ours")] == [200, 401, 200, 200]
    assert rig.origin.requests[0].all("x-token-issuer") == []


async def test_a_route_takes_no_token_of_an_issuer_that_it_does_not_name(unstarted: Rig, idp: Idp) -> None:
    """Not even one that another route found good a moment ago."""
    rig = await start(unstarted, idp)
    token = idp.token()
    found = [await status(rig, path, token) for path in ("/both", "/theirs", "/other", "/ours", "/both")]
    assert found == [200, 200, 401, 401, 200]


async def test_several_issuers_are_told_apart_by_iss_and_none_hears_of_another_s_token(
    unstarted: Rig, idp: Idp, second: Idp
) -> None:
    """The keys of one verify nothing for the other."""
    rig = await start(unstarted, idp, second)
    await rig.eventually(lambda: idp.fetches and second.fetches)
    before = len(idp.asked), len(second.asked)
    assert await status(rig, "/other", second.token()) == 200
    assert await status(rig, "/other", idp.token()) == 401
    assert await status(rig, "/both", sign(second.claims(iss=idp.url), second.key, alg="RS256", typ="at+jwt", kid="first")) == 401
    assert (len(idp.asked), len(second.asked)) == before


@pytest.mark.parametrize(("changed", "reason"), [
    ({"exp": int(time.time()) - 60}, "expired"), ({"exp": None}, "no exp"), ({"exp": "soon"}, "expired"),
    ({"nbf": int(time.time()) + 3600}, "not yet valid"), ({"iat": int(time.time()) + 3600}, "not yet valid"),
    ({"aud": "https://other.example"}, "aud"), ({"aud": None}, "aud"), ({"aud": []}, "aud"),
    ({"client_id": None}, "no client_id"), ({"client_id": "a\r\nX-Admin: 1"}, "no client_id"),
    ({"client_id": "gäst"}, "no client_id"), ({"sub": "a\nb"}, "sub"), ({"sub": 7}, "sub"),
    ({"scope": "read\r\nX: y"}, "scope"), ({"scope": 7}, "scope"),
    ({"nonce": "n"}, "an ID token"), ({"token_use": "id"}, "token_use"), ({"cnf": {"jkt": "x"}}, "cnf"),
])  # fmt: skip
async def test_rfc9068_4_what_a_token_must_say(
    unstarted: Rig, idp: Idp, changed: dict[str, Any], reason: str, caplog: Any
) -> None:
    """Signed well, and refused all the same, always in the same words; the log says why, and nothing of the token."""
    rig = await start(unstarted, idp)
    token = idp.token(**changed)
    with caplog.at_level("INFO", "gateway"):
        answer = await (await rig.client()).ask(ask("/both", token))
    assert (answer.status, answer.problem["code"]) == (401, "invalid_token")
    assert rig.origin.requests == []
    (told,) = [record.facts["reason"] for record in caplog.records if record.msg == "request.refused"]
    assert told.startswith("issuer idp: ")
    assert reason in told
    assert all(part not in caplog.text + str([vars(r) for r in caplog.records]) for part in token.split("."))


def _hs256(header: dict[str, str], body: str, secret: bytes) -> str:
    said = f"{urlsafe_b64encode(orjson.dumps(header)).rstrip(b'=').decode()}.{body}"
    return f"{said}.{urlsafe_b64encode(hmac.digest(secret, said.encode(), 'sha256')).rstrip(b'=').decode()}"


def _forged(idp: Idp) -> dict[str, str]:
    """Tokens that say all the right things, and that the issuer did not sign so."""
    evil = make_key()
    pem = idp.key.as_pem(private=False)
    good = idp.token()
    head, body, signature = good.split(".")
    none_head = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0Iiwia2lkIjoiZmlyc3QifQ"
    return {
        "none": f"{none_head}.{body}.", "none with a signature": f"{none_head}.{body}.{signature}",
        "HS256 with the public key": _hs256({"alg": "HS256", "typ": "at+jwt", "kid": "first"}, body, pem),
        "another key": idp.token(key=evil), "its own key in jwk": idp.token(key=evil, header={"jwk": published(evil)}),
        "its own key at jku": idp.token(key=evil, header={"jku": "https://evil.example/keys"}),
        "its own key at x5u": idp.token(key=evil, header={"x5u": "https://evil.example/keys"}),
        "crit": idp.token(header={"crit": ["b64"], "b64": True}), "an ID token": idp.token(header={"typ": "JWT"}),
        "no type": idp.token(header={"typ": None}),
        "an algorithm beyond the list": idp.token(header={"alg": "ES512"}, key=make_key("ES512")),
        "another body": f"{head}.{sign(idp.claims(scope='read admin'), evil, alg='ES256').split('.')[1]}.{signature}",
        "no signature": f"{head}.{body}.", "two parts": f"{head}.{body}", "four parts": f"{good}.{signature}",
        "a header that is a list": f"W10.{body}.{signature}", "a body that is a list": f"{head}.W10.{signature}",
    }  # fmt: skip


async def test_rfc8725_no_forged_token_passes(unstarted: Rig, idp: Idp) -> None:
    """Algorithm confusion above all (RFC 8725 sections 3.1 and 3.10)."""
    rig = await start(unstarted, idp)
    found = {name: await status(rig, "/theirs", token) for name, token in _forged(idp).items()}
    assert found == dict.fromkeys(found, 401)
    assert await status(rig, "/theirs", idp.token()) == 200


async def test_plain_jwts_pass_where_the_issuer_s_entry_says_so_and_id_tokens_never(unstarted: Rig, idp: Idp) -> None:
    """As many servers sign them: no type, an azp, scopes in a list of their own."""
    rig = await start(unstarted, idp, token_types=["JWT"], client_claim="azp", scope_claims=["scp", "roles"])
    said: dict[str, Any] = {"client_id": None, "scope": None, "azp": "app", "roles": ["read", "Read Orders", "ö"]}
    for header in ({"typ": "JWT"}, {"typ": None}):
        assert await status(rig, "/both", idp.token(header=header, **said)) == 200
        assert await status(rig, "/both", idp.token(header=header, **said, nonce="n")) == 401
    assert await status(rig, "/both", idp.token(**said)) == 401  # at+jwt is not on this list
    assert rig.origin.requests[0].one("x-client-scopes") == b"read"


async def test_scopes_are_asked_as_ever(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp)
    assert await status(rig, "/both", idp.token(scope="write")) == 403
    assert await status(rig, "/both", idp.token(scope=None)) == 403


async def test_a_new_key_is_fetched_and_a_key_that_is_gone_verifies_nothing(unstarted: Rig, idp: Idp) -> None:
    """Rotation: the old token was good and kept, and is not any more once its key is withdrawn."""
    unstarted.pause = 0.0
    rig = await start(unstarted, idp)
    old = idp.token()
    assert await status(rig, "/both", old) == 200
    idp.rotate()
    assert await status(rig, "/both", idp.token()) == 200
    assert idp.fetches == 2
    assert await status(rig, "/both", old) == 401


async def test_x12_unknown_keys_make_us_ask_no_more_often_than_the_pause_says(unstarted: Rig, idp: Idp) -> None:
    """A hundred at once and a hundred after: the one fetch of the start is all for ten seconds, and known keys are good."""
    idp.hold = asyncio.Event()
    rig = await start(unstarted, idp)
    flood = [asyncio.ensure_future(status(rig, "/both", idp.token(header={"kid": f"k{n}"}))) for n in range(100)]
    await rig.eventually(lambda: idp.asked)
    idp.hold.set()
    assert set(await asyncio.gather(*flood)) == {401}
    for n in range(100):
        assert await status(rig, "/both", idp.token(header={"kid": f"more{n}"})) in (401, 429)
    assert idp.fetches == 1


async def test_x12_forged_tokens_count_as_bad_tokens_of_their_source(unstarted: Rig, idp: Idp) -> None:
    """So that nobody has us verify signatures all day; a token that is known passes."""
    section = {"issuer": idp.url, "audience": [AUDIENCE]}
    rig = await unstarted.start(routes=ROUTES, issuers={"idp": section, "second": section}, listen={"bad_tokens": 5})
    good, evil = idp.token(), make_key()
    assert await status(rig, "/both", good) == 200
    found = [await status(rig, "/both", idp.token(key=evil, jti=str(n))) for n in range(20)]
    assert set(found) == {401, 429}
    assert found.count(401) <= 12
    assert await status(rig, "/both", good) == 200


async def test_an_issuer_that_is_down_at_start_is_503_and_back_by_itself(unstarted: Rig) -> None:
    """Never 401: nothing is known of the token.  Own tokens and public routes notice nothing."""
    idp = await Idp().start()
    await idp.stop()
    unstarted.pause = 0.0
    rig = await start(unstarted, idp)
    rig.allow("read")
    answer = await (await rig.client()).ask(ask("/both", idp.token()))
    assert (answer.status, answer.problem["code"]) == (503, "issuer_unavailable")
    assert int(answer.one("retry-after") or 0) >= 1
    assert answer.all("www-authenticate") == []
    assert await status(rig, "/both", TOKEN) == await status(rig, "/public/x", "x") == 200
    await idp.start()
    began = time.monotonic()
    while await status(rig, "/both", idp.token()) != 200:  # a fetch that began before may fail yet
        assert time.monotonic() < began + 2
    await idp.stop()
    assert "unavailable" in outcomes(rig)


async def test_f_old_keys_go_on_while_the_issuer_is_down_and_what_needs_a_new_one_is_503(unstarted: Rig, idp: Idp) -> None:
    unstarted.pause = 0.0
    rig = await start(unstarted, idp)
    assert await status(rig, "/both", idp.token()) == 200
    idp.broken = True
    assert await status(rig, "/both", idp.token(header={"kid": "new"})) == 503
    assert await status(rig, "/both", idp.token(jti="2")) == 200
    assert outcomes(rig, "gateway_issuer_key_fetches_total") == {"ok": 1, "failed": 1}


async def test_metadata_of_another_issuer_lead_to_no_keys(unstarted: Rig, idp: Idp, second: Idp) -> None:
    """RFC 8414 section 3.3: the issuer in it is the one that was asked."""
    idp.metadata = {"issuer": "https://other.example", "jwks_uri": f"{second.url}/keys"}
    rig = await start(unstarted, idp)
    assert await status(rig, "/both", idp.token()) == 503
    assert second.asked == []


async def test_keys_are_found_by_openid_metadata_by_uri_and_in_a_file(
    unstarted: Rig, idp: Idp, second: Idp, tmp_path: Path
) -> None:
    idp.metadata_at = "/.well-known/openid-configuration"
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": second.keys}))
    third = await Idp("Ed25519").start()
    names = {"idp": {"issuer": idp.url}, "second": {"issuer": second.url, "jwks_file": str(file)}}
    names["third"] = {"issuer": third.url, "jwks_uri": f"{third.url}/keys"}
    algorithms = ["ES256", "RS256", "Ed25519"]
    rig = await unstarted.start(
        routes=[{"path": "/all", "upstream": "a", "issuers": ["idp", "second", "third"]}],
        issuers={n: {**section, "audience": [AUDIENCE], "algorithms": algorithms} for n, section in names.items()},
    )
    assert [await status(rig, "/all", server.token()) for server in (idp, second, third)] == [200] * 3
    assert (second.asked, third.asked) == ([], ["GET /keys"])
    await third.stop()


async def test_redirects_and_large_documents_are_no_keys(unstarted: Rig, idp: Idp) -> None:
    """F16: nothing is followed anywhere."""
    idp.keys = [published(make_key(), f"k{n}", filler="x" * 1000) for n in range(300)]
    rig = await start(unstarted, idp)
    assert await status(rig, "/both", idp.token()) == 503


async def test_rfc8414_2_certificates_are_verified(unstarted: Rig, tmp_path: Path) -> None:
    """Against the entry's own authority, or the system's, which know nothing of this one."""
    authority = Authority(tmp_path)
    idp = Idp()
    idp.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    idp.tls.load_cert_chain(*authority.issue("127.0.0.1"))
    await idp.start()
    section = {"issuer": idp.url, "audience": [AUDIENCE]}
    routes = [{"path": f"/{name}", "upstream": "a", "issuers": [name]} for name in ("known", "unknown")]
    rig = await unstarted.start(
        routes=routes, issuers={"known": {**section, "ca_file": str(authority.file)}, "unknown": section}
    )
    assert [await status(rig, f"/{name}", idp.token()) for name in ("known", "unknown")] == [200, 503]
    await idp.stop()


async def test_reporting_routes_know_whose_a_foreign_token_is(unstarted: Rig, idp: Idp) -> None:
    rig = await start(unstarted, idp)
    for _ in range(2):
        assert await status(rig, "/reports", idp.token()) == 200
    assert await status(rig, "/reports", idp.token(key=make_key())) == 200
    assert rig.edge.reports.take() == {
        Finding("/reports", "GET", "idp:app", "insufficient_scope"): 2, Finding("/reports", "GET", "", "invalid_token"): 1,
    }  # fmt: skip


async def test_a_stream_ends_with_its_token(unstarted: Rig, idp: Idp) -> None:
    """As with our own: the verdict's time is the token's."""
    rig = await start(unstarted, idp, leeway="0s")
    rig.origin.replies(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b"data: 1\n\n")
    connection = await rig.client()
    await connection.send(ask("/events", idp.token(exp=time.time() + 0.5)))
    assert (await connection.response_head()).first.startswith(b"HTTP/1.1 200")
    await connection.rest()
    await rig.stop()
    rig.log.seek(0)
    (line,) = [json.loads(line) for line in rig.log.read().splitlines()]
    assert line["refusal"] == "token_expired"
    assert line["client_id"] == "idp:app"


async def test_a_stream_ends_when_its_issuer_withdraws_the_key(unstarted: Rig, idp: Idp) -> None:
    unstarted.pause = 0.0
    rig = await start(unstarted, idp)
    rig.origin.replies(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b"data: 1\n\n")
    connection = await rig.client()
    await connection.send(ask("/events", idp.token()))
    await connection.response_head()
    idp.rotate()
    rig.origin.script = rig.origin.serve
    assert await status(rig, "/theirs", idp.token()) == 200
    rig.edge.streams.tick(rig.edge.loop.time() + 11)
    await connection.rest()
    assert 'reason="token_revoked"' in str(rig.registry.snapshot()["gateway_streams_ended_total"]["series"])


async def test_own_verdicts_and_foreign_ones_never_stand_in_for_each_other(unstarted: Rig, idp: Idp) -> None:
    """A verdict of ours under the digest of a foreign token would be a bug, and no route for theirs alone is fooled by it."""
    rig = await start(unstarted, idp)
    token = idp.token(key=make_key())
    rig.verdicts.warm[digest_access(token.encode())] = a_verdict()
    assert await status(rig, "/theirs", token) == 401
