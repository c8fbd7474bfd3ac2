"""JWK sets of others: what verifies is kept, and only that (RFC 7517 section 5)."""

from __future__ import annotations

import warnings
from typing import Any

import orjson
import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from gateway.config.model import Issuer
from gateway.oauth.key_sets import ALGORITHMS, MAX_DOCUMENT, MAX_KEYS, KeySet, read_key_set

EC, RSA = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)


def weak() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RSAKey.generate_key(1024)


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    return {**{name: value for name, value in key.as_dict(private=False).items() if name != "kid"}, **members}


def key_set(*keys: Any) -> KeySet:
    return read_key_set(orjson.dumps({"keys": keys}))


def test_the_algorithms_are_those_that_a_configuration_may_name() -> None:
    """And each of them has a kind of key."""
    described = str(Issuer.model_json_schema()["properties"]["algorithms"])
    assert all(f"'{name}'" in described for name in ALGORITHMS)
    assert "HS" not in described
    keys = [ECKey.generate_key(curve) for curve in ("P-256", "P-384", "P-521")]
    found = key_set(*(jwk(key) for key in (*keys, RSA, OKPKey.generate_key("Ed25519"))))
    assert all(found.find(None, name) is not None for name in ALGORITHMS)


@pytest.mark.parametrize("left_out", [
    jwk(EC, use="enc"), jwk(EC, key_ops=["sign"]), jwk(EC, alg="ES384"), jwk(EC, alg="HS256"), jwk(EC, kid=7), jwk(EC, x="AA"),
    jwk(EC, crv="secp256k1"), jwk(EC, kty="RSA"), jwk(weak()), jwk(OKPKey.generate_key("X25519")), {}, [], "x",
    OctKey.generate_key(256).as_dict(private=True), {"kty": "EC", "crv": "P-256"}, {"kty": ["EC"]}, jwk(EC, use=["sig"]),
    jwk(EC, alg=["ES256"]), jwk(EC, key_ops=7), jwk(RSA, e="AA"),
])  # fmt: skip
def test_what_does_not_verify_is_left_out(left_out: Any) -> None:
    """Without losing the others."""
    found = key_set(left_out, jwk(RSA, kid="rsa"))
    assert len(found) == 1
    assert found.find("rsa", "RS256") is not None


def test_a_private_key_is_taken_as_its_public_part() -> None:
    found = key_set(EC.as_dict(private=True)).find(None, "ES256")
    assert found is not None
    assert not found.key.is_private


def test_a_key_is_found_by_kid_and_kind_or_where_there_is_but_one() -> None:
    found = key_set(jwk(EC, kid="a"), jwk(ECKey.generate_key("P-256"), kid="b"), jwk(RSA, kid="a", alg="PS256"))
    assert found.find("a", "ES256") is not found.find("b", "ES256") is not None
    assert found.find("a", "PS256") is found.find(None, "PS256") is not None
    assert found.find(None, "ES256") is found.find("a", "RS256") is found.find("c", "ES256") is None


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys":{}}', b"{", b" " * (MAX_DOCUMENT + 1), b"[" * 10_000])
def test_what_is_no_set_is_said(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"key set|JWK set"):
        read_key_set(document)


def test_of_many_keys_the_first_are_read() -> None:
    """A server may not have us compute for ever."""
    assert len(key_set(*(jwk(EC, kid=str(n)) for n in range(MAX_KEYS + 5)))) == MAX_KEYS
