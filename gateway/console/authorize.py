"""``{prefix}/oauth/authorize``: the authorization endpoint and its consent page (RFC 6749 sections 3.1 and 4.1, RFC 9207)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from gateway.config.model import OAuth
from gateway.console import csrf, people
from gateway.console.destination import local
from gateway.console.pages import render
from gateway.console.people import see_other
from gateway.console.ports import Desk
from gateway.console.room import ROOM
from gateway.errors import AccessDenied, InvalidRequest, OAuthError, UnsafeRedirect
from gateway.oauth.authorization import (
    AuthorizationRequest,
    Target,
    answer_uri,
    find_target,
    is_granted,
    read_request,
)
from gateway.oauth.form import read_parameters
from gateway.oauth.records import Account, Client, Code, Consent
from gateway.oauth.tokens import ENTROPY, find_code, find_partition, mint_code
from gateway.telemetry.metrics import Registry

_log = logging.getLogger("gateway.console")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request whose answer may be a redirect."""

    query: str
    client: Client
    target: Target
    state: str
    parameters: Mapping[str, str]
    repeated: frozenset[str]


class AuthorizePage:
    """
    Gives codes to clients, on behalf of whoever is signed in and agrees.

    Nobody is sent anywhere before they have signed in, not even with an error: else anybody who may register a client could
    use this host as an open redirector (RFC 9700 section 4.11.2).
    """

    def __init__(self, oauth: OAuth, desk: Desk, registry: Registry, entropy: Callable[[int], bytes]) -> None:
        self._issuer = oauth.issuer
        self._scopes = oauth.scopes
        self._code_life_ms = oauth.code_ttl // timedelta(milliseconds=1)
        self._desk = desk
        self._entropy = entropy
        self._given = registry.counter("gateway_authorization_codes_total", "Authorization codes handed out")

    async def show(self, request: web.Request) -> web.Response:
        """Ask whoever is signed in, or answer at once where the answer is known."""
        asked = await self._read(request, request.raw_path.partition("?")[2])
        account = await people.signed_in(request)
        if account is None:
            return people.to_sign_in(request)
        try:
            wanted = read_request(asked.client, asked.target, asked.parameters, asked.repeated, self._desk.resources)
        except OAuthError as error:
            return self._refuse(request, asked, error)
        consent = await self._desk.authorizations.find_consent(asked.client.client_id, account.subject)
        if is_granted(wanted, consent):
            return await self._grant(request, account, asked, wanted)
        return self._ask(request, account, asked, wanted, consent)

    async def submit(self, request: web.Request) -> web.Response:
        """Take the answer of the consent page."""
        form = await self._desk.read_form(request)
        csrf.check(request, form)
        asked = await self._read(request, form.get("request", ""))
        account = await people.signed_in(request)
        if account is None:
            return people.to_sign_in(request)
        try:
            if form.get("answer") != "allow":
                raise AccessDenied
            wanted = read_request(asked.client, asked.target, asked.parameters, asked.repeated, self._desk.resources)
        except OAuthError as error:
            return self._refuse(request, asked, error)
        return await self._grant(request, account, asked, wanted)

    async def _read(self, request: web.Request, query: str) -> _Asked:
        """
        Read a request as far as it says where the answer may go.

        Raises:
            UnsafeRedirect: It can't be answered by a redirect.
            StoreUnavailable: If the store does not answer.
        """
        if not local(f"{request.app[ROOM].places.authorize}?{query}", ""):
            raise UnsafeRedirect("The link that led here is too long, or has characters that no link may have")
        try:
            parameters, repeated = read_parameters(query.encode("ascii"))
        except InvalidRequest as error:
            raise UnsafeRedirect("The link that led here can't be read", reason=error.detail) from None
        found = await self._desk.clients.find_client(parameters.get("client_id", ""))
        client, target = find_target(found, parameters, repeated)
        state = "" if "state" in repeated else parameters.get("state", "")
        return _Asked(query, client, target, state, parameters, frozenset(repeated))

    def _ask(
        self, request: web.Request, account: Account, asked: _Asked, wanted: AuthorizationRequest, consent: Consent | None
    ) -> web.Response:
        known = consent.scopes if consent is not None else frozenset()
        return render(
            request, "consent.html", form_action=(_source(asked.target.uri),), csrf=csrf.token(request), account=account,
            client=asked.client, name=asked.client.name, query=asked.query, place=_place(asked.target.uri),
            resources=sorted(wanted.audience),
            scopes=[(scope, self._scopes.get(scope, ""), scope in known) for scope in sorted(wanted.scopes)],
        )  # fmt: skip

    async def _grant(self, request: web.Request, account: Account, asked: _Asked, wanted: AuthorizationRequest) -> web.Response:
        """
        Remember the consent and answer with a code that rests on it.

        The account is looked at again once the consent stands: whoever deletes it meanwhile either sees the consent, or is seen.
        """
        client_id, store = asked.client.client_id, self._desk.authorizations
        consent = await self._desk.consents.give(account, client_id, wanted.scopes)
        if consent is None:
            return people.to_sign_in(request)
        if await people.signed_in(request) is None:
            await store.end_consent(account, client_id, forget=True)
            return people.to_sign_in(request)
        partition = find_partition(client_id)
        assert partition is not None, "a stored client has a well-formed id"
        code = mint_code(partition, self._entropy(ENTROPY))
        ref = find_code(code.encode("ascii"))
        assert ref is not None, "what was minted is well formed"
        record = Code(
            client_id, account.subject, wanted.scopes, asked.target.named, wanted.challenge, consent.mark, asked.client.epoch,
            wanted.audience,
        )
        await store.add_code(ref, record, life_ms=self._code_life_ms)
        self._given.inc()
        _log.info("authorization.granted", extra=self._desk.facts(request, username=account.username, client_id=client_id))
        return self._back(asked, {"code": code})

    def _refuse(self, request: web.Request, asked: _Asked, error: OAuthError) -> web.Response:
        facts = self._desk.facts(request, client_id=asked.client.client_id, code=error.code, reason=error.reason)
        _log.info("authorization.refused", extra=facts)
        return self._back(asked, {"error": error.code, "error_description": error.detail})

    def _back(self, asked: _Asked, answer: dict[str, str]) -> web.Response:
        """Send the browser to the client: by GET, never with the form that it sent (RFC 9700 section 4.12)."""
        state = {"state": asked.state} if asked.state else {}
        response = see_other(answer_uri(asked.target, {**answer, **state, "iss": self._issuer}))
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers[hdrs.PRAGMA] = "no-cache"
        return response


def _place(uri: str) -> str:
    """Where somebody is sent, as a person can tell: a host, or the scheme of an app."""
    parts = urlsplit(uri)
    return parts.netloc or parts.scheme


def _source(uri: str) -> str:
    """The source of a Content-Security-Policy that a redirect URI is in; it has no words for addresses of IPv6."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc and not parts.netloc.startswith("[") else f"{parts.scheme}:"
