"""Accounts on Redis: the part of `gateway.oauth.ports.ClientStore` that lies in the slot of a username."""

from __future__ import annotations

from gateway.oauth.records import Account
from gateway.store import codec
from gateway.store.caller import Caller
from gateway.store.keys import Keys
from gateway.store.script import Script, answering, done

CLAIM_MS = 60_000
"""How long a username stays claimed without becoming an account."""

_CHANGE_PASSWORD_HASH = Script("change_password_hash")
_CLAIM_USERNAME = Script("claim_username")
_CONFIRM_USERNAME = Script("confirm_username")
_DELETE_ACCOUNT = Script("delete_account")
_KEEP_ACCOUNT = Script("keep_account")
_LINK_CLIENT = Script("link_client")
_RELEASE_USERNAME = Script("release_username")
_UNLINK_CLIENT = Script("unlink_client")


class RedisAccounts:
    """Everything raises `StoreUnavailable` when the store does not answer, refuses, or holds a corrupt record."""

    def __init__(self, caller: Caller, prefix: str = "gw") -> None:
        self._caller = caller
        self._keys = Keys(prefix)

    async def find_account(self, username: str) -> Account | None:
        """The confirmed account of a (lower-cased) username."""
        with answering("find_account"):
            value = await self._get(self._keys.account(username))
            return None if value is None else codec.decode_account(value)

    async def claim_username(self, username: str, claim: str) -> bool:
        """Reserve a free username for 60 s under a random ``claim``; True again for the same claim, False when taken."""
        keys = [self._keys.account(username), self._keys.claim(username)]
        return done(await _CLAIM_USERNAME(self._caller, keys, [claim, CLAIM_MS]))

    async def confirm_username(self, account: Account, claim: str, *, life_ms: int = 0) -> bool:
        """Turn a claim into the account, for a while or (0) for ever; repeatable; False when the claim was lost meanwhile."""
        keys = [self._keys.account(account.username), self._keys.claim(account.username)]
        return done(await _CONFIRM_USERNAME(self._caller, keys, [claim, codec.encode_account(account, claim), life_ms]))

    async def release_username(self, username: str, claim: str) -> None:
        """Give a claim up.  Does nothing to a confirmed account or somebody else's claim."""
        await _RELEASE_USERNAME(self._caller, [self._keys.claim(username)], [claim])

    async def change_password_hash(self, username: str, old: str, new: str) -> bool:
        """Replace the hash of an account's password; False when the account is gone or has another hash than ``old``."""
        return done(await _CHANGE_PASSWORD_HASH(self._caller, [self._keys.account(username)], [old, new]))

    async def delete_account(self, username: str) -> bool:
        """Delete an account that has no clients (any more), so that its username is free; False when it has some."""
        return done(await _DELETE_ACCOUNT(self._caller, [self._keys.account(username), self._keys.consents(username)], []))

    async def keep_account(self, username: str, client_id: str) -> bool:
        """Keep an account for ever, as this client of it is used; False when it is gone or has no such client."""
        return done(await _KEEP_ACCOUNT(self._caller, [self._keys.account(username)], [client_id]))

    async def link_client(self, username: str, client_id: str, *, at_most: int, life_ms: int = 0) -> bool:
        """
        Add a client to its account, which lives as long as the client then (0: for ever) or longer.

        False when the account is gone or already has ``at_most`` clients.
        """
        return done(await _LINK_CLIENT(self._caller, [self._keys.account(username)], [client_id, at_most, life_ms]))

    async def unlink_client(self, username: str, client_id: str) -> None:
        """Take a client off its account."""
        await _UNLINK_CLIENT(self._caller, [self._keys.account(username)], [client_id])

    async def _get(self, key: bytes) -> bytes | None:
        value: bytes | None = await self._caller.call("GET", key)
        return value
