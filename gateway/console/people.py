"""Who is signed in, for pages."""

from __future__ import annotations

from hmac import compare_digest
from urllib.parse import urlencode

from aiohttp import hdrs, web
from aiohttp_session import SESSION_KEY, Session, new_session

from gateway.console.destination import MAX_DESTINATION
from gateway.console.identity import proof_of
from gateway.console.room import ROOM
from gateway.oauth.records import Account
from gateway.oauth.tokens import raw, text


class NotSignedIn(Exception):
    """A page was asked for by nobody; `gateway.console.application` leads to the sign-in page."""


def session_of(request: web.Request) -> Session:
    """The session of a request to a page, which was loaded before the page is asked."""
    session: Session = request[SESSION_KEY]
    return session


async def signed_in(request: web.Request) -> Account | None:
    """
    Whose session it is; None for nobody's, or when the account is gone or has another password by now.

    Raises:
        StoreUnavailable: If the store does not answer.
    """
    session = session_of(request)
    if session.empty:
        return None
    account = await request.app[ROOM].accounts.find_account(session["account"])
    if account is None or not compare_digest(proof_of(account.password_hash), raw(session["proof"])):
        return None
    return account


async def require(request: web.Request) -> Account:
    """
    Whose session it is.

    Raises:
        NotSignedIn: Nobody's, as `signed_in`.
        StoreUnavailable: If the store does not answer.
    """
    account = await signed_in(request)
    if account is None:
        raise NotSignedIn
    return account


async def sign_in(request: web.Request, account: Account) -> None:
    """
    Begin a session of an account, which has just proved to be there; its id is new whatever the browser sent (C02).

    Raises:
        StoreUnavailable: If the store does not answer.
    """
    storage = request.app[ROOM].storage
    await storage.end(session_of(request))
    session = await new_session(request)
    session.set_new_identity(storage.mint())
    session["account"] = account.username
    session["proof"] = text(proof_of(account.password_hash))


async def sign_out(request: web.Request) -> None:
    """
    End the session in the store, and take the cookie away.

    Raises:
        StoreUnavailable: If the store does not answer; the session goes on.
    """
    session = session_of(request)
    await request.app[ROOM].storage.end(session)
    session.invalidate()


def to_sign_in(request: web.Request) -> web.Response:
    """Answer 303 to the sign-in page, which leads back to what was asked for."""
    place = request.app[ROOM].places.sign_in
    asked = request.path_qs
    if request.method in (hdrs.METH_GET, hdrs.METH_HEAD) and len(asked) <= MAX_DESTINATION:
        place = f"{place}?{urlencode({'next': asked})}"
    return see_other(place)


def see_other(place: str) -> web.Response:
    """Answer 303 to another page, by GET."""
    return web.Response(status=303, headers={hdrs.LOCATION: place, hdrs.CACHE_CONTROL: "no-store"})
