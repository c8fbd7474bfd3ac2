"""``POST /v1/oauth/token``: RFC 6749."""

import logging
from typing import Any

import pytest

from gateway.oauth import tokens as formats
from tests.authority.conftest import House, MakeHouse, basic, by

SCOPES = {"scopes": {"a": "A", "b": "B", "c": "C"}}
GRANT = {"grant_type": "client_credentials"}


async def test_the_contracts_answer(house: House) -> None:
    """Exactly these members and headers."""
    client = await house.client()
    answer = await house.post("token", by(client), **GRANT)
    assert answer.status == 200
    document = await answer.json()
    assert set(document) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (document["token_type"], document["expires_in"]) == ("Bearer", 3600)
    assert formats.find_opaque(document["access_token"].encode())
    assert formats.find_refresh(document["refresh_token"].encode())
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.headers["Content-Type"] == "application/json"
    assert "Server" not in answer.headers
    assert house.count("gateway_tokens_issued_total", 'grant="client_credentials"') == 1


async def test_client_id_is_a_user_too(house: House) -> None:
    """Standard OAuth libraries send that."""
    client = await house.client()
    assert (await house.post("token", basic(client.client_id, client.client_secret), **GRANT)).status == 200


async def test_any_live_secret_works_with_client_id(house: House) -> None:
    """A client with two keys; each key with its own secret only."""
    one = await house.client()
    added = await house.http.post(f"/v1/clients/{one.client_id}/keys", headers=by(one))
    two = await added.json()
    assert (await house.post("token", basic(one.client_id, two["client_secret"]), **GRANT)).status == 200
    assert (await house.post("token", basic(two["client_key"], two["client_secret"]), **GRANT)).status == 200
    assert (await house.post("token", basic(one.client_key, two["client_secret"]), **GRANT)).status == 401


async def test_rfc6749_2_3_1_form_encoded_basic_is_the_same(house: House) -> None:
    """Escaping what needs no escape changes nothing (O25)."""
    client = await house.client()
    assert (await house.post("token", basic(client.client_key.replace("_", "%5F"), client.client_secret), **GRANT)).status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("name", ["token", "introspect", "revoke"])
