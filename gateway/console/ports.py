"""What the pages need of the authority's endpoints; `gateway.authority.desk` has it."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from gateway.oauth.records import Account


class Accounts(Protocol):
    """Where accounts are."""

    async def find_account(self, username: str) -> Account | None:
        """The confirmed account of a (lower-cased) username."""


class Passwords(Protocol):
    """Who proves to own an account."""

    async def prove(self, request: web.Request, user: str, secret: str) -> Account:
        """
        The account with this username and password.

        Raises:
            AuthenticationRequired: They are no account's; unknown and wrong take the same path.
            TooManyRequests: They were wrong too often.
            Overloaded: If no password can be verified soon.
        """


class Desk(Protocol):
    """What the pages share with the endpoints, so that nothing is decided twice."""

    @property
    def clients(self) -> Accounts:
        """Accounts."""

    @property
    def ownership(self) -> Passwords:
        """Passwords."""

    async def read_form(self, request: web.Request) -> dict[str, str]:
        """
        The fields of a form, each at most once.

        Raises:
            GatewayError: It is none, or breaks a rule.
        """

    def request_id(self, request: web.Request) -> str:
        """The request's id, as the logs have it."""

    def facts(self, request: web.Request, **more: str | int) -> dict[str, dict[str, str | int]]:
        """The ``extra`` of a log record about a request."""
