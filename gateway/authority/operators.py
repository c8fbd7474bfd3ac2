"""The operator's way in, `gateway clients`: makes clients and initial access tokens, and decides on clients that wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from gateway.authority.clients import described
from gateway.authority.enrolment import Enrolment, Traits
from gateway.authority.hasher import Hasher
from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.oauth.accounts import read_password, read_username
from gateway.oauth.ports import AdmissionStore, ClientStore
from gateway.oauth.records import FIXABLE, INTROSPECT_ANY, Client
from gateway.oauth.secrets import IssuedKey
from gateway.oauth.tokens import ENTROPY, PARTITION_ENTROPY, find_initial, mint_initial, mint_partition

MAX_USES = 10_000
"""Registrations with one initial access token."""
LONGEST_INVITATION = timedelta(days=400)
NOT_PENDING = "There is no such client that waits for approval"

_UNKNOWN = "There is no such client"


async def add_client(
    clients: ClientStore, hasher: Hasher, *, username: str | None, password: str | None = None,
    scopes: frozenset[str] = frozenset(), permissions: frozenset[str] = frozenset(), traits: Traits | None = None,
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
        traits: What else there is to it.
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
        return await enrolment.found(scopes, permissions, traits)
    name = read_username(username)
    secret = None if password is None else read_password(password)
    if await clients.find_account(name) is None:
        return await enrolment.register(name, secret, scopes, permissions, traits=traits)
    if secret is not None:
        raise Conflict("The account exists and keeps its password: leave the password out")
    return await enrolment.attach(name, scopes, permissions, traits=traits)


async def show_client(clients: ClientStore, client_id: str) -> dict[str, object]:
    """
    What there is to say of a client, as its owner sees it, and what only the operator grants.

    Raises:
        NotFound: If there is no such client.
        StoreUnavailable: If the store does not answer.
    """
    client = await clients.find_client(client_id)
    if client is None:
        raise NotFound(_UNKNOWN)
    return _shown(client)


async def set_client(clients: ClientStore, client_id: str, changes: Mapping[str, Any]) -> dict[str, object]:
    """
    Change a client; what lives keeps its time, new tokens get what is said.

    What is set of `FIXABLE` the client does not change itself any more, until all grants are its own again.

    Args:
        clients: The store.
        client_id: Which.
        changes: By the names of `ClientStore.change_client`.

    Raises:
        InvalidInput: If a change breaks its rule.
        NotFound: If there is no such client.
        StoreUnavailable: If the store does not answer.
    """
    if set(changes.get("permissions", ())) - {INTROSPECT_ANY}:
        raise InvalidInput(f"the only permission is {INTROSPECT_ANY}")
    known = await clients.find_client(client_id)
    if known is None:
        raise NotFound(_UNKNOWN)
    fixed = known.fixed | FIXABLE.intersection(changes)
    if not changes.get("grants", known.grants):
        fixed -= {"grants"}
    client = await clients.change_client(client_id, **changes, fixed=fixed)
    if client is None:
        raise NotFound(_UNKNOWN)
    return _shown(client)


def _shown(client: Client) -> dict[str, object]:
    return {
        **described(client), **({"username": client.account} if client.account else {}),
        **({"permissions": sorted(client.permissions)} if client.permissions else {}),
        **({"public": True} if client.public else {}),
    }  # fmt: skip


async def add_initial(
    admissions: AdmissionStore, *, uses: int, life: timedelta, entropy: Callable[[int], bytes] = os.urandom
) -> dict[str, str | int]:
    """
    Make an initial access token (RFC 7591 section 3): what is shown of it once.

    Raises:
        InvalidInput: If it would be good for nothing, or for too much.
        StoreUnavailable: If the store does not answer.
    """
    if not 0 < uses <= MAX_USES:
        raise InvalidInput(f"uses must be 1 to {MAX_USES}")
    if not timedelta(0) < life <= LONGEST_INVITATION:
        raise InvalidInput(f"an initial access token is good for {LONGEST_INVITATION.days}d at most, and for some time")
    token = mint_initial(mint_partition(entropy(PARTITION_ENTROPY)), entropy(ENTROPY))
    ref = find_initial(token.encode("ascii"))
    assert ref is not None, "what was minted is well formed"
    await admissions.add_initial(ref, uses=uses, life_ms=life // timedelta(milliseconds=1))
    return {
        "initial_access_token": token, "token_id": ref.token_id, "uses": uses, "expires_in": life // timedelta(seconds=1),
    }  # fmt: skip


async def end_initial(admissions: AdmissionStore, token: str) -> dict[str, str]:
    """
    End an initial access token.

    Raises:
        NotFound: If it is none, or over.
        StoreUnavailable: If the store does not answer.
    """
    ref = find_initial(token.encode("utf-8", "replace"))
    if ref is None or not await admissions.end_initial(ref):
        raise NotFound("There is no such initial access token")
    return {"ended": ref.token_id}


async def list_pending(clients: ClientStore, admissions: AdmissionStore) -> list[dict[str, str | int]]:
    """Who waits for the operator, who came first first; ``client_name`` is what a client says of itself."""
    found: list[dict[str, str | int]] = []
    for client_id in await admissions.pending():
        client = await clients.find_client(client_id)
        if client is None or not client.pending:
            await admissions.forget_pending(client_id)
            continue
        found.append({
            "client_id": client_id,
            **({"username": client.account} if client.account else {}),
            **({"client_name": client.name} if client.name else {}),
            "created": client.issued_at // 1000,
        })  # fmt: skip
    return found


async def approve_client(clients: ClientStore, admissions: AdmissionStore, client_id: str) -> dict[str, str]:
    """
    Let a client that waits have tokens.

    Raises:
        Conflict: If it does not wait.
        StoreUnavailable: If the store does not answer.
    """
    if not await admissions.decide(client_id, approved=True):
        raise Conflict(NOT_PENDING)
    await admissions.forget_pending(client_id)
    return {"approved": client_id}


async def refuse_client(clients: ClientStore, admissions: AdmissionStore, client_id: str) -> dict[str, str]:
    """
    Delete a client that waits, and its account if that has no other client.

    Raises:
        Conflict: If it does not wait.
        StoreUnavailable: If the store does not answer.
    """
    client = await clients.find_client(client_id)
    if client is None or not await admissions.decide(client_id, approved=False):
        raise Conflict(NOT_PENDING)
    await _delete(clients, client)
    if client.account:
        await clients.delete_account(client.account)
    await admissions.forget_pending(client_id)
    return {"refused": client_id}


async def disable_client(clients: ClientStore, _admissions: AdmissionStore, client_id: str) -> dict[str, str]:
    """
    Give a client no more tokens; those that live are dead wherever the change is pushed to, at once.

    Raises:
        NotFound: If there is no such client.
        StoreUnavailable: If the store does not answer.
    """
    if await clients.change_client(client_id, enabled=False) is None:
        raise NotFound(_UNKNOWN)
    return {"disabled": client_id}


async def enable_client(clients: ClientStore, _admissions: AdmissionStore, client_id: str) -> dict[str, str]:
    """
    Undo `disable_client`.

    Raises:
        NotFound: If there is no such client.
        Conflict: If it waits for approval.
        StoreUnavailable: If the store does not answer.
    """
    client = await clients.find_client(client_id)
    if client is not None and client.pending:
        raise Conflict("The client waits for approval: approve or refuse it")
    if client is None or await clients.change_client(client_id, enabled=True) is None:
        raise NotFound(_UNKNOWN)
    return {"enabled": client_id}


async def delete_client(clients: ClientStore, _admissions: AdmissionStore, client_id: str) -> dict[str, str]:
    """
    Delete a client; all its tokens are dead.

    Raises:
        NotFound: If there is no such client.
        StoreUnavailable: If the store does not answer.
    """
    client = await clients.find_client(client_id)
    if client is None:
        raise NotFound(_UNKNOWN)
    await _delete(clients, client)
    return {"deleted": client_id}


async def _delete(clients: ClientStore, client: Client) -> None:
    """From its account first: what fails half-way can be repeated as long as the client is there."""
    if client.account:
        await clients.unlink_client(client.account, client.client_id)
    await clients.delete_client(client.client_id)
