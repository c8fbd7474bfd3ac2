"""RFC 9457 documents and RFC 6750 challenges."""

import json
from typing import Any

import pytest

from gateway import errors
from gateway.problem import problem

ENDPOINT = "https://api.example.com/v1/oauth/token"


def render(error: errors.GatewayError) -> tuple[int, dict[str, str], dict[str, Any]]:
    status, headers, body = problem(error, request_id="r-1", token_endpoint=ENDPOINT)
    return status, dict(headers), json.loads(body)


def test_rfc9457_3_1_members_of_a_problem() -> None:
    """All members of a refusal, no more; about:blank asks for the status phrase as title."""
    status, headers, body = render(errors.StoreUnavailable("connection refused to 10.0.0.7"))
    assert status == 503
    assert headers == {"Content-Type": "application/problem+json", "Cache-Control": "no-store", "Retry-After": "1"}
    assert body == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "The token store is unavailable",
        "code": "store_unavailable",
        "request_id": "r-1",
    }


@pytest.mark.parametrize(("error", "challenge"), [
    pytest.param(errors.TokenMissing(), 'Bearer realm="gateway"', id="no token, no error code"),
    pytest.param(
        errors.InvalidToken(reason="expired"),
        'Bearer realm="gateway", error="invalid_token", error_description="The access token is invalid"', id="dead",
    ),
    pytest.param(
        errors.InsufficientScope(frozenset({"orders:write", "orders:read"})),
        'Bearer realm="gateway", error="insufficient_scope", '
        'error_description="The access token lacks a required scope", scope="orders:read orders:write"', id="scope",
    ),
    pytest.param(
        errors.MalformedCredentials(),
        'Bearer realm="gateway", error="invalid_request", '
        'error_description="The request carries more than one credential"', id="two credentials",
    ),
])
def test_rfc6750_3_challenges(error: errors.TokenRefused, challenge: str) -> None:
    """A challenge tells what a client can do about it, and not why a token is dead."""
    _, headers, body = render(error)
    assert headers["WWW-Authenticate"] == challenge
    assert "expired" not in json.dumps(body)


@pytest.mark.parametrize("error", [errors.TokenMissing(), errors.InvalidToken(), errors.AuthenticationRequired()])
def test_a_401_says_where_tokens_come_from(error: errors.GatewayError) -> None:
    """And other answers don't."""
    assert render(error)[2]["token_endpoint"] == ENDPOINT
    assert "token_endpoint" not in render(errors.InsufficientScope(frozenset({"a"})))[2]


def _leaves(base: type[errors.GatewayError]) -> list[type[errors.GatewayError]]:
    below = [leaf for sub in base.__subclasses__() for leaf in _leaves(sub)]
    return below or [base]


@pytest.mark.parametrize("kind", _leaves(errors.GatewayError), ids=lambda kind: kind.__name__)
def test_nothing_of_any_refusal_is_cached_and_its_reason_stays_inside(kind: type[errors.GatewayError]) -> None:
    """Every error class there is."""
    error = kind.__new__(kind)
    errors.GatewayError.__init__(error, reason="secret-reason")
    if isinstance(error, errors.InsufficientScope):
        error.scopes = frozenset()
    _, headers, body = render(error)
    assert headers["Cache-Control"] == "no-store"
    assert "secret-reason" not in json.dumps([headers, body])
