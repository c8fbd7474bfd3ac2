"""How a client comes into being, in steps that can each be repeated, so that a failure half-way leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.authority.admission import Probation
from gateway.authority.hasher import Hasher
from gateway.errors import Conflict, NotFound, StoreUnavailable
from gateway.oauth.ports import ClientStore
from gateway.oauth.records import Account, Client, Credential, Registration
from gateway.oauth.secrets import KEY_ENTROPY, IssuedKey, hold_key, mint_key
from gateway.oauth.tokens import (
    ENTROPY,
    ID_ENTROPY,
    PARTITION_ENTROPY,
    digest_manager,
    find_partition,
    mint_client_id,
    mint_manager,
    mint_partition,
    mint_subject,
    text,
)

MAX_CLIENTS = 20
"""Clients of one account."""
MAX_KEYS = 10
"""Live credentials of one client."""

_NONE: frozenset[str] = frozenset()
_TOO_MANY_KEYS = f"A client can have {MAX_KEYS} keys at most, and remembers those that it retired of late"
_UNUSABLE = ""
"""Stands where a password hash would: nobody can log in with it."""

TAKEN = "The username is taken; its owner, by Basic, lists clients with GET /clients and adds keys at /clients/{client_id}/keys"


@dataclass(frozen=True, slots=True)
class Traits:
    """What there is to a client beside its rights."""

    name: str = ""
    """What people see."""
    redirect_uris: tuple[str, ...] = ()
    public: bool = False
    """It can't keep a secret, so it gets none."""


