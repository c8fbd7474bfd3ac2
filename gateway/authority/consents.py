"""``{prefix}/oauth/account/consents``: which clients may act for an account, by its username and password."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from gateway.authority.answers import answer, answer_empty
from gateway.authority.owner import Ownership
from gateway.authority.rescue import facts
from gateway.errors import Conflict, NotFound
from gateway.oauth.ports import AuthorizationStore, ClientStore
from gateway.oauth.records import Account, Client, Consent
from gateway.oauth.scopes import write_scope

MAX_CONSENTS = 200
"""Clients that one account lets act for it."""

_log = logging.getLogger("gateway.authority")


class ConsentActs:
    """
    Lists, gives and ends the consents of an account, for whoever proved to own it.

    Everything raises `StoreUnavailable` when the store does not answer.
    """

    def __init__(self, clients: ClientStore, authorizations: AuthorizationStore) -> None:
        self._clients = clients
        self._authorizations = authorizations

    async def list(self, account: Account) -> list[tuple[Consent, Client, int]]:
        """The consents, oldest first, with their clients and times (ms).  Those of clients that are gone are forgotten here."""
        given = await self._authorizations.consents(account)
        clients = await asyncio.gather(*(self._clients.find_client(consent.client_id) for consent, _ in given))
        found = []
        for (consent, time), client in zip(given, clients, strict=True):
            if client is None:
                await self._authorizations.end_consent(account, consent.client_id, forget=True)
            else:
                found.append((consent, client, time))
        return found

    async def give(self, account: Account, client_id: str, scopes: frozenset[str]) -> Consent | None:
        """
        Remember a consent; None when the account is gone.

        Raises:
            Conflict: It gave `MAX_CONSENTS` to others that are still there.
        """
        store = self._authorizations
        consent = await store.give_consent(account, client_id, scopes, at_most=MAX_CONSENTS)
        if consent is not None:
            return consent
        if len(await self.list(account)) >= MAX_CONSENTS:
            raise Conflict(f"An account can let {MAX_CONSENTS} applications act for it: take one back first")
        return await store.give_consent(account, client_id, scopes, at_most=MAX_CONSENTS)

    async def end(self, request: web.Request, account: Account, client_id: str) -> None:
        """
        Forget a consent; all tokens that rest on it are dead.

        Raises:
            NotFound: There is none.
        """
        if not await self._authorizations.end_consent(account, client_id, forget=True):
            raise NotFound("There is no such consent")
        _log.info("consent.revoked", extra=facts(request, username=account.username, client_id=client_id))


class ConsentsEndpoint:
    """What an account allowed on the consent page."""

    def __init__(self, acts: ConsentActs, ownership: Ownership) -> None:
        self._acts = acts
        self._ownership = ownership

    async def list(self, request: web.Request) -> web.Response:
        """Answer the consents, oldest first; times in whole seconds since 1970."""
        account = await self._ownership.account_of(request)
        return answer({"consents": [
            {"client_id": consent.client_id, "scope": write_scope(consent.scopes), "given": time // 1000}
            for consent, _, time in await self._acts.list(account)
        ]})  # fmt: skip

    async def revoke(self, request: web.Request) -> web.Response:
        """Take a consent back: all tokens that rest on it are dead before the answer."""
        account = await self._ownership.account_of(request)
        await self._acts.end(request, account, request.match_info["client_id"])
        return answer_empty(204)