async def test_rfc6749_3_2_other_methods_are_405(house: House, name: str, method: str) -> None:
    """With Allow, whoever asks (O08, O16)."""
    answer = await house.http.request(method, f"/v1/oauth/{name}")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("send", [
    pytest.param({"json": GRANT}, id="JSON"),
    pytest.param({"data": b"grant_type=client_credentials", "headers": {"Content-Type": "text/plain"}}, id="text"),
    pytest.param({"data": b"grant_type=client_credentials", "skip_auto_headers": ["Content-Type"]}, id="no type"),
    pytest.param({"data": b"--x--", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, id="multipart"),
    pytest.param({"params": GRANT, "data": b"", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, id="query"),
    pytest.param({"params": {"client_secret": "x"}, "data": GRANT}, id="secret in the query"),
    pytest.param({"params": {"client_id": "x"}, "data": GRANT}, id="client_id in the query"),
    pytest.param({"data": {}}, id="no grant"),
    pytest.param({"data": b"grant_type=client_credentials&grant_type=client_credentials"}, id="grant twice"),
    pytest.param({"data": b"grant_type=client_credentials&scope=a&scope=b"}, id="scope twice"),
    pytest.param({"data": b"grant_type=client_credentials&x=%zz"}, id="broken escape"),
    pytest.param({"data": b"grant_type=client_credentials&x=%ff"}, id="not UTF-8"),
    pytest.param({"data": b"&".join(b"a%d=1" % n for n in range(60_00))}, id="6,000 parameters"),
    pytest.param({"data": {"grant_type": "client_credentials", "client_secret": "x"}}, id="Basic and body secret"),
    pytest.param({"data": {"grant_type": "client_credentials", "client_assertion": "x"}}, id="Basic and assertion"),
    pytest.param({"data": {"grant_type": "client_credentials", "client_id": "gwc_other"}}, id="Basic and another client_id"),
    pytest.param({"data": {"grant_type": "refresh_token"}}, id="no refresh token"),
])
async def test_rfc6749_5_2_invalid_request(house: House, send: dict[str, Any]) -> None:
    """One answer for what can't be read or is read in two ways (O06, O07, O08)."""
    client = await house.client()
    headers = {**by(client), **send.pop("headers", {"Content-Type": "application/x-www-form-urlencoded"})}
    if "json" in send or "Content-Type" in send.get("skip_auto_headers", ()):
        headers.pop("Content-Type", None)
    answer = await house.http.post("/v1/oauth/token", headers=headers, **send)
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert house.count("gateway_token_refusals_total", 'error="invalid_request"') == 1


async def test_rfc6749_2_3_two_authorization_headers(house: House) -> None:
    """Even when both are right (O06)."""
    header = by(await house.client())["Authorization"]
    answer = await house.http.post(
        "/v1/oauth/token", headers=[("Authorization", header), ("Authorization", header)], data=GRANT
    )
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


async def test_rfc6749_5_2_all_failed_authentications_are_one_answer(house: House) -> None:
    """Unknown, wrong, garbage, disabled, retired, absent: status, headers and body alike (O10)."""
    client, other, disabled = await house.client(), await house.client(), await house.client()
    await house.clients.change_client(disabled.client_id, enabled=False)
    retired = await house.client()
    await house.clients.retire_credential(retired.client_id, retired.client_key, end_tokens=False)
    fake = formats.mint_secret("abc", bytes(32))
    attempts = [
        basic(client.client_key, fake), basic(client.client_id, fake), basic(client.client_key, other.client_secret),
        basic(formats.mint_client_key("abc", bytes(16)), fake), basic(formats.mint_client_id("abc", bytes(16)), fake),
        basic("nobody", fake), basic(client.client_key, "wrong"), basic(client.client_key, ""), basic("", ""),
        basic(client.client_secret, client.client_key), by(disabled), by(retired),
        basic(client.client_key, "\x00" * 100), basic(client.client_key.upper(), client.client_secret),
        {"Authorization": "Basic !!!"}, {"Authorization": "Basic"}, {"Authorization": "Bearer abc"},
        {"Authorization": "Basic " + "A" * 6000}, {},
    ]
    answers = []
    for headers in attempts:
        answer = await house.post("token", headers, **GRANT)
        shown = {name: value for name, value in answer.headers.items() if name != "Date"}
        answers.append((answer.status, shown, await answer.text()))
    status, shown, text = answers[0]
    assert status == 401
    assert shown["WWW-Authenticate"].startswith('Basic realm="')
    assert '"error":"invalid_client"' in text
    assert answers == [answers[0]] * len(attempts)


async def test_rfc6749_5_2_unknown_and_wrong_take_the_same_path(house: House) -> None:
    """One look-up each, of the same kind; a string that is no secret costs none, whoever sends it (O10)."""
    client, fake = await house.client(), formats.mint_secret("abc", bytes(32))
    calls = []
    for user in (client.client_key, formats.mint_client_key("abc", bytes(16))):
        for secret in (fake, "no-secret"):
            house.clients.calls.clear()
            await house.post("token", basic(user, secret), **GRANT)
            calls.append(list(house.clients.calls))
    assert calls == [["find_credential"], [], ["find_credential"], []]


async def test_client_secret_post_is_off_unless_configured(house: House, house_with: MakeHouse) -> None:
    """RFC 6749 section 2.3.1 advises against it."""
    client = await house.client()
    form = {**GRANT, "client_id": client.client_id, "client_secret": client.client_secret}
    assert (await house.post("token", {}, **form)).status == 401
    other = await house_with(client_secret_post=True)
    client = await other.client()
    form = {**GRANT, "client_id": client.client_id, "client_secret": client.client_secret}
    assert (await other.post("token", {}, **form)).status == 200
    assert (await other.post("token", {}, **{**form, "client_id": ""})).status == 401
    assert (await other.post("token", {}, **{**form, "client_secret": formats.mint_secret("abc", bytes(32))})).status == 401
    assert (await other.post("token", by(client), **form)).status == 400


async def test_a_client_may_repeat_its_id_in_the_form(house: House) -> None:
    """Libraries do, beside Basic."""
    client = await house.client()
    for client_id in (client.client_id, client.client_key):
        assert (await house.post("token", by(client), **GRANT, client_id=client_id)).status == 200


@pytest.mark.parametrize("grant_type", ["password", "authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer", "x"])
async def test_rfc6749_5_2_unsupported_grant_type(house: House, grant_type: str) -> None:
    """Only what is on offer."""
    answer = await house.post("token", by(await house.client()), grant_type=grant_type, username="u", password="p")
    assert (answer.status, (await answer.json())["error"]) == (400, "unsupported_grant_type")


# --- scopes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "scope"), [
    pytest.param({}, "a b", id="omitted: all that the client may have"),
    pytest.param({"scope": ""}, "a b", id="empty counts as omitted"),
    pytest.param({"scope": "b"}, None, id="as asked, so not repeated"),
    pytest.param({"scope": "b a"}, None, id="order does not matter"),
])
async def test_rfc6749_3_3_granted_scopes(house_with: MakeHouse, asked: dict[str, str], scope: str | None) -> None:
    """``scope`` stands in the answer when it differs from the request."""
    house = await house_with(**SCOPES)
    client = await house.client("a b")
    document = await house.token(client, **asked)
    assert document.get("scope") == scope
    told = (await house.introspect(client, document["access_token"]))["scope"]
    assert told == (scope or " ".join(sorted(asked["scope"].split())))


