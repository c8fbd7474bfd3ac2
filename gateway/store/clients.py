"""Clients and credentials on Redis; with `gateway.store.accounts` it implements `gateway.oauth.ports.ClientStore`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from hmac import compare_digest

from gateway.oauth.records import Client, Credential, Registration, Use
from gateway.oauth.tokens import SecretRef, find_partition, is_client_id, is_client_key
from gateway.store import codec
from gateway.store.accounts import RedisAccounts
from gateway.store.admissions import COUNT_CLIENT
from gateway.store.caller import Caller
from gateway.store.resp import Word
from gateway.store.script import Script, answering, done

PROVISIONAL_MS = 120_000
"""How long a client lives that nobody keeps."""
LONGEST_TOKEN = timedelta(days=400)
"""A retired credential is remembered that long: no token may live longer."""
MAX_RETIRED = 100
"""Retired credentials that a client's record remembers; it gets no new one while there are so many."""
KNOWN_OWNERS = 10_000
"""client_keys of which it is remembered whose they are (for ever the same client's), to find both records at once."""

_ADD_CREDENTIAL = Script("add_credential")
_CHANGE_CLIENT = Script("change_client")
_CREATE_CLIENT = Script("create_client")
_DELETE_CLIENT = Script("delete_client")
_EXPIRE_CREDENTIAL = Script("expire_credential")
_FIND_CREDENTIALS = Script("find_credentials")
_FIND_WITH_CLIENT = Script("find_with_client")
_KEEP_CLIENT = Script("keep_client")
_NOTE_USE = Script("note_use")
_RETIRE_CREDENTIAL = Script("retire_credential")
_SAVE_REGISTRATION = Script("save_registration")


