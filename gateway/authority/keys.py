"""``{prefix}/clients/{client_id}/keys``: the credentials of a client, so that a secret is rotated without an outage."""

from __future__ import annotations

import logging

from aiohttp import hdrs, web

from gateway.authority.answers import answer, answer_created, answer_empty
from gateway.authority.body import read_json_bytes, read_optional_json_bytes
from gateway.authority.enrolment import Enrolment
from gateway.authority.identify import IdleKeys
from gateway.authority.owner import Ownership
from gateway.authority.rescue import facts
from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.oauth.assertions import read_public_key
from gateway.oauth.ports import ClientStore
from gateway.oauth.records import Credential, Use
from gateway.oauth.registration import read_object
from gateway.oauth.secrets import IssuedKey, read_expiry, retires_at

_log = logging.getLogger("gateway.authority")


class KeyActs:
    """
    Lists, adds and retires the credentials of a client, for whoever proved to own it.

    The last one may be retired too: the account can add one; a client without an account ends with it.
    """

    def __init__(self, clients: ClientStore, enrolment: Enrolment, idle: IdleKeys) -> None:
        self._clients = clients
        self._idle = idle
        self._enrolment = enrolment

    async def list(self, client_id: str) -> list[tuple[Credential, Use, int]]:
        """
        The live keys, oldest first, each with its last use and when it retires by itself (ms; 0: never).

        Raises:
            NotFound: There is no such client.
            StoreUnavailable: If the store does not answer.
        """
        found = await self._clients.find_credentials(client_id)
        if found is None:
            raise NotFound("There is no such client")
        used = await self._clients.last_used([credential.client_key for credential in found[1]])
        listed = [
            (credential, use, retires_at(credential, use, self._idle.ttl_ms))
            for credential, use in zip(found[1], used, strict=True)
        ]
        if self._idle.ttl_ms:  # whoever tries one of the others is told that it is retired
            now = await self._clients.now_ms()
            return [one for one in listed if now < one[2]]
        return listed

    async def refuse_public(self, client_id: str) -> None:
        """
        Make sure that a client can have further keys.

        Raises:
            Conflict: It can't keep a secret (RFC 6749 section 2.1).
            StoreUnavailable: If the store does not answer.
        """
        client = await self._clients.find_client(client_id)
        if client is not None and client.public:
            raise Conflict("A client that can't keep a secret has no keys to add")

    async def add(self, request: web.Request, client_id: str, *, after_ms: int = 0, by: str) -> IssuedKey:
        """
        Add a key with a secret.

        Args:
            request: In whose course.
            client_id: Whose.
            after_ms: When it expires; 0: never.
            by: Who did it, for the log: a client_key, a session, or empty for a password.

        Raises:
            Conflict: The client has too many, or can't keep a secret.
            StoreUnavailable: If the store does not answer.
        """
        await self.refuse_public(client_id)
        issued = await self._enrolment.add_key(client_id, after_ms=after_ms)
        _log.info("key.added", extra=facts(request, client_id=client_id, client_key=issued.client_key, by=by))
        return issued

    async def expire(self, request: web.Request, client_id: str, client_key: str, *, after_ms: int, by: str) -> None:
        """
        Have a key end by itself ``after_ms`` from now; 0: never.

        Raises:
            NotFound: The client has no such key.
            StoreUnavailable: If the store does not answer.
        """
        changed = await self._clients.expire_credential(client_id, client_key, after_ms=after_ms)
        if changed is None:
            raise NotFound("There is no such key")
        expires = changed.expires_at // 1000
        _log.info("key.expires", extra=facts(request, client_id=client_id, client_key=client_key, expires=expires, by=by))

    async def retire(self, request: web.Request, client_id: str, client_key: str, *, end_tokens: bool, by: str) -> None:
        """
        Retire a key: no new tokens; with ``end_tokens`` what was issued with it ends too.

        Raises:
            NotFound: The client has no such key.
            StoreUnavailable: If the store does not answer.
        """
        if not await self._clients.retire_credential(client_id, client_key, end_tokens=end_tokens):
            raise NotFound("There is no such key")
        retired = facts(request, client_id=client_id, client_key=client_key, by=by, tokens_ended=int(end_tokens))
        _log.info("key.retired", extra=retired)