@pytest.mark.parametrize("scope", ["c", "a c", "unknown", "A", 'a"', "a  b", "a\\", "é"])
async def test_rfc6749_5_2_invalid_scope(house_with: MakeHouse, scope: str) -> None:
    """Not the client's, not known, not well-formed (O05)."""
    house = await house_with(**SCOPES)
    answer = await house.post("token", by(await house.client("a b")), **GRANT, scope=scope)
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_scope")


async def test_asking_for_a_scope_where_none_is_in_use(house: House) -> None:
    """Is invalid_scope, not ignored."""
    answer = await house.post("token", by(await house.client()), **GRANT, scope="a")
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_scope")


# --- refresh ---------------------------------------------------------------------------------------------------------


async def test_rfc6749_6_a_refresh_gives_a_new_pair(house: House) -> None:
    """Same fields and headers; the older access token lives on."""
    client = await house.client()
    first = await house.token(client)
    answer = await house.post("token", by(client), grant_type="refresh_token", refresh_token=first["refresh_token"])
    second = await answer.json()
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(second) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert second["expires_in"] == 3600
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] != first["refresh_token"]
    assert await house.is_active(client, first["access_token"])
    assert await house.is_active(client, second["access_token"])
    assert house.count("gateway_tokens_issued_total", 'grant="refresh_token"') == 1


async def test_a_retry_within_the_grace_gets_the_same_bytes(house: House) -> None:
    """Until the successor was presented (O03)."""
    client = await house.client()
    first = await house.token(client)
    _, second = await house.refresh(client, first["refresh_token"])
    status, again = await house.refresh(client, first["refresh_token"])
    assert status == 200
    assert 3590 <= again.pop("expires_in") <= second.pop("expires_in")
    assert again == second


