"""Builds the aiohttp application of the own endpoints."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import hdrs, web

from gateway.authority.account import AccountActs, AccountEndpoint
from gateway.authority.admission import Admission, Probation
from gateway.authority.body import MAX_BODY
from gateway.authority.clients import ClientEndpoint
from gateway.authority.consents import ConsentsEndpoint
from gateway.authority.describe import DescribedClients
from gateway.authority.desk import Desk
from gateway.authority.enrolment import Enrolment
from gateway.authority.hasher import Hasher
from gateway.authority.holdings import Holdings
from gateway.authority.identify import ClientAuthentication, IdleKeys
from gateway.authority.introspect import IntrospectionEndpoint
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
from gateway.authority.throttle import Throttle
from gateway.authority.token import TokenEndpoint
from gateway.config.model import Config
from gateway.errors import GatewayError
from gateway.oauth.metadata import endpoint_url, metadata_path
from gateway.oauth.ports import AdmissionStore, AuthorizationStore, ClientStore, SessionStore, TokenStore
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
    """
    oauth = config.oauth
    prefix = oauth.prefix
    oauth_paths = frozenset(f"{prefix}/oauth/{name}" for name in ("token", "introspect", "revoke", "leaks", "register"))

    def is_oauth(path: str) -> bool:
        return path in oauth_paths or path.startswith(f"{prefix}/oauth/register/")

    refused = endpoint_url(oauth.issuer, prefix, "token")
    middlewares = [rescue(is_oauth, refused) if pages is None else rescue(is_oauth, refused, pages.refusal)]
    if caught_up is not None:
        ending = frozenset(f"{prefix}/oauth/{name}" for name in ("revoke", "leaks", "account/sign-out"))
        middlewares.append(settle(caught_up, ending))
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY)
    app.on_response_prepare.append(_hide_server)

    throttle = Throttle(oauth.attempts, key=os.urandom(16), clock=clock, registry=registry)
    token_endpoint = endpoint_url(oauth.issuer, prefix, "token")
    audiences = frozenset((oauth.issuer, token_endpoint) if oauth.assertion_for_token_endpoint else (oauth.issuer,))
    idle = IdleKeys(clients, oauth.idle_key_ttl)
    authenticate = ClientAuthentication(
        clients, throttle, idle, post=oauth.client_secret_post, public=oauth.sign_in, audiences=audiences
    )
    resources_here = known_resources(config)
    token = TokenEndpoint(
        oauth, authenticate, clients, tokens, authorizations, resources=resources_here, registry=registry, entropy=entropy
    )
    add_post = app.router.add_post
    introspection = IntrospectionEndpoint(oauth.issuer, authenticate, tokens)
    revocation = RevocationEndpoint(authenticate, tokens)
    add_post(f"{prefix}/oauth/token", token.handle)
    add_post(f"{prefix}/oauth/introspect", introspection.handle)
    add_post(f"{prefix}/oauth/revoke", revocation.handle)
    app[SHORT] = {
        f"{prefix}/oauth/token": within(token.handle, middlewares),
        f"{prefix}/oauth/introspect": within(introspection.handle, middlewares),
        f"{prefix}/oauth/revoke": within(revocation.handle, middlewares),
    }
    add_post(f"{prefix}/oauth/leaks", LeaksEndpoint(authenticate, clients, tokens, admissions).handle)
    app.router.add_get(metadata_path(oauth.issuer), MetadataEndpoint(oauth).handle)
    resources = ResourceMetadataEndpoint(config)
    app.router.add_get(WELL_KNOWN, resources.handle)
    app.router.add_get(f"{WELL_KNOWN}/{{path:.*}}", resources.handle)

    admission = Admission(oauth, admissions, throttle)
    enrolment = Enrolment(clients, hasher, entropy, Probation(oauth, admissions))
    described = DescribedClients(oauth, clients, admission, enrolment, throttle, registry)
    add_post(f"{prefix}/oauth/register", described.register)
    app.router.add_get(f"{prefix}/oauth/register/{{client_id}}", described.show)
    app.router.add_put(f"{prefix}/oauth/register/{{client_id}}", described.replace)
    app.router.add_delete(f"{prefix}/oauth/register/{{client_id}}", described.delete)
    ownership = Ownership(clients, hasher, throttle, idle)
    acts = AccountActs(clients, authorizations, hasher, throttle, sessions)
    account = AccountEndpoint(clients, ownership, acts)
    app.router.add_get(f"{prefix}/oauth/account", account.show)
    app.router.add_delete(f"{prefix}/oauth/account", account.delete)
    app.router.add_put(f"{prefix}/oauth/account/password", account.change_password)
    add_post(f"{prefix}/oauth/account/sign-out", account.sign_out)
    if oauth.sign_in:
        consents = ConsentsEndpoint(clients, authorizations, ownership)
        app.router.add_get(f"{prefix}/oauth/account/consents", consents.list)
        app.router.add_delete(f"{prefix}/oauth/account/consents/{{client_id}}", consents.revoke)
    registration = RegistrationEndpoint(oauth, admission, enrolment, ownership, throttle, registry)
    for name in dict.fromkeys(oauth.registration_paths):
        add_post(f"{prefix}/{name}", registration.handle)
    if "clients" not in oauth.registration_paths:
        add_post(f"{prefix}/clients", registration.handle_attach)
    client = ClientEndpoint(clients, ownership)
    app.router.add_get(f"{prefix}/clients", client.list)
    app.router.add_get(f"{prefix}/clients/{{client_id}}", client.show)
    app.router.add_delete(f"{prefix}/clients/{{client_id}}", client.delete)
    app.router.add_patch(f"{prefix}/clients/{{client_id}}", client.rename)
    key_acts = KeyActs(clients, enrolment, idle)
    keys = KeysEndpoint(prefix, enrolment, ownership, key_acts)
    app.router.add_get(f"{prefix}/clients/{{client_id}}/keys", keys.list)
    add_post(f"{prefix}/clients/{{client_id}}/keys", keys.add)
    app.router.add_delete(f"{prefix}/clients/{{client_id}}/keys/{{client_key}}", keys.retire)
    if pages is not None:
        holdings = Holdings(clients, tokens, admission, registration, key_acts)
        pages.add_to(app, Desk(clients, ownership, acts, authorizations, resources_here, holdings, caught_up or _nobody))
    return app


async def _nobody() -> None:
    """There is no guard to wait for."""


async def _hide_server(_request: web.Request, response: web.StreamResponse) -> None:
    """aiohttp names itself and its version."""
    response.headers.popall(hdrs.SERVER, None)
