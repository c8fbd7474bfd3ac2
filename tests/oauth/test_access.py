"""Access tokens as they are presented: opaque ones and JWTs."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.oauth.access import JWT_PATTERN, find_access, read_claims
from gateway.oauth.signing_keys import SEAL_ENTROPY, make_key, open_key
from gateway.oauth.tokens import AccessRef, digest_access, mint_access

CLIENT = "gwc_abc" + "c" * 22
SECRET = b"s" * 32
SIGNER = open_key(make_key(SECRET, bytes(SEAL_ENTROPY), 0, 0), [SECRET])
assert SIGNER is not None


def signed(**claims: Any) -> bytes:
    assert SIGNER is not None
    return SIGNER.sign(orjson.dumps({"client_id": CLIENT, **claims})).encode("ascii")


def b64(value: bytes) -> bytes:
    return urlsafe_b64encode(value).rstrip(b"=")


def test_a_jwt_is_found_where_its_client_is_by_the_digest_of_the_whole_token() -> None:
    token = signed()
    assert find_access(token) == AccessRef("abc", digest_access(token))
    assert read_claims(token) == {"client_id": CLIENT}
    assert re.fullmatch(JWT_PATTERN, token.decode())


def test_an_opaque_token_is_found_as_ever() -> None:
    token = mint_access("abc", bytes(32)).encode()
    assert find_access(token) == AccessRef("abc", digest_access(token))
    assert read_claims(token) == {}


def header(**members: Any) -> bytes:
    return b64(orjson.dumps(members))


@pytest.mark.parametrize("client_id", [None, 7, "", "gwc_", CLIENT + "x", ["gwc_"], "ann", "gwc_ABC" + "c" * 22])
def test_a_jwt_of_nobody_here_leads_nowhere(client_id: object) -> None:
    assert find_access(signed(client_id=client_id)) is None


def test_another_header_than_ours_leads_nowhere() -> None:
    """RFC 9068 section 2.1 and 4: alg none, HS256, an ID token's typ; none of them is even looked up (O-cases of JWTs)."""
    _, payload, signature = signed().split(b".")
    for members in (
        {"alg": "none", "typ": "at+jwt", "kid": "k" * 43}, {"alg": "HS256", "typ": "at+jwt", "kid": "k" * 43},
        {"alg": "ES256", "typ": "JWT", "kid": "k" * 43}, {"alg": "ES256", "kid": "k" * 43},
        {"typ": "at+jwt", "alg": "ES256", "kid": "k" * 43},
    ):  # fmt: skip
        assert find_access(header(**members) + b"." + payload + b"." + signature) is None


def test_other_forms_of_a_jwt_lead_nowhere() -> None:
    token = signed()
    head, payload, signature = token.split(b".")
    for other in (
        b"", b".", b"..", head, head + b"." + payload, head + b"." + payload + b".", token + b".", token + b"=", b" " + token,
        head + b".." + signature, head + b"." + b64(b"[]") + b"." + signature, head + b"." + b64(b"{") + b"." + signature,
        head + b"." + b64(b"\xff") + b"." + signature, head + b".A." + signature, head + b"." + b64(b'"x"') + b"." + signature,
    ):  # fmt: skip
        assert find_access(other) is None
        assert read_claims(other) == {}


def test_a_jwt_of_more_than_4096_bytes_is_none() -> None:
    """Before it is decoded or hashed."""
    room = signed(a="").__len__()
    longest = (4096 - room) * 3 // 4
    assert find_access(signed(a="x" * longest)) is not None
    assert find_access(signed(a="x" * (longest + 4))) is None


@given(st.binary(max_size=300))
def test_any_bytes_can_be_asked_about(garbage: bytes) -> None:
    """And behind the right beginning too."""
    head, payload, signature = signed().split(b".")
    assert find_access(garbage) is None
    assert find_access(head + b"." + b64(garbage) + b"." + signature) is None
    find_access(head + b"." + garbage + b"." + payload + b"." + signature)
