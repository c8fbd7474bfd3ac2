"""``{prefix}/account/consents``: taking back what an application may do for whoever is signed in."""

from __future__ import annotations

from aiohttp import web

from gateway.console import csrf
from gateway.console.people import see_other
from gateway.console.ports import Desk
from gateway.console.room import ROOM


class ConsentsPage:
    """Takes consents back."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def end(self, request: web.Request) -> web.Response:
        """Forget a consent; all tokens that rest on it are dead."""
        account, form = await csrf.signed_form(request, self._desk)
        await self._desk.consents.end(request, account, form.get("client", ""))
        return see_other(f"{request.app[ROOM].places.account}?done=consent")
