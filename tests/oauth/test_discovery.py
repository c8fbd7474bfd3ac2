"""Where another server's keys are (RFC 8414 section 3, OpenID Connect Discovery section 4)."""

from __future__ import annotations

import pytest

from gateway.oauth.discovery import find_jwks_uri, metadata_urls


@pytest.mark.parametrize(("issuer", "urls"), [
    ("https://a.example", ("https://a.example/.well-known/oauth-authorization-server", "https://a.example/.well-known/openid-configuration")),
    ("https://a.example/", ("https://a.example/.well-known/oauth-authorization-server", "https://a.example/.well-known/openid-configuration")),
    ("https://a.example:1/t/x", (
        "https://a.example:1/.well-known/oauth-authorization-server/t/x", "https://a.example:1/t/x/.well-known/openid-configuration",
    )),
])  # fmt: skip
def test_rfc8414_3_the_well_known_part_goes_between_host_and_path(issuer: str, urls: tuple[str, ...]) -> None:
    """And behind both for OpenID Connect."""
    assert metadata_urls(issuer) == urls


@pytest.mark.parametrize("document", [
    b"", b"[]", b"{}", b'{"issuer":"https://a.example/","jwks_uri":"https://a.example/k"}', b'{"issuer":"https://a.example"}',
    b'{"issuer":"https://a.example","jwks_uri":7}',
])  # fmt: skip
def test_rfc8414_3_3_metadata_of_somebody_else_count_for_nothing(document: bytes) -> None:
    with pytest.raises(ValueError, match="metadata"):
        find_jwks_uri(document, "https://a.example")


def test_the_uri_is_read() -> None:
    document = b'{"issuer":"https://a.example","jwks_uri":"https://a.example/k"}'
    assert find_jwks_uri(document, "https://a.example") == "https://a.example/k"