async def test_rfc9700_4_14_2_a_replay_kills_the_chain_and_no_other(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """After the successor was presented; a security event, without the token (O01)."""
    client = await house.client()
    first, other = await house.token(client), await house.token(client)
    _, second = await house.refresh(client, first["refresh_token"])
    _, third = await house.refresh(client, second["refresh_token"])
    status, refused = await house.refresh(client, first["refresh_token"])
    assert (status, refused["error"]) == (400, "invalid_grant")
    for dead in (first, second, third):
        assert not await house.is_active(client, dead["access_token"])
    assert (await house.refresh(client, third["refresh_token"]))[0] == 400
    assert await house.is_active(client, other["access_token"])
    assert (await house.refresh(client, other["refresh_token"]))[0] == 200
    events = [record for record in caplog.records if record.message == "refresh_token.replayed"]
    assert [event.levelno for event in events] == [logging.WARNING]
    assert events[0].facts["client_id"] == client.client_id  # type: ignore[attr-defined]


async def test_without_grace_any_second_use_kills(house_with: MakeHouse) -> None:
    """``refresh_grace: 0s``."""
    house = await house_with(refresh_grace="0s")
    client = await house.client()
    first = await house.token(client)
    _, second = await house.refresh(client, first["refresh_token"])
    assert (await house.refresh(client, first["refresh_token"]))[0] == 400
    assert not await house.is_active(client, second["access_token"])


async def test_rfc6749_6_a_foreign_refresh_token_is_invalid_grant_and_untouched(house: House) -> None:
    """A stranger can neither use nor kill it (O04)."""
    client, stranger = await house.client(), await house.client()
    first = await house.token(client)
    for _ in range(2):
        status, refused = await house.refresh(stranger, first["refresh_token"])
        assert (status, refused["error"]) == (400, "invalid_grant")
    assert (await house.refresh(client, first["refresh_token"]))[0] == 200


async def test_grant_confusion(house: House) -> None:
    """Access token, secret, key and nonsense as refresh token (O09): one answer."""
    client = await house.client()
    pair = await house.token(client)
    refresh = pair["refresh_token"]
    answers = [await house.refresh(client, token) for token in (
        pair["access_token"], client.client_secret, client.client_key, "x", refresh[:-1], refresh + "A", refresh.upper(),
        formats.mint_refresh(client.client_id[4:7], "A" * 22, bytes(32)), "é", "\x00", "*",
    )]  # fmt: skip
    assert answers[0][0] == 400
    assert answers[0][1]["error"] == "invalid_grant"
    assert answers == [answers[0]] * len(answers)


async def test_rfc6749_6_scopes_at_refresh(house_with: MakeHouse) -> None:
    """Narrower is fine and not for good; wider is invalid_scope and changes nothing (O05)."""
    house = await house_with(**SCOPES)
    client = await house.client("a b c")
    pair = await house.token(client, scope="a b")
    status, refused = await house.refresh(client, pair["refresh_token"], scope="a c")
    assert (status, refused["error"]) == (400, "invalid_scope")
    status, narrow = await house.refresh(client, pair["refresh_token"], scope="a")
    assert (status, narrow.get("scope")) == (200, None)
    assert (await house.introspect(client, narrow["access_token"]))["scope"] == "a"
    status, full = await house.refresh(client, narrow["refresh_token"])
    assert (status, full["scope"]) == (200, "a b")
    status, refused = await house.refresh(client, full["refresh_token"], scope="x")
    assert (status, refused["error"]) == (400, "invalid_scope")


async def test_a_scope_that_the_client_lost_is_lost_at_refresh_too(house_with: MakeHouse) -> None:
    """Asked for: invalid_scope; not asked for: the answer tells what is left."""
    house = await house_with(**SCOPES)
    client = await house.client("a b")
    pair = await house.token(client)
    await house.clients.change_client(client.client_id, scopes=frozenset({"a"}))
    status, refused = await house.refresh(client, pair["refresh_token"], scope="b")
    assert (status, refused["error"]) == (400, "invalid_scope")
    status, left = await house.refresh(client, pair["refresh_token"])
    assert (status, left["scope"]) == (200, "a")


async def test_a_disabled_client_refreshes_nothing(house: House) -> None:
    """And what it holds is dead (O22)."""
    client, watcher = await house.client(), await house.client(permissions="introspect:any")
    pair = await house.token(client)
    await house.clients.change_client(client.client_id, enabled=False)
    assert (await house.refresh(client, pair["refresh_token"]))[0] == 401
    assert not await house.is_active(watcher, pair["access_token"])


async def test_refresh_tokens_can_be_switched_off(house_with: MakeHouse) -> None:
    """RFC 6749 section 4.4.3; then there is nothing to refresh either (O24)."""
    house = await house_with(refresh_for_client_credentials=False)
    client = await house.client()
    document = await house.token(client)
    assert set(document) == {"access_token", "token_type", "expires_in"}
    status, refused = await house.refresh(client, formats.mint_refresh("abc", "A" * 22, bytes(32)))
    assert (status, refused["error"]) == (400, "unsupported_grant_type")


async def test_expires_in_is_the_configured_life(house_with: MakeHouse) -> None:
    """In whole seconds."""
    house = await house_with(access_token_ttl="90s")
    client = await house.client()
    assert (await house.token(client))["expires_in"] == 90


async def test_over_max_live_chains_the_oldest_loses_its_refresh_token(house_with: MakeHouse) -> None:
    """Never its access token."""
    house = await house_with(max_live_chains=1)
    client = await house.client()
    old, new = await house.token(client), await house.token(client)
    assert await house.introspect(client, old["refresh_token"]) == {"active": False}
    status, refused = await house.refresh(client, old["refresh_token"])
    assert (status, refused["error"]) == (400, "invalid_grant")
    assert await house.is_active(client, old["access_token"])
    assert (await house.refresh(client, new["refresh_token"]))[0] == 200


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["find_credential", "issue"])
async def test_a_store_that_is_down_is_503(house: House, broken: str) -> None:
    """Never 401, never 200; RFC 6749 JSON with Retry-After (F01)."""
    client = await house.client()
    house.clients.broken = house.tokens.broken = {broken}
    answer = await house.post("token", by(client), **GRANT)
    assert (answer.status, (await answer.json())["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_refresh_that_the_store_did_not_confirm_is_503(house: House) -> None:
    """O19; and it can be repeated."""
    client = await house.client()
    pair = await house.token(client)
    house.tokens.broken = {"refresh"}
    assert (await house.refresh(client, pair["refresh_token"]))[0] == 503
    house.tokens.broken = set()
    assert (await house.refresh(client, pair["refresh_token"]))[0] == 200


async def test_a_successor_that_cannot_be_unsealed_is_503(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged record is the store's fault, not the client's (F09)."""
    client = await house.client()
    pair = await house.token(client)
    await house.refresh(client, pair["refresh_token"])
    monkeypatch.setattr("gateway.authority.token.unseal", lambda _sealed, _token: None)
    status, refused = await house.refresh(client, pair["refresh_token"])
    assert (status, refused["error"]) == (503, "temporarily_unavailable")


async def test_a_client_that_goes_while_it_gets_a_token_is_invalid_client(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look-up and the script."""
    client = await house.client()
    found = await house.clients.find_credential(client.client_key)
    await house.clients.delete_client(client.client_id)

    async def find_credential(_key: str) -> Any:
        return found

    monkeypatch.setattr(house.clients, "find_credential", find_credential, raising=False)
    answer = await house.post("token", by(client), **GRANT)
    assert (answer.status, (await answer.json())["error"]) == (401, "invalid_client")
