"""What an account sees and does of its clients, keys and tokens, for whoever proved to own it: the pages (`gateway.console`)."""

from __future__ import annotations

import logging

from aiohttp import web

from gateway.authority.admission import Admission
from gateway.authority.clients import ClientActs, read_new_name
from gateway.authority.enrolment import forget_vanished
from gateway.authority.keys import KeyActs
from gateway.authority.owner import Owner
from gateway.authority.register import RegistrationEndpoint
from gateway.authority.rescue import facts
from gateway.errors import NotFound
from gateway.oauth.ports import ClientStore, TokenStore
from gateway.oauth.records import Account, Chain, Client, Credential, Use, is_live
from gateway.oauth.secrets import IssuedKey

MAX_SHOWN = 100
"""Chains of a client that are looked at: those that live longest."""

_BY = "session"
_log = logging.getLogger("gateway.authority")


class Holdings:
    """
    The clients of an account.

    What concerns one client raises `NotFound` when it is not the account's, and everything `StoreUnavailable` when the store does
    not answer.
    """

    def __init__(
        self, clients: ClientStore, tokens: TokenStore, admission: Admission, registration: RegistrationEndpoint,
        acts: ClientActs, keys: KeyActs,
    ) -> None:  # fmt: skip
        self._clients = clients
        self._tokens = tokens
        self._admission = admission
        self._registration = registration
        self._acts = acts
        self._keys = keys

    @property
    def may_add(self) -> bool:
        """Whether an account may make itself another client here."""
        return self._admission.accounts_may_add

    async def clients(self, account: Account) -> list[Client]:
        """The clients of an account, oldest first."""
        return await forget_vanished(self._clients, account.username)

    async def client(self, account: Account, client_id: str) -> Client:
        """One of them."""
        _owner(account).check(client_id)
        client = await self._clients.find_client(client_id)
        if client is None:
            raise NotFound("There is no such client")
        return client

    async def add_client(self, request: web.Request, account: Account) -> IssuedKey:
        """Make another one; raises as `RegistrationEndpoint.attach`."""
        return await self._registration.attach(request, account)

    async def rename_client(self, request: web.Request, account: Account, client_id: str, name: str) -> None:
        """Change what people see of a client; empty: no name.  Raises `InvalidInput` for what can be none."""
        _owner(account).check(client_id)
        await self._acts.rename(request, client_id, read_new_name(name), by=_BY)

    async def delete_client(self, request: web.Request, account: Account, client_id: str) -> None:
        """Delete a client; all its tokens are dead."""
        _owner(account).check(client_id)
        await self._acts.delete(request, client_id, account=account.username, by=_BY)

    async def keys(self, client: Client) -> list[tuple[Credential, Use, int]]:
        """The live keys of a client, oldest first, each with its last use and when it retires by itself (ms; 0: never)."""
        return await self._keys.list(client.client_id)

    async def add_key(self, request: web.Request, account: Account, client_id: str, *, after_ms: int) -> IssuedKey:
        """Add a key, which expires after that time (0: never); raises as `KeyActs.add`."""
        _owner(account).check(client_id)
        return await self._keys.add(request, client_id, after_ms=after_ms, by=_BY)

    async def retire_key(
        self, request: web.Request, account: Account, client_id: str, client_key: str, *, end_tokens: bool
    ) -> None:
        """Retire a key; raises as `KeyActs.retire`."""
        _owner(account).check(client_id)
        await self._keys.retire(request, client_id, client_key, end_tokens=end_tokens, by=_BY)

    async def chains(self, client: Client) -> list[Chain]:
        """The chains of a client that live and can be refreshed, the youngest ones first; `MAX_SHOWN` at most."""
        now = await self._tokens.now_ms()
        found = await self._tokens.find_chains(client.client_id, at_most=MAX_SHOWN)
        return sorted((chain for chain in found if is_live(chain, client, now)), key=lambda chain: -chain.issued_at)

    async def end_chain(self, request: web.Request, account: Account, client_id: str, chain_id: str) -> None:
        """End a chain with its access tokens; one that is over already is no fault."""
        _owner(account).check(client_id)
        ended = await self._tokens.revoke_chain(client_id, chain_id)
        _log.info("chain.ended", extra=facts(request, client_id=client_id, ended=int(ended), by=_BY))

    async def end_tokens(self, request: web.Request, account: Account, client_id: str) -> None:
        """End all tokens of a client, those without a chain too; its keys get new ones."""
        _owner(account).check(client_id)
        if await self._clients.change_client(client_id, end_tokens=True) is None:
            raise NotFound("There is no such client")
        _log.info("client.tokens_ended", extra=facts(request, client_id=client_id, by=_BY))


def _owner(account: Account) -> Owner:
    return Owner(account.username, account.client_ids, "")