class KeysEndpoint:
    """The credentials of a client, by the account's password or any live key."""

    def __init__(self, prefix: str, enrolment: Enrolment, ownership: Ownership, acts: KeyActs) -> None:
        self._prefix = prefix
        self._enrolment = enrolment
        self._ownership = ownership
        self._acts = acts

    async def list(self, request: web.Request) -> web.Response:
        """Answer the live keys, oldest first; times in whole seconds since 1970, null for never; no secrets."""
        _, client_id = await self._ownership.owner_of(request)
        return answer({"keys": [_described(*listed) for listed in await self._acts.list(client_id)]})

    async def add(self, request: web.Request) -> web.Response:
        """
        Add a key; its secret is shown in this answer only.

        With ``{"jwk": …}`` it is a public key, and there is no secret; with ``{"expires_in": seconds}`` it ends by itself.
        """
        jwk, after_ms = _read_new_key(await read_optional_json_bytes(request))
        owner, client_id = await self._ownership.owner_of(request)
        await self._acts.refuse_public(client_id)
        if jwk is not None:
            client_key = await self._enrolment.add_public_key(client_id, jwk, after_ms=after_ms)
            _log.info("key.added", extra=facts(request, client_id=client_id, client_key=client_key, by=owner.by, public_key=1))
            location = f"{self._prefix}/clients/{client_id}/keys/{client_key}"
            document = {"client_id": client_id, "client_key": client_key}
            return answer(document, status=201, headers=((hdrs.LOCATION, location),))
        issued = await self._acts.add(request, client_id, after_ms=after_ms, by=owner.by)
        return answer_created(issued, f"{self._prefix}/clients/{client_id}/keys/{issued.client_key}")

    async def expire(self, request: web.Request) -> web.Response:
        """Say when a key ends by itself, ``{"expires_in": seconds}``, or with null that it does not; answer it as listed."""
        owner, client_id = await self._ownership.owner_of(request)
        found = read_object(await read_json_bytes(request), frozenset({"expires_in"}))
        if "expires_in" not in found:
            raise InvalidInput("expires_in is missing")
        after_ms = read_expiry(found["expires_in"])
        client_key = request.match_info["client_key"]
        await self._acts.expire(request, client_id, client_key, after_ms=after_ms, by=owner.by)
        for listed in await self._acts.list(client_id):
            if listed[0].client_key == client_key:
                return answer(_described(*listed))
        raise NotFound("There is no such key")

    async def retire(self, request: web.Request) -> web.Response:
        """Retire a key: no new tokens; with ``?tokens=revoke`` what was issued with it ends too."""
        end_tokens = _end_tokens(request)
        owner, client_id = await self._ownership.owner_of(request)
        client_key = request.match_info["client_key"]
        await self._acts.retire(request, client_id, client_key, end_tokens=end_tokens, by=owner.by)
        return answer_empty(204)


def _described(credential: Credential, use: Use, retires: int) -> dict[str, object]:
    """A key; never its secret."""
    return {
        "client_key": credential.client_key,
        "created": credential.issued_at // 1000,
        "last_used": use.at_ms // 1000 or None,
        "sources": use.sources,
        "expires": credential.expires_at // 1000 or None,
        "retires": retires // 1000 or None,
    }


def _read_new_key(body: bytes) -> tuple[bytes | None, int]:
    """The public key that a request brings, None when it has none, and after how many ms the key expires (0: never)."""
    found = read_object(body, frozenset({"jwk", "expires_in"})) if body.strip() else {}
    after_ms = read_expiry(found.get("expires_in"))
    if "jwk" not in found:
        return None, after_ms
    try:
        return read_public_key(found["jwk"]), after_ms
    except ValueError as error:
        raise InvalidInput(f"jwk: {error}") from None


def _end_tokens(request: web.Request) -> bool:
    """Whether ``tokens=revoke`` was asked for; a typo must not be taken for no."""
    query = request.rel_url.query
    if not query:
        return False
    if list(query.items()) != [("tokens", "revoke")]:
        raise InvalidInput("The only parameter here is tokens=revoke")
    return True
