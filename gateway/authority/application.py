"""Builds the aiohttp application of the own endpoints."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from gateway.authority.account import AccountActs, AccountEndpoint
from gateway.authority.admission import Admission, Probation
from gateway.authority.body import MAX_BODY
from gateway.authority.clients import ClientActs, ClientEndpoint
from gateway.authority.consents import ConsentActs, ConsentsEndpoint
from gateway.authority.describe import DescribedClients
from gateway.authority.desk import Desk
from gateway.authority.enrolment import Enrolment
from gateway.authority.hasher import Hasher
from gateway.authority.holdings import Holdings
from gateway.authority.identify import ClientAuthentication, IdleKeys
from gateway.authority.introspect import IntrospectionEndpoint
from gateway.authority.jwks import JwksEndpoint
from gateway.authority.keys import KeyActs, KeysEndpoint
from gateway.authority.leaks import LeaksEndpoint
from gateway.authority.metadata import MetadataEndpoint
from gateway.authority.owner import Ownership
from gateway.authority.register import RegistrationEndpoint
from gateway.authority.rescue import rescue
from gateway.authority.resources import ResourceMetadataEndpoint
from gateway.authority.revoke import RevocationEndpoint
from gateway.authority.settle import CaughtUp, settle
from gateway.authority.short import SHORT, within
from gateway.authority.signing import JwtAccess, SigningKeys
from gateway.authority.throttle import Throttle
from gateway.authority.token import TokenEndpoint
from gateway.config.model import Config
from gateway.errors import GatewayError
from gateway.oauth.metadata import endpoint_url, metadata_path
from gateway.oauth.ports import AdmissionStore, AuthorizationStore, ClientStore, SessionStore, SigningKeyStore, TokenStore
from gateway.oauth.records import JWT
from gateway.oauth.resources import WELL_KNOWN
from gateway.routing import known_resources
from gateway.telemetry.metrics import Registry

RUNNER_OPTIONS: dict[str, Any] = {
    "auto_decompress": False,  # own endpoints take no coded bodies (X06)
    "access_log": None,  # the edge writes it
    "max_headers": 256,  # the edge counts them; X-Gateway-* come on top
    "max_field_size": 16 * 1024,
    "max_line_size": 16 * 1024,
    "keepalive_timeout": 10 * 365 * 86_400.0,  # the edge ends what is idle; some that is here is busy, unseen by aiohttp
}
"""Keyword arguments for `aiohttp.web.AppRunner`."""


class Pages(Protocol):
    """What people see; `gateway.console` has it."""

    def refusal(self, request: web.Request, error: GatewayError) -> web.Response | None:
        """A refusal as a page; None where no page was asked for."""

    def add_to(self, app: web.Application, desk: Desk) -> None:
        """Add the pages, which do through the desk what the endpoints do."""


def build(
    config: Config, clients: ClientStore, tokens: TokenStore, admissions: AdmissionStore,
    authorizations: AuthorizationStore, hasher: Hasher, *,
    registry: Registry, entropy: Callable[[int], bytes] = os.urandom, clock: Callable[[], float] = time.monotonic,
    caught_up: CaughtUp | None = None, sessions: SessionStore | None = None, pages: Pages | None = None,
    signing_keys: SigningKeyStore | None = None, secrets: Sequence[bytes] = (),
) -> web.Application:
    """
    Build the application; its paths include the prefix.

    Args:
        config: The whole configuration.
        clients: Where accounts, clients and credentials are.
        tokens: Where tokens are.
        admissions: Where initial access tokens are, and who waits for the operator.
        authorizations: Where authorization codes and consents are.
        hasher: Closed by whoever made it.
        registry: Where the endpoints count.
        entropy: Gives random bytes.
        clock: Gives seconds that only rise, as the event loop's.
        caught_up: Awaited before an answer says that something has ended; None where no guard is in the process.
        sessions: Where sessions at the pages are; None where nobody can sign in.
        pages: What people see; None where there are none.
        signing_keys: Where the keys of JWT access tokens are.
        secrets: What they are sealed with, the current one first; without any no token is a JWT.
    """
    stores = _Stores(clients, tokens, admissions, authorizations, sessions)
    middlewares = _middlewares(config, caught_up, pages)
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
    app.on_response_prepare.append(_hide_server)
    parts = _Parts(config, stores, hasher, registry=registry, entropy=entropy, clock=clock)
    if signing_keys is not None and secrets:
        parts.signing_keys = SigningKeys(
            signing_keys, secrets, life_ms=config.oauth.signing_key_life // timedelta(milliseconds=1), now=tokens.now_ms,
            clock=clock, entropy=entropy,
        )  # fmt: skip
    _add_oauth(app, parts, middlewares)
    _add_metadata(app, parts)
    _add_registration(app, parts)
    _add_account(app, parts)
    _add_clients(app, parts)
    if pages is not None:
        holdings = Holdings(clients, tokens, parts.admission, parts.registration, parts.client_acts, parts.key_acts)
        resources = known_resources(config)
        desk = Desk(
            clients, parts.ownership, parts.acts, authorizations, parts.consents, resources, holdings, caught_up or _nobody
        )
        pages.add_to(app, desk)
    return app


@dataclass(frozen=True, slots=True)
class _Stores:
    clients: ClientStore
    tokens: TokenStore
    admissions: AdmissionStore
    authorizations: AuthorizationStore
    sessions: SessionStore | None


class _Parts:
    """What several endpoints share."""

    def __init__(
        self, config: Config, stores: _Stores, hasher: Hasher, *, registry: Registry, entropy: Callable[[int], bytes],
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        oauth, clients = config.oauth, stores.clients
        self.config, self.stores, self.registry, self.entropy = config, stores, registry, entropy
        self.prefix = oauth.prefix
        self.signing_keys: SigningKeys | None = None
        self.throttle = Throttle(oauth.attempts, key=os.urandom(16), clock=clock, registry=registry)
        idle = IdleKeys(clients, oauth.idle_key_ttl)
        token_endpoint = endpoint_url(oauth.issuer, oauth.prefix, "token")
        audiences = frozenset((oauth.issuer, token_endpoint) if oauth.assertion_for_token_endpoint else (oauth.issuer,))
        self.authenticate = ClientAuthentication(
            clients, self.throttle, idle, post=oauth.client_secret_post, public=oauth.sign_in, audiences=audiences
        )
        self.ownership = Ownership(clients, hasher, self.throttle, idle)
        self.admission = Admission(oauth, stores.admissions, self.throttle)
        self.enrolment = Enrolment(clients, hasher, entropy, Probation(oauth, stores.admissions))
        self.acts = AccountActs(clients, stores.authorizations, hasher, self.throttle, stores.sessions)
        self.client_acts, self.key_acts = ClientActs(clients), KeyActs(clients, self.enrolment, idle)
        self.consents = ConsentActs(clients, stores.authorizations)
        self.registration = RegistrationEndpoint(
            oauth, self.admission, self.enrolment, self.ownership, self.throttle, registry
        )


def _middlewares(config: Config, caught_up: CaughtUp | None, pages: Pages | None) -> list[Middleware]:
    own = f"{config.oauth.prefix}/oauth"
    oauth_paths = frozenset(f"{own}/{name}" for name in ("token", "introspect", "revoke", "leaks", "register"))

    def is_oauth(path: str) -> bool:
        return path in oauth_paths or path.startswith(f"{own}/register/")

    token_endpoint = endpoint_url(config.oauth.issuer, config.oauth.prefix, "token")
    rescued = rescue(is_oauth, token_endpoint) if pages is None else rescue(is_oauth, token_endpoint, pages.refusal)
    if caught_up is None:
        return [rescued]
    return [rescued, settle(caught_up, frozenset(f"{own}/{name}" for name in ("revoke", "leaks", "account/sign-out")))]


def _add_oauth(app: web.Application, parts: _Parts, middlewares: Sequence[Middleware]) -> None:
    """What clients ask: tokens, introspection, revocation, and what of theirs somebody found."""
    oauth, stores, authenticate = parts.config.oauth, parts.stores, parts.authenticate
    jwt = JwtAccess(parts.signing_keys, oauth.issuer, by_default=oauth.access_token_format == JWT)
    token = TokenEndpoint(
        oauth, authenticate, stores.clients, stores.tokens, stores.authorizations, jwt, resources=known_resources(parts.config),
        registry=parts.registry, entropy=parts.entropy,
    )  # fmt: skip
    short = {
        f"{parts.prefix}/oauth/token": token.handle,
        f"{parts.prefix}/oauth/introspect": IntrospectionEndpoint(oauth.issuer, authenticate, stores.tokens).handle,
        f"{parts.prefix}/oauth/revoke": RevocationEndpoint(authenticate, stores.tokens).handle,
    }
    for path, handle in short.items():
        app.router.add_post(path, handle)
    app[SHORT] = {path: within(handle, middlewares) for path, handle in short.items()}
    leaks = LeaksEndpoint(authenticate, stores.clients, stores.tokens, stores.admissions)
    app.router.add_post(f"{parts.prefix}/oauth/leaks", leaks.handle)


def _add_metadata(app: web.Application, parts: _Parts) -> None:
    """What anybody may know."""
    oauth, keys = parts.config.oauth, parts.signing_keys
    app.router.add_get(metadata_path(oauth.issuer), MetadataEndpoint(oauth, jwks=keys is not None).handle)
    if keys is not None:
        app.router.add_get(f"{parts.prefix}/oauth/jwks.json", JwksEndpoint(keys).handle)
    resources = ResourceMetadataEndpoint(parts.config)
    app.router.add_get(WELL_KNOWN, resources.handle)
    app.router.add_get(f"{WELL_KNOWN}/{{path:.*}}", resources.handle)


def _add_registration(app: web.Application, parts: _Parts) -> None:
    """Both ways to become a client."""
    oauth, prefix = parts.config.oauth, parts.prefix
    described = DescribedClients(
        oauth, parts.stores.clients, parts.admission, parts.enrolment, parts.throttle, parts.client_acts, parts.registry
    )
    app.router.add_post(f"{prefix}/oauth/register", described.register)
    app.router.add_get(f"{prefix}/oauth/register/{{client_id}}", described.show)
    app.router.add_put(f"{prefix}/oauth/register/{{client_id}}", described.replace)
    app.router.add_delete(f"{prefix}/oauth/register/{{client_id}}", described.delete)
    for name in dict.fromkeys(oauth.registration_paths):
        app.router.add_post(f"{prefix}/{name}", parts.registration.handle)
    if "clients" not in oauth.registration_paths:
        app.router.add_post(f"{prefix}/clients", parts.registration.handle_attach)


def _add_account(app: web.Application, parts: _Parts) -> None:
    """What an account asks and does of itself."""
    path, clients = f"{parts.prefix}/oauth/account", parts.stores.clients
    account = AccountEndpoint(clients, parts.ownership, parts.acts)
    app.router.add_get(path, account.show)
    app.router.add_delete(path, account.delete)
    app.router.add_put(f"{path}/password", account.change_password)
    app.router.add_post(f"{path}/sign-out", account.sign_out)
    if parts.config.oauth.sign_in:
        consents = ConsentsEndpoint(parts.consents, parts.ownership)
        app.router.add_get(f"{path}/consents", consents.list)
        app.router.add_delete(f"{path}/consents/{{client_id}}", consents.revoke)


def _add_clients(app: web.Application, parts: _Parts) -> None:
    """What owners ask and do of their clients and keys."""
    path = f"{parts.prefix}/clients"
    client = ClientEndpoint(parts.stores.clients, parts.ownership, parts.client_acts)
    app.router.add_get(path, client.list)
    app.router.add_get(f"{path}/{{client_id}}", client.show)
    app.router.add_patch(f"{path}/{{client_id}}", client.rename)
    app.router.add_delete(f"{path}/{{client_id}}", client.delete)
    keys = KeysEndpoint(parts.prefix, parts.enrolment, parts.ownership, parts.key_acts)
    app.router.add_get(f"{path}/{{client_id}}/keys", keys.list)
    app.router.add_post(f"{path}/{{client_id}}/keys", keys.add)
    app.router.add_patch(f"{path}/{{client_id}}/keys/{{client_key}}", keys.expire)
    app.router.add_delete(f"{path}/{{client_id}}/keys/{{client_key}}", keys.retire)


async def _nobody() -> None:
    """There is no guard to wait for."""


async def _hide_server(_request: web.Request, response: web.StreamResponse) -> None:
    """aiohttp names itself and its version."""
    response.headers.popall(hdrs.SERVER, None)
