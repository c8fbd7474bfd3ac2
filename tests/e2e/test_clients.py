"""Standard Python clients and curl, unchanged, against a running gateway: each goes through the whole life of a token."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

from tests.blackbox import ANSWER, Gateway

CLIENTS = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
Credential = dict[str, str]


def test_authlib(gateway: Gateway, client: Credential, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    All with the library, client_secret_basic with the client_id.

    It takes an empty ``response_types_supported`` for a missing one, so that one key of the metadata is not validated.
    """
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # plain loopback is meant
    server = AuthorizationServerMetadata(httpx.get(get_well_known_url(gateway.url, external=True)).json())
    for key in set(server.REGISTRY_KEYS) - {"response_types_supported"}:
        getattr(server, f"validate_{key}")()
    with OAuth2Client(client["client_id"], client["client_secret"], **server) as session:
        first = session.fetch_token(grant_type="client_credentials")
        assert session.get(f"{gateway.url}/v1/resource").content == ANSWER
        second = session.refresh_token(refresh_token=first["refresh_token"])
        assert second["access_token"] != first["access_token"]
        introspected = session.introspect_token(server["introspection_endpoint"], token=second["access_token"])
        assert introspected.json()["active"] is True
        assert session.revoke_token(server["revocation_endpoint"], token=second["access_token"]).status_code == 200
        assert session.get(f"{gateway.url}/v1/resource").status_code == 401


