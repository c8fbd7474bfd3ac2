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
        "max_live_tokens": client.max_live_tokens,
        "plan": client.plan,
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


class ClientActs:
    """Renames and deletes clients, for whoever proved to own them."""

    def __init__(self, clients: ClientStore) -> None:
        self._clients = clients

    async def rename(self, request: web.Request, client_id: str, name: str, *, by: str) -> Client:
        """
        Change what people see of a client.

        Args:
            request: In whose course.
            client_id: Whose.
            name: As `read_new_name` gives it; empty: no name.
            by: Who did it, for the log: a client_key, a session, or empty for a password.

        Raises:
            NotFound: There is no such client.
            StoreUnavailable: If the store does not answer.
        """
        client = await self._clients.change_client(client_id, name=name)
        if client is None:
            raise NotFound("There is no such client")
        _log.info("client.renamed", extra=facts(request, client_id=client_id, by=by))
        return client

    async def delete(self, request: web.Request, client_id: str, *, account: str, by: str) -> None:
        """
        Delete a client; all its tokens are dead then.  Repeatable after a failure half-way: what is gone already is no fault.

        Args:
            request: In whose course.
            client_id: Whose.
            account: Which it is taken off; empty for a client without one.
            by: As in `rename`.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        await self._clients.delete_client(client_id)
        if account:
            await self._clients.unlink_client(account, client_id)
        _log.info("client.deleted", extra=facts(request, client_id=client_id, by=by))


class ClientEndpoint:
    """One client, for its owner.  Times are whole seconds since 1970, as everywhere in OAuth."""

    def __init__(self, clients: ClientStore, ownership: Ownership, acts: ClientActs) -> None:
        self._clients = clients
        self._ownership = ownership
        self._acts = acts

    async def list(self, request: web.Request) -> web.Response:
        """Answer which clients an account has: the way back for whoever kept nothing but username and password."""
        account = await self._ownership.account_of(request)
        return answer({"clients": [client.client_id for client in await forget_vanished(self._clients, account.username)]})

    async def show(self, request: web.Request) -> web.Response:
        """Answer what the client may do; never a secret."""
        _, client_id = await self._ownership.owner_of(request)
        client = await self._clients.find_client(client_id)
        if client is None:
            raise NotFound("There is no such client")
        return answer(described(client))

    async def rename(self, request: web.Request) -> web.Response:
        """Change what people see of a client, ``{"client_name": …}``; empty: no name."""
        name = _read_rename(await read_json_bytes(request))
        owner, client_id = await self._ownership.owner_of(request)
        return answer(described(await self._acts.rename(request, client_id, name, by=owner.by)))

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the client; all its tokens are dead before the answer goes out."""
        owner, client_id = await self._ownership.owner_of(request)
        await self._acts.delete(request, client_id, account=owner.account, by=owner.by)
        return answer_empty(204)


def read_new_name(value: object) -> str:
    """
    The new name of a client; empty: no name.

    Raises:
        InvalidInput: It can be none.
    """
    try:
        return "" if value == "" else read_name(value)
    except InvalidClientMetadata as error:
        raise InvalidInput(error.detail) from None


def _read_rename(body: bytes) -> str:
    found = read_object(body, frozenset({"client_name"}))
    if "client_name" not in found:
        raise InvalidInput("client_name is missing")
    return read_new_name(found["client_name"])
