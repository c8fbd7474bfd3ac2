"""
Every error that the gateway raises on purpose.

An error knows what a client may learn of it (``status``, ``code``, ``detail``, ``headers``) and, apart from that, what only
the log may say (``reason``).  It does not know how it is rendered: the authority turns an `OAuthError` into RFC 6749 JSON,
everything else becomes RFC 9457 ``application/problem+json`` (`gateway.telemetry` and below know nothing of HTTP servers).
"""

from __future__ import annotations

from typing import ClassVar

Headers = tuple[tuple[str, str], ...]


class GatewayError(Exception):
    """Base of all refusals; never raised itself."""

    status: int = 500
    """Its class's, but where a proxy that asks would not understand that (`gateway.edge.forward_auth`)."""
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"
    close: bool = False
    """Whether the client's connection must end after the answer, because its framing can't be trusted any more."""

    def __init__(self, detail: str = "", *, reason: str = "", headers: Headers = ()) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.reason = reason
        self.headers = headers


# --- the request's framing and target: nothing of it reaches an upstream -------------------------------------------


class BadRequest(GatewayError):
    """The message is malformed or can be read in two ways."""

    status = 400
    code = "bad_request"
    title = "Bad request"
    close = True


class AmbiguousTarget(BadRequest):
    """The target has more than one reading; ``rule`` names why and ``allow`` the route option that would let it pass."""

    code = "ambiguous_target"
    title = "Ambiguous request target"

    def __init__(self, detail: str, *, rule: str, allow: str = "") -> None:
        hint = f"; allow: [{allow}] on the route would let it pass" if allow else ""
        super().__init__(detail, reason=f"{rule}{hint}")
        self.rule = rule
        self.allow = allow


class RequestTimeout(GatewayError):
    """The head or the body did not arrive in time."""

    status = 408
    code = "request_timeout"
    title = "Request timeout"
    close = True


class ClientGone(GatewayError):
    """The client closed its connection before the answer; nobody sees the status, which is nginx's for logs and metrics."""

    status = 499
    code = "client_closed"
    title = "The client closed the connection"
    close = True


class ClientTimeout(GatewayError):
    """The client read nothing of its answer for ``timeouts.between_bytes``: the connection is cut."""

    status = 408
    code = "client_timeout"
    title = "The client stopped reading"
    close = True


class PayloadTooLarge(GatewayError):
    """The body is larger than the limit of its route."""

    status = 413
    code = "payload_too_large"
    title = "Payload too large"
    close = True


class UriTooLong(GatewayError):
    """The request target is longer than 8 KiB."""

    status = 414
    code = "uri_too_long"
    title = "URI too long"
    close = True


class UnsupportedMediaType(GatewayError):
    """One of the gateway's own endpoints got a body of a type or coding that it does not read."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"


class ExpectationFailed(GatewayError):
    """An ``Expect`` other than 100-continue (RFC 9110 section 10.1.1)."""

    status = 417
    code = "expectation_failed"
    title = "Expectation failed"
    close = True


class HeadTooLarge(GatewayError):
    """The header section is too long or has too many lines (RFC 6585 section 5)."""

    status = 431
    code = "headers_too_large"
    title = "Request header fields too large"
    close = True


class CodingNotImplemented(GatewayError):
    """A transfer coding other than chunked (RFC 9112 section 6.1)."""

    status = 501
    code = "not_implemented"
    title = "Not implemented"
    close = True


class VersionNotSupported(GatewayError):
    """The request names a protocol version other than HTTP/1.0 and HTTP/1.1."""

    status = 505
    code = "version_not_supported"
    title = "HTTP version not supported"
    close = True


# --- routing -------------------------------------------------------------------------------------------------------


class RouteNotFound(GatewayError):
    """No route matches host and path."""

    status = 404
    code = "not_found"
    title = "Not found"


class MethodNotAllowed(GatewayError):
    """The path has a route, but not for this method (RFC 9110 section 15.5.6)."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"

    def __init__(self, allow: frozenset[str]) -> None:
        super().__init__(headers=(("Allow", ", ".join(sorted(allow))),))
        self.allow = allow


class OriginNotAllowed(GatewayError):
    """A preflight of an origin that the route's ``cors`` does not name (Fetch standard section 3.2.3 encourages 403)."""

    status = 403
    code = "origin_not_allowed"
    title = "The route's cors does not name this web origin"


class NotOneRequest(GatewayError):
    """Another proxy asks whether a request may pass, and does not say which one, or says it twice."""

    status = 403
    code = "forward_auth_invalid"
    title = "The question does not name exactly one request"


# --- may this request pass -----------------------------------------------------------------------------------------


class TokenRefused(GatewayError):
    """Base of the four refusals of RFC 6750; ``challenge`` holds the auth-params of ``WWW-Authenticate: Bearer``."""

    challenge: ClassVar[str] = ""


