"""Who may manage a client: its account by username and password, or the client itself by any live key."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from aiohttp import hdrs, web

from gateway.authority.hasher import Hasher
from gateway.authority.identify import IdleKeys, identify
from gateway.authority.rescue import facts
from gateway.authority.throttle import Throttle, source, stranger
from gateway.errors import AuthenticationRequired, BadRequest, InvalidClient, InvalidInput, NotFound
from gateway.guard.attempts import Kind
from gateway.oauth.accounts import read_password, read_username
from gateway.oauth.basic import BasicCredentials, read_basic
from gateway.oauth.ports import ClientStore
from gateway.oauth.records import Account
from gateway.oauth.tokens import is_client_id, is_client_key

_log = logging.getLogger("gateway.authority")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who proved to be what: ``account`` is empty for a client without one."""

    account: str
    client_ids: tuple[str, ...]
    """The clients that it may manage."""
    by: str
    """The client_key that it came with; empty for a password."""

    def check(self, client_id: str) -> None:
        """
        Make sure that a client is one that it may manage.

        Raises:
            NotFound: The client is unknown or somebody else's: nothing tells which.
        """
        if client_id not in self.client_ids:
            raise NotFound("There is no such client")


class Ownership:
    """Authentication and authorization of ``/clients``: HTTP Basic as in RFC 7617, without form-encoding."""

    def __init__(self, clients: ClientStore, hasher: Hasher, throttle: Throttle, idle: IdleKeys) -> None:
        self._clients = clients
        self._idle = idle
        self._hasher = hasher
        self._throttle = throttle

    async def owner_of(self, request: web.Request) -> tuple[Owner, str]:
        """
        Authenticate the caller for the client in the path, whose id is returned too.

        Raises:
            AuthenticationRequired: If the credentials are missing or wrong.
            TooManyRequests: If they were wrong too often.
            NotFound: If the client is unknown or somebody else's: nothing tells which.
        """
        basic = _credentials(request)
        if is_client_key(basic.user) or is_client_id(basic.user):
            owner = await self._client(request, basic)
        else:
            account = await self.prove(request, basic.user, basic.password)
            owner = Owner(account.username, account.client_ids, "")
        client_id = request.match_info["client_id"]
        owner.check(client_id)
        return owner, client_id

    async def account_of(self, request: web.Request) -> Account:
        """
        Authenticate an account by its username and password.

        Raises:
            AuthenticationRequired: If they are missing or wrong.
            TooManyRequests: If they were wrong too often.
            Overloaded: If no password can be verified soon.
        """
        basic = _credentials(request)
        return await self.prove(request, basic.user, basic.password)

    async def _client(self, request: web.Request, basic: BasicCredentials) -> Owner:
        try:
            async with self._throttle.attempt(request, Kind.CLIENT, basic.user, basic.password):
                caller = await identify(self._clients, self._idle, basic.user, basic.password, source(request))
        except InvalidClient as error:
            raise AuthenticationRequired(reason=error.reason) from None
        return Owner(caller.client.account, (caller.client.client_id,), caller.client_key)

    async def prove(self, request: web.Request, user: str, secret: str) -> Account:
        """
        The account with this username and password.

        Raises:
            AuthenticationRequired: They are no account's; unknown and wrong take the same path.
            TooManyRequests: They were wrong too often.
            Overloaded: If no password can be verified soon.
        """
        try:
            username, password = read_username(user), read_password(secret)
        except InvalidInput:
            raise AuthenticationRequired(reason="malformed_credentials") from None
        async with self._throttle.attempt(request, Kind.ACCOUNT, username, password) as attempt:
            account = await self._clients.find_account(username)
            if account is not None and account.password_hash and account.password_hash == attempt.proof:
                return account  # the same password and the same hash, from the same address: argon2 would say the same
            verified = await self._hasher.verify(account.password_hash if account else "", password, source=stranger(request))
            if account is None:
                raise AuthenticationRequired(reason="unknown_account")
            if not verified.right:
                raise AuthenticationRequired(reason="wrong_password")
            attempt.proof = verified.rehashed or account.password_hash
        if verified.rehashed is not None:
            changed = await self._clients.change_password_hash(username, account.password_hash, verified.rehashed)
            _log.info("account.rehashed", extra=facts(request, changed=int(changed)))
            return replace(account, password_hash=verified.rehashed) if changed else account
        return account


def _credentials(request: web.Request) -> BasicCredentials:
    headers = request.headers.getall(hdrs.AUTHORIZATION, ())
    if len(headers) > 1:
        raise BadRequest("Authenticate once")
    basic = read_basic(headers[0], form_encoded=False) if headers else None
    if basic is None:
        raise AuthenticationRequired(reason="malformed_authorization" if headers else "no_credentials")
    return basic
