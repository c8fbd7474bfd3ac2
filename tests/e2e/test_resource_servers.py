"""Resource servers other than the gateway verify its JWT access tokens (RFC 9068), with libraries as they are."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from authlib.oauth2.rfc6750 import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc.jwk import KeySet

from tests.blackbox import Gateway, Origin

LEGACY = "https://legacy.internal"


@pytest.fixture(scope="module")
def issuer(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose access tokens are JWTs."""
    config: dict[str, Any] = {
        "oauth": {"access_token_format": "jwt"},
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [
            {"path": "/v1/resource", "upstream": "legacy"},
            {"path": "/v1/signed", "upstream": "legacy", "identity": {"assertion": {"audience": LEGACY}}},
        ],
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


def test_an_identity_assertion_is_verified_by_hand_and_taken_for_no_access_token(issuer: Gateway, origin: Origin) -> None:
    """RFC 7515 with nothing but the published key and `cryptography`; RFC 9068 section 4 asks for another ``typ``."""
    client = issuer.register("asserted@example.com")
    token = issuer.token(client).json()["access_token"]
    assert httpx.get(f"{issuer.url}/v1/signed", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    (assertion,) = [value for name, value in origin.seen[-1].headers if name == "X-Identity-Assertion"]
    signed, _, signature = assertion.rpartition(".")
    header, claims = (json.loads(_raw(part)) for part in signed.split("."))
    keys = httpx.get(f"{issuer.url}/v1/oauth/jwks.json").json()["keys"]
    (key,) = [key for key in keys if key["kid"] == header["kid"]]
    x, y = (int.from_bytes(_raw(key[name]), "big") for name in ("x", "y"))
    r, s = (int.from_bytes(half, "big") for half in (_raw(signature)[:32], _raw(signature)[32:]))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
    assert (claims["iss"], claims["aud"], claims["client_id"]) == (issuer.url, LEGACY, client["client_id"])

    class Validator(JWTBearerTokenValidator):
        def get_jwks(self) -> KeySet:
            return KeySet.import_key_set({"keys": keys})

    validator = Validator(issuer.url, LEGACY)
    with pytest.raises(InvalidTokenError):
        validator.validate_token(validator.authenticate_token(assertion), [], None)
    assert httpx.get(f"{issuer.url}/v1/signed", headers={"Authorization": f"Bearer {assertion}"}).status_code == 401


def _raw(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