class TokenMissing(TokenRefused):
    """No bearer token: a bare challenge, without an error code (RFC 6750 section 3)."""

    status = 401
    code = "token_missing"
    title = "An access token is required"


class MalformedCredentials(TokenRefused):
    """More than one credential in the request (RFC 6750 section 3.1 invalid_request)."""

    status = 400
    code = "invalid_request"
    title = "The request carries more than one credential"
    challenge = 'error="invalid_request", error_description="The request carries more than one credential"'


class InvalidToken(TokenRefused):
    """Unknown, expired, revoked, foreign, malformed: all the same from outside (RFC 6750 section 3.1 invalid_token)."""

    status = 401
    code = "invalid_token"
    title = "The access token is invalid"
    challenge = 'error="invalid_token", error_description="The access token is invalid"'


class InsufficientScope(TokenRefused):
    """The token lives but lacks a scope of the route (RFC 6750 section 3.1 insufficient_scope)."""

    status = 403
    code = "insufficient_scope"
    title = "The access token lacks a required scope"

    def __init__(self, scopes: frozenset[str]) -> None:
        super().__init__()
        self.scopes = scopes
        """The scopes of the route, for the challenge's ``scope`` attribute."""


class TooManyRequests(GatewayError):
    """A limit was reached; ``Retry-After`` says when to come back."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"

    def __init__(self, detail: str = "", *, retry_after: int = 1, reason: str = "") -> None:
        super().__init__(detail, reason=reason, headers=(("Retry-After", str(retry_after)),))


class LimitReached(TooManyRequests):
    """One of the configured ``limits``; the RateLimit fields say how much of them is left."""

    code = "limit_reached"
    title = "The limit is reached"

    def __init__(self, words: str, *, retry_after: int, reason: str, fields: Headers = ()) -> None:
        super().__init__(f"The limit is reached: {words}", retry_after=retry_after, reason=reason)
        self.headers = (*self.headers, *fields)


class StoreUnavailable(GatewayError):
    """The store did not answer: nothing is known of the token, so neither yes nor no (never 401)."""

    status = 503
    code = "store_unavailable"
    title = "The token store is unavailable"

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason=reason, headers=(("Retry-After", "1"),))


class IssuerUnavailable(GatewayError):
    """Another authorization server, which alone knows what a token is, did not answer: neither yes nor no (never 401)."""

    status = 503
    code = "issuer_unavailable"
    title = "The token's issuer can't be asked, try again"

    def __init__(self, reason: str, *, retry_after: int = 1) -> None:
        super().__init__(reason=reason, headers=(("Retry-After", str(retry_after)),))


class Overloaded(GatewayError):
    """A bounded pool or queue of the gateway is full."""

    status = 503
    code = "overloaded"
    title = "Too busy, try again"

    def __init__(self, detail: str = "", *, reason: str = "", retry_after: int = 1) -> None:
        super().__init__(detail, reason=reason, headers=(("Retry-After", str(retry_after)),))


# --- upstreams -----------------------------------------------------------------------------------------------------


class UpstreamError(GatewayError):
    """The upstream failed us; ``sent`` says whether it may have seen the request."""

    status = 502
    code = "bad_gateway"
    title = "The upstream failed"

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason=reason)
        self.sent = sent


class UpstreamTimeout(UpstreamError):
    """The upstream did not connect or answer within the route's ``timeouts``."""

    status = 504
    code = "gateway_timeout"
    title = "The upstream did not answer in time"


class UpstreamDown(GatewayError):
    """Every address of the upstream lets connections hang; the gateway looks each second whether one is back."""

    status = 503
    code = "upstream_unavailable"
    title = "The upstream is unavailable, try again"

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason, headers=(("Retry-After", "1"),))


class NoUpstreamCredential(GatewayError):
    """The route shows its upstream a credential by client, and has none for this one."""

    status = 403
    code = "no_upstream_credential"
    title = "This client has no credential at the upstream"


class UpstreamCredentialFailed(GatewayError):
    """The upstream's authorization server gave the gateway no token."""

    status = 502
    code = "upstream_credential_failed"
    title = "The gateway got no access to the upstream"


class UpstreamCredentialTimeout(UpstreamCredentialFailed):
    """The upstream's authorization server did not answer in time."""

    status = 504
    code = "upstream_credential_timeout"
    title = "The gateway got no access to the upstream in time"


# --- the gateway's own endpoints -----------------------------------------------------------------------------------


class InvalidInput(GatewayError):
    """A body or parameter of one of the own (non-OAuth) endpoints breaks its rules; ``detail`` says which and how."""

    status = 400
    code = "invalid_input"
    title = "Invalid input"


