"""
Whether a form comes from a page of ours that this browser was shown (C01).

Two things, either of which would do: where the browser says the request comes from, and a token that only a page for this
session holds.  The sign-in page has a session of nobody for it, so that nobody is signed in to somebody else's account.
"""

from __future__ import annotations

from hmac import compare_digest

from aiohttp import hdrs, web

from gateway.console.identity import form_token
from gateway.console.people import require, session_of
from gateway.console.ports import Desk
from gateway.console.room import ROOM
from gateway.errors import Forbidden, ForgedForm
from gateway.oauth.records import Account

FIELD = "csrf"
"""The name of the hidden field."""


def token(request: web.Request) -> str:
    """The token of a page's forms.  Who has no session id gets one with the answer."""
    session = session_of(request)
    if session.identity is None:
        session.set_new_identity(request.app[ROOM].storage.mint())
        session.changed()
    return form_token(str(session.identity))


def check_opened(request: web.Request) -> None:
    """
    Make sure that a page is opened by a person, and not read by a script of an upstream, which is of the same origin.

    Raises:
        Forbidden: A browser says that it is fetched, or shown within something else.
    """
    for name, good in (("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")):
        if request.headers.get(name, good) != good:
            raise Forbidden("A page is opened in a window of its own, and not read by a script", reason=name)


def check(request: web.Request, form: dict[str, str]) -> None:
    """
    Make sure that a form was sent from one of our pages to this browser.

    Raises:
        ForgedForm: It was not; the ``reason`` says how that is known.
    """
    _check_source(request)
    sent, session = form.get(FIELD, ""), session_of(request)
    expected = form_token(str(session.identity)) if session.identity is not None else ""
    if not expected or not compare_digest(sent.encode("utf-8"), expected.encode("ascii")):
        raise ForgedForm(reason="form_token")


async def signed_form(request: web.Request, desk: Desk) -> tuple[Account, dict[str, str]]:
    """
    Who sent which form.

    Raises:
        NotSignedIn: Nobody.
        ForgedForm: It was not sent from one of our pages to this browser.
        StoreUnavailable: If the store does not answer.
    """
    account = await require(request)
    form = await desk.read_form(request)
    check(request, form)
    return account, form


def _check_source(request: web.Request) -> None:
    """
    By ``Sec-Fetch-Site``, which no page can set, and ``Origin``; one of them has to be there.

    Under our own Referrer-Policy, no-referrer, browsers send ``Origin: null`` from our own pages (Fetch standard, "append a
    request Origin header"): that is good only beside ``same-origin``.
    """
    site = request.headers.getall("Sec-Fetch-Site", [])
    origin = request.headers.getall(hdrs.ORIGIN, [])
    if site not in ([], ["same-origin"]):
        raise ForgedForm(reason="sec_fetch_site")
    allowed = [[request.app[ROOM].origin], *([["null"], []] if site else [])]
    if origin not in allowed:
        raise ForgedForm(f"This form can only be sent from {request.app[ROOM].origin}", reason="origin")
