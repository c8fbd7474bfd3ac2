"""``GET {prefix}/clients``, ``GET`` and ``DELETE {prefix}/clients/{client_id}``."""

from __future__ import annotations

import logging

from aiohttp import web

from gateway.authority.answers import PENDING, answer, answer_empty
from gateway.authority.enrolment import forget_vanished
from gateway.authority.owner import Ownership
from gateway.authority.rescue import facts
from gateway.errors import NotFound
from gateway.oauth.ports import ClientStore
from gateway.oauth.scopes import write_scope

_log = logging.getLogger("gateway.authority")


class ClientEndpoint:
    """One client, for its owner.  Times are whole seconds since 1970, as everywhere in OAuth."""

    def __init__(self, clients: ClientStore, ownership: Ownership) -> None:
        self._clients = clients
        self._ownership = ownership

    async def list(self, request: web.Request) -> web.Response:
        """Answer which clients an account has: the way back for whoever kept nothing but username and password."""
        account = await self._ownership.account_of(request)
        return answer({"clients": await forget_vanished(self._clients, account.username)})

    async def show(self, request: web.Request) -> web.Response:
        """Answer what the client may do; never a secret."""
        _, client_id = await self._ownership.owner_of(request)
        client = await self._clients.find_client(client_id)
        if client is None:
            raise NotFound("There is no such client")
        return answer({
            "client_id": client.client_id,
            "enabled": client.enabled,
            **(PENDING if client.pending else {}),
            "scope": write_scope(client.scopes),
            "created": client.issued_at // 1000,
            "keys": client.keys,
        })  # fmt: skip

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the client; all its tokens are dead before the answer goes out.  Repeatable after a failure half-way."""
        owner, client_id = await self._ownership.owner_of(request)
        await self._clients.delete_client(client_id)
        if owner.account:
            await self._clients.unlink_client(owner.account, client_id)
        _log.info("client.deleted", extra=facts(request, client_id=client_id, client_key=owner.by))
        return answer_empty(204)
