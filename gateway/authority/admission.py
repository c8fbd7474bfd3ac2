"""Who may register: anybody, whoever holds an initial access token (RFC 7591 section 3), or nobody; and who waits then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from aiohttp import hdrs, web

from gateway.authority.throttle import Throttle
from gateway.config.model import OAuth
from gateway.errors import (
    Conflict,
    Forbidden,
    InvalidInitialAccessToken,
    Overloaded,
    StoreUnavailable,
    TokenMissing,
    TokenRefused,
    TooManyRequests,
)
from gateway.guard.attempts import Kind
from gateway.guard.bearer import bearer
from gateway.oauth.ports import AdmissionStore
from gateway.oauth.tokens import InitialRef, find_initial

CLOSED = "Registration is closed; ask the operator of this gateway for a client"

_BEGUN_MS = 120_000
"""How long a registration counts that comes to nothing; keeping the client says how long it really stays."""


class Admission:
    """The mode of ``oauth.registration``, for both ways to register."""

    def __init__(self, oauth: OAuth, admissions: AdmissionStore, throttle: Throttle) -> None:
        self._mode = oauth.registration
        self._admissions = admissions
        self._throttle = throttle

    @property
    def accounts_may_add(self) -> bool:
        """Whether an account may make itself another client."""
        return self._mode not in ("closed", "token")

    async def admit(self, request: web.Request) -> InitialRef | None:
        """
        Decide whether a request may register, before its body is read.

        Returns:
            The initial access token that it is to be paid with, where one is asked for.

        Raises:
            Forbidden: Registration is closed.
            InvalidInitialAccessToken: None was sent, or one that is not good (any more).
            TooManyRequests: Such ones came too often.
            StoreUnavailable: If the store does not answer.
        """
        if self._mode == "closed":
            raise Forbidden(CLOSED)
        return await self._authenticate(request) if self._mode == "token" else None

    def admit_account(self) -> None:
        """
        Decide whether an account may make itself another client.

        Raises:
            Forbidden: Registration is closed, or each takes an initial access token, beside which nobody can log in.
        """
        if not self.accounts_may_add:
            raise Forbidden(CLOSED)

    @asynccontextmanager
    async def paid(self, ref: InitialRef | None) -> AsyncIterator[None]:
        """
        Around a registration: takes one use of the token, and gives it back when nothing came into being.

        Raises:
            InvalidInitialAccessToken: Somebody else took the last use meanwhile.
            StoreUnavailable: If the store does not answer; then nobody knows, and the use is not given back.
        """
        if ref is not None and not await self._admissions.spend_initial(ref):
            raise InvalidInitialAccessToken(sent=True, reason="spent_meanwhile")
        try:
            yield
        except (Conflict, Overloaded, TooManyRequests):  # nothing else is raised before something may be there
            if ref is not None:
                await self._give_back(ref)
            raise

    async def _authenticate(self, request: web.Request) -> InitialRef:
        headers = request.headers.getall(hdrs.AUTHORIZATION, ())
        try:
            token = bearer(headers[0].encode("utf-8") if len(headers) == 1 else None)
        except TokenRefused as refused:
            raise InvalidInitialAccessToken(sent=not isinstance(refused, TokenMissing), reason=refused.code) from None
        ref = find_initial(token)
        async with self._throttle.attempt(request, Kind.INITIAL, "", token.decode("latin-1")):
            if ref is None or not await self._admissions.find_initial(ref):
                raise InvalidInitialAccessToken(sent=True, reason="malformed" if ref is None else "unknown_over_or_spent")
        return ref

    async def _give_back(self, ref: InitialRef) -> None:
        try:
            await self._admissions.return_initial(ref)
        except StoreUnavailable:
            return  # one use less is the safe side


class Probation:
    """What holds of clients that nobody on the operator's side made."""

    def __init__(self, oauth: OAuth, admissions: AdmissionStore) -> None:
        self.pending = oauth.registration == "approval"
        """Whether they wait for the operator."""
        self.life_ms = oauth.unused_registration_ttl // timedelta(milliseconds=1)
        """How long they live without a token; 0: for ever."""
        self._max_clients = oauth.max_clients
        self._admissions = admissions

    async def count(self, client_id: str) -> None:
        """
        Count who registers, before anything is written of it.

        Raises:
            Overloaded: As many as may be are there already.
            StoreUnavailable: If the store does not answer.
        """
        if not await self._admissions.count_client(client_id, at_most=self._max_clients, life_ms=_BEGUN_MS):
            detail = "No more clients can register for now; ask the operator of this gateway for one"
            raise Overloaded(detail, reason="max_clients", retry_after=60)

    async def begin(self, client_id: str) -> None:
        """
        Note who waits, where clients do.

        Raises:
            Overloaded: Too many wait.
            StoreUnavailable: If the store does not answer.
        """
        if self.pending and not await self._admissions.add_pending(client_id, life_ms=self.life_ms):
            raise Overloaded("Too many registrations wait for the operator, try again later", reason="pending")
