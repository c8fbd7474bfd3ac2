"""Resource servers other than the gateway verify its JWT access tokens (RFC 9068), with libraries as they are."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from authlib.oauth2.rfc6750 import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

from tests.blackbox import Gateway, Origin


@pytest.fixture(scope="module")
def issuer(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose access tokens are JWTs."""
    config: dict[str, Any] = {
        "oauth": {"access_token_format": "jwt"},
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [{"path": "/v1/resource", "upstream": "legacy"}],
    }
    with Gateway(tmp_path_factory.mktemp("issuer"), config).running() as gateway:
        yield gateway


def test_authlib(issuer: Gateway) -> None:
    client = issuer.register("authlib@example.com")
    resource = f"{issuer.url}/v1/resource"

    class Validator(JWTBearerTokenValidator):
        def get_jwks(self) -> KeySet:
            server = httpx.get(f"{issuer.url}/.well-known/oauth-authorization-server").json()
            return KeySet.import_key_set(httpx.get(server["jwks_uri"]).json())

    validator = Validator(issuer.url, resource)
    token = issuer.token(client, resource=resource).json()["access_token"]
    claims = validator.authenticate_token(token)
    assert claims["client_id"] == client["client_id"]
    validator.validate_token(claims, [], None)
    for other in (issuer.token(client).json()["access_token"], token[:-2] + ("AA" if token[-2:] != "AA" else "BB")):
        with pytest.raises(InvalidTokenError):
            validator.validate_token(validator.authenticate_token(other), [], None)


def test_oauth4webapi(issuer: Gateway, node: Path) -> None:
    client = issuer.register("oauth4webapi@example.com")
    resource = f"{issuer.url}/v1/resource"
    token = issuer.token(client, resource=resource).json()["access_token"]
    run = subprocess.run(
        ["node", "oauth4webapi-jwt.mjs"], cwd=node, capture_output=True, text=True, timeout=30,
        env={**os.environ, "ISSUER": issuer.url, "RESOURCE": resource, "TOKEN": token},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"library": "oauth4webapi", "ok": True, "client_id": client["client_id"]}
