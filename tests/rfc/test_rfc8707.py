"""RFC 8707, resource indicators: what a token is for, as routes see it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway
from tests.rfc.asking import error, own, refresh

Credential = dict[str, str]


def test_2_a_token_is_good_where_it_is_for_and_invalid_elsewhere(gateway: Gateway, client: Credential) -> None:
    """One answer with a token that is unknown; other methods and scopes of the resource decide as ever."""
    resource = f"{gateway.url}/v1/resource"
    token = gateway.token(client, resource=resource).json()["access_token"]
    for _ in range(2):  # looked up, and remembered
        assert gateway.resource(token).status_code == 200
        refused = gateway.resource(token, "/v1/read/x")
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert gateway.introspect(client, token).json()["aud"] == [resource]


def test_2_a_token_for_the_whole_host_or_for_nothing_in_particular_is_good_everywhere(
    gateway: Gateway, client: Credential, pair: dict[str, Any]
) -> None:
    host = gateway.token(client, resource=gateway.url).json()["access_token"]
    for token in (host, pair["access_token"]):
        assert gateway.resource(token).status_code == 200
        assert gateway.resource(token, "/v1/read/x").status_code == 200
    assert "aud" not in gateway.introspect(client, pair["access_token"]).json()


def test_2_tokens_of_one_client_for_different_resources_are_told_apart(gateway: Gateway, client: Credential) -> None:
    """However they follow one another."""
    paths = {"/v1/resource": "/v1/resource", "/v1/read/": "/v1/read/x"}
    tokens = {path: gateway.token(client, resource=gateway.url + path).json()["access_token"] for path in paths}
    for _ in range(2):
        for right, token in tokens.items():
            for path, asked in paths.items():
                assert gateway.resource(token, asked).status_code == (200 if path == right else 401)


@pytest.mark.parametrize("resource", ["https://evil.example/", "/v1/resource", "http://127.0.0.1:1/v1/resource"])
def test_2_what_is_unknown_here_is_invalid_target(gateway: Gateway, client: Credential, resource: str) -> None:
    answer = gateway.token(client, resource=resource)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_target")
    assert answer.headers["cache-control"] == "no-store"


def test_2_the_resource_of_the_metadata_is_what_one_asks_for(gateway: Gateway, client: Credential) -> None:
    """RFC 9728 section 2: from the challenge to a token that passes."""
    refused = gateway.resource("x", "/v1/read/x")
    url = refused.headers["www-authenticate"].split('resource_metadata="')[1].split('"')[0]
    resource = httpx.get(url).json()["resource"]
    token = gateway.token(client, resource=resource).json()["access_token"]
    assert gateway.resource(token, "/v1/read/x").status_code == 200


@pytest.mark.parametrize("suffix", ["#", "#f", "/v1/resource#x", "/v1/resource?x=1", "/v1/RESOURCE", "/v1/nowhere"])
def test_2_a_fragment_or_another_spelling_is_invalid_target(gateway: Gateway, client: Credential, suffix: str) -> None:
    assert error(gateway.token(client, resource=gateway.url + suffix)) == (400, "invalid_target")


def test_2_it_may_be_repeated_and_one_unknown_spoils_all(gateway: Gateway, client: Credential) -> None:
    resources = [f"{gateway.url}/v1/resource", f"{gateway.url}/v1/read/"]
    form = {"grant_type": "client_credentials", "resource": resources}
    answer = httpx.post(f"{gateway.url}/v1/oauth/token", auth=own(client), data=form)
    token = answer.json()["access_token"]
    assert sorted(gateway.introspect(client, token).json()["aud"]) == sorted(resources)
    assert [gateway.resource(token, path).status_code for path in ("/v1/resource", "/v1/read/x")] == [200, 200]
    form["resource"] = [*resources, "https://evil.example/"]
    assert error(httpx.post(f"{gateway.url}/v1/oauth/token", auth=own(client), data=form)) == (400, "invalid_target")


def test_2_2_a_refresh_narrows_and_never_widens(gateway: Gateway, client: Credential) -> None:
    one, other = f"{gateway.url}/v1/resource", f"{gateway.url}/v1/read/"
    form = {"grant_type": "client_credentials", "resource": [one, other]}
    both = httpx.post(f"{gateway.url}/v1/oauth/token", auth=own(client), data=form).json()
    narrow = refresh(gateway, client, both, resource=one).json()
    assert gateway.introspect(client, narrow["access_token"]).json()["aud"] == [one]
    whole = refresh(gateway, client, narrow).json()
    assert gateway.introspect(client, whole["access_token"]).json()["aud"] == sorted([one, other])
    small = gateway.token(client, resource=one).json()
    assert error(refresh(gateway, client, small, resource=other)) == (400, "invalid_target")
    assert refresh(gateway, client, small).status_code == 200