class Enrolment:
    """
    Makes accounts, clients and credentials.

    A username lives in another slot of the store than a client, so no single script can make both.  The client is written
    provisionally (it vanishes by itself), then the username is confirmed or the client linked, then the client is kept.
    """

    def __init__(
        self, clients: ClientStore, hasher: Hasher, entropy: Callable[[int], bytes], probation: Probation | None = None
    ) -> None:
        """``probation``: what holds of those that register themselves; None for the operator's, who stay for ever."""
        self._probation = probation
        self._life_ms = 0 if probation is None else probation.life_ms
        self._clients = clients
        self._hasher = hasher
        self._entropy = entropy

    async def register(
        self, username: str, password: str | None, scopes: frozenset[str], permissions: frozenset[str] = _NONE, *,
        traits: Traits | None = None, source: bytes = b"",
    ) -> IssuedKey:
        """
        Make an account with its first client.

        Args:
            username: As `read_username` gives it.
            password: As `read_password` gives it; None for an account that nobody can log in to.
            scopes: All that the client may be granted.
            permissions: Rights beyond its own tokens.
            traits: What else there is to it.
            source: Who counts as one when passwords are hashed.

        Raises:
            Conflict: If the name is taken, or was taken meanwhile.
            Overloaded: If no hash can be computed soon.
            StoreUnavailable: If the store does not answer.
        """
        claim = text(self._entropy(ID_ENTROPY))
        if not await self._clients.claim_username(username, claim):
            raise Conflict(TAKEN)
        try:
            password_hash = _UNUSABLE if password is None else await self._hasher.hash(password, source=source)
            client, issued = await self._create(username, scopes, permissions, traits=traits)
            account = Account(username, password_hash, (client.client_id,), subject=mint_subject(self._entropy(ID_ENTROPY)))
            if not await self._clients.confirm_username(account, claim, life_ms=self._life_ms):
                raise Conflict(TAKEN)
        except BaseException:  # cancellation too
            await self._release(username, claim)
            raise
        await self._keep(client)
        return issued

    async def attach(
        self, username: str, scopes: frozenset[str], permissions: frozenset[str] = _NONE, *, traits: Traits | None = None
    ) -> IssuedKey:
        """
        Make another client of an account.

        Raises:
            Conflict: If the account has `MAX_CLIENTS`.
            StoreUnavailable: If the store does not answer.
        """
        client, issued = await self._create(username, scopes, permissions, traits=traits)
        if not await self._link(username, client):
            await forget_vanished(self._clients, username)
            if not await self._link(username, client):
                raise Conflict(f"An account can have {MAX_CLIENTS} clients at most")
        await self._keep(client)
        return issued

    async def found(self, scopes: frozenset[str], permissions: frozenset[str], traits: Traits | None = None) -> IssuedKey:
        """Make a client without an account, for the operator."""
        client, issued = await self._create("", scopes, permissions, traits=traits)
        await self._keep(client)
        return issued

    async def describe(
        self, scopes: frozenset[str], grants: frozenset[str], metadata: bytes, jwks: Sequence[bytes] = (), *,
        traits: Traits | None = None,
    ) -> tuple[IssuedKey, str]:
        """
        Make a client without an account that manages itself (RFC 7591).

        Args:
            scopes: All that it may be granted.
            grants: Grant types that it may use.
            metadata: What it said of itself, as JSON.
            jwks: Its public keys, with which it authenticates then, in place of a secret.
            traits: What else there is to it.

        Returns:
            Its credential (the secret empty where it has keys, or can't keep one) and its registration access token.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        client, issued = await self._create("", scopes, _NONE, grants, jwks[0] if jwks else b"", traits)
        for jwk in jwks[1:]:
            await self.add_public_key(client.client_id, jwk)
        token = mint_manager(client.client_id, self._entropy(ENTROPY))
        registration = Registration(client.client_id, digest_manager(token.encode("ascii")), metadata)
        if not await self._clients.save_registration(registration):
            raise StoreUnavailable("provisional_client_vanished")
        await self._keep(client)
        return issued, token

    async def add_key(self, client_id: str, *, after_ms: int = 0) -> IssuedKey:
        """
        Make another credential of a client, which ends by itself after that time (0: never).

        Raises:
            Conflict: If it has `MAX_KEYS`, or retired too many of late.
            NotFound: If the client id is none.
            StoreUnavailable: If the store does not answer.
        """
        partition = find_partition(client_id)
        if partition is None:
            raise NotFound
        issued, credential = mint_key(client_id, partition, self._entropy(KEY_ENTROPY), now_ms=0)
        await self._add(credential, after_ms)
        return issued

    async def add_public_key(self, client_id: str, jwk: bytes, *, after_ms: int = 0) -> str:
        """
        Make a public key another credential of a client, for that time (0: for ever); returns its client_key.

        Raises:
            Conflict: If it has `MAX_KEYS`, or retired too many of late.
            NotFound: If the client id is none.
            StoreUnavailable: If the store does not answer.
        """
        partition = find_partition(client_id)
        if partition is None:
            raise NotFound
        credential = hold_key(client_id, partition, jwk, self._entropy(ID_ENTROPY), now_ms=0)
        await self._add(credential, after_ms)
        return credential.client_key

    async def _add(self, credential: Credential, after_ms: int) -> None:
        if after_ms:
            credential = replace(credential, expires_at=await self._clients.now_ms() + after_ms)
        if not await self._clients.add_credential(credential, at_most=MAX_KEYS):
            raise Conflict(_TOO_MANY_KEYS)

    async def _create(
        self, account: str, scopes: frozenset[str], permissions: frozenset[str], grants: frozenset[str] = _NONE,
        jwk: bytes = b"", traits: Traits | None = None,
    ) -> tuple[Client, IssuedKey]:  # fmt: skip
        partition = mint_partition(self._entropy(PARTITION_ENTROPY))
        client_id = mint_client_id(partition, self._entropy(ID_ENTROPY))
        if jwk:
            credential = hold_key(client_id, partition, jwk, self._entropy(ID_ENTROPY), now_ms=0)
            issued = IssuedKey(client_id, credential.client_key, "")
        else:
            issued, credential = mint_key(client_id, partition, self._entropy(KEY_ENTROPY), now_ms=0)
        traits = traits or Traits()
        if traits.public:  # a key as others have it, of which nobody was told the secret: tokens name the key that they came by
            issued = IssuedKey(client_id, issued.client_key, "")
        pending = self._probation is not None and self._probation.pending
        client = Client(
            client_id, account, enabled=not pending, scopes=scopes, permissions=permissions, keys=(issued.client_key,),
            grants=grants, pending=pending, redirect_uris=traits.redirect_uris, public=traits.public,
            name=traits.name,
        )  # fmt: skip
        if self._probation is not None:
            await self._probation.count(client_id)
        await self._clients.create_client(client, credential, provisional=True)
        if self._probation is not None:
            await self._probation.begin(client_id)
        return client, issued

    async def _link(self, username: str, client: Client) -> bool:
        return await self._clients.link_client(username, client.client_id, at_most=MAX_CLIENTS, life_ms=self._life_ms)

    async def _keep(self, client: Client) -> None:
        if not await self._clients.keep_client(client.client_id, life_ms=self._life_ms):
            raise StoreUnavailable("provisional_client_vanished")

    async def _release(self, username: str, claim: str) -> None:
        try:
            await self._clients.release_username(username, claim)
        except StoreUnavailable:
            return  # it runs out by itself


async def forget_vanished(clients: ClientStore, username: str) -> list[Client]:
    """Take clients that were never used, and are gone, off their account; returns those that are left, oldest first."""
    account = await clients.find_account(username)
    client_ids = account.client_ids if account is not None else ()
    found = await asyncio.gather(*(clients.find_client(client_id) for client_id in client_ids))
    for client_id, client in zip(client_ids, found, strict=True):
        if client is None:
            await clients.unlink_client(username, client_id)
    return [client for client in found if client is not None]