class RedisClients(RedisAccounts):
    """Everything raises `StoreUnavailable` when the store does not answer, refuses, or holds a corrupt record."""

    def __init__(self, caller: Caller, prefix: str = "gw", *, longest_token: timedelta = LONGEST_TOKEN) -> None:
        """``longest_token``: no token or chain lives longer than this."""
        super().__init__(caller, prefix)
        self._owners: dict[str, str] = {}
        self._longest_ms = longest_token // timedelta(milliseconds=1)

    async def find_client(self, client_id: str) -> Client | None:
        """The client, or None (also for a string that is no client id)."""
        if not is_client_id(client_id):
            return None
        with answering("find_client"):
            value = await self._get(self._keys.client(client_id))
            return None if value is None else codec.decode_client(value)

    async def find_credential(self, client_key: str) -> tuple[Client, Credential] | None:
        """A live, unexpired credential with its client, in one round trip; None if either is missing."""
        if not is_client_key(client_key):
            return None
        owner = self._owners.get(client_key)
        if owner is not None:
            keys = self._keys.credential(client_key), self._keys.client(owner)
            with answering("find_credential"):
                credential, client = await self._caller.call("MGET", *keys)
                if credential is not None and client is not None:
                    return self._joined(client_key, credential, client)
        # Whose key it is is not known yet; or a record is missing, which MGET also says of one of a wrong type.
        clients = self._keys.clients(client_key[4:7])
        found = await _FIND_WITH_CLIENT(self._caller, [self._keys.credential(client_key)], ["credential", clients])
        if found is None or found[1] is None:
            return None
        with answering("find_credential"):
            return self._joined(client_key, found[0], found[1])

    def _joined(self, client_key: str, value: bytes, owner: bytes) -> tuple[Client, Credential] | None:
        client, credential = codec.decode_client(owner), codec.decode_credential(value)
        if client_key not in client.keys or credential.client_id != client.client_id:
            return None
        if client_key not in self._owners:
            if len(self._owners) >= KNOWN_OWNERS:
                self._owners.pop(next(iter(self._owners)))
            self._owners[client_key] = client.client_id
        return client, credential

    async def find_credentials(self, client_id: str) -> tuple[Client, list[Credential]] | None:
        """A client with all its live, unexpired credentials, oldest first."""
        if not is_client_id(client_id):
            return None
        found = await _FIND_CREDENTIALS(self._caller, [self._keys.client(client_id)], [self._credentials(client_id)])
        if found is None:
            return None
        with answering("find_credentials"):
            return codec.decode_client(found[0]), [codec.decode_credential(value) for value in found[1:]]

    async def find_by_secret(self, ref: SecretRef) -> tuple[Client, Credential] | None:
        """The live credential with this secret, and its client."""
        with answering("find_by_secret"):
            client_key = await self._get(self._keys.secret(ref))
            found = None if client_key is None else await self.find_credential(str(client_key, "ascii"))
        return found if found is not None and compare_digest(found[1].secret_digest, ref.digest) else None

    async def create_client(self, client: Client, credential: Credential, *, provisional: bool) -> None:
        """Write a new client with its first credential; a provisional one vanishes after 120 s unless kept."""
        keys = self._places(client.client_id, credential)
        life = PROVISIONAL_MS if provisional else 0
        await _CREATE_CLIENT(
            self._caller, keys, [codec.encode_client(client), codec.encode_credential(_owned(credential, client)), life]
        )

    async def keep_client(self, client_id: str, *, life_ms: int = 0) -> bool:
        """Keep a client and its credentials, for a while or (0) for ever; False when it has vanished."""
        await COUNT_CLIENT(self._caller, [self._keys.registered()], [client_id, life_ms, 0])  # first: none stays uncounted
        args: list[Word] = [self._credentials(client_id), self._keys.secrets(client_id[4:7]), life_ms]
        keys = [self._keys.client(client_id), self._keys.registration(client_id)]
        if done(await _KEEP_CLIENT(self._caller, keys, args)):
            return True
        with answering("keep_client"):  # or it would be counted for ever
            await self._caller.call("ZREM", self._keys.registered(), client_id)
        return False

    async def save_registration(self, registration: Registration) -> bool:
        """
        Write what a client registered, in place of what it had; as provisional as the client.

        False when it is gone, or when its registration access token is another one by now (or ended).
        """
        keys = [self._keys.client(registration.client_id), self._keys.registration(registration.client_id)]
        return done(await _SAVE_REGISTRATION(self._caller, keys, [codec.encode_registration(registration)]))

    async def find_registration(self, client_id: str) -> Registration | None:
        """What a client registered."""
        if not is_client_id(client_id):
            return None
        with answering("find_registration"):
            value = await self._get(self._keys.registration(client_id))
            return None if value is None else codec.decode_registration(value, client_id)

    async def delete_client(self, client_id: str) -> bool:
        """Delete a client and its credentials: all its tokens are dead at once.  False when there was none."""
        if not is_client_id(client_id):
            return False
        keys = [
            self._keys.client(client_id), self._keys.live_chains(client_id), self._keys.registration(client_id),
            self._keys.live_tokens(client_id),
        ]  # fmt: skip
        at, partition = self._keys, client_id[4:7]
        prefixes: list[Word] = [at.credentials(partition), at.last_uses(partition), at.secrets(partition)]
        deleted = done(await _DELETE_CLIENT(self._caller, keys, prefixes))
        with answering("delete_client"):
            for index in (at.registered(), at.pending()):  # else who registers and goes again could fill them
                await self._caller.call("ZREM", index, client_id)
        return deleted

    async def change_client(
        self, client_id: str, *, enabled: bool | None = None, scopes: frozenset[str] | None = None,
        permissions: frozenset[str] | None = None, grants: frozenset[str] | None = None,
        redirect_uris: tuple[str, ...] | None = None, name: str | None = None, access_ttl_ms: int | None = None,
        refresh_ttl_ms: int | None = None, max_live_chains: int | None = None, max_live_tokens: int | None = None,
        access_token_format: str | None = None, plan: str | None = None,
        fixed: frozenset[str] | None = None, end_tokens: bool = False, own: bool = False,
    ) -> Client | None:  # fmt: skip
        """
        Change what is given, atomically; ``end_tokens`` raises the epoch.  The client as it is now, or None.

        ``own``: it is the client that asks, so what the operator has ``fixed`` stays.
        """
        if not is_client_id(client_id):
            return None
        given = {
            "enabled": enabled, "scopes": scopes, "permissions": permissions, "grants": grants, "redirect_uris": redirect_uris,
            "name": name, "access_ttl_ms": access_ttl_ms, "refresh_ttl_ms": refresh_ttl_ms, "max_live_chains": max_live_chains,
            "max_live_tokens": max_live_tokens, "access_token_format": access_token_format,
            "plan": plan, "fixed": fixed,
        }  # fmt: skip
        changes = codec.encode_changes({name: value for name, value in given.items() if value is not None})
        value = await _CHANGE_CLIENT(self._caller, [self._keys.client(client_id)], [changes, int(end_tokens), int(own)])
        with answering("change_client"):
            return None if value is None else codec.decode_client(value)

    async def add_credential(self, credential: Credential, *, at_most: int) -> bool:
        """Add a credential to its client; False when the client is gone, has ``at_most``, or retired too many of late."""
        keys = self._places(credential.client_id, credential)
        return done(
            await _ADD_CREDENTIAL(
                self._caller,
                keys,
                [
                    codec.encode_credential(credential), at_most, self._credentials(credential.client_id), self._longest_ms,
                    MAX_RETIRED,
                ],
            )
        )

    async def retire_credential(self, client_id: str, client_key: str, *, end_tokens: bool) -> bool:
        """
        End a credential, and with ``end_tokens`` whatever was issued with it, of one that is retired already too.

        False when it was not the client's, or was retired and there is nothing left to end.
        """
        if not is_client_id(client_id) or find_partition(client_key) != client_id[4:7] or not is_client_key(client_key):
            return False
        keys = [self._keys.client(client_id), self._keys.credential(client_key)]
        args: list[Word] = [client_key, int(end_tokens), self._longest_ms, self._keys.secrets(client_id[4:7])]
        return done(await _RETIRE_CREDENTIAL(self._caller, keys, args))

    async def expire_credential(self, client_id: str, client_key: str, *, after_ms: int) -> Credential | None:
        """Have a credential end by itself ``after_ms`` from now (0: never); as it is then, None when it is not the client's."""
        if not is_client_id(client_id) or find_partition(client_key) != client_id[4:7] or not is_client_key(client_key):
            return None
        keys = [self._keys.client(client_id), self._keys.credential(client_key)]
        value = await _EXPIRE_CREDENTIAL(self._caller, keys, [client_key, after_ms, self._keys.secrets(client_id[4:7])])
        with answering("expire_credential"):
            return None if value is None else codec.decode_credential(value)

    async def last_used(self, client_keys: list[str]) -> list[Use]:
        """When each credential last got a token, and from how many places."""
        with answering("last_used"):
            found = await asyncio.gather(*(self._get(self._keys.last_used(client_key)) for client_key in client_keys))
            return [codec.decode_use(value or b"0") for value in found]

    async def note_use(self, client_key: str, source: bytes) -> None:
        """Note that a credential is used, from a source (two bytes; empty where it is not known)."""
        await _NOTE_USE(self._caller, [self._keys.last_used(client_key)], [source])

    async def use_once(self, client_id: str, jti: str, life_ms: int) -> bool:
        """Note that a client used a ``jti``, for as long as it could be used again; False when it did so before."""
        with answering("use_once"):
            return await self._caller.call("SET", self._keys.used_jti(client_id, jti), "1", "NX", "PX", life_ms) is not None

    async def now_ms(self) -> int:
        """The store's clock."""
        return await read_clock(self._caller)

    def _places(self, client_id: str, credential: Credential) -> list[bytes]:
        secret = SecretRef(client_id[4:7], credential.secret_digest)
        return [self._keys.client(client_id), self._keys.credential(credential.client_key), self._keys.secret(secret)]

    def _credentials(self, client_id: str) -> bytes:
        return self._keys.credentials(client_id[4:7])


async def read_clock(caller: Caller) -> int:
    """The store's clock in ms."""
    with answering("now"):
        seconds, microseconds = await caller.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000


def _owned(credential: Credential, client: Client) -> Credential:
    return replace(credential, client_id=client.client_id)
