"""RFC 7523, client authentication by a signed JWT (private_key_jwt), from outside."""

from __future__ import annotations

import time
import uuid
import warnings
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from tests.blackbox import Gateway

URN = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY = ECKey.generate_key("P-256")


@pytest.fixture(scope="module")
def me(gateway: Gateway) -> str:
    """The id of a client with a public key."""
    asked = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [KEY.as_dict(private=False)]}}
    answer = httpx.post(f"{gateway.url}/v1/oauth/register", json=asked)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["client_id"])


def sign(gateway: Gateway, me: str, key: Any = KEY, alg: str = "ES256", **claims: Any) -> str:
    now = int(time.time())
    said = {"iss": me, "sub": me, "aud": gateway.url, "exp": now + 60, "iat": now, "jti": str(uuid.uuid4()), **claims}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode({"alg": alg}, {name: value for name, value in said.items() if value is not None}, key, algorithms=[alg])


def ask(gateway: Gateway, assertion: str, **form: str) -> tuple[int, Any]:
    form = {"grant_type": "client_credentials", "client_assertion_type": URN, "client_assertion": assertion, **form}
    answer = httpx.post(f"{gateway.url}/v1/oauth/token", data=form)
    return answer.status_code, answer.json().get("error")


def test_2_2_an_assertion_proves_the_client(gateway: Gateway, me: str) -> None:
    assert ask(gateway, sign(gateway, me)) == (200, None)
    assert ask(gateway, sign(gateway, me), client_id=me) == (200, None)
    assert ask(gateway, sign(gateway, me, aud=[gateway.url, "https://other.example"])) == (200, None)


@pytest.mark.parametrize("kind", ["", "x", URN.upper(), URN + " ", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"])
def test_2_2_the_type_is_exactly_this_urn(gateway: Gateway, me: str, kind: str) -> None:
    assert ask(gateway, sign(gateway, me), client_assertion_type=kind)[0] in (400, 401)


@pytest.mark.parametrize("claims", [
    {"iss": None}, {"iss": "other"}, {"sub": None}, {"sub": "gwc_abc" + "A" * 22}, {"aud": None}, {"aud": "https://other.example"},
    {"aud": []}, {"exp": None}, {"exp": 1}, {"exp": int(time.time()) + 10 * 86_400}, {"exp": "soon"}, {"jti": None}, {"jti": ""},
    {"jti": 7}, {"nbf": int(time.time()) + 600}, {"iat": int(time.time()) + 600},
])  # fmt: skip
def test_3_whatever_is_wrong_is_invalid_client(gateway: Gateway, me: str, claims: dict[str, Any]) -> None:
    assert ask(gateway, sign(gateway, me, **claims)) == (401, "invalid_client")


def test_3_the_token_endpoint_is_no_audience_unless_configured(gateway: Gateway, me: str) -> None:
    assert ask(gateway, sign(gateway, me, aud=f"{gateway.url}/v1/oauth/token")) == (401, "invalid_client")


def test_3_a_jti_counts_once(gateway: Gateway, me: str) -> None:
    assertion = sign(gateway, me)
    assert ask(gateway, assertion) == (200, None)
    assert ask(gateway, assertion) == (401, "invalid_client")


def test_3_other_keys_and_algorithms_are_refused(gateway: Gateway, me: str) -> None:
    """none, HMAC with anything, a stranger's key."""
    assert ask(gateway, sign(gateway, me, ECKey.generate_key("P-256"))) == (401, "invalid_client")
    assert ask(gateway, sign(gateway, me, OctKey.generate_key(256), "HS256")) == (401, "invalid_client")
    head, payload, _ = sign(gateway, me).split(".")
    assert ask(gateway, f"eyJhbGciOiJub25lIn0.{payload}.") == (401, "invalid_client")
    assert ask(gateway, f"{head}.{payload}.") == (401, "invalid_client")


def test_3_a_client_id_beside_it_must_match(gateway: Gateway, me: str, client: dict[str, str]) -> None:
    assert ask(gateway, sign(gateway, me), client_id=client["client_id"])[0] in (400, 401)


def test_2_3_with_a_secret_beside_it_it_is_two_methods(gateway: Gateway, me: str, client: dict[str, str]) -> None:
    """RFC 6749 section 2.3."""
    form = {"grant_type": "client_credentials", "client_assertion_type": URN, "client_assertion": sign(gateway, me)}
    answer = httpx.post(f"{gateway.url}/v1/oauth/token", data=form, auth=(client["client_key"], client["client_secret"]))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_2_2_it_is_authentication_at_each_endpoint(gateway: Gateway, me: str) -> None:
    form = {"client_assertion_type": URN, "client_assertion": sign(gateway, me), "grant_type": "client_credentials"}
    token = httpx.post(f"{gateway.url}/v1/oauth/token", data=form).json()["access_token"]
    for endpoint in ("introspect", "revoke"):
        form = {"token": token, "client_assertion_type": URN, "client_assertion": sign(gateway, me)}
        assert httpx.post(f"{gateway.url}/v1/oauth/{endpoint}", data=form).status_code == 200
    assert gateway.resource(token).status_code == 401


def test_3_exp_is_an_hour_ahead_at_most_and_clocks_may_differ_a_little(gateway: Gateway, me: str) -> None:
    now = int(time.time())
    assert ask(gateway, sign(gateway, me, exp=now + 3600, iat=now + 5, nbf=now + 5)) == (200, None)
    assert ask(gateway, sign(gateway, me, exp=now + 3700)) == (401, "invalid_client")


def test_2_1_the_assertion_grant_is_not_on_offer(gateway: Gateway, client: dict[str, str]) -> None:
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    answer = gateway.token(client, grant_type=grant, assertion="x")
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
