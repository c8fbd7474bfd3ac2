"""``POST {prefix}/oauth/revoke``: RFC 7009."""

from __future__ import annotations

import logging

from aiohttp import web

from gateway.authority.answers import answer
from gateway.authority.body import read_form
from gateway.authority.identify import ClientAuthentication
from gateway.errors import InvalidRequest
from gateway.oauth.access import find_access
from gateway.oauth.ports import TokenStore
from gateway.oauth.tokens import find_refresh

_log = logging.getLogger("gateway.authority")


class RevocationEndpoint:
    """
    Ends a client's own tokens: an access token alone, a refresh token with its chain and that chain's access tokens.

    Foreign, unknown and dead tokens answer 200 as well (section 2.2), and nothing happens to them.
    """

    def __init__(self, authenticate: ClientAuthentication, tokens: TokenStore) -> None:
        self._authenticate = authenticate
        self._tokens = tokens

    async def handle(self, request: web.Request) -> web.Response:
        """
        Revoke a token.  200 only after the store has confirmed it (section 2.2.1; CVE-2020-15223).

        Clients ignore the body (section 2.2); those that parse it nevertheless (npm's simple-oauth2) find an empty object.
        """
        form = await read_form(request)
        caller = await self._authenticate(request, form, public=True)
        if "token" not in form:
            raise InvalidRequest("token is missing")
        client_id = caller.client.client_id
        if await self._revoke(client_id, form["token"].encode("utf-8")):
            _log.info("token.revoked", extra={"facts": {"client_id": client_id, "client_key": caller.client_key}})
        return answer({})

    async def _revoke(self, client_id: str, token: bytes) -> bool:
        if (access := find_access(token)) is not None:
            return await self._tokens.revoke_access(client_id, access)
        if (refresh := find_refresh(token)) is not None:
            return await self._tokens.revoke_refresh(client_id, refresh)
        return False
