"""RFC 8414."""

import pytest

from gateway.oauth.metadata import endpoint_url, metadata, metadata_path


@pytest.mark.parametrize(("issuer", "path"), [
    ("https://api.example.com", "/.well-known/oauth-authorization-server"),
    ("https://api.example.com/", "/.well-known/oauth-authorization-server"),
    ("https://api.example.com:8443/tenant/a", "/.well-known/oauth-authorization-server/tenant/a"),
    ("https://api.example.com/tenant/", "/.well-known/oauth-authorization-server/tenant"),
])
def test_rfc8414_3_the_well_known_part_goes_before_the_issuers_path(issuer: str, path: str) -> None:
    """And a terminating slash is removed."""
    assert metadata_path(issuer) == path


def test_rfc8414_2_what_works_here_and_nothing_else() -> None:
    """The issuer letter by letter; response_types_supported present and empty."""
    methods = ["client_secret_basic", "private_key_jwt"]
    signed = ["ES256", "Ed25519", "EdDSA", "PS256", "RS256"]
    assert metadata(
        "https://api.example.com", "/v1", grant_types=("client_credentials",), scopes=frozenset(), client_secret_post=False
    ) == {
        "issuer": "https://api.example.com",
        "token_endpoint": "https://api.example.com/v1/oauth/token",
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": signed,
        "introspection_endpoint": "https://api.example.com/v1/oauth/introspect",
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": signed,
        "revocation_endpoint": "https://api.example.com/v1/oauth/revoke",
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": signed,
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
    }


def test_scopes_and_secret_post_when_they_are_on() -> None:
    """Sorted, so that the document is stable."""
    document = metadata("https://a/", "", grant_types=(), scopes=frozenset({"b", "a"}), client_secret_post=True)
    assert document["scopes_supported"] == ["a", "b"]
    methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
    assert document["token_endpoint_auth_methods_supported"] == methods
    assert document["issuer"] == "https://a/"
    assert document["token_endpoint"] == "https://a/oauth/token"


def test_a_url_has_one_slash_between_issuer_and_prefix() -> None:
    """With and without one at the issuer's end."""
    assert endpoint_url("https://a/", "/v1", "token") == endpoint_url("https://a", "/v1", "token")
