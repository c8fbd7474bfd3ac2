"""Adds the pages to the application of the own endpoints."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp_session import get_session, session_middleware

from gateway.config.model import OAuth
from gateway.console.account import AccountPage
from gateway.console.authorize import AuthorizePage
from gateway.console.clients import ClientsPage
from gateway.console.consents import ConsentsPage
from gateway.console.csrf import check_opened
from gateway.console.pages import STYLESHEET, fault, stylesheet, templates
from gateway.console.people import NotSignedIn, to_sign_in
from gateway.console.ports import Desk
from gateway.console.room import ROOM, Room, origin, places
from gateway.console.sessions import Storage
from gateway.console.sign_in import SignInPage
from gateway.errors import GatewayError
from gateway.oauth.ports import SessionStore
from gateway.telemetry.metrics import Registry

PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ConsolePages:
    """All pages."""

    def __init__(
        self, oauth: OAuth, sessions: SessionStore, *, registry: Registry, entropy: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._oauth = oauth
        self._places = places(oauth, STYLESHEET)
        self._storage = Storage(sessions, oauth, entropy=entropy)
        self._sessions = session_middleware(self._storage)
        self._registry = registry
        self._entropy = entropy
        self._paths: set[str] = set()
        self._request_id: Callable[[web.Request], str]
        self._caught_up: Callable[[], Awaitable[None]]

    def add_to(self, app: web.Application, desk: Desk) -> None:
        """Add the pages, which do through the desk what the endpoints do."""
        self._request_id, self._caught_up = desk.request_id, desk.caught_up
        issuer = self._oauth.issuer
        app[ROOM] = Room(origin(issuer), urlsplit(issuer).netloc, self._places, templates(), self._storage, desk.clients)
        signing = SignInPage(desk, self._registry)
        self.add(app, "GET", self._places.sign_in, signing.show)
        self.add(app, "POST", self._places.sign_in, signing.submit)
        self.add(app, "POST", self._places.sign_out, signing.sign_out)
        account, clients = AccountPage(desk), ClientsPage(desk)
        place = self._places.account
        self.add(app, "GET", place, account.show)
        self.add(app, "POST", f"{place}/password", account.change_password)
        self.add(app, "POST", f"{place}/sign-out", account.sign_out, ends=True)
        self.add(app, "POST", f"{place}/clients", clients.add)
        self.add(app, "GET", f"{place}/client", clients.show)
        self.add(app, "POST", f"{place}/client/name", clients.rename)
        self.add(app, "GET", f"{place}/client/delete", clients.confirm_delete)
        self.add(app, "POST", f"{place}/client/delete", clients.delete, ends=True)
        self.add(app, "POST", f"{place}/keys", clients.add_key)
        self.add(app, "POST", f"{place}/keys/retire", clients.retire_key, ends=True)
        self.add(app, "POST", f"{place}/tokens/end", clients.end_tokens, ends=True)
        self.add(app, "POST", f"{place}/consents/end", ConsentsPage(desk).end, ends=True)
        authorizing = AuthorizePage(self._oauth, desk, self._registry, self._entropy)
        self.add(app, "GET", self._places.authorize, authorizing.show)
        self.add(app, "POST", self._places.authorize, authorizing.submit)
        app.router.add_get(self._places.stylesheet, stylesheet)

    def add(self, app: web.Application, method: str, path: str, handler: PageHandler, *, ends: bool = False) -> None:
        """
        Add a page.

        Its session is loaded before the handler is called and kept after it, and what the handler refuses (`GatewayError`) is
        shown as a page; where it raises `NotSignedIn`, the sign-in page follows.  Where it ``ends`` something, its answer waits
        until the guard of this worker knows.
        """

        async def loaded(request: web.Request) -> web.StreamResponse:
            check_opened(request)
            await get_session(request)
            try:
                response = await handler(request)
            except NotSignedIn:
                return to_sign_in(request)
            if ends:
                await self._caught_up()
            return response

        async def framed(request: web.Request) -> web.StreamResponse:
            return await self._sessions(request, loaded)

        self._paths.add(path)
        app.router.add_get(path, framed) if method == "GET" else app.router.add_route(method, path, framed)

    def refusal(self, request: web.Request, error: GatewayError) -> web.Response | None:
        """A refusal as a page; None where no page was asked for."""
        return fault(request, error, self._request_id(request)) if request.path in self._paths else None
