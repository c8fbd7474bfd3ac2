"""``POST {prefix}/oauth/introspect``: RFC 7662."""

from __future__ import annotations

from aiohttp import web

from gateway.authority.answers import answer
from gateway.authority.body import read_form
from gateway.authority.identify import ClientAuthentication
from gateway.errors import InvalidRequest
from gateway.oauth.access import find_access, read_claims
from gateway.oauth.introspection import INACTIVE, describe
from gateway.oauth.ports import TokenStore
from gateway.oauth.records import AccessToken, Chain, Client
from gateway.oauth.tokens import find_refresh


class IntrospectionEndpoint:
    """
    Tells a client about its tokens; with the permission ``introspect:any`` about everybody's.

    The kind of a token shows in its prefix, so ``token_type_hint`` changes nothing (section 2.1).
    """

    def __init__(self, issuer: str, authenticate: ClientAuthentication, tokens: TokenStore) -> None:
        self._issuer = issuer
        self._authenticate = authenticate
        self._tokens = tokens

    async def handle(self, request: web.Request) -> web.Response:
        """Answer whether a token is active, and if so what it stands for."""
        form = await read_form(request)
        caller = await self._authenticate(request, form)
        if "token" not in form:
            raise InvalidRequest("token is missing")
        presented = form["token"].encode("utf-8")
        found = await self._find(presented)
        if found is None:
            return answer(INACTIVE)
        token, client, now_ms = found
        claims = read_claims(presented)
        return answer(describe(token, client, caller=caller.client, now_ms=now_ms, issuer=self._issuer, claims=claims))

    async def _find(self, token: bytes) -> tuple[AccessToken | Chain, Client | None, int] | None:
        if (access := find_access(token)) is not None:
            return await self._tokens.find_access(access)
        if (refresh := find_refresh(token)) is not None:
            return await self._tokens.find_refresh(refresh)
        return None