class AuthenticationRequired(GatewayError):
    """An own endpoint (clients, keys) got no or wrong credentials; unknown and wrong look the same."""

    status = 401
    code = "authentication_required"
    title = "Authentication required"

    def __init__(self, detail: str = "", *, reason: str = "") -> None:
        super().__init__(detail, reason=reason, headers=(("WWW-Authenticate", 'Basic realm="gateway", charset="UTF-8"'),))


class Forbidden(GatewayError):
    """The operation is switched off by the configuration, or not for this caller."""

    status = 403
    code = "forbidden"
    title = "Forbidden"


class ForgedForm(GatewayError):
    """A page's form came from another site, or from a page of another session (C01)."""

    status = 403
    code = "form_refused"
    title = "This form was sent from another page, or from one that is too old: open the page again"


class NotFound(GatewayError):
    """The named resource of an own endpoint does not exist, or not for this caller."""

    status = 404
    code = "not_found"
    title = "Not found"


class Conflict(GatewayError):
    """The name is taken."""

    status = 409
    code = "conflict"
    title = "Conflict"


class OAuthError(GatewayError):
    """
    An error answer of the OAuth endpoints: ``{"error": code, "error_description": detail}`` (RFC 6749 section 5.2).

    ``detail`` may only hold %x20-21 / %x23-5B / %x5D-7E.
    """

    status = 400


class InvalidRequest(OAuthError):
    """RFC 6749 section 5.2 invalid_request."""

    code = "invalid_request"
    title = "The request is malformed"


class InvalidClient(OAuthError):
    """RFC 6749 section 5.2 invalid_client: unknown client and wrong secret are one answer."""

    status = 401
    code = "invalid_client"
    title = "Client authentication failed"

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason=reason, headers=(("WWW-Authenticate", 'Basic realm="gateway", charset="UTF-8"'),))


class InvalidGrant(OAuthError):
    """RFC 6749 section 5.2 invalid_grant."""

    code = "invalid_grant"
    title = "The grant is invalid, expired, revoked or was issued to another client"


class UnauthorizedClient(OAuthError):
    """RFC 6749 section 5.2 unauthorized_client."""

    code = "unauthorized_client"
    title = "The client may not use this grant type"


class UnsupportedGrantType(OAuthError):
    """RFC 6749 section 5.2 unsupported_grant_type."""

    code = "unsupported_grant_type"
    title = "The grant type is not supported"


class UnsupportedResponseType(OAuthError):
    """RFC 6749 section 4.1.2.1 unsupported_response_type."""

    code = "unsupported_response_type"
    title = "The response type is not supported"


class AccessDenied(OAuthError):
    """RFC 6749 section 4.1.2.1 access_denied."""

    status = 403
    code = "access_denied"
    title = "The request was denied"


class UnsafeRedirect(GatewayError):
    """An authorization request that can't be answered by a redirect (RFC 6749 section 4.1.2.1): a page says so."""

    status = 400
    code = "unsafe_redirect"
    title = "This sign-in request can't be answered"


class InvalidScope(OAuthError):
    """RFC 6749 section 5.2 invalid_scope."""

    code = "invalid_scope"
    title = "The scope is unknown, malformed or exceeds what was granted"


class InvalidTarget(OAuthError):
    """RFC 8707 section 2 invalid_target."""

    code = "invalid_target"
    title = "The resource is unknown, malformed or exceeds what was granted"


class InvalidClientMetadata(OAuthError):
    """RFC 7591 section 3.2.2 invalid_client_metadata."""

    code = "invalid_client_metadata"
    title = "The client metadata is invalid"


class InvalidRedirectUri(OAuthError):
    """RFC 7591 section 3.2.2 invalid_redirect_uri."""

    code = "invalid_redirect_uri"
    title = "A redirect URI is invalid"


class InvalidRegistrationToken(OAuthError):
    """RFC 7592 section 2 (RFC 6750 section 3.1): no such client and a wrong token are one answer."""

    status = 401
    code = "invalid_token"
    title = "The registration access token is invalid"

    def __init__(self, *, sent: bool, reason: str = "") -> None:
        error = f', error="{self.code}"' if sent else ""
        super().__init__(reason=reason, headers=(("WWW-Authenticate", f'Bearer realm="gateway"{error}'),))


class InvalidInitialAccessToken(InvalidRegistrationToken):
    """RFC 7591 section 3.1 (RFC 6750 section 3.1): no initial access token, or one that is unknown, over or spent."""

    title = "Registration needs an initial access token that is good: ask the operator of this gateway for one"


class PendingClient(UnauthorizedClient):
    """RFC 6749 section 5.2 unauthorized_client: it proved who it is, but registered where the operator has to approve."""

    title = "The client waits for the approval of the operator"


# --- the command line ----------------------------------------------------------------------------------------------


class ConfigFault(Exception):
    """One or more faults of the configuration, each as ``path:line:col: message``; exit code 78."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Unavailable(Exception):
    """Store or port not available at start; exit code 69.  The message names the override."""
