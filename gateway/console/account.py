"""``{prefix}/account``: an account, for whoever is signed in to it."""

from __future__ import annotations

from aiohttp import web

from gateway.console import csrf, people
from gateway.console.pages import render


async def show_account(request: web.Request) -> web.Response:
    """Answer with the account's page."""
    account = await people.signed_in(request)
    if account is None:
        return people.to_sign_in(request)
    return render(request, "account.html", csrf=csrf.token(request), account=account)
