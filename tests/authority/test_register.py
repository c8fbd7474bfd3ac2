"""``POST /v1/register`` and ``POST /v1/clients``."""

import asyncio
import gzip
from typing import Any

import pytest

from gateway.authority.enrolment import MAX_CLIENTS
from gateway.authority.hasher import Hasher
from gateway.errors import Overloaded
from gateway.oauth import tokens as formats
from tests.authority.conftest import PASSWORD, House, MakeHouse, basic, by

BODY = {"username": "Client-Email@domain.com", "password": PASSWORD}


@pytest.mark.parametrize("name", ["register", "clients"])
async def test_the_contracts_answer(house: House, name: str) -> None:
    """Exactly three members; where the client is; never stored."""
    answer = await house.http.post(f"/v1/{name}", json=BODY)
    document = await answer.json()
    assert answer.status == 201
    assert list(document) == ["client_id", "client_key", "client_secret"]
    assert formats.is_client_id(document["client_id"])
    assert formats.is_client_key(document["client_key"])
    assert formats.is_secret(document["client_secret"].encode())
    assert answer.headers["Location"] == f"/v1/clients/{document['client_id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    account = await house.clients.find_account("client-email@domain.com")
    assert account.client_ids == (document["client_id"],)
    assert account.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert house.count("gateway_registrations_total") == 1


async def test_what_was_registered_works_and_stays(house: House) -> None:
    """A token at once; the client is no longer provisional."""
    client = await house.register()
    await house.token(client)
    assert "keep_client" in house.clients.calls


async def test_a_self_registered_client_gets_the_default_scopes(house_with: MakeHouse) -> None:
    """At most."""
    house = await house_with(scopes={"a": "", "b": "", "c": ""}, default_scopes=["a", "b"])
    assert (await house.token(await house.register()))["scope"] == "a b"


async def test_the_same_name_is_409(house: House) -> None:
    """However it is written; the first owner keeps it."""
    client = await house.register("ann@example.com")
    answer = await house.http.post("/v1/register", json={"username": "ANN@Example.COM", "password": "another-password"})
    assert (answer.status, (await answer.json())["code"]) == (409, "conflict")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await house.http.get(f"/v1/clients/{client.client_id}", headers=basic("ann@example.com", PASSWORD))).status == 200


