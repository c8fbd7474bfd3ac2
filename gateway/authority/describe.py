"""``{prefix}/oauth/register``: dynamic client registration (RFC 7591) and its management (RFC 7592)."""

from __future__ import annotations

import logging
from hmac import compare_digest

import orjson
from aiohttp import hdrs, web

from gateway.authority.admission import Admission
from gateway.authority.answers import PENDING, answer, answer_empty
from gateway.authority.body import read_json_bytes
from gateway.authority.clients import ClientActs
from gateway.authority.enrolment import Enrolment, Traits
from gateway.authority.register import log_registered
from gateway.authority.rescue import facts
from gateway.authority.throttle import Throttle
from gateway.config.model import OAuth
from gateway.errors import InvalidClientMetadata, InvalidRegistrationToken, StoreUnavailable, TokenRefused
from gateway.guard.attempts import Kind
from gateway.guard.bearer import bearer
from gateway.oauth.authorization import RESPONSE_TYPE
from gateway.oauth.client_metadata import Offer, public_keys, read_client_metadata, read_replacement, redirect_uris
from gateway.oauth.grants import AUTHORIZATION_CODE, grant_types
from gateway.oauth.metadata import NONE, auth_methods, endpoint_url
from gateway.oauth.ports import ClientStore
from gateway.oauth.records import Client, Credential, Registration
from gateway.oauth.scopes import parse_scope, write_scope
from gateway.oauth.secrets import find_match
from gateway.oauth.tokens import find_manager
from gateway.telemetry.metrics import Registry

_log = logging.getLogger("gateway.authority")

_NONE: frozenset[str] = frozenset()


