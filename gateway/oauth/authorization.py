"""
Authorization requests and their answers: RFC 6749 section 4.1, with PKCE (RFC 7636) and ``iss`` (RFC 9207).

Only S256 and always: a code without a challenge is not given (RFC 9700 section 2.1.1; OAuth 2.1 asks it of all clients).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import urlencode

from gateway.errors import InvalidRequest, UnauthorizedClient, UnsafeRedirect, UnsupportedResponseType
from gateway.oauth.audience import read_resources
from gateway.oauth.grants import AUTHORIZATION_CODE
from gateway.oauth.records import Client, Code, Consent
from gateway.oauth.scopes import grant_scopes, parse_scope
from gateway.oauth.tokens import text

RESPONSE_TYPE = "code"
CHALLENGE_METHOD = "S256"

_REPEATABLE = frozenset({"resource"})  # RFC 8707 section 2
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::([0-9]{1,5}))?((?:[/?].*)?)")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the answer of an authorization request may go: checked, so that a refusal can go there too."""

    uri: str
    """As the request means it."""
    named: str
    """As the request says it; empty when it left the choice to what is registered."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that can be granted."""

    client: Client
    target: Target
    scopes: frozenset[str]
    challenge: str
    audience: frozenset[str] = frozenset()
    """Resources that it names (RFC 8707 section 2.1); none: all."""

    @property
    def is_claimed(self) -> bool:
        """
        Whether nobody but the client can get the code, so that a consent that was given may do without asking again.

        Any app of a machine can listen on its loopback or claim a scheme, and call itself by a public client's id
        (RFC 8252 section 8.6; RFC 6749 section 10.2).
        """
        return not self.client.public or self.target.uri.startswith("https:")


def find_target(client: Client | None, parameters: Mapping[str, str], repeated: Collection[str]) -> tuple[Client, Target]:
    """
    Find out where an answer may go (RFC 6749 section 3.1.2; RFC 9700 section 4.1.3), before anything else.

    Args:
        client: Whom ``client_id`` names.
        parameters: As `gateway.oauth.form.read_parameters` gives them.
        repeated: Their names that are repeated.

    Raises:
        UnsafeRedirect: Nowhere.
    """
    if "client_id" not in parameters or "client_id" in repeated:
        raise UnsafeRedirect("The link that led here has no client_id, or more than one")
    if client is None or not client.enabled:
        raise UnsafeRedirect("The application that sent you is not known here", reason="unknown_or_disabled_client")
    if "redirect_uri" in repeated:
        raise UnsafeRedirect("The link that led here has more than one redirect_uri")
    named = parameters.get("redirect_uri", "")
    if not named:
        if len(client.redirect_uris) != 1:
            raise UnsafeRedirect("The link that led here has no redirect_uri, and the application did not register exactly one")
        return client, Target(client.redirect_uris[0], "")
    if not any(matches(registered, named) for registered in client.redirect_uris):
        raise UnsafeRedirect("The application did not register the redirect_uri where it wants you sent", reason="redirect_uri")
    return client, Target(named, named)


def matches(registered: str, named: str) -> bool:
    """Whether a redirect URI is the registered one, to the letter; apps on loopback choose their port late (RFC 8252 7.3)."""
    if registered == named:
        return True
    ours, theirs = _LOOPBACK.fullmatch(registered), _LOOPBACK.fullmatch(named)
    if ours is None or theirs is None:
        return False
    return ours[1] == theirs[1] and ours[3] == theirs[3] and 0 < int(theirs[2] or 80) <= 65535


def is_loopback_uri(uri: str) -> bool:
    """Whether a URI leads to the machine that it is opened on."""
    found = _LOOPBACK.fullmatch(uri)
    return found is not None and 0 < int(found[2] or 80) <= 65535


def read_request(
    client: Client, target: Target, parameters: Mapping[str, str], repeated: Collection[str],
    resources: Collection[str] = (),
) -> AuthorizationRequest:
    """
    Read what is asked for (section 4.1.1; RFC 7636 section 4.3).  Whatever it raises goes to the target.

    Raises:
        InvalidRequest: A parameter is missing, repeated or malformed, or the challenge is not of S256.
        UnsupportedResponseType: It asks for something else than a code.
        UnauthorizedClient: The client may not use authorization codes.
        InvalidTarget: It names a resource that is none of ``resources``.
        InvalidScope: It asks for a scope that the client may not have.
    """
    if not _REPEATABLE.issuperset(repeated):
        raise InvalidRequest("A parameter is included more than once")
    if "request" in parameters or "request_uri" in parameters:
        raise InvalidRequest("Request objects are not supported")
    if "response_type" not in parameters:
        raise InvalidRequest("response_type is missing")
    if parameters["response_type"] != RESPONSE_TYPE:
        raise UnsupportedResponseType
    if parameters.get("response_mode", "query") != "query":
        raise InvalidRequest("The only response_mode is query")
    if not client.may_use(AUTHORIZATION_CODE):
        raise UnauthorizedClient
    challenge = parameters.get("code_challenge")
    if challenge is None:
        raise InvalidRequest("code_challenge is missing (RFC 7636)")
    if parameters.get("code_challenge_method") != CHALLENGE_METHOD:
        raise InvalidRequest("code_challenge_method must be S256")
    if _CHALLENGE.fullmatch(challenge) is None:
        raise InvalidRequest("code_challenge is not the SHA-256 of a verifier in base64url")
    requested = parse_scope(parameters["scope"]) if "scope" in parameters else None
    audience = read_resources(parameters.get("resource"), resources)
    return AuthorizationRequest(client, target, grant_scopes(requested, client.scopes), challenge, audience)


def is_granted(request: AuthorizationRequest, consent: Consent | None) -> bool:
    """Whether a consent that was given before covers a request, so that nobody has to be asked."""
    return consent is not None and request.scopes <= consent.scopes and request.is_claimed


def answer_uri(target: Target, parameters: Mapping[str, str]) -> str:
    """The redirect URI with an answer in its query (section 4.1.2), behind what stands there already."""
    joint = "&" if "?" in target.uri else "?"
    return f"{target.uri}{joint}{urlencode(parameters)}"


def is_verifier(value: str) -> bool:
    """Whether a string has the form of a code verifier (RFC 7636 section 4.1)."""
    return _VERIFIER.fullmatch(value) is not None


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636 section 4.2)."""
    return text(sha256(verifier.encode("ascii")).digest())


def is_sound(code: Code, client: Client, *, redirect_uri: str, verifier: str) -> bool:
    """
    Whether a code is presented with what it is bound to (section 4.1.3; RFC 7636 section 4.6).

    Args:
        code: What it stands for.
        client: Who presents it.
        redirect_uri: Of the token request; empty when it names none.
        verifier: Of the token request, in the form of one.
    """
    if code.redirect_uri:
        bound = compare_digest(code.redirect_uri.encode("utf-8"), redirect_uri.encode("utf-8"))
    else:  # none was named either; libraries that always send it name the only one there is
        bound = not redirect_uri or (redirect_uri,) == client.redirect_uris
    return compare_digest(code.challenge, challenge_of(verifier)) and bound
