"""What the pages share with the endpoints, so that nothing is decided twice; `gateway.console.ports` says what they need."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from gateway.authority.account import AccountActs
from gateway.authority.body import read_form
from gateway.authority.consents import ConsentActs
from gateway.authority.holdings import Holdings
from gateway.authority.owner import Ownership
from gateway.authority.rescue import facts, request_id
from gateway.authority.settle import CaughtUp
from gateway.oauth.ports import AuthorizationStore, ClientStore


@dataclass(frozen=True, slots=True)
class Desk:
    """The same stores, limits and rules as behind the endpoints of this application."""

    clients: ClientStore
    ownership: Ownership
    acts: AccountActs
    authorizations: AuthorizationStore
    consents: ConsentActs
    resources: frozenset[str]
    """What tokens can be for."""
    holdings: Holdings
    caught_up: CaughtUp
    """As in `gateway.authority.settle`."""

    async def read_form(self, request: web.Request) -> dict[str, str]:
        """The fields of a form, as `gateway.authority.body.read_form`."""
        return await read_form(request)

    def request_id(self, request: web.Request) -> str:
        """The request's id, as the edge set it."""
        return request_id(request)

    def facts(self, request: web.Request, **more: str | int) -> dict[str, dict[str, str | int]]:
        """The ``extra`` of a log record about a request."""
        return facts(request, **more)