def test_private_key_jwt_as_docs_clients_md_has_it(gateway: Gateway) -> None:
    """Both blocks, run as they stand: httpx with joserfc, then Authlib, twice, with what the first one registered."""
    plain, authlib = re.findall(r"^```python\n(.*?)^```$", CLIENTS, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(plain.replace("http://127.0.0.1:8080", gateway.url) + authlib, names)
    method = names["Signed"](names["server"]["issuer"])
    with OAuth2Client(names["client_id"], names["key"], token_endpoint_auth_method=method) as session:
        tokens = [session.fetch_token(f"{gateway.url}/v1/oauth/token", grant_type="client_credentials") for _ in range(2)]
    for token in (names["token"], *(answer["access_token"] for answer in tokens)):
        assert httpx.get(f"{gateway.url}/v1/resource", headers={"Authorization": f"Bearer {token}"}).content == ANSWER


def test_requests_oauthlib(gateway: Gateway, client: Credential, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Tokens, refresh, the resource and the revocation request are the library's.

    It has neither discovery nor introspection: those are plain requests on its own session.
    """
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # plain loopback is meant
    auth = (client["client_key"], client["client_secret"])
    backend = BackendApplicationClient(client_id=client["client_key"])
    with OAuth2Session(client=backend) as session:
        well_known = f"{gateway.url}/.well-known/oauth-authorization-server"
        server = session.get(well_known, withhold_token=True).json()
        assert server["issuer"] == gateway.url
        first = session.fetch_token(server["token_endpoint"], client_secret=client["client_secret"], include_client_id=False)
        assert session.get(f"{gateway.url}/v1/resource").content == ANSWER
        second = session.refresh_token(server["token_endpoint"], refresh_token=first["refresh_token"], auth=auth)
        assert second["refresh_token"] != first["refresh_token"]
        assert session.get(f"{gateway.url}/v1/resource").status_code == 200

        def active() -> bool:
            asked = {"token": second["access_token"]}
            answer = session.post(server["introspection_endpoint"], asked, auth=auth, withhold_token=True)
            return bool(answer.json()["active"])

        assert active() is True
        url, headers, body = backend.prepare_token_revocation_request(server["revocation_endpoint"], second["access_token"])
        assert session.post(url, body, headers=headers, auth=auth, withhold_token=True).status_code == 200
        assert active() is False
        assert session.get(f"{gateway.url}/v1/resource").status_code == 401


class Tokens(httpx.Auth):
    """
    An auth flow for httpx: gets a token when it has none, refreshes when one is refused, asks anew when that fails.

    Attributes:
        asked: The grant types that were sent, in order.
    """

    requires_response_body = True

    def __init__(self, endpoint: str, user: str, secret: str) -> None:
        self.asked: list[str] = []
        self.tokens: dict[str, Any] = {}
        self._endpoint = endpoint
        self._basic = httpx.BasicAuth(user, secret)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if not self.tokens:
            yield from self._grant(grant_type="client_credentials")
        request.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
        if (yield request).status_code == 401:
            if not (yield from self._grant(grant_type="refresh_token", refresh_token=self.tokens["refresh_token"])):
                yield from self._grant(grant_type="client_credentials")
            request.headers["Authorization"] = f"Bearer {self.tokens['access_token']}"
            yield request

    def _grant(self, **form: str) -> Generator[httpx.Request, httpx.Response, bool]:
        self.asked.append(form["grant_type"])
        response = yield next(self._basic.sync_auth_flow(httpx.Request("POST", self._endpoint, data=form)))
        if response.status_code == 200:
            self.tokens = response.json()
        return response.status_code == 200


def test_httpx(gateway: Gateway, client: Credential) -> None:
    """An auth flow of ten lines lives through revocation of its access token, and of its whole chain; the rest is plain httpx."""
    with httpx.Client() as http:
        server = http.get(f"{gateway.url}/.well-known/oauth-authorization-server").raise_for_status().json()
        assert server["issuer"] == gateway.url
        auth = Tokens(server["token_endpoint"], client["client_key"], client["client_secret"])
        basic = (client["client_key"], client["client_secret"])
        for revoked in ("access_token", "refresh_token"):
            assert http.get(f"{gateway.url}/v1/resource", auth=auth).content == ANSWER
            held = auth.tokens
            described = http.post(server["introspection_endpoint"], auth=basic, data={"token": held[revoked]}).json()
            assert described["active"] is True
            http.post(server["revocation_endpoint"], auth=basic, data={"token": held[revoked]}).raise_for_status()
            described = http.post(server["introspection_endpoint"], auth=basic, data={"token": held[revoked]}).json()
            assert described == {"active": False}
        assert http.get(f"{gateway.url}/v1/resource", auth=auth).content == ANSWER
    assert auth.asked == ["client_credentials", "refresh_token", "refresh_token", "client_credentials"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here (apt-get install curl)")
def test_curl(gateway: Gateway, curl: Callable[..., tuple[int, Any]]) -> None:
    """The five steps as the issue writes them."""
    status, client = curl(
        "-X", "POST", f"{gateway.url}/v1/clients", "-H", "Content-Type: application/json",
        "-d", '{"username":"client-email@domain.com","password":"client-password"}',
    )  # fmt: skip
    assert (status, set(client)) == (201, {"client_id", "client_key", "client_secret"})
    user = f"{client['client_key']}:{client['client_secret']}"
    token = ("-u", user, "-X", "POST", f"{gateway.url}/v1/oauth/token")
    status, first = curl(*token, "-d", "grant_type=client_credentials")
    assert (status, set(first)) == (200, {"access_token", "token_type", "expires_in", "refresh_token"})
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 3600)
    status, second = curl(*token, "-d", f"grant_type=refresh_token&refresh_token={first['refresh_token']}")
    assert (status, set(second)) == (200, {"access_token", "token_type", "expires_in", "refresh_token"})
    bearer = ("-H", f"Authorization: Bearer {second['access_token']}", f"{gateway.url}/v1/resource")
    assert curl(*bearer) == (200, json.loads(ANSWER))
    status, description = curl("-u", user, "-d", f"token={second['access_token']}", f"{gateway.url}/v1/oauth/introspect")
    assert description["active"] is True
    assert curl("-u", user, "-d", f"token={second['access_token']}", f"{gateway.url}/v1/oauth/revoke")[0] == 200
    assert curl(*bearer)[0] == 401


@pytest.fixture
def curl() -> Callable[..., tuple[int, Any]]:
    """Run curl; status and JSON body."""

    def run(*arguments: str) -> tuple[int, Any]:
        output = subprocess.run(
            ["curl", "-sS", "--max-time", "10", "-w", "\n%{http_code}", *arguments], capture_output=True, text=True, check=True
        ).stdout
        body, _, status = output.rpartition("\n")
        return int(status), json.loads(body) if body.strip() else None

    return run
