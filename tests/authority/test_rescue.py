"""What everything that is raised becomes."""

import json
import logging

import pytest

from tests.authority.conftest import House, basic, by


async def test_an_unknown_path_is_a_problem(house: House) -> None:
    """Below the prefix or not."""
    for path in ("/v1/oauth/authorize", "/v1/nothing", "/", "/v1/oauth/token/"):
        answer = await house.http.get(path, headers={"X-Gateway-Request-Id": "r-9"})
        document = await answer.json(content_type="application/problem+json")
        assert (answer.status, document["code"], document["request_id"]) == (404, "not_found", "r-9")
        assert "Server" not in answer.headers


async def test_an_unexpected_error_is_a_500_that_tells_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither outside nor, of what the client sent, in the log."""
    client = await house.client()

    async def explode(_key: str) -> None:
        raise KeyError(client.client_secret)

    monkeypatch.setattr(house.clients, "find_credential", explode, raising=False)
    answer = await house.post("token", by(client), grant_type="client_credentials")
    text = await answer.text()
    assert (answer.status, json.loads(text)["error"]) == (500, "server_error")
    assert "KeyError" not in text
    assert "Traceback" not in text
    answer = await house.http.get(f"/v1/clients/{client.client_id}", headers=by(client))
    assert (answer.status, (await answer.json(content_type="application/problem+json"))["code"]) == (500, "internal_error")
    failures = [record for record in caplog.records if record.message == "request.failed"]
    assert [record.levelno for record in failures] == [logging.ERROR] * 2
    facts = failures[0].facts  # type: ignore[attr-defined]
    assert facts["error"] == "KeyError"
    assert facts["endpoint"] == "/v1/oauth/token"
    assert "test_rescue.py" in facts["frames"]
    assert client.client_secret not in caplog.text + str([record.__dict__ for record in caplog.records])


async def test_a_refusal_is_logged_with_its_reason(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """Which only the log may know."""
    client, other = await house.client(), await house.client()
    for headers, reason in (
        (basic(client.client_key, other.client_secret), "wrong_secret"),
        (basic("gwk_abc" + "A" * 22, other.client_secret), "unknown_client"),
        ({}, "no_credentials"),
    ):
        caplog.clear()
        headers = {**headers, "X-Gateway-Request-Id": "r-7", "X-Gateway-Peer": "192.0.2.1"}
        await house.post("token", headers, grant_type="client_credentials")
        record = next(record for record in caplog.records if record.message == "request.refused")
        assert record.facts == {  # type: ignore[attr-defined]
            "request_id": "r-7", "peer": "192.0.2.1", "method": "POST", "endpoint": "/v1/oauth/token", "status": 401,
            "code": "invalid_client", "reason": reason,
        }


async def test_nothing_secret_shows_in_any_log(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A whole life: registered, tokens, refresh, replay, refusals, keys, deleted (O31)."""
    password = "correct-horse-battery"
    client = await house.register("ann", password)
    pair = await house.token(client)
    _, second = await house.refresh(client, pair["refresh_token"])
    await house.refresh(client, second["refresh_token"])
    await house.refresh(client, pair["refresh_token"])
    await house.introspect(client, second["access_token"])
    await house.post("revoke", by(client), token=(await house.token(client))["access_token"])
    await house.http.post(f"/v1/oauth/token?client_secret={client.client_secret}", headers=by(client), data={"grant_type": "x"})
    await house.http.get(f"/v1/clients/{client.client_secret}", headers=basic("ann", password))
    await house.http.post("/v1/register", json={"username": "ann", "password": password})
    await house.http.post("/v1/register", json={"username": "bob", "password": password, password: 1})
    await house.http.get(f"/v1/clients/{client.client_id}", headers=basic("ann", password + "x"))
    answer = await house.http.post(f"/v1/clients/{client.client_id}/keys", headers=basic("ann", password))
    house.issued.append((await answer.json())["client_secret"])
    house.clients.broken = {"*"}
    await house.http.get(f"/v1/clients/{client.client_id}", headers=by(client))
    house.clients.broken = set()
    await house.http.delete(f"/v1/clients/{client.client_id}", headers=by(client))
    ours = [record for record in caplog.records if record.name.startswith("gateway")]
    events = {record.message for record in ours}
    assert events == {
        "client.registered", "refresh_token.replayed", "token.revoked", "request.refused", "key.added", "client.deleted",
    }
    everything = "\n".join(str(record.__dict__) for record in ours)
    assert len(house.issued) >= 9
    for secret in [*house.issued, password, by(client)["Authorization"].split()[1]]:
        assert secret not in everything
