"""``{prefix}/oauth/account/consents``: which clients may act for an account, by its username and password."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from gateway.authority.answers import answer, answer_empty
from gateway.authority.owner import Ownership
from gateway.authority.rescue import facts
from gateway.errors import NotFound
from gateway.oauth.ports import AuthorizationStore, ClientStore
from gateway.oauth.scopes import write_scope

_log = logging.getLogger("gateway.authority")


class ConsentsEndpoint:
    """What an account allowed on the consent page."""

    def __init__(self, clients: ClientStore, authorizations: AuthorizationStore, ownership: Ownership) -> None:
        self._clients = clients
        self._authorizations = authorizations
        self._ownership = ownership

    async def list(self, request: web.Request) -> web.Response:
        """Answer the consents, oldest first; times in whole seconds since 1970.  Those of deleted clients are not told."""
        account = await self._ownership.account_of(request)
        given = await self._authorizations.consents(account)
        clients = await asyncio.gather(*(self._clients.find_client(consent.client_id) for consent, _ in given))
        return answer({"consents": [
            {"client_id": consent.client_id, "scope": write_scope(consent.scopes), "given": time // 1000}
            for (consent, time), client in zip(given, clients, strict=True) if client is not None
        ]})  # fmt: skip

    async def revoke(self, request: web.Request) -> web.Response:
        """Take a consent back: all tokens that rest on it are dead before the answer."""
        account = await self._ownership.account_of(request)
        client_id = request.match_info["client_id"]
        if not await self._authorizations.end_consent(account, client_id, forget=True):
            raise NotFound("There is no such consent")
        _log.info("consent.revoked", extra=facts(request, username=account.username, client_id=client_id))
        return answer_empty(204)
