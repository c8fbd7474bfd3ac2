"""The operator's way in: `gateway clients add`, when registration is closed or more is granted than ``default_scopes``."""

from __future__ import annotations

import os
from collections.abc import Callable

from gateway.authority.enrolment import Enrolment
from gateway.authority.hasher import Hasher
from gateway.errors import Conflict, InvalidInput
from gateway.oauth.accounts import read_password, read_username
from gateway.oauth.ports import ClientStore
from gateway.oauth.records import INTROSPECT_ANY
from gateway.oauth.secrets import IssuedKey


async def add_client(
    clients: ClientStore, hasher: Hasher, *, username: str | None, password: str | None = None,
    scopes: frozenset[str] = frozenset(), permissions: frozenset[str] = frozenset(),
    entropy: Callable[[int], bytes] = os.urandom,
) -> IssuedKey:
    """
    Make a client with any scopes and permissions.

    Args:
        clients: The store.
        hasher: For the password.
        username: None for a client without an account; else the client becomes one of that account's, which is made if
            there is none.
        password: For an account that is made now; None: nobody can log in to it.
        scopes: All that the client may be granted.
        permissions: `INTROSPECT_ANY` or nothing.
        entropy: Gives random bytes.

    Raises:
        InvalidInput: If username, password or permissions break their rules.
        Conflict: If a password is given for an account that exists, or the account has too many clients.
        Overloaded, StoreUnavailable: As they say.
    """
    if permissions - {INTROSPECT_ANY}:
        raise InvalidInput(f"the only permission is {INTROSPECT_ANY}")
    enrolment = Enrolment(clients, hasher, entropy)
    if username is None:
        return await enrolment.found(scopes, permissions)
    name = read_username(username)
    secret = None if password is None else read_password(password)
    if await clients.find_account(name) is None:
        return await enrolment.register(name, secret, scopes, permissions)
    if secret is not None:
        raise Conflict("The account exists and keeps its password: leave the password out")
    return await enrolment.attach(name, scopes, permissions)
