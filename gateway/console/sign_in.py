"""``{prefix}/oauth/sign-in`` and ``{prefix}/oauth/sign-out``."""

from __future__ import annotations

import logging

from aiohttp import web

from gateway.console import csrf, people
from gateway.console.destination import local
from gateway.console.pages import render
from gateway.console.people import see_other
from gateway.console.ports import Desk
from gateway.console.room import ROOM
from gateway.errors import AuthenticationRequired
from gateway.telemetry.metrics import Registry

_log = logging.getLogger("gateway.console")


class SignInPage:
    """Signs people in and out.  Unknown and wrong are one answer, and limited as everywhere (`gateway.authority.throttle`)."""

    def __init__(self, desk: Desk, registry: Registry) -> None:
        self._desk = desk
        self._signed_in = registry.counter("gateway_sign_ins_total", "People who signed in to the pages")

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the form, or lead on whoever is signed in already."""
        asked = request.rel_url.query.getall("next", [])
        destination = _destination(request, asked[0] if len(asked) == 1 else None)
        if await people.signed_in(request) is not None:
            return see_other(destination)
        return _form(request, destination)

    async def submit(self, request: web.Request) -> web.Response:
        """Sign in, with a session of a new id."""
        form = await self._desk.read_form(request)
        csrf.check(request, form)
        destination = _destination(request, form.get("next"))
        try:
            account = await self._desk.ownership.prove(request, form.get("username", ""), form.get("password", ""))
        except AuthenticationRequired as refused:
            _log.info("sign_in.refused", extra=self._desk.facts(request, reason=refused.reason))
            return _form(request, destination, status=403, wrong=True)
        await people.sign_in(request, account)
        self._signed_in.inc()
        _log.info("sign_in.done", extra=self._desk.facts(request, username=account.username))
        if destination == request.app[ROOM].places.account:
            return see_other(destination)
        # Not by a redirect: browsers hold form-action against all that follows a form, so against a client's redirect URI too.
        return render(request, "continue.html", destination=destination)

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session; the sign-in page follows."""
        csrf.check(request, await self._desk.read_form(request))
        await people.sign_out(request)
        return see_other(request.app[ROOM].places.sign_in)


def _destination(request: web.Request, asked: str | None) -> str:
    return local(asked, request.app[ROOM].places.account)


def _form(request: web.Request, destination: str, *, status: int = 200, wrong: bool = False) -> web.Response:
    return render(request, "sign_in.html", status=status, csrf=csrf.token(request), destination=destination, wrong=wrong)
