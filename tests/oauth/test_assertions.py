"""RFC 7523 section 3: what makes a client's signed JWT good, and that nothing else is."""

from __future__ import annotations

import json
import warnings
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter

from gateway.errors import InvalidClient
from gateway.oauth.assertions import LEEWAY, MAX_LIFE, PublicKey, claimed_client, read_public_key, verify

NOW = 1_800_000_000
ISSUER = "https://api.example.com"
ME = "gwc_abc" + "A" * 22
EC, RSA, OKP = ECKey.generate_key("P-256"), RSAKey.generate_key(2048), OKPKey.generate_key("Ed25519")
SIGNING = ["ES256", "PS256", "RS256", "EdDSA", "Ed25519", "HS256"]
LAX = JWSRegistry({"exp2": HeaderParameter("an extension", "int")}, algorithms=SIGNING)
STRANGER = ECKey.generate_key("P-256")


def public(key: Any) -> bytes:
    return read_public_key(key.as_dict(private=False))


def sign(key: Any = EC, alg: str = "ES256", header: dict[str, Any] | None = None, **claims: Any) -> str:
    """An assertion that is good but for what is given; None removes a claim."""
    said = {"iss": ME, "sub": ME, "aud": ISSUER, "exp": NOW + 60, "jti": "1", **claims}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        present = {name: value for name, value in said.items() if value is not None}
        return jwt.encode({"alg": alg, **(header or {})}, present, key, algorithms=[alg], registry=LAX)


def check(assertion: str, *keys: Any, audiences: frozenset[str] = frozenset({ISSUER})) -> Any:
    registered = [PublicKey(f"gwk_{number}", public(key)) for number, key in enumerate(keys or (EC,))]
    return verify(assertion, ME, registered, audiences=audiences, now=NOW)


@pytest.mark.parametrize(
    ("key", "alg"), [(EC, "ES256"), (RSA, "PS256"), (RSA, "RS256"), (OKP, "EdDSA"), (OKP, "Ed25519")]
)
def test_each_algorithm_of_the_metadata_works(key: Any, alg: str) -> None:
    assertion = sign(key, alg)
    assert claimed_client(assertion) == ME
    found = check(assertion, STRANGER, key)
    assert (found.client_key, found.jti, found.expires_at) == ("gwk_1", "1", NOW + 60)


@pytest.mark.parametrize("claims", [
    {"aud": [ISSUER, "https://other"]}, {"exp": NOW + MAX_LIFE}, {"exp": NOW - LEEWAY + 1}, {"exp": NOW + 0.5},
    {"nbf": NOW + LEEWAY}, {"iat": NOW - 3600}, {"jti": "x" * 256}, {"extra": {"a": 1}},
])  # fmt: skip
def test_what_the_rfc_allows_is_taken(claims: dict[str, Any]) -> None:
    check(sign(**claims))


@pytest.mark.parametrize(("claims", "reason"), [
    ({"iss": "x"}, "assertion_issuer"), ({"iss": None}, "assertion_issuer"), ({"sub": "x"}, "assertion_issuer"),
    ({"aud": None}, "assertion_audience"), ({"aud": "https://other"}, "assertion_audience"),
    ({"aud": ISSUER + "/"}, "assertion_audience"),
    ({"aud": []}, "assertion_audience"), ({"aud": {"a": 1}}, "assertion_audience"), ({"aud": [[ISSUER]]}, "assertion_audience"),
    ({"exp": None}, "assertion_expiry"), ({"exp": NOW - LEEWAY}, "assertion_expiry"),
    ({"exp": NOW + MAX_LIFE + 11}, "assertion_expiry"),
    ({"exp": str(NOW + 60)}, "assertion_expiry"), ({"exp": True}, "assertion_expiry"), ({"exp": 1e300}, "assertion_expiry"),
    ({"nbf": NOW + LEEWAY + 1}, "assertion_from_the_future"), ({"iat": NOW + 60}, "assertion_from_the_future"),
    ({"nbf": "soon"}, "assertion_from_the_future"), ({"jti": None}, "assertion_without_jti"),
    ({"jti": ""}, "assertion_without_jti"),
    ({"jti": 1}, "assertion_without_jti"), ({"jti": "x" * 257}, "assertion_without_jti"),
])  # fmt: skip
def test_a_claim_that_is_wrong_refuses(claims: dict[str, Any], reason: str) -> None:
    """At the instant of expiry and the leeway it is dead."""
    with pytest.raises(InvalidClient) as refused:
        check(sign(**claims))
    assert refused.value.reason == reason


def test_another_signature_refuses() -> None:
    """A stranger's key, none, a MAC with the public key, an algorithm of another type, a key or an extension in the header."""
    def b64(value: object) -> str:
        return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    good = sign()
    head, body, signature = good.split(".")
    none = f"{b64({'alg': 'none'})}.{body}."
    mac = sign(OctKey.import_key(public(EC).decode()), "HS256")
    embedded = sign(STRANGER, header={"jwk": STRANGER.as_dict(private=False)})
    critical = sign(header={"crit": ["exp2"], "exp2": 1})
    for assertion in (sign(STRANGER), none, mac, sign(RSA, "RS256"), embedded, f"{head}.{body}.{signature[:-4]}AAAA", critical):
        with pytest.raises(InvalidClient) as refused:
            check(assertion)
        assert refused.value.reason == "assertion_signature"
    with pytest.raises(InvalidClient):
        verify(good, ME, [], audiences=frozenset({ISSUER}), now=NOW)


@pytest.mark.parametrize("assertion", [
    "", ".", "..", "a.b.c", "a.e30.c", "a.e30", "x" * 9000, "a." + "W" * 4000 + ".c", "a.bnVsbA.c",
])  # fmt: skip
def test_what_is_no_assertion_names_nobody(assertion: str) -> None:
    with pytest.raises(InvalidClient):
        claimed_client(assertion)


@given(st.text(max_size=200))
def test_any_text_is_refused_and_never_fails(text: str) -> None:
    with pytest.raises(InvalidClient):
        claimed_client(text)
    with pytest.raises(InvalidClient):
        check(text)


def test_a_public_key_is_kept_in_one_form() -> None:
    for key in (EC, RSA, OKP):
        members = key.as_dict(private=False)
        assert public(key) == read_public_key({**dict(reversed(members.items())), "kid": "x", "use": "sig"})
        assert json.loads(public(key)) == {name: members[name] for name in sorted(members)}


@pytest.mark.parametrize("value", [
    None, [], {}, {"kty": "oct", "k": "AAAA"}, {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}, {"kty": "EC", "crv": "P-256"},
    {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, {"kty": ["EC"]}, {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "RSA", "n": 5, "e": 3}, EC.as_dict(private=True),
    RSA.as_dict(private=True), {**EC.as_dict(private=False), "use": "enc"}, {**EC.as_dict(private=False), "alg": "RS256"},
    {**EC.as_dict(private=False), "alg": "none"},
])  # fmt: skip
def test_a_key_that_is_not_taken_says_why(value: object) -> None:
    with pytest.raises(ValueError, match="key must"):
        read_public_key(value)


def test_a_short_rsa_key_is_not_taken() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        short = RSAKey.generate_key(1024).as_dict(private=False)
        with pytest.raises(ValueError, match="2048"):
            read_public_key(short)
