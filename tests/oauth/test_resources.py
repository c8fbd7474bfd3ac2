"""RFC 9728, its names and its document."""

import pytest

from gateway.oauth.resources import metadata, metadata_url, resource

ISSUER = "https://api.example.com:8443/tenant"


@pytest.mark.parametrize(("path", "host", "identifier", "url"), [
    ("/v1/orders", "", "https://api.example.com:8443/v1/orders",
     "https://api.example.com:8443/.well-known/oauth-protected-resource/v1/orders"),
    ("/v1/orders/", "", "https://api.example.com:8443/v1/orders/",
     "https://api.example.com:8443/.well-known/oauth-protected-resource/v1/orders/"),
    ("/", "", "https://api.example.com:8443", "https://api.example.com:8443/.well-known/oauth-protected-resource"),
    ("/a", "b.example.com", "https://b.example.com:8443/a", "https://b.example.com:8443/.well-known/oauth-protected-resource/a"),
])  # fmt: skip
def test_rfc9728_3_1_the_well_known_part_goes_before_the_resources_path(
    path: str, host: str, identifier: str, url: str
) -> None:
    """The issuer's own path is no part of it; a slash right after the host is left out."""
    assert resource(ISSUER, path, host) == identifier
    assert metadata_url(ISSUER, path, host) == url


def test_rfc9728_3_2_empty_arrays_are_left_out() -> None:
    """And the identifier is repeated letter by letter (3.3)."""
    document = metadata("https://api.example.com/v1/orders/", [ISSUER], ())
    assert document == {
        "resource": "https://api.example.com/v1/orders/",
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
    }
    assert metadata("https://a.example", [ISSUER], {"b", "a"})["scopes_supported"] == ["a", "b"]
