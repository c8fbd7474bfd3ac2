"""``{prefix}/oauth/account``: what an account can do about itself, by its username and password."""

from __future__ import annotations

import logging
from dataclasses import replace

from aiohttp import web

from gateway.authority.answers import answer, answer_empty
from gateway.authority.body import read_json_bytes
from gateway.authority.enrolment import forget_vanished
from gateway.authority.hasher import Hasher
from gateway.authority.owner import Ownership
from gateway.authority.rescue import facts
from gateway.authority.throttle import Throttle, stranger
from gateway.errors import Conflict, InvalidInput
from gateway.oauth.accounts import read_password
from gateway.oauth.ports import AuthorizationStore, ClientStore, SessionStore
from gateway.oauth.records import Account
from gateway.oauth.registration import read_object

_ROUNDS = 3
"""How often clients that are added meanwhile are deleted too."""

_log = logging.getLogger("gateway.authority")


class AccountActs:
    """What is done to an account, for whoever proved to own it.  Each of these can be repeated after a failure half-way."""

    def __init__(
        self, clients: ClientStore, authorizations: AuthorizationStore, hasher: Hasher, throttle: Throttle,
        sessions: SessionStore | None,
    ) -> None:  # fmt: skip
        """``sessions``: None where nobody can sign in."""
        self._clients = clients
        self._authorizations = authorizations
        self._hasher = hasher
        self._throttle = throttle
        self._sessions = sessions

    async def change_password(self, request: web.Request, account: Account, password: str) -> Account:
        """
        Replace the password; clients and tokens have secrets of their own and stay, sessions end.

        Raises:
            Conflict: It was changed meanwhile.
            TooManyRequests, Overloaded: No password can be hashed soon.
            StoreUnavailable: If the store does not answer.
        """
        self._throttle.register(request)
        hashed = await self._hasher.hash(password, source=stranger(request))
        if not await self._clients.change_password_hash(account.username, account.password_hash, hashed):
            raise Conflict("The password was changed meanwhile")
        await self._end_sessions(account)
        _log.info("account.password_changed", extra=facts(request, username=account.username))
        return replace(account, password_hash=hashed)

    async def sign_out(self, request: web.Request, account: Account) -> None:
        """
        End all tokens of all clients of the account, those that other clients have on its behalf, and all its sessions.

        Keys and consents stay, and get new tokens.
        """
        for client_id in account.client_ids:
            await self._clients.change_client(client_id, end_tokens=True)
        await self._end_consents(account, forget=False)
        await self._end_sessions(account)
        _log.info("account.signed_out", extra=facts(request, username=account.username, clients=len(account.client_ids)))

    async def delete(self, request: web.Request, account: Account) -> None:
        """
        Delete the account with all its clients; their tokens are dead, and the username is free.

        Raises:
            Conflict: It got new clients all the time.
            StoreUnavailable: If the store does not answer.
        """
        for _ in range(_ROUNDS):
            found = await self._clients.find_account(account.username)
            for client_id in found.client_ids if found is not None else ():
                await self._clients.delete_client(client_id)
                await self._clients.unlink_client(account.username, client_id)
            await self._end_consents(account, forget=True)
            await self._end_sessions(account)
            if await self._clients.delete_account(account.username):
                _log.info("account.deleted", extra=facts(request, username=account.username))
                return
        raise Conflict("The account gets new clients all the time")

    async def _end_sessions(self, account: Account) -> None:
        if self._sessions is not None:
            await self._sessions.end_sessions(account.username)

    async def _end_consents(self, account: Account, *, forget: bool) -> None:
        for consent, _ in await self._authorizations.consents(account):
            await self._authorizations.end_consent(account, consent.client_id, forget=forget)


class AccountEndpoint:
    """One account, for itself, by its username and password."""

    def __init__(self, clients: ClientStore, ownership: Ownership, acts: AccountActs) -> None:
        self._clients = clients
        self._ownership = ownership
        self._acts = acts

    async def show(self, request: web.Request) -> web.Response:
        """Answer what is known of the account; ``created`` in whole seconds since 1970."""
        account = await self._ownership.account_of(request)
        clients = await forget_vanished(self._clients, account.username)
        return answer({
            "username": account.username, "clients": [client.client_id for client in clients],
            "created": account.issued_at // 1000,
        })  # fmt: skip

    async def change_password(self, request: web.Request) -> web.Response:
        """Replace the password, ``{"password": …}``."""
        password = _read_new(await read_json_bytes(request))
        await self._acts.change_password(request, await self._ownership.account_of(request), password)
        return answer_empty(204)

    async def sign_out(self, request: web.Request) -> web.Response:
        """End all tokens of all clients of the account."""
        await self._acts.sign_out(request, await self._ownership.account_of(request))
        return answer_empty(204)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the account with all its clients; their tokens are dead before the answer."""
        await self._acts.delete(request, await self._ownership.account_of(request))
        return answer_empty(204)


def _read_new(body: bytes) -> str:
    """The new password."""
    found = read_object(body, frozenset({"password"}))
    if "password" not in found:
        raise InvalidInput("password is missing")
    return read_password(found["password"])
