"""RFC 9068, JWT access tokens: what resource servers elsewhere get, and what is good here."""

from __future__ import annotations

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet

from tests.blackbox import Gateway, Origin


@pytest.fixture(scope="module")
def issuer(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway whose access tokens are JWTs."""
    config: dict[str, Any] = {
        "oauth": {
            "access_token_format": "jwt", "scopes": {"read": "Read.", "write": "Write."}, "default_scopes": ["read", "write"],
        },
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [
            {"path": "/v1/resource", "upstream": "legacy"},
            {"path": "/v1/read/", "upstream": "legacy", "scopes": ["read"]},
        ],
    }  # fmt: skip
    with Gateway(tmp_path_factory.mktemp("issuer"), config).running() as gateway:
        yield gateway


@pytest.fixture(scope="module")
def client(issuer: Gateway) -> dict[str, str]:
    return issuer.register("jwt@example.com")


@pytest.fixture(scope="module")
def keys(issuer: Gateway) -> KeySet:
    """Found as a resource server finds them (section 4)."""
    metadata = httpx.get(f"{issuer.url}/.well-known/oauth-authorization-server").json()
    return KeySet.import_key_set(httpx.get(metadata["jwks_uri"]).json())


def access(issuer: Gateway, client: dict[str, str], **form: str) -> str:
    return str(issuer.token(client, **form).json()["access_token"])


def b64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = orjson.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def test_2_1_it_is_signed_with_a_published_key_and_says_its_type(issuer: Gateway, client: Any, keys: KeySet) -> None:
    decoded = jwt.decode(access(issuer, client), keys, algorithms=["ES256"])
    assert decoded.header["typ"] == "at+jwt"


def test_2_2_all_required_claims_are_there(issuer: Gateway, client: Any) -> None:
    before = int(time.time())
    answer = issuer.token(client, scope="read").json()
    claims = claims_of(answer["access_token"])
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= claims.keys()
    assert claims["iss"] == issuer.url
    assert all(type(claims[name]) is int for name in ("iat", "exp"))
    assert before - 1 <= claims["iat"] <= time.time() + 1
    assert claims["exp"] == claims["iat"] + answer["expires_in"]


def test_2_2_the_subject_of_client_credentials_is_the_client(issuer: Gateway, client: Any) -> None:
    claims = claims_of(access(issuer, client))
    assert claims["sub"] == claims["client_id"] == client["client_id"]


def test_2_2_3_the_scope_is_that_of_the_answer(issuer: Gateway, client: Any) -> None:
    assert claims_of(access(issuer, client, scope="read"))["scope"] == "read"
    answer = issuer.token(client).json()
    assert claims_of(answer["access_token"])["scope"] == answer["scope"] == "read write"


def test_3_the_audience_is_the_resource_asked_for_or_the_default(issuer: Gateway, client: Any) -> None:
    assert claims_of(access(issuer, client))["aud"] == issuer.url
    resource = f"{issuer.url}/v1/resource"
    token = access(issuer, client, resource=resource)
    assert claims_of(token)["aud"] == resource
    assert issuer.resource(token).status_code == 200
    refused = issuer.resource(token, "/v1/read/x")
    assert (refused.status_code, 'error="invalid_token"' in refused.headers["www-authenticate"]) == (401, True)


def test_4_it_is_good_here_and_by_scope(issuer: Gateway, client: Any) -> None:
    token = access(issuer, client, scope="write")
    for _ in range(2):  # looked up, and remembered
        assert issuer.resource(token).status_code == 200
        assert issuer.resource(token, "/v1/read/x").status_code == 403


def test_4_whatever_was_not_issued_here_is_invalid_token(issuer: Gateway, client: Any, keys: KeySet) -> None:
    """alg none, HMAC with the public key, another key under our kid, an ID token's type, changed claims, cut and padded."""
    token = access(issuer, client)
    head, payload, signature = token.split(".")
    claims = orjson.loads(urlsafe_b64decode(payload + "=="))
    header = orjson.loads(urlsafe_b64decode(head + "=="))
    wider = b64(orjson.dumps({**claims, "scope": "read write admin", "exp": claims["exp"] + 10**6}))
    stranger = ECKey.generate_key("P-256", private=True)
    confused = f"{b64(orjson.dumps({**header, 'alg': 'HS256'}))}.{payload}"
    public = ECKey.import_key(keys.keys[0].as_dict(private=False)).as_pem(private=False)
    forged = [
        f"{b64(orjson.dumps({**header, 'alg': 'none'}))}.{payload}.",
        f"{b64(orjson.dumps({**header, 'alg': 'none'}))}.{payload}.{signature}",
        f"{confused}.{b64(hmac.digest(public, confused.encode(), 'sha256'))}",
        jws.serialize_compact(header, orjson.dumps(claims), stranger, algorithms=["ES256"]),
        f"{b64(orjson.dumps({**header, 'typ': 'JWT'}))}.{payload}.{signature}",
        f"{head}.{wider}.{signature}", f"{head}.{payload}", f"{head}.{payload}.{signature[:-1]}", f"{token}=", f"{token}.",
        f"{head}.{payload}=.{signature}",
    ]  # fmt: skip
    answers = [issuer.resource(other) for other in forged]
    assert [answer.status_code for answer in answers] == [401] * len(forged)
    assert len({answer.json()["code"] for answer in answers}) == 1
    assert issuer.resource(token).status_code == 200


def test_4_a_revoked_one_is_dead_at_once_though_its_signature_is_good(issuer: Gateway, client: Any, keys: KeySet) -> None:
    token = access(issuer, client)
    assert issuer.resource(token).status_code == 200
    assert issuer.revoke(client, token).status_code == 200
    assert issuer.resource(token).status_code == 401
    assert jwt.decode(token, keys, algorithms=["ES256"]).claims["client_id"] == client["client_id"]


def test_6_introspection_and_the_token_say_the_same(issuer: Gateway, client: Any) -> None:
    token = access(issuer, client, scope="read")
    assert issuer.introspect(client, token).json() == {"active": True, "token_type": "Bearer", **claims_of(token)}


def test_the_key_set_survives_a_restart(issuer: Gateway, client: Any, keys: KeySet) -> None:
    """And so do the tokens; the secret lies beside the embedded store for its user alone."""
    token = access(issuer, client)
    assert issuer.stop() == 0
    issuer.start()
    assert issuer.resource(token).status_code == 200
    metadata = httpx.get(f"{issuer.url}/.well-known/oauth-authorization-server").json()
    assert {key["kid"] for key in httpx.get(metadata["jwks_uri"]).json()["keys"]} == {key.kid for key in keys.keys}
    secret = issuer.directory / "store" / "secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert jwt.decode(access(issuer, client), keys, algorithms=["ES256"])
