"""RFC 6749 section 5.2."""

import json
import re

import pytest

from gateway import errors
from gateway.oauth.refusals import refusal


@pytest.mark.parametrize(("error", "status", "code"), [
    (errors.InvalidRequest(), 400, "invalid_request"),
    (errors.InvalidClient("wrong_secret"), 401, "invalid_client"),
    (errors.InvalidGrant(), 400, "invalid_grant"),
    (errors.UnauthorizedClient(), 400, "unauthorized_client"),
    (errors.UnsupportedGrantType(), 400, "unsupported_grant_type"),
    (errors.InvalidScope(), 400, "invalid_scope"),
    (errors.MethodNotAllowed(frozenset({"POST"})), 405, "invalid_request"),
    (errors.PayloadTooLarge(), 413, "invalid_request"),
    (errors.UnsupportedMediaType(), 415, "invalid_request"),
    (errors.StoreUnavailable("timeout at 10.0.0.7"), 503, "temporarily_unavailable"),
    (errors.Overloaded(), 503, "temporarily_unavailable"),
    (errors.TooManyRequests(reason="per_source"), 429, "temporarily_unavailable"),
    (errors.GatewayError(reason="KeyError"), 500, "server_error"),
])
def test_rfc6749_5_2_error_answers(error: errors.GatewayError, status: int, code: str) -> None:
    """Two members, never stored, the reason kept inside, the description within the RFC's alphabet."""
    got, headers, body = refusal(error)
    document = json.loads(body)
    assert (got, document) == (status, {"error": code, "error_description": error.detail})
    assert re.fullmatch(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+", document["error_description"])
    assert dict(headers)["Cache-Control"] == "no-store"
    assert dict(headers)["Pragma"] == "no-cache"
    assert dict(headers)["Content-Type"] == "application/json"
    assert error.reason == "" or error.reason not in body.decode()


def test_rfc6749_5_2_headers_of_the_error_go_along() -> None:
    """The Basic challenge with a 401, Allow with a 405, Retry-After with a 503."""
    assert dict(refusal(errors.InvalidClient())[1])["WWW-Authenticate"].startswith("Basic realm=")
    assert dict(refusal(errors.MethodNotAllowed(frozenset({"POST"})))[1])["Allow"] == "POST"
    assert dict(refusal(errors.StoreUnavailable())[1])["Retry-After"] == "1"
