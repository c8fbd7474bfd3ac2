"""Who calls: a client by one of its secrets (RFC 6749 section 2.3) or keys (RFC 7523 section 2.2)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from aiohttp import hdrs, web

from gateway.authority.throttle import Throttle, source
from gateway.errors import InvalidClient, InvalidRequest, PendingClient
from gateway.guard.attempts import Kind
from gateway.oauth.assertions import ASSERTION_TYPE, LEEWAY, PublicKey, claimed_client, verify
from gateway.oauth.basic import read_basic
from gateway.oauth.ports import ClientStore
from gateway.oauth.records import Client, Credential
from gateway.oauth.secrets import find_match, retires_at
from gateway.oauth.tokens import is_client_id, is_client_key, is_secret

_LOOKED = 10_000
"""Keys of which is remembered when they were looked at."""
_log = logging.getLogger("gateway.authority")


@dataclass(frozen=True, slots=True)
class Caller:
    """A client that proved who it is, and with which of its credentials."""

    client: Client
    client_key: str
    source: bytes = b""
    """Two bytes of a digest that tell one address from another; empty where it is not known."""


async def identify(clients: ClientStore, idle: IdleKeys, user: str, secret: str, source: bytes) -> Caller:
    """
    Find the client behind ``client_key:secret`` or ``client_id:secret``, called from a ``source``.

    Unknown and wrong take the same path: a string that can't be a secret is refused without a look-up whoever sends it, any
    other costs one look-up and one comparison at least.

    Raises:
        InvalidClient: If there is none, or it is disabled; only the ``reason`` tells which.  Who waits for the operator is found.
        StoreUnavailable: If the store does not answer.
    """
    if not is_secret(secret.encode("utf-8")):
        raise InvalidClient("malformed_secret")
    client, credentials = await _look_up(clients, user)
    match = find_match(credentials, secret)
    if client is None:
        raise InvalidClient("unknown_client")
    if match is None:
        raise InvalidClient("wrong_secret")
    _refuse_disabled(client)
    caller = Caller(client, match.client_key, mark_of(match.client_key, source))
    await idle.check(caller, match)
    return caller


def mark_of(client_key: str, source: bytes) -> bytes:
    """Two bytes for a source of this credential: enough to tell a few apart, too few to lead back to an address."""
    return sha256(b"source:%b:%b" % (client_key.encode("ascii"), source)).digest()[:2] if source else b""


class IdleKeys:
    """
    Keys that retire by themselves when nobody has used them for ``oauth.idle_key_ttl``, as soon as somebody tries.

    What is right is looked at once an hour at most, and its use is noted then: the token endpoint notes each, the others none.
    """

    def __init__(self, clients: ClientStore, ttl: timedelta) -> None:
        self._clients = clients
        self.ttl_ms = ttl // timedelta(milliseconds=1)
        """0: none retires by itself."""
        self._pause_ms = min(self.ttl_ms // 10, 3_600_000)
        self._looked: dict[str, int] = {}

    async def check(self, caller: Caller, credential: Credential) -> None:
        """
        Make sure that a key which has just been proved was not idle for too long; if it was, it is retired.

        Raises:
            InvalidClient: It was.
            StoreUnavailable: If the store does not answer.
        """
        if not self.ttl_ms:
            return
        now, client_key = await self._clients.now_ms(), caller.client_key
        if now < self._looked.get(client_key, 0) + self._pause_ms:
            return
        (used,) = await self._clients.last_used([client_key])
        if now >= retires_at(credential, used, self.ttl_ms):
            client_id = caller.client.client_id
            await self._clients.retire_credential(client_id, client_key, end_tokens=False)
            _log.info("key.retired", extra={"facts": {"client_id": client_id, "client_key": client_key, "by": "idle_key_ttl"}})
            raise InvalidClient("idle_key")
        await self._clients.note_use(client_key, caller.source)
        if len(self._looked) >= _LOOKED:
            self._looked.clear()
        self._looked[client_key] = now


def _refuse_disabled(client: Client) -> None:
    if not client.enabled and not client.pending:
        raise InvalidClient("disabled_client")


async def _look_up(clients: ClientStore, user: str) -> tuple[Client | None, list[Credential]]:
    if is_client_key(user):
        found = await clients.find_credential(user)
        return (None, []) if found is None else (found[0], [found[1]])
    if is_client_id(user):
        return await clients.find_credentials(user) or (None, [])
    return None, []


class ClientAuthentication:
    """Client authentication of the OAuth endpoints: HTTP Basic, a signed JWT, and the form where the configuration allows it."""

    def __init__(
        self, clients: ClientStore, throttle: Throttle, idle: IdleKeys, *, post: bool, public: bool, audiences: frozenset[str]
    ) -> None:
        """``post``, ``public``: whether those methods are on.  ``audiences``: what may stand in the ``aud`` of a signed JWT."""
        self._public = public
        self._clients = clients
        self._throttle = throttle
        self._idle = idle
        self._post = post
        self._audiences = audiences

    async def __call__(self, request: web.Request, form: dict[str, str], *, public: bool = False) -> Caller:
        """
        Authenticate the caller of an OAuth endpoint.

        With ``public`` a client that can't keep a secret may say who it is and no more (RFC 6749 section 3.2.1).

        Raises:
            InvalidRequest: If it uses two methods at once, or names another client in the form.
            InvalidClient: If it fails to authenticate, in whatever way.
            PendingClient: If it is right, and waits for the operator.
            TooManyRequests: If it failed too often.
            StoreUnavailable: If the store does not answer.
        """
        caller = await self._caller(request, form, public=public and self._public)
        if caller.client.pending:
            raise PendingClient
        return caller

    async def _caller(self, request: web.Request, form: dict[str, str], *, public: bool) -> Caller:
        headers = request.headers.getall(hdrs.AUTHORIZATION, ())
        in_form = "client_secret" in form or "client_assertion" in form
        if len(headers) > 1 or (headers and in_form) or ("client_secret" in form and "client_assertion" in form):
            raise InvalidRequest("Authenticate in one way, once")
        if "client_assertion" in form:
            return await self._by_assertion(request, form)
        if public and not headers and not in_form and "client_id" in form:
            return await self._by_name(request, form["client_id"])
        user, secret = self._from_form(form) if not headers else _from_header(headers[0])
        async with self._throttle.attempt(request, Kind.CLIENT, user, secret):
            caller = await identify(self._clients, self._idle, user, secret, source(request))
        if form.get("client_id", user) not in (user, caller.client.client_id):
            raise InvalidRequest("client_id names another client")
        return caller

    async def _by_name(self, request: web.Request, client_id: str) -> Caller:
        """Find a public client; any other has to authenticate, and is one answer with one that is unknown."""
        async with self._throttle.attempt(request, Kind.CLIENT, client_id, ""):
            client = await self._clients.find_client(client_id)
            if client is None or not client.public or not client.keys:
                raise InvalidClient("no_credentials")
            _refuse_disabled(client)
        return Caller(client, client.keys[0], mark_of(client.keys[0], source(request)))

    async def _by_assertion(self, request: web.Request, form: dict[str, str]) -> Caller:
        """
        Authenticate by private_key_jwt (RFC 7523 section 3).

        Unknown clients and wrong keys are one answer; a ``jti`` is spent only by an assertion that is right.
        """
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise InvalidClient("assertion_type")
        assertion = form["client_assertion"]
        client_id = claimed_client(assertion)
        if form.get("client_id", client_id) != client_id:
            raise InvalidRequest("client_id names another client")
        async with self._throttle.attempt(request, Kind.ASSERTION, client_id, ""):
            return await self._verify(assertion, client_id, source(request))

    async def _verify(self, assertion: str, client_id: str, source: bytes) -> Caller:
        found = await self._clients.find_credentials(client_id)
        if found is None:
            raise InvalidClient("unknown_client")
        client, credentials = found
        keys = [PublicKey(credential.client_key, credential.jwk) for credential in credentials if credential.jwk]
        now = await self._clients.now_ms() // 1000
        verified = verify(assertion, client_id, keys, audiences=self._audiences, now=now)
        _refuse_disabled(client)
        life = verified.expires_at + LEEWAY + 1 - now
        if not await self._clients.use_once(client_id, verified.jti, life * 1000):
            raise InvalidClient("assertion_replayed")
        caller = Caller(client, verified.client_key, mark_of(verified.client_key, source))
        await self._idle.check(caller, next(one for one in credentials if one.client_key == verified.client_key))
        return caller

    def _from_form(self, form: dict[str, str]) -> tuple[str, str]:
        if "client_secret" not in form:
            raise InvalidClient("no_credentials")
        if not self._post:
            raise InvalidClient("client_secret_post_off")
        return form.get("client_id", ""), form["client_secret"]


def _from_header(header: str) -> tuple[str, str]:
    basic = read_basic(header, form_encoded=True)
    if basic is None:
        raise InvalidClient("malformed_authorization")
    return basic.user, basic.password
