"""The grants of the token endpoint: which there are and how their answer looks (RFC 6749 sections 4.1, 4.4, 5.1 and 6)."""

from __future__ import annotations

from gateway.errors import InvalidRequest, UnsupportedGrantType
from gateway.oauth.pairs import Pair
from gateway.oauth.scopes import write_scope

AUTHORIZATION_CODE = "authorization_code"
CLIENT_CREDENTIALS = "client_credentials"
REFRESH_TOKEN = "refresh_token"  # noqa: S105  (the name of a grant)


def grant_types(*, refresh: bool, sign_in: bool = False) -> tuple[str, ...]:
    """
    The grants on offer.

    Args:
        refresh: Whether client_credentials gets a refresh token; without sign-in there is nothing else to refresh.
        sign_in: Whether people sign in here, so that there are authorization codes.
    """
    found = (CLIENT_CREDENTIALS, *((AUTHORIZATION_CODE,) if sign_in else ()))
    return (*found, REFRESH_TOKEN) if refresh or sign_in else found


def choose_grant(parameters: dict[str, str], offered: tuple[str, ...]) -> str:
    """
    The grant that a request asks for.

    Raises:
        InvalidRequest: If it names none.
        UnsupportedGrantType: If it is not on offer.
    """
    grant_type = parameters.get("grant_type")
    if grant_type is None:
        raise InvalidRequest("grant_type is missing")
    if grant_type not in offered:
        raise UnsupportedGrantType
    return grant_type


def token_answer(
    pair: Pair, *, expires_in: int, granted: frozenset[str], requested: frozenset[str] | None
) -> dict[str, str | int]:
    """
    The answer of section 5.1: ``scope`` only when it differs from what was asked for.

    Args:
        pair: The tokens.
        expires_in: Whole seconds that the access token has left.
        granted: Scopes that it carries.
        requested: Scopes asked for; None where none were named.
    """
    answer: dict[str, str | int] = {"access_token": pair.access, "token_type": "Bearer", "expires_in": expires_in}
    if pair.refresh is not None:
        answer["refresh_token"] = pair.refresh
    if granted != (requested or frozenset()):
        answer["scope"] = write_scope(granted)
    return answer
