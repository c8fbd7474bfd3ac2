"""RFC 9700 (BCP 240), best current practice for OAuth 2.0 security, as far as it shows from outside."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway, Origin
from tests.rfc.asking import Credential, error, refresh

PATH = "/.well-known/oauth-authorization-server"


def test_2_1_2_and_2_4_neither_implicit_nor_password_is_on_offer(gateway: Gateway, people: Gateway) -> None:
    for one in (gateway, people):
        body = httpx.get(one.url + PATH).json()
        assert not {"implicit", "password"} & set(body["grant_types_supported"])
        assert not {"token", "id_token token"} & set(body["response_types_supported"])


def test_2_4_the_password_grant_is_refused(gateway: Gateway, client: Credential) -> None:
    answer = gateway.token(client, grant_type="password", username="a@example.com", password="a-long-password")
    assert error(answer) == (400, "unsupported_grant_type")


def test_2_5_asymmetric_client_authentication_is_on_offer(gateway: Gateway) -> None:
    body = httpx.get(gateway.url + PATH).json()
    assert "private_key_jwt" in body["token_endpoint_auth_methods_supported"]
    assert not [alg for alg in body["token_endpoint_auth_signing_alg_values_supported"] if alg.startswith(("HS", "none"))]


def test_2_3_a_token_is_good_for_its_audience_and_scope_only(gateway: Gateway, client: Credential) -> None:
    token = gateway.token(client, scope="read", resource=f"{gateway.url}/v1/resource").json()["access_token"]
    codes = [gateway.resource(token, path).status_code for path in ("/v1/resource", "/v1/read/x", "/v1/write/x")]
    assert codes == [200, 401, 401]


@pytest.mark.parametrize("endpoint", ["token", "introspect", "revoke"])
@pytest.mark.parametrize("name", ["access_token", "token", "refresh_token", "client_secret", "code", "client_assertion"])
def test_4_3_2_nothing_secret_stands_in_a_url(gateway: Gateway, client: Credential, endpoint: str, name: str) -> None:
    auth = (client["client_key"], client["client_secret"])
    form = {"grant_type": "client_credentials", "token": "x"}
    answer = httpx.post(f"{gateway.url}/v1/oauth/{endpoint}?{name}=x", auth=auth, data=form)
    assert error(answer) == (400, "invalid_request")


def test_4_13_what_the_upstream_believes_comes_from_the_gateway(
    gateway: Gateway, origin: Origin, client: Credential, pair: dict[str, Any]
) -> None:
    forged = {
        "X-Client-Id": "admin", "X_CLIENT_ID": "admin", "X-Client-Scopes": "admin", "x-client_scopes": "admin",
        "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6", "X-Request-Id": "evil-id", "X-Client-Cert": "evil", "X-Gateway-Peer": "6.6.6.6",
        "X-Original-URL": "/admin-evil", "X-HTTP-Method-Override": "DELETE-evil",
    }  # fmt: skip
    before = len(origin.seen)
    assert gateway.resource(pair["access_token"], **forged).status_code == 200
    seen = origin.seen[before]
    text = " ".join(f"{name}: {value}" for name, value in seen.headers)
    assert not [word for word in ("admin", "6.6.6.6", "evil", "gopher") if word in text]
    assert seen.header("x-client-id") == [client["client_id"]]
    assert seen.header("x-client-scopes") == ["read"]


def test_4_14_2_a_spent_refresh_token_ends_its_chain(brief: Gateway) -> None:
    """Without a grace, as the RFC has it: the second use."""
    client = brief.register("replay@example.com")
    first = brief.token(client).json()
    second = refresh(brief, client, first).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert error(refresh(brief, client, first)) == (400, "invalid_grant")
    assert error(refresh(brief, client, second)) == (400, "invalid_grant")
    assert brief.resource(second["access_token"]).status_code == 401


def test_4_15_no_client_is_mistaken_for_a_person(gateway: Gateway, client: Credential) -> None:
    """Ids are made here; who calls himself by one gets another all the same, and ``sub`` is the client's own."""
    impostor = gateway.register(client["client_id"].lower())
    assert impostor["client_id"] != client["client_id"]
    assert impostor["client_id"].startswith("gwc_")
    token = gateway.token(impostor).json()["access_token"]
    said = gateway.introspect(impostor, token).json()
    assert said["sub"] == said["client_id"] == impostor["client_id"]
