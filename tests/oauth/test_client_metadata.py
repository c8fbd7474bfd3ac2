"""RFC 7591 section 2: what a client may say of itself."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidClientMetadata, InvalidRedirectUri
from gateway.oauth.client_metadata import Offer, public_keys, read_client_metadata, read_replacement

OFFER = Offer(("client_credentials", "refresh_token"), ("client_secret_basic", "private_key_jwt"), frozenset({"a", "b"}))
JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
CLIENT_ID = "gwc_abc" + "A" * 22


def read(**members: object) -> dict[str, object]:
    return read_client_metadata(json.dumps(members).encode(), OFFER)


def test_rfc7591_2_nothing_said_is_what_is_on_offer() -> None:
    """The RFC's own default, authorization_code, is not on offer."""
    assert read() == {
        "grant_types": ["client_credentials", "refresh_token"], "response_types": [],
        "token_endpoint_auth_method": "client_secret_basic", "scope": "a b",
    }  # fmt: skip


def test_rfc7591_2_what_is_known_is_kept_as_it_was_sent() -> None:
    said = {
        "client_name": "Ünï “Orders” 漢字", "client_uri": "https://app.example.com/x?y=1", "logo_uri": "http://localhost:3000/l.png",
        "tos_uri": "https://e.com/t", "policy_uri": "https://e.com/p", "contacts": ["a@b.c"], "software_id": "4NRB1",
        "software_version": "2.1", "redirect_uris": ["https://e.com/cb?x=1", "http://127.0.0.1/cb", "com.example.app:/cb"],
    }  # fmt: skip
    registered = read(**said)
    assert {name: registered[name] for name in said} == said


def test_rfc7591_2_what_is_unknown_is_ignored() -> None:
    """An admin flag does nothing (G07)."""
    assert read(is_admin=True, permissions=["introspect:any"], client_id="x", jwks_uri="https://e.com/") == read()


def test_rfc7591_2_public_keys_are_kept_with_their_names_and_without_anything_else() -> None:
    jwks = {"keys": [{**JWK, "kid": "1", "odd": 1}, {**JWK}]}
    registered = read(token_endpoint_auth_method="private_key_jwt", jwks=jwks)
    assert registered["jwks"] == {"keys": [JWK]}, "the same key once"
    assert len(public_keys(registered)) == 1
    assert public_keys(read()) == []


def test_rfc7591_3_2_1_what_is_not_on_offer_is_replaced() -> None:
    registered = read(grant_types=["authorization_code", "client_credentials"], response_types=["code"], scope="b admin")
    assert (registered["grant_types"], registered["response_types"], registered["scope"]) == (["client_credentials"], [], "b")


@pytest.mark.parametrize("members", [
    {"client_name": ""}, {"client_name": "x" * 201}, {"client_name": 1}, {"client_name": "a\r\nb"}, {"client_name": "a\u202eb"},
    {"client_name": "a\x00"}, {"client_name": "\ud83d"}, {"client_uri": "javascript:alert(1)"}, {"client_uri": "/relative"},
    {"client_uri": "https://user@e.com/"}, {"client_uri": "https:///x"}, {"client_uri": "https://e.com/<x>"}, {"client_uri": "https://[::1"},
    {"logo_uri": "data:text/html,x"}, {"contacts": "a@b.c"}, {"contacts": ["x"] * 11}, {"contacts": [1]},
    {"grant_types": ["authorization_code"]}, {"grant_types": "client_credentials"}, {"grant_types": []},
    {"token_endpoint_auth_method": "none"}, {"token_endpoint_auth_method": "private_key_jwt"}, {"jwks": {"keys": [JWK]}},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{**JWK, "d": "x"}]}},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [{"kty": "oct", "k": "x"}]}},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [JWK] * 11}},
    {"token_endpoint_auth_method": "client_secret_post"},
    {"token_endpoint_auth_method": ["client_secret_basic"]}, {"scope": "admin"}, {"scope": ["a"]}, {"scope": "a  b"},
    {"scope": 'a"b'},
])  # fmt: skip
def test_rfc7591_3_2_2_invalid_client_metadata(members: dict[str, object]) -> None:
    with pytest.raises(InvalidClientMetadata):
        read(**members)


@pytest.mark.parametrize(
    "uris",
    ["https://e.com", ["/cb"], ["https://e.com/#x"], ["https://e.com/#"], ["javascript:alert(1)"], ["data:text/html,x"],
     ["https://u:p@e.com/"], ["https://e.com/ x"], ["https://e.com/cb"] * 11, [None], ["file:///etc/passwd"]],
)  # fmt: skip
def test_rfc7591_3_2_2_invalid_redirect_uri(uris: object) -> None:
    with pytest.raises(InvalidRedirectUri):
        read(redirect_uris=uris)


@pytest.mark.parametrize("body", [
    b"", b"[]", b"null", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"client_name":"\xff"}', b"[" * 60_000,
])  # fmt: skip
def test_what_is_no_object_is_invalid_client_metadata(body: bytes) -> None:
    with pytest.raises(InvalidClientMetadata):
        read_client_metadata(body, OFFER)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["client_name", "scope", "grant_types", "contacts", "redirect_uris", "x"]), inner),
    max_leaves=6,
))  # fmt: skip
def test_anything_is_read_or_refused(value: object) -> None:
    try:
        registered = read_client_metadata(json.dumps(value).encode(), OFFER)
    except (InvalidClientMetadata, InvalidRedirectUri):
        return
    assert set(str(registered["scope"]).split()) <= OFFER.scopes
    assert set(registered["grant_types"]) <= set(OFFER.grant_types)  # type: ignore[call-overload]


def replace(**members: object) -> dict[str, object]:
    return read_replacement(json.dumps(members).encode(), OFFER, CLIENT_ID, lambda secret: secret == "right")


def test_rfc7592_2_2_an_update_replaces_everything() -> None:
    assert replace(client_id=CLIENT_ID, client_name="new", client_secret="right") == {**read(), "client_name": "new"}


@pytest.mark.parametrize("members", [
    {}, {"client_id": "gwc_other"}, {"client_id": None}, {"client_id": CLIENT_ID, "client_secret": "wrong"},
    {"client_id": CLIENT_ID, "client_secret": 1}, {"client_id": CLIENT_ID, "registration_access_token": "x"},
    {"client_id": CLIENT_ID, "registration_client_uri": "x"}, {"client_id": CLIENT_ID, "client_secret_expires_at": 0},
    {"client_id": CLIENT_ID, "client_id_issued_at": 1},
])  # fmt: skip
def test_rfc7592_2_2_an_update_says_nothing_that_is_the_server_s(members: dict[str, object]) -> None:
    with pytest.raises(InvalidClientMetadata):
        replace(**members)