async def test_one_winner_of_fifty(house: House) -> None:
    """The losers cost no hash (G02)."""
    answers = await asyncio.gather(*(house.http.post("/v1/register", json=BODY) for _ in range(50)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 49
    created = [await answer.json() for answer in answers if answer.status == 201]
    account = await house.clients.find_account("client-email@domain.com")
    assert account.client_ids == (created[0]["client_id"],)


@pytest.mark.parametrize(("send", "status", "names"), [
    pytest.param({"json": {**BODY, "is_admin": True}}, 400, "is_admin", id="unknown field"),
    pytest.param({"json": {"username": "ann"}}, 400, "password", id="missing field"),
    pytest.param({"json": {**BODY, "username": "a"}}, 400, "username", id="short name"),
    pytest.param({"json": {**BODY, "password": "short"}}, 400, "password", id="short password"),
    pytest.param({"json": {**BODY, "password": "x" * 257}}, 400, "password", id="long password"),
    pytest.param({"json": {**BODY, "password": 12345678}}, 400, "password", id="wrong type"),
    pytest.param({"json": [BODY]}, 400, "object", id="array"),
    pytest.param({"data": b'{"username":"ann","username":"bob","password":"12345678"}'}, 400, "username", id="duplicate"),
    pytest.param({"data": b'{"username":"\xff"}'}, 400, "JSON", id="not UTF-8"),
    pytest.param({"data": b"{"}, 400, "JSON", id="not JSON"),
    pytest.param({"data": b""}, 400, "JSON", id="empty"),
    pytest.param({"data": b"[" * 60_000}, 400, "JSON", id="deep"),
    pytest.param({"data": BODY, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 415, "json", id="form"),
    pytest.param({"data": b"--x", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 415, "json", id="multipart"),
    pytest.param({"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "json", id="text/plain"),
    pytest.param({"data": b"x" * 65_537}, 413, "large", id="65,537 bytes"),
    pytest.param({"data": gzip.compress(b"{}"), "headers": {"Content-Encoding": "gzip"}}, 415, "Content-Encoding", id="gzip"),
    pytest.param({"data": gzip.compress(bytes(9 << 20)), "headers": {"Content-Encoding": "gzip"}}, 415, "Content-E", id="bomb"),
    pytest.param({"data": b"{}", "headers": {"Content-Encoding": "br"}}, 415, "Content-Encoding", id="br"),
])
async def test_bad_input_gets_a_clear_answer(house: House, send: dict[str, Any], status: int, names: str) -> None:
    """A problem document that names what is wrong; no claim is left, nothing is hashed (X06, X07, G04, G07)."""
    headers = {"X-Gateway-Request-Id": "r-1", "Content-Type": "application/json", **send.pop("headers", {})}
    if "json" in send:
        del headers["Content-Type"]
    answer = await house.http.post("/v1/register", headers=headers, **send)
    document = await answer.json(content_type="application/problem+json")
    assert (answer.status, document["status"], document["request_id"]) == (status, status, "r-1")
    assert names in document["detail"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert house.clients.calls == []


async def test_a_body_without_length_is_bounded_too(house: House) -> None:
    """Chunked: 413 once it is too long."""

    async def chunks() -> Any:
        for _ in range(20):
            yield b" " * 8192

    answer = await house.http.post("/v1/register", data=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status == 413


async def test_a_body_that_announces_too_much_is_not_waited_for(house: House) -> None:
    """413 at the head; nothing of the body was sent."""
    port = house.http.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 65537\r\n\r\n")
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await writer.wait_closed()
    assert line.startswith(b"HTTP/1.1 413 ")


async def test_registration_is_closed_by_default(house_with: MakeHouse) -> None:
    """403, whatever is sent; further clients of an account too."""
    house = await house_with(registration="closed")
    await house.client(username="ann")
    for headers in ({}, basic("ann", PASSWORD)):
        for name in ("register", "clients"):
            answer = await house.http.post(f"/v1/{name}", json={} if headers else BODY, headers=headers)
            assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")


async def test_a_path_can_be_given_back_to_the_legacy_api(house_with: MakeHouse) -> None:
    """``registration_paths: [sign-up]``; further clients still come from /clients."""
    house = await house_with(registration_paths=["sign-up"])
    assert (await house.http.post("/v1/register", json=BODY)).status == 404
    assert (await house.http.post("/v1/clients", json=BODY)).status == 401
    assert (await house.http.post("/v1/sign-up", json=BODY)).status == 201
    assert (await house.http.post("/v1/clients", headers=basic(BODY["username"], PASSWORD))).status == 201


async def test_other_methods_are_405(house: House) -> None:
    """With Allow."""
    answer = await house.http.get("/v1/register")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert answer.headers["Content-Type"] == "application/problem+json"


# --- another client of the account -------------------------------------------------------------------------------------


@pytest.mark.parametrize("send", [{}, {"json": {}}, {"data": b" ", "headers": {"Content-Type": "application/json"}}])
async def test_another_client_of_the_same_account(house: House, send: dict[str, Any]) -> None:
    """With the account's Basic; the body has nothing to say."""
    first = await house.register()
    headers = {**basic("Ann", PASSWORD), **send.pop("headers", {})}
    answer = await house.http.post("/v1/clients", headers=headers, **send)
    second = await answer.json()
    assert answer.status == 201
    assert set(second) == {"client_id", "client_key", "client_secret"}
    assert answer.headers["Location"] == f"/v1/clients/{second['client_id']}"
    assert (await house.clients.find_account("ann")).client_ids == (first.client_id, second["client_id"])
    assert (await house.post("token", basic(second["client_key"], second["client_secret"]),
                             grant_type="client_credentials")).status == 200  # fmt: skip


async def test_wrong_credentials_make_no_client(house: House) -> None:
    """Unknown account, wrong password, a client's secret instead: one answer."""
    client = await house.register()
    seen = set()
    for headers in (basic("ann", "wrong-password"), basic("nobody", PASSWORD), basic("a", "b"), by(client),
                    {"Authorization": "Basic !"}, {"Authorization": "Bearer x"}):  # fmt: skip
        answer = await house.http.post("/v1/clients", headers=headers)
        seen.add((answer.status, answer.headers["WWW-Authenticate"], await answer.text()))
    assert len(seen) == 1
    assert seen.pop()[0] == 401
    assert len((await house.clients.find_account("ann")).client_ids) == 1


async def test_credentials_and_a_registration_at_once_are_400(house: House) -> None:
    """Which of both was meant?"""
    await house.register()
    answer = await house.http.post("/v1/register", json=BODY, headers=basic("ann", PASSWORD))
    assert (answer.status, (await answer.json())["code"]) == (400, "invalid_input")


async def test_an_account_has_twenty_clients_at_most(house: House) -> None:
    """The next one is 409 and leaves nothing linked."""
    for _ in range(MAX_CLIENTS - 1):
        await house.client(username="ann")
    account = await house.clients.find_account("ann")
    assert await house.clients.change_password_hash("ann", account.password_hash, await house.hasher.hash(PASSWORD))
    statuses = [(await house.http.post("/v1/clients", headers=basic("ann", PASSWORD))).status for _ in range(2)]
    assert statuses == [201, 409]
    assert len((await house.clients.find_account("ann")).client_ids) == MAX_CLIENTS


# --- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["claim_username", "create_client", "confirm_username", "keep_client"])
async def test_a_store_that_fails_half_way_is_503(house: House, broken: str) -> None:
    """And the name is free again, unless it was confirmed already."""
    house.clients.broken = {broken}
    answer = await house.http.post("/v1/register", json=BODY)
    assert (answer.status, (await answer.json())["code"]) == (503, "store_unavailable")
    assert answer.headers["Retry-After"] == "1"
    house.clients.broken = set()
    retry = await house.http.post("/v1/register", json=BODY)
    assert retry.status == (409 if broken == "keep_client" else 201)
    if broken == "keep_client":
        assert (await house.http.post("/v1/clients", headers=basic(BODY["username"], PASSWORD))).status == 201


async def test_a_release_that_fails_does_not_hide_why(house: House) -> None:
    """The claim runs out by itself."""
    house.clients.broken = {"create_client", "release_username"}
    assert (await house.http.post("/v1/register", json=BODY)).status == 503


async def test_a_full_pool_is_503_and_frees_the_name(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not 500, not a wait (G01)."""

    async def full(_self: Hasher, _password: str, *, source: bytes) -> str:
        raise Overloaded

    with monkeypatch.context() as patched:
        patched.setattr(Hasher, "hash", full)
        answer = await house.http.post("/v1/register", json=BODY)
        assert (answer.status, (await answer.json())["code"]) == (503, "overloaded")
        assert answer.headers["Retry-After"] == "1"
    assert (await house.http.post("/v1/register", json=BODY)).status == 201


async def test_a_claim_that_was_lost_meanwhile_is_409(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing took longer than the claim holds, and somebody else came."""
    original = Hasher.hash

    async def slow(self: Hasher, password: str, *, source: bytes) -> str:
        assert await house.clients.release_username("client-email@domain.com", claims[0]) is None
        assert await house.clients.claim_username("client-email@domain.com", "somebody-else")
        return await original(self, password, source=source)

    claims: list[str] = []
    claim_username = house.clients.claim_username

    async def claim(username: str, value: str) -> bool:
        claims.append(value)
        return bool(await claim_username(username, value))

    monkeypatch.setattr(house.clients, "claim_username", claim, raising=False)
    monkeypatch.setattr(Hasher, "hash", slow)
    assert (await house.http.post("/v1/register", json=BODY)).status == 409
    assert await house.clients.find_account("client-email@domain.com") is None
