"""``{prefix}/account/consents``: which applications act for whoever is signed in, and taking that back."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from aiohttp import web

from gateway.console import csrf, people
from gateway.console.people import see_other
from gateway.console.ports import Desk
from gateway.console.room import ROOM
from gateway.errors import NotFound
from gateway.oauth.records import Account

_log = logging.getLogger("gateway.console")


@dataclass(frozen=True, slots=True)
class Allowed:
    """A client that may act for an account."""

    client_id: str
    name: str
    """What it calls itself; may be empty."""
    scopes: tuple[str, ...]
    given_at: int
    """Milliseconds."""


async def allowed_by(desk: Desk, account: Account) -> list[Allowed]:
    """The clients that may act for an account, the oldest consent first; deleted ones are not told."""
    given = await desk.authorizations.consents(account)
    clients = await asyncio.gather(*(desk.clients.find_client(consent.client_id) for consent, _ in given))
    return [
        Allowed(consent.client_id, client.name, tuple(sorted(consent.scopes)), time)
        for (consent, time), client in zip(given, clients, strict=True) if client is not None
    ]  # fmt: skip


class ConsentsPage:
    """Takes consents back."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def end(self, request: web.Request) -> web.Response:
        """Forget a consent; all tokens that rest on it are dead."""
        account = await people.signed_in(request)
        if account is None:
            return people.to_sign_in(request)
        form = await self._desk.read_form(request)
        csrf.check(request, form)
        client_id = form.get("client", "")
        if not await self._desk.authorizations.end_consent(account, client_id, forget=True):
            raise NotFound("You let no such application act for you")
        _log.info("consent.revoked", extra=self._desk.facts(request, username=account.username, client_id=client_id))
        return see_other(f"{request.app[ROOM].places.account}?done=consent")
