"""``GET {prefix}/clients``, and ``GET``, ``PATCH`` and ``DELETE {prefix}/clients/{client_id}``."""

from __future__ import annotations

import logging

from aiohttp import web

from gateway.authority.answers import PENDING, answer, answer_empty
from gateway.authority.body import read_json_bytes
from gateway.authority.enrolment import forget_vanished
from gateway.authority.owner import Ownership
from gateway.authority.rescue import facts
from gateway.errors import InvalidClientMetadata, InvalidInput, NotFound
from gateway.oauth.client_metadata import read_name
from gateway.oauth.ports import ClientStore
from gateway.oauth.records import Client
from gateway.oauth.registration import read_object
from gateway.oauth.scopes import write_scope

_log = logging.getLogger("gateway.authority")


def described(client: Client) -> dict[str, object]:
    """What there is to say of a client; never a secret.  What is as configured, or unlimited, is left out."""
    said: dict[str, object] = {
        "client_name": client.name,
        "grant_types": sorted(client.grants),
        "redirect_uris": client.redirect_uris,
        "access_token_ttl": client.access_ttl_ms // 1000,
        "refresh_token_ttl": client.refresh_ttl_ms // 1000,
        "max_live_chains": client.max_live_chains,
        "access_token_format": client.access_token_format,
    }
    return {
        "client_id": client.client_id,
        "enabled": client.enabled,
        **(PENDING if client.pending else {}),
        "scope": write_scope(client.scopes),
        "created": client.issued_at // 1000,
        "keys": client.keys,
        **{name: value for name, value in said.items() if value},
    }



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
        return answer(described(client))

    async def rename(self, request: web.Request) -> web.Response:
        """Change what people see of a client, ``{"client_name": …}``; empty: no name."""
        name = read_new_name(await read_json_bytes(request))
        owner, client_id = await self._ownership.owner_of(request)
        client = await self._clients.change_client(client_id, name=name)
        if client is None:
            raise NotFound("There is no such client")
        _log.info("client.renamed", extra=facts(request, client_id=client_id, client_key=owner.by))
        return answer(described(client))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the client; all its tokens are dead before the answer goes out.  Repeatable after a failure half-way."""
        owner, client_id = await self._ownership.owner_of(request)
        await self._clients.delete_client(client_id)
        if owner.account:
            await self._clients.unlink_client(owner.account, client_id)
        _log.info("client.deleted", extra=facts(request, client_id=client_id, client_key=owner.by))
        return answer_empty(204)


def read_new_name(body: bytes) -> str:
    """
    The new name of a client.

    Raises:
        InvalidInput: The body says something else.
    """
    found = read_object(body, frozenset({"client_name"}))
    if "client_name" not in found:
        raise InvalidInput("client_name is missing")
    try:
        return "" if found["client_name"] == "" else read_name(found["client_name"])
    except InvalidClientMetadata as error:
        raise InvalidInput(error.detail) from None
