"""RFC 9728, metadata of protected resources, from a client's side: it starts with nothing but a URL and a challenge."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.blackbox import Gateway

WELL_KNOWN = "/.well-known/oauth-protected-resource"
FORM = {"grant_type": "client_credentials"}


def metadata_url(answer: httpx.Response) -> str:
    """What the challenge points to."""
    found = re.fullmatch(r'Bearer realm="gateway".*, resource_metadata="([^"]+)"', answer.headers["www-authenticate"])
    assert found is not None, answer.headers["www-authenticate"]
    return found[1]


@pytest.mark.parametrize(("path", "resource", "scopes"), [
    ("/v1/resource", "/v1/resource", None),
    ("/v1/read/7?x=1", "/v1/read/", ["read"]),
    ("/v1/write/a/b", "/v1/write/", ["write"]),
])  # fmt: skip
def test_5_1_from_a_challenge_to_the_token_endpoint(
    gateway: Gateway, path: str, resource: str, scopes: list[str] | None
) -> None:
    """401 → resource → authorization server → token endpoint, each step by what the one before said."""
    url = metadata_url(httpx.get(gateway.url + path))
    assert url == f"{gateway.url}{WELL_KNOWN}{resource}"
    answer = httpx.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["access-control-allow-origin"] == "*"
    document = answer.json()
    assert document["resource"] == gateway.url + resource
    assert document.get("scopes_supported") == scopes
    assert document["bearer_methods_supported"] == ["header"]
    [issuer] = document["authorization_servers"]
    server = httpx.get(f"{issuer}/.well-known/oauth-authorization-server").json()
    assert server["issuer"] == issuer
    assert httpx.post(server["token_endpoint"], data=FORM).json()["error"] == "invalid_client"


def test_5_1_each_challenge_points_to_its_own(gateway: Gateway, pair: dict[str, Any]) -> None:
    """Of a dead token, and of a token without the scope; a refused request at an own endpoint has none."""
    dead = httpx.get(f"{gateway.url}/v1/resource", headers={"Authorization": "Bearer x"})
    assert (dead.status_code, metadata_url(dead)) == (401, f"{gateway.url}{WELL_KNOWN}/v1/resource")
    poor = httpx.get(f"{gateway.url}/v1/write/1", headers={"Authorization": f"Bearer {pair['access_token']}"})
    assert (poor.status_code, metadata_url(poor)) == (403, f"{gateway.url}{WELL_KNOWN}/v1/write/")
    assert "resource_metadata" not in httpx.post(f"{gateway.url}/v1/oauth/token", data=FORM).headers["www-authenticate"]


def test_3_1_the_origin_alone_is_a_resource_too(gateway: Gateway) -> None:
    """A client that knows no path finds the authorization server, and every scope that is asked for somewhere."""
    document = httpx.get(gateway.url + WELL_KNOWN).json()
    assert document == {
        "resource": gateway.url, "authorization_servers": [gateway.url, "http://127.0.0.1:9"],
        "bearer_methods_supported": ["header"], "scopes_supported": ["read", "write"],
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/public/", "/v1/read", "/v1/read/7", "/v1/oauth/token", "/v1/RESOURCE", "/%7e"])
def test_3_3_what_is_no_protected_resource_has_no_document(gateway: Gateway, path: str) -> None:
    """404, and nothing of the path comes back: a document for any path would name resources that do not exist."""
    answer = httpx.get(f"{gateway.url}{WELL_KNOWN}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_only_get(gateway: Gateway) -> None:
    assert httpx.post(gateway.url + WELL_KNOWN).status_code == 405
    assert httpx.head(gateway.url + WELL_KNOWN).status_code == 200


@pytest.mark.parametrize(("host", "scopes"), [("one.example", ["read"]), ("two.example", ["read"]), ("three.example", ["write"])])
def test_3_a_route_of_a_host_is_a_resource_there(gateway: Gateway, host: str, scopes: list[str]) -> None:
    """Each host's challenge leads to that host, with the port at which the gateway is reached, and so does its origin."""
    port = gateway.url.rpartition(":")[2]
    there = {"Host": f"{host.upper()}:{port}"}
    url = metadata_url(httpx.get(f"{gateway.url}/v1/hosted", headers=there))
    assert url == f"http://{host}:{port}{WELL_KNOWN}/v1/hosted"
    document = httpx.get(gateway.url + WELL_KNOWN + "/v1/hosted", headers=there).json()
    assert (document["resource"], document["scopes_supported"]) == (f"http://{host}:{port}/v1/hosted", scopes)
    assert document["authorization_servers"] == [gateway.url]
    whole = httpx.get(gateway.url + WELL_KNOWN, headers=there).json()
    assert (whole["resource"], whole["scopes_supported"]) == (f"http://{host}:{port}", ["read", "write"])


def test_3_it_is_none_at_another_host(gateway: Gateway) -> None:
    assert httpx.get(gateway.url + WELL_KNOWN + "/v1/hosted").status_code == 404


def test_2_a_document_says_what_is_required(gateway: Gateway) -> None:
    document = httpx.get(f"{gateway.url}{WELL_KNOWN}/v1/resource").json()
    assert set(document) == {"resource", "authorization_servers", "bearer_methods_supported"}
    assert "#" not in document["resource"]


def test_3_2_nothing_is_empty(gateway: Gateway) -> None:
    for path in ("", "/v1/resource", "/v1/read/", "/v1/write/"):
        assert all(httpx.get(f"{gateway.url}{WELL_KNOWN}{path}").json().values())


def test_3_3_the_resource_is_what_its_url_was_built_from(gateway: Gateway) -> None:
    for path in ("", "/v1/resource", "/v1/read/", "/v1/write/"):
        assert httpx.get(f"{gateway.url}{WELL_KNOWN}{path}").json()["resource"] == gateway.url + path


@pytest.mark.parametrize(("path", "own", "theirs"), [
    ("", True, True), ("/v1/resource", True, False), ("/v1/both", True, True), ("/v1/theirs", False, True),
])  # fmt: skip
def test_2_a_document_names_the_servers_whose_tokens_are_good_there(
    gateway: Gateway, path: str, *, own: bool, theirs: bool
) -> None:
    """The whole of a host: all that some route of it takes."""
    servers = httpx.get(f"{gateway.url}{WELL_KNOWN}{path}").json()["authorization_servers"]
    assert servers == [gateway.url] * own + ["http://127.0.0.1:9"] * theirs
