"""``POST {prefix}/oauth/leaks``: secrets that somebody found where they should not be are ended, whoever's they are."""

from __future__ import annotations

import logging
from dataclasses import replace
from hmac import compare_digest

from aiohttp import web

from gateway.authority.answers import answer
from gateway.authority.body import read_json_bytes
from gateway.authority.identify import ClientAuthentication
from gateway.authority.rescue import facts
from gateway.errors import InvalidInput
from gateway.oauth.access import find_access
from gateway.oauth.ports import AdmissionStore, ClientStore, TokenStore
from gateway.oauth.registration import read_object
from gateway.oauth.tokens import find_initial, find_manager, find_refresh, find_secret

MAX_FOUND = 100
"""Strings in one report."""

_log = logging.getLogger("gateway.authority")


class LeaksEndpoint:
    """
    Takes strings that a secret scanner found.  Any client may report: who holds the whole string could use it as well.

    An access token dies alone, an initial access token too, a refresh token with its chain, a client secret with its key and
    all that was issued with it.
    """

    def __init__(
        self, authenticate: ClientAuthentication, clients: ClientStore, tokens: TokenStore, admissions: AdmissionStore
    ) -> None:
        self._admissions = admissions
        self._authenticate = authenticate
        self._clients = clients
        self._tokens = tokens

    async def handle(self, request: web.Request) -> web.Response:
        """
        End what lives of the strings in ``{"found": [...]}``; answer ``{"found": n, "revoked": n}``.

        A report that fails half-way (503) can be repeated: what is dead stays so, and is not counted again.
        """
        caller = await self._authenticate(request, {})
        found = _read_found(await read_json_bytes(request))
        revoked = 0
        for string in found:
            ended = await self._end(string.encode("utf-8", "replace"))
            if ended is not None:
                kind, client_id = ended
                revoked += 1
                _log.warning("leak.revoked", extra=facts(
                    request, kind=kind, client_id=client_id, reported_by=caller.client.client_id,
                ))  # fmt: skip
        return answer({"found": len(found), "revoked": revoked})

    async def _end(self, string: bytes) -> tuple[str, str] | None:
        """End one secret; its kind and whose it was, or None when nothing lived."""
        if (access := find_access(string)) is not None:
            token = await self._tokens.find_access(access)
            if token is not None and await self._tokens.revoke_access(token[0].client_id, access):
                return "access_token", token[0].client_id
        elif (refresh := find_refresh(string)) is not None:
            client_id = await self._tokens.end_leaked_chain(refresh)
            if client_id is not None:
                return "refresh_token", client_id
        elif (secret := find_secret(string)) is not None:
            owner = await self._clients.find_by_secret(secret)
            if owner is not None:
                client, credential = owner
                if await self._clients.retire_credential(client.client_id, credential.client_key, end_tokens=True):
                    return "client_secret", client.client_id
        elif (manager := find_manager(string)) is not None:
            registration = await self._clients.find_registration(manager.client_id)
            if registration is not None and compare_digest(registration.manager_digest, manager.digest):
                await self._clients.save_registration(replace(registration, manager_digest=b""))
                return "registration_access_token", manager.client_id
        elif (initial := find_initial(string)) is not None and await self._admissions.end_initial(initial):
            return "initial_access_token", ""
        return None


def _read_found(body: bytes) -> list[str]:
    """The strings of a report, each once."""
    found = read_object(body, frozenset({"found"})).get("found")
    if not isinstance(found, list) or not all(isinstance(string, str) for string in found):
        raise InvalidInput("found must be a list of strings")
    if len(found) > MAX_FOUND:
        raise InvalidInput(f"A report holds {MAX_FOUND} strings at most")
    return list(dict.fromkeys(found))
