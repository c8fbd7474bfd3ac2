"""
The one place that lets a request pass.  Nothing goes upstream without a `Permit`, and only this file makes one.
"""

from __future__ import annotations

from gateway.errors import GatewayError, InsufficientScope, InvalidToken, TokenMissing
from gateway.guard.verdict import Verdict
from gateway.routing import Match


class Permit:
    """
    Leave to forward one request.

    Attributes:
        client_id: Who calls; empty on a public route.
        identity: The header lines that tell the upstream so; empty on a public route.
        deadline: Event-loop seconds at which its token is dead; infinite on a public route.
        verdict: What is known of its token; None where there is none.
    """

    __slots__ = ("client_id", "deadline", "identity", "verdict")

    mark = ""
    """What the log says of it beside."""

    def __init__(self, client_id: str, identity: bytes, deadline: float, verdict: Verdict | None = None) -> None:
        self.client_id = client_id
        self.identity = identity
        self.deadline = deadline
        self.verdict = verdict


class StalePermit(Permit):
    """Leave by what was known before the store went away."""

    __slots__ = ()

    mark = "stale"


def permit_stale(match: Match, verdict: Verdict, now: float) -> StalePermit:
    """
    Decide by what was known of a token when the store could be asked; as `permit`, on a route that goes on with that.

    Raises:
        TokenMissing: The route does not.
        InvalidToken, InsufficientScope: As `permit`.
    """
    if not match.route.max_stale > 0:
        raise TokenMissing
    granted = permit(match, verdict, now)
    return StalePermit(granted.client_id, granted.identity, granted.deadline, verdict)


def permit(match: Match, verdict: Verdict, now: float) -> Permit:
    """
    Decide whether a token's bearer may make this request.

    Args:
        match: The route and what it needs.
        verdict: What is known of the token.
        now: Event-loop seconds; at ``verdict.deadline`` the token is dead.

    Raises:
        InvalidToken: The token has expired, is an issuer's that the route does not trust, or is for other resources (RFC 6750
            section 3.1, RFC 8707 section 2).
        InsufficientScope: It lacks a scope of the route (RFC 6750 section 3.1).
    """
    if now >= verdict.deadline:
        raise InvalidToken
    if verdict.issuer not in match.route.issuers:
        raise InvalidToken(reason="the route does not trust this issuer")
    if verdict.audience and verdict.audience.isdisjoint(match.route.resources):
        raise InvalidToken
    scopes = match.scopes
    if scopes and not scopes <= verdict.scopes:
        raise InsufficientScope(scopes)
    if match.scopes_any and match.scopes_any.isdisjoint(verdict.scopes):
        raise InsufficientScope(match.scopes_any)
    return Permit(verdict.client_id, verdict.identity, verdict.deadline, verdict)


_FOR_EVER = float("inf")
_PUBLIC = Permit("", b"", _FOR_EVER)


def permit_public(match: Match) -> Permit:
    """
    Leave for a route that asks no token.

    Raises:
        TokenMissing: The route is not public.
    """
    if match.route.public is not True:
        raise TokenMissing
    return _PUBLIC


def permit_reported(match: Match, found: Verdict | GatewayError, now: float) -> tuple[Permit, GatewayError | None]:
    """
    Leave for a route that only reports, and what it would have refused the request with.

    The upstream is told who calls where a token says so, even one without the scopes; nothing ends with the token.

    Args:
        match: The route and what it would need.
        found: What is known of the token, or why nothing is.
        now: Event-loop seconds.

    Raises:
        TokenMissing: The route enforces.
    """
    if match.route.reports is not True:
        raise TokenMissing
    if isinstance(found, GatewayError):
        return _PUBLIC, found
    known = Permit(found.client_id, found.identity, _FOR_EVER, found)
    try:
        permit(match, found, now)
    except InsufficientScope as refused:
        return known, refused
    except InvalidToken as refused:
        return _PUBLIC, refused
    return known, None