class DescribedClients:
    """
    Clients that describe themselves.  They have no account: the registration access token is what manages them.

    The plain registration (username and password) stays as it is; this is a second way in, under the same switch.
    """

    def __init__(
        self, oauth: OAuth, clients: ClientStore, admission: Admission, enrolment: Enrolment, throttle: Throttle,
        acts: ClientActs, registry: Registry,
    ) -> None:  # fmt: skip
        self._acts = acts
        self._admission = admission
        self._pending = oauth.registration == "approval"
        self._url = endpoint_url(oauth.issuer, oauth.prefix, "register")
        self._offer = Offer(
            grant_types(refresh=oauth.refresh_for_client_credentials, sign_in=oauth.sign_in),
            (*auth_methods(client_secret_post=oauth.client_secret_post), *((NONE,) if oauth.sign_in else ())),
            frozenset(oauth.default_scopes),
        )
        self._clients = clients
        self._enrolment = enrolment
        self._throttle = throttle
        self._registered = registry.counter("gateway_registrations_total", "Clients registered over HTTP")

    async def register(self, request: web.Request) -> web.Response:
        """Register (RFC 7591 section 3.1); the answer shows secret and registration access token for the only time."""
        paid_with = await self._admission.admit(request)
        metadata = read_client_metadata(await read_json_bytes(request), self._offer)
        name = str(metadata.pop("client_name", ""))  # the client's record has it, for all who show it
        self._throttle.register(request)
        async with self._admission.paid(paid_with):
            issued, token = await self._enrolment.describe(
                _scopes(metadata), _grants(metadata), orjson.dumps(metadata), public_keys(metadata),
                traits=Traits(name, redirect_uris(metadata), public=_is_public(metadata)),
            )  # fmt: skip
        self._registered.inc()
        log_registered(request, issued, pending=self._pending, token_id=paid_with.token_id if paid_with else "")
        secret: dict[str, object] = {}
        if issued.client_secret:
            secret = {"client_key": issued.client_key, "client_secret": issued.client_secret, "client_secret_expires_at": 0}
        created = await self._issued_at(issued.client_id)
        location = ((hdrs.LOCATION, f"{self._url}/{issued.client_id}"),)
        waiting = PENDING if self._pending else {}
        document = {**self._document(issued.client_id, name, token, metadata), **secret, **created, **waiting}
        return answer(document, status=201, headers=location)

    async def show(self, request: web.Request) -> web.Response:
        """Answer what is registered (RFC 7592 section 2.1); the secret is known to nobody here."""
        client, registration, token = await self._authenticate(request)
        return self._shown(client, orjson.loads(registration.metadata), token)

    async def replace(self, request: web.Request) -> web.Response:
        """
        Replace all that is registered (RFC 7592 section 2.2), which may come out as less (section 2.2.1).

        Scopes that the operator granted are the operator's to take, and what the operator has set is the operator's to change.
        """
        client, registration, token = await self._authenticate(request)
        found = await self._clients.find_credentials(client.client_id)
        credentials = found[1] if found is not None else []
        metadata = read_replacement(
            await read_json_bytes(request), self._offer, client.client_id,
            lambda secret: find_match(credentials, secret) is not None,
        )  # fmt: skip
        if _is_public(metadata) != client.public:
            raise InvalidClientMetadata("token_endpoint_auth_method: a client that can't keep a secret can't become another one")
        name = str(metadata.pop("client_name", ""))
        await self._replace_keys(client.client_id, credentials, public_keys(metadata))
        scopes = _scopes(metadata) | (client.scopes - self._offer.scopes)
        changed = await self._clients.change_client(
            client.client_id, scopes=scopes, grants=_grants(metadata), redirect_uris=redirect_uris(metadata), name=name,
            own=True,
        )  # fmt: skip
        saved = Registration(client.client_id, registration.manager_digest, orjson.dumps(metadata))
        if changed is None or not await self._clients.save_registration(saved):
            raise InvalidRegistrationToken(sent=True, reason="deleted_meanwhile")
        _log.info("client.changed", extra=facts(request, client_id=client.client_id))
        return self._shown(changed, metadata, token)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete the client (RFC 7592 section 2.3); all its tokens are dead before the answer goes out."""
        client, _, _ = await self._authenticate(request)
        await self._acts.delete(request, client.client_id, account=client.account, by="registration_access_token")
        return answer_empty(204)

    async def _issued_at(self, client_id: str) -> dict[str, object]:
        """When a client came into being, as far as the store can say: what it was told of its secret must reach it anyway."""
        try:
            client = await self._clients.find_client(client_id)
        except StoreUnavailable:
            return {}
        return {"client_id_issued_at": client.issued_at // 1000} if client is not None else {}

    async def _replace_keys(self, client_id: str, credentials: list[Credential], jwks: list[bytes]) -> None:
        """
        Make these the client's public keys, the new ones first, so that it is never without.

        A secret stays whatever is registered: it is nobody's to give back, and ``/keys`` retires it.
        """
        have = {credential.jwk: credential.client_key for credential in credentials if credential.jwk}
        if not jwks and have and len(have) == len(credentials):
            raise InvalidClientMetadata("token_endpoint_auth_method: the client has no secret, so it keeps private_key_jwt")
        for jwk in jwks:
            if jwk not in have:
                await self._enrolment.add_public_key(client_id, jwk)
        for jwk, client_key in have.items():
            if jwk not in jwks:
                await self._clients.retire_credential(client_id, client_key, end_tokens=False)

    async def _authenticate(self, request: web.Request) -> tuple[Client, Registration, str]:
        """
        The client in the path, by its registration access token.

        Raises:
            InvalidRegistrationToken: There is none, or another; for an unknown client too (section 2: never 404).
            TooManyRequests: There was another one too often.
            StoreUnavailable: If the store does not answer.
        """
        headers = request.headers.getall(hdrs.AUTHORIZATION, ())
        try:
            token = bearer(headers[0].encode("utf-8") if len(headers) == 1 else None)
        except TokenRefused as refused:
            raise InvalidRegistrationToken(sent=False, reason=refused.code) from None
        said, client_id = token.decode("latin-1"), request.match_info["client_id"]
        async with self._throttle.attempt(request, Kind.REGISTRATION, client_id, said):
            client, registration = await self._managed(client_id, token)
        return client, registration, said

    async def _managed(self, client_id: str, token: bytes) -> tuple[Client, Registration]:
        ref = find_manager(token)
        if ref is None or ref.client_id != client_id:
            raise InvalidRegistrationToken(sent=True, reason="no token of this client")
        registration = await self._clients.find_registration(client_id)
        client = await self._clients.find_client(client_id)
        digest = registration.manager_digest if registration is not None else bytes(32)
        if not compare_digest(digest, ref.digest) or registration is None or client is None:
            raise InvalidRegistrationToken(sent=True, reason="unknown or replaced")
        return client, registration

    def _shown(self, client: Client, metadata: dict[str, object], token: str) -> web.Response:
        issued = {"client_id_issued_at": client.issued_at // 1000}
        waiting = PENDING if client.pending else {}
        return answer({**self._document(client.client_id, client.name, token, _as_fixed(client, metadata)), **issued, **waiting})

    def _document(self, client_id: str, name: str, token: str, metadata: dict[str, object]) -> dict[str, object]:
        return {
            "client_id": client_id,
            "registration_access_token": token,
            "registration_client_uri": f"{self._url}/{client_id}",
            **({"client_name": name} if name else {}),
            **metadata,
        }


def _scopes(metadata: dict[str, object]) -> frozenset[str]:
    return parse_scope(str(metadata["scope"])) if "scope" in metadata else _NONE


def _as_fixed(client: Client, metadata: dict[str, object]) -> dict[str, object]:
    """What a client registered, with what the operator has set in its place."""
    shown = dict(metadata)
    if "scopes" in client.fixed:
        shown["scope"] = write_scope(client.scopes)
    if "grants" in client.fixed:
        shown["grant_types"] = sorted(client.grants)
        shown["response_types"] = [RESPONSE_TYPE] if client.may_use(AUTHORIZATION_CODE) else []
    if "redirect_uris" in client.fixed:
        shown["redirect_uris"] = list(client.redirect_uris)
    return shown


def _is_public(metadata: dict[str, object]) -> bool:
    return metadata["token_endpoint_auth_method"] == NONE


def _grants(metadata: dict[str, object]) -> frozenset[str]:
    grants = metadata["grant_types"]
    return frozenset(str(grant) for grant in grants) if isinstance(grants, list) else _NONE
