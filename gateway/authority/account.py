"""``{prefix}/oauth/account``: what an account can do about itself, by its username and password."""

from __future__ import annotations

import logging

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
from gateway.oauth.ports import ClientStore
from gateway.oauth.registration import read_object

_ROUNDS = 3
"""How often clients that are added meanwhile are deleted too."""

_log = logging.getLogger("gateway.authority")


class AccountEndpoint:
    """One account, for itself.  Each of these can be repeated after a failure half-way."""

    def __init__(self, clients: ClientStore, hasher: Hasher, ownership: Ownership, throttle: Throttle) -> None:
        self._clients = clients
        self._hasher = hasher
        self._ownership = ownership
        self._throttle = throttle

    async def show(self, request: web.Request) -> web.Response:
        """Answer what is known of the account; ``created`` in whole seconds since 1970."""
        account = await self._ownership.account_of(request)
        client_ids = await forget_vanished(self._clients, account.username)
        return answer({
            "username": account.username, "clients": client_ids, "created": account.issued_at // 1000,
        })  # fmt: skip

    async def change_password(self, request: web.Request) -> web.Response:
        """Replace the password, ``{"password": …}``; clients and tokens have secrets of their own and stay."""
        password = _read_new(await read_json_bytes(request))
        account = await self._ownership.account_of(request)
        self._throttle.register(request)
        hashed = await self._hasher.hash(password, source=stranger(request))
        if not await self._clients.change_password_hash(account.username, account.password_hash, hashed):
            raise Conflict("The password was changed meanwhile")
        _log.info("account.password_changed", extra=facts(request, username=account.username))
        return answer_empty(204)

    async def sign_out(self, request: web.Request) -> web.Response:
        """End all tokens of all clients of the account; keys stay, and get new ones."""
        account = await self._ownership.account_of(request)
        for client_id in account.client_ids:
            await self._clients.change_client(client_id, end_tokens=True)
        _log.info("account.signed_out", extra=facts(request, username=account.username, clients=len(account.client_ids)))
        return answer_empty(204)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the account with all its clients; their tokens are dead before the answer, and the username is free."""
        account = await self._ownership.account_of(request)
        for _ in range(_ROUNDS):
            found = await self._clients.find_account(account.username)
            for client_id in found.client_ids if found is not None else ():
                await self._clients.delete_client(client_id)
                await self._clients.unlink_client(account.username, client_id)
            if await self._clients.delete_account(account.username):
                _log.info("account.deleted", extra=facts(request, username=account.username))
                return answer_empty(204)
        raise Conflict("The account gets new clients all the time")


def _read_new(body: bytes) -> str:
    """The new password."""
    found = read_object(body, frozenset({"password"}))
    if "password" not in found:
        raise InvalidInput("password is missing")
    return read_password(found["password"])
