"""``{prefix}/account/…``: the clients of an account, their keys and their tokens."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from gateway.console import csrf, people
from gateway.console.pages import render
from gateway.console.people import see_other
from gateway.console.ports import Desk
from gateway.console.room import ROOM
from gateway.errors import InvalidInput
from gateway.oauth.records import Account
from gateway.oauth.secrets import IssuedKey

_Asked = tuple[Account, dict[str, str]]


class ClientsPage:
    """What an account does with its clients.  A secret stands in the answer to the form that made it, and nowhere else (G10)."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: web.Request) -> web.Response:
        """Answer with one client, ``?client_id=``."""
        account = await people.signed_in(request)
        if account is None:
            return people.to_sign_in(request)
        holdings = self._desk.holdings
        client = await holdings.client(account, request.rel_url.query.get("client_id", ""))
        return render(
            request, "client.html", csrf=csrf.token(request), account=account, client=client,
            keys=await holdings.keys(client), chains=await holdings.chains(client),
        )  # fmt: skip

    async def add(self, request: web.Request) -> web.Response:
        """Make another client."""
        asked = await self._asked(request)
        if asked is None:
            return people.to_sign_in(request)
        issued = await self._desk.holdings.add_client(request, asked[0])
        return self._created(request, asked[0], issued)

    async def add_key(self, request: web.Request) -> web.Response:
        """Add a key to a client."""
        asked = await self._asked(request)
        if asked is None:
            return people.to_sign_in(request)
        account, form = asked
        issued = await self._desk.holdings.add_key(request, account, form.get("client_id", ""))
        return self._created(request, account, issued)

    async def retire_key(self, request: web.Request) -> web.Response:
        """Retire a key; with ``tokens=revoke`` what was issued with it ends too."""
        asked = await self._asked(request)
        if asked is None:
            return people.to_sign_in(request)
        account, form = asked
        client_id, tokens = form.get("client_id", ""), form.get("tokens", "keep")
        if tokens not in ("keep", "revoke"):
            raise InvalidInput("tokens is keep or revoke")
        await self._desk.holdings.retire_key(
            request, account, client_id, form.get("client_key", ""), end_tokens=tokens == "revoke"
        )
        return _to_client(request, client_id)

    async def end_tokens(self, request: web.Request) -> web.Response:
        """End one chain, or with ``all=1`` all tokens of a client."""
        asked = await self._asked(request)
        if asked is None:
            return people.to_sign_in(request)
        account, form = asked
        client_id, chain_id = form.get("client_id", ""), form.get("chain_id", "")
        if (form.get("all") == "1") == bool(chain_id):
            raise InvalidInput("Say chain_id, or all=1")
        if chain_id:
            await self._desk.holdings.end_chain(request, account, client_id, chain_id)
        else:
            await self._desk.holdings.end_tokens(request, account, client_id)
        return _to_client(request, client_id)

    async def _asked(self, request: web.Request) -> _Asked | None:
        """Who sent which form; None when nobody is signed in."""
        account = await people.signed_in(request)
        if account is None:
            return None
        form = await self._desk.read_form(request)
        csrf.check(request, form)
        return account, form

    def _created(self, request: web.Request, account: Account, issued: IssuedKey) -> web.Response:
        return render(request, "created.html", status=201, csrf=csrf.token(request), account=account, issued=issued)


def _to_client(request: web.Request, client_id: str) -> web.Response:
    return see_other(f"{request.app[ROOM].places.account}/client?{urlencode({'client_id': client_id})}")
