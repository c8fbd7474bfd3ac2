"""
Sessions of people: aiohttp-session's, with a storage of our own.

A session says who is signed in and nothing else, so nothing in it changes and two requests at once can't undo each other.  The
cookie holds a random id, the store its digest.  Who is not signed in has an id as well, for the forms, of which the store knows
nothing: a stranger can fill the store with no session.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from datetime import timedelta

from aiohttp import hdrs, web
from aiohttp_session import AbstractStorage, Session

from gateway.config.model import OAuth
from gateway.console.identity import ENTROPY, digest_session, is_session, mint_session, proof_of
from gateway.cookies import find_cookie, session_cookie
from gateway.oauth.ports import SessionStore
from gateway.oauth.records import Account, SignIn
from gateway.oauth.tokens import raw, text

MAX_SESSIONS = 20
"""Sessions of one account; one more ends the oldest."""

# aiohttp-session keeps what it loads under plain strings, of which aiohttp warns.
warnings.filterwarnings("ignore", category=web.NotAppKeyWarning, module="aiohttp_session")


class Storage(AbstractStorage):
    """Loads who is signed in, and keeps who has signed in."""

    def __init__(self, store: SessionStore, oauth: OAuth, *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        https = oauth.issuer.startswith("https://")
        super().__init__(cookie_name=session_cookie(oauth.issuer), path="/", secure=https or None, httponly=True, samesite="Lax")
        self._store = store
        self._idle_ms = oauth.session_idle // timedelta(milliseconds=1)
        self._life_ms = oauth.session_life // timedelta(milliseconds=1)
        self._entropy = entropy

    async def load_session(self, request: web.Request) -> Session:
        """
        The session of a request; a new one, with the id of the cookie if that has the form of one, when nobody is signed in.

        A cookie that is malformed, or there twice, is none (C09).

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        session_id = find_cookie(request.headers.getall(hdrs.COOKIE, ()), self.cookie_name)
        if session_id is None or not is_session(session_id):
            return Session(None, data=None, new=True)
        found = await self._store.use_session(digest_session(session_id), idle_ms=self._idle_ms, life_ms=self._life_ms)
        if found is None:
            return Session(session_id, data=None, new=True)
        known = {"account": found.username, "proof": text(found.proof)}
        return Session(session_id, data={"created": found.began_at // 1000, "session": known}, new=False)

    async def save_session(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        """
        Write who has signed in, and the cookie.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        if session.empty and not session.new:
            self._set_cookie(response, "", max_age=0)
            return
        if session.identity is None:
            session.set_new_identity(self.mint())
        if not session.empty:
            sign_in = self.sign_in_of(session)
            await self._store.begin_session(
                sign_in, idle_ms=self._idle_ms, life_ms=self._life_ms, at_most=MAX_SESSIONS
            )
        self._set_cookie(response, str(session.identity))

    async def end(self, session: Session) -> None:
        """
        End a session in the store; that of nobody is none.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        if not session.new and not session.empty:
            await self._store.end_session(self.sign_in_of(session))

    async def sessions_of(self, account: Account) -> list[SignIn]:
        """
        The sessions in which an account is signed in, oldest first.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        proof = proof_of(account.password_hash)
        return [session for session in await self._store.sessions_of(account.username) if session.proof == proof]

    def mint(self) -> str:
        """A session id that nobody had before."""
        return mint_session(self._entropy(ENTROPY))

    @staticmethod
    def sign_in_of(session: Session) -> SignIn:
        """What the store keeps of the session of somebody."""
        return SignIn(digest_session(str(session.identity)), session["account"], raw(session["proof"]))

    def _set_cookie(self, response: web.StreamResponse, value: str, max_age: int | None = None) -> None:
        # Deleting it takes all its attributes again: without Secure a browser ignores a __Host- cookie (RFC 6265bis).
        response.set_cookie(
            self.cookie_name, value, max_age=max_age, path="/", secure=self.cookie_params["secure"], httponly=True, samesite="Lax"
        )
