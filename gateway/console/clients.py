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
from gateway.oauth.records import Account, Client
from gateway.oauth.secrets import IssuedKey

LIVES = ("", "1", "7", "30", "90", "365")
"""Days after which a new key may expire; empty: never."""


class ClientsPage:
    """What an account does with its clients.  A secret stands in the answer to the form that made it, and nowhere else (G10)."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def show(self, request: web.Request) -> web.Response:
        """Answer with one client, ``?client_id=``."""
        account = await people.require(request)
        return await self._page(request, account, await self._named(request, account))

    async def add(self, request: web.Request) -> web.Response:
        """Make another client."""
        account, _ = await csrf.signed_form(request, self._desk)
        issued = await self._desk.holdings.add_client(request, account)
        return self._created(request, account, issued)

    async def rename(self, request: web.Request) -> web.Response:
        """Change what people see of a client; an empty name is none."""
        account, form = await csrf.signed_form(request, self._desk)
        client_id = form.get("client_id", "")
        try:
            await self._desk.holdings.rename_client(request, account, client_id, form.get("client_name", "").strip())
        except InvalidInput as refused:
            client = await self._desk.holdings.client(account, client_id)
            return await self._page(request, account, client, status=400, fault=f"{refused.detail}.")
        return _to_client(request, client_id)

    async def confirm_delete(self, request: web.Request) -> web.Response:
        """Ask whether a client is to go, ``?client_id=``."""
        account = await people.require(request)
        client = await self._named(request, account)
        return render(request, "delete_client.html", csrf=csrf.token(request), account=account, client=client)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a client; all its tokens are dead."""
        account, form = await csrf.signed_form(request, self._desk)
        await self._desk.holdings.delete_client(request, account, form.get("client_id", ""))
        return see_other(f"{request.app[ROOM].places.account}?done=client")

    async def add_key(self, request: web.Request) -> web.Response:
        """Add a key to a client; with ``days`` one that expires."""
        account, form = await csrf.signed_form(request, self._desk)
        days = form.get("days", "")
        if days not in LIVES:
            raise InvalidInput(f"days is empty, or {', '.join(LIVES[1:])}")
        after_ms = int(days or 0) * 24 * 3_600_000
        issued = await self._desk.holdings.add_key(request, account, form.get("client_id", ""), after_ms=after_ms)
        return self._created(request, account, issued)

    async def retire_key(self, request: web.Request) -> web.Response:
        """Retire a key; with ``tokens=revoke`` what was issued with it ends too."""
        account, form = await csrf.signed_form(request, self._desk)
        client_id, tokens = form.get("client_id", ""), form.get("tokens", "keep")
        if tokens not in ("keep", "revoke"):
            raise InvalidInput("tokens is keep or revoke")
        await self._desk.holdings.retire_key(
            request, account, client_id, form.get("client_key", ""), end_tokens=tokens == "revoke"
        )
        return _to_client(request, client_id)

    async def end_tokens(self, request: web.Request) -> web.Response:
        """End one chain, or with ``all=1`` all tokens of a client."""
        account, form = await csrf.signed_form(request, self._desk)
        client_id, chain_id = form.get("client_id", ""), form.get("chain_id", "")
        if (form.get("all") == "1") == bool(chain_id):
            raise InvalidInput("Say chain_id, or all=1")
        if chain_id:
            await self._desk.holdings.end_chain(request, account, client_id, chain_id)
        else:
            await self._desk.holdings.end_tokens(request, account, client_id)
        return _to_client(request, client_id)

    async def _named(self, request: web.Request, account: Account) -> Client:
        return await self._desk.holdings.client(account, request.rel_url.query.get("client_id", ""))

    async def _page(
        self, request: web.Request, account: Account, client: Client, *, status: int = 200, fault: str = ""
    ) -> web.Response:
        holdings = self._desk.holdings
        return render(
            request, "client.html", status=status, csrf=csrf.token(request), account=account, client=client,
            keys=await holdings.keys(client), chains=await holdings.chains(client), fault=fault,
            lives=LIVES,
        )  # fmt: skip

    def _created(self, request: web.Request, account: Account, issued: IssuedKey) -> web.Response:
        return render(request, "created.html", status=201, csrf=csrf.token(request), account=account, issued=issued)


def _to_client(request: web.Request, client_id: str) -> web.Response:
    return see_other(f"{request.app[ROOM].places.account}/client?{urlencode({'client_id': client_id})}")
