"""``POST {prefix}/register`` and ``POST {prefix}/clients``: the plain registration, and further clients of an account."""

from __future__ import annotations

import logging

from aiohttp import hdrs, web

from gateway.authority.admission import Admission
from gateway.authority.answers import answer_created
from gateway.authority.body import read_json_bytes, read_optional_json_bytes
from gateway.authority.enrolment import Enrolment
from gateway.authority.owner import Ownership
from gateway.authority.rescue import facts
from gateway.authority.throttle import Throttle, stranger
from gateway.config.model import OAuth
from gateway.errors import AuthenticationRequired
from gateway.oauth.records import Account
from gateway.oauth.registration import read_nothing, read_registration
from gateway.oauth.secrets import IssuedKey
from gateway.telemetry.metrics import Registry

_log = logging.getLogger("gateway.authority")


class RegistrationEndpoint:
    """
    Registers whoever the configuration's ``registration`` admits.

    A request with credentials is an account that wants another client.  Either way a client may be granted
    ``default_scopes`` at most; more only by the operator.
    """

    def __init__(
        self, oauth: OAuth, admission: Admission, enrolment: Enrolment, ownership: Ownership, throttle: Throttle,
        registry: Registry,
    ) -> None:  # fmt: skip
        self._admission = admission
        self._pending = oauth.registration == "approval"
        self._scopes = frozenset(oauth.default_scopes)
        self._clients_path = f"{oauth.prefix}/clients"
        self._enrolment = enrolment
        self._ownership = ownership
        self._throttle = throttle
        self._registered = registry.counter("gateway_registrations_total", "Clients registered over HTTP")

    async def handle(self, request: web.Request) -> web.Response:
        """Register an account with its first client, or with the account's credentials another client."""
        paid_with = await self._admission.admit(request)
        if paid_with is None and hdrs.AUTHORIZATION in request.headers:
            return await self._attach(request)
        registration = read_registration(await read_json_bytes(request))
        self._throttle.register(request)
        async with self._admission.paid(paid_with):
            issued = await self._enrolment.register(
                registration.username, registration.password, self._scopes, source=stranger(request)
            )
        return self._created(request, issued, token_id=paid_with.token_id if paid_with else "")

    async def handle_attach(self, request: web.Request) -> web.Response:
        """Only further clients: where ``registration_paths`` does not name this path."""
        self._admission.admit_account()  # before anybody is asked who he is
        if hdrs.AUTHORIZATION not in request.headers:
            raise AuthenticationRequired(reason="no_credentials")
        return await self._attach(request)

    async def _attach(self, request: web.Request) -> web.Response:
        read_nothing(await read_optional_json_bytes(request))
        issued = await self.attach(request, await self._ownership.account_of(request))
        return answer_created(issued, f"{self._clients_path}/{issued.client_id}", pending=self._pending)

    async def attach(self, request: web.Request, account: Account) -> IssuedKey:
        """
        Make another client of an account, for whoever proved to own it.

        Raises:
            Forbidden: Registration is closed, or takes an initial access token.
            Conflict: The account has too many clients.
            StoreUnavailable: If the store does not answer.
        """
        self._admission.admit_account()
        issued = await self._enrolment.attach(account.username, self._scopes)
        self._note(request, issued)
        return issued

    def _note(self, request: web.Request, issued: IssuedKey, token_id: str = "") -> None:
        self._registered.inc()
        log_registered(request, issued, pending=self._pending, token_id=token_id)

    def _created(self, request: web.Request, issued: IssuedKey, token_id: str = "") -> web.Response:
        self._note(request, issued, token_id)
        return answer_created(issued, f"{self._clients_path}/{issued.client_id}", pending=self._pending)


def log_registered(request: web.Request, issued: IssuedKey, *, pending: bool, token_id: str) -> None:
    """Say who registered; ``token_id`` is that of the initial access token, empty where none was asked for."""
    more: dict[str, str | int] = {**({"pending": 1} if pending else {}), **({"token_id": token_id} if token_id else {})}
    _log.info("client.registered", extra=facts(request, client_id=issued.client_id, client_key=issued.client_key, **more))
