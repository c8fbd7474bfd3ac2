"""Standard clients, unchanged, against a running gateway: each goes through the whole life of a token."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

from tests.blackbox import ANSWER, Gateway

NODE = Path(__file__).parent / "node"
CLIENTS = (Path(__file__).parents[2] / "docs" / "clients.md").read_text()
Credential = dict[str, str]
_count = itertools.count()


@pytest.fixture
def client(gateway: Gateway) -> Credential:
    """A client of this test's own."""
    return gateway.register(f"client-{next(_count)}@example.com")


def test_authlib(gateway: Gateway, client: Credential) -> None:
    """client_secret_basic with the client_id, as libraries send it."""
    endpoint = f"{gateway.url}/v1/oauth/token"
    with OAuth2Client(client["client_id"], client["client_secret"], token_endpoint=endpoint) as session:
        first = session.fetch_token(endpoint, grant_type="client_credentials")
        assert session.get(f"{gateway.url}/v1/resource").content == ANSWER
        second = session.refresh_token(endpoint, refresh_token=first["refresh_token"])
        assert second["access_token"] != first["access_token"]
        introspected = session.introspect_token(f"{gateway.url}/v1/oauth/introspect", token=second["access_token"])
        assert introspected.json()["active"] is True
        assert session.revoke_token(f"{gateway.url}/v1/oauth/revoke", token=second["access_token"]).status_code == 200
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
    """oauthlib asks for https, or to be told that plain loopback is meant."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    endpoint = f"{gateway.url}/v1/oauth/token"
    with OAuth2Session(client=BackendApplicationClient(client_id=client["client_key"])) as session:
        first = session.fetch_token(endpoint, client_secret=client["client_secret"], include_client_id=False)
        assert session.get(f"{gateway.url}/v1/resource").content == ANSWER
        auth = (client["client_key"], client["client_secret"])
        second = session.refresh_token(endpoint, refresh_token=first["refresh_token"], auth=auth)
        assert second["refresh_token"] != first["refresh_token"]
        assert session.get(f"{gateway.url}/v1/resource").status_code == 200


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


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The locked npm packages, installed outside the work tree."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no Node.js here: npm's OAuth clients were not tried (apt-get install nodejs npm)")
    folder = tmp_path_factory.mktemp("node")
    for name in (".npmrc", "package.json", "package-lock.json", "oauth4webapi.mjs", "openid-client.mjs"):
        shutil.copy(NODE / name, folder)
    installed = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, capture_output=True, text=True, timeout=50
    )
    if installed.returncode:
        pytest.skip(f"npm could not install the clients: {installed.stderr.strip().splitlines()[-1:]}")
    return folder


@pytest.mark.xdist_group("node")
@pytest.mark.parametrize("library", ["oauth4webapi", "openid-client"])
def test_node(gateway: Gateway, client: Credential, node_modules: Path, library: str) -> None:
    """npm's certified clients: discovery, token, refresh, resource, introspection, revocation."""
    run = subprocess.run(
        ["node", f"{library}.mjs"], cwd=node_modules, capture_output=True, text=True, timeout=30,
        env={**os.environ, "ISSUER": gateway.url, "CLIENT_ID": client["client_id"], "CLIENT_SECRET": client["client_secret"]},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["ok"] is True
