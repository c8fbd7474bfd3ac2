"""``{prefix}/account``: an account, for whoever is signed in to it."""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from gateway.console import csrf, people
from gateway.console.identity import digest_session
from gateway.console.pages import render
from gateway.console.people import see_other
from gateway.console.ports import Desk
from gateway.console.room import ROOM
from gateway.errors import AuthenticationRequired, InvalidInput
from gateway.oauth.accounts import read_password
from gateway.oauth.records import Account

_NEWS = {
    "password": "Your password is changed. All other sessions have ended.",
    "consent": "The application may not act for you any more, and all its tokens have ended.",
    "client": "The client is deleted, and all its tokens have ended.",
}
_log = logging.getLogger("gateway.console")


class AccountPage:
    """Clients, password and sessions of an account."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the account's page."""
        account = await people.require(request)
        return await self._page(request, account, news=_NEWS.get(request.rel_url.query.get("done", ""), ""))

    async def change_password(self, request: web.Request) -> web.Response:
        """Replace the password, by the old one; all sessions end, and this browser gets a new one (C02)."""
        account, form = await csrf.signed_form(request, self._desk)
        try:
            password = _read_new(form)
            proved = await self._desk.ownership.prove(request, account.username, form.get("password", ""))
        except InvalidInput as refused:
            return await self._page(request, account, status=400, fault=f"{refused.detail}.")
        except AuthenticationRequired as refused:
            _log.info("password.refused", extra=self._desk.facts(request, reason=refused.reason))
            return await self._page(request, account, status=403, fault="The present password is wrong.")
        changed = await self._desk.acts.change_password(request, proved, password)
        await people.sign_in(request, changed)
        return see_other(f"{request.app[ROOM].places.account}?done=password")

    async def sign_out(self, request: web.Request) -> web.Response:
        """End all tokens of all clients and all sessions, this one too."""
        account, _ = await csrf.signed_form(request, self._desk)
        await self._desk.acts.sign_out(request, account)
        await people.sign_out(request)
        return see_other(request.app[ROOM].places.sign_in)

    async def _page(self, request: web.Request, account: Account, *, status: int = 200, **said: Any) -> web.Response:
        session = people.session_of(request)
        values = {
            "clients": await self._desk.holdings.clients(account),
            "may_add": self._desk.holdings.may_add,
            "sessions": await request.app[ROOM].storage.sessions_of(account),
            "allowed": await self._desk.consents.list(account),
            "this": digest_session(str(session.identity)),
            "fault": "", "news": "", **said,
        }  # fmt: skip
        return render(request, "account.html", status=status, csrf=csrf.token(request), account=account, **values)


def _read_new(form: dict[str, str]) -> str:
    """The new password, which was typed twice since nobody sees it."""
    password = form.get("new", "")
    if password != form.get("again", ""):
        raise InvalidInput("The new password was not typed alike twice")
    return read_password(password)
