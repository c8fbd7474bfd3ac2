"""What the pages need of the authority's endpoints; `gateway.authority.desk` has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from gateway.oauth.ports import AuthorizationStore
from gateway.oauth.records import Account, Chain, Client, Consent, Credential, Use
from gateway.oauth.secrets import IssuedKey


class Accounts(Protocol):
    """Where accounts and clients are."""

    async def find_account(self, username: str) -> Account | None:
        """The confirmed account of a (lower-cased) username."""

    async def find_client(self, client_id: str) -> Client | None:
        """The client, or None (also for a string that is no client id)."""


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


class AccountActs(Protocol):
    """What is done to an account."""

    async def change_password(self, request: web.Request, account: Account, password: str) -> Account:
        """
        Replace the password; all sessions end.

        Raises:
            Conflict: It was changed meanwhile.
            TooManyRequests, Overloaded: No password can be hashed soon.
        """

    async def sign_out(self, request: web.Request, account: Account) -> None:
        """End all tokens of all clients of the account, and all its sessions."""


class Consents(Protocol):
    """Which clients may act for an account."""

    async def list(self, account: Account) -> list[tuple[Consent, Client, int]]:
        """The consents, oldest first, with their clients and times (ms)."""

    async def give(self, account: Account, client_id: str, scopes: frozenset[str]) -> Consent | None:
        """
        Remember a consent; None when the account is gone.

        Raises:
            Conflict: It let too many act for it.
        """

    async def end(self, request: web.Request, account: Account, client_id: str) -> None:
        """
        Forget a consent; all tokens that rest on it are dead.

        Raises:
            NotFound: There is none.
        """


class Holdings(Protocol):
    """The clients of an account; `NotFound` for what is not its own."""

    @property
    def may_add(self) -> bool:
        """Whether an account may make itself another client here."""

    async def clients(self, account: Account) -> list[Client]:
        """The clients of an account, oldest first."""

    async def client(self, account: Account, client_id: str) -> Client:
        """One of them."""

    async def add_client(self, request: web.Request, account: Account) -> IssuedKey:
        """Make another one."""

    async def rename_client(self, request: web.Request, account: Account, client_id: str, name: str) -> None:
        """Change what people see of a client; empty: no name.  Raises `InvalidInput` for what can be none."""

    async def delete_client(self, request: web.Request, account: Account, client_id: str) -> None:
        """Delete a client; all its tokens are dead."""

    async def keys(self, client: Client) -> list[tuple[Credential, Use, int]]:
        """The live keys of a client, oldest first, each with its last use and when it retires by itself (ms; 0: never)."""

    async def add_key(self, request: web.Request, account: Account, client_id: str, *, after_ms: int) -> IssuedKey:
        """Add a key, which expires after that time (0: never)."""

    async def retire_key(
        self, request: web.Request, account: Account, client_id: str, client_key: str, *, end_tokens: bool
    ) -> None:
        """Retire a key; with ``end_tokens`` what was issued with it ends too."""

    async def chains(self, client: Client) -> list[Chain]:
        """The chains of a client that live and can be refreshed, the youngest ones first; so many at most."""

    async def end_chain(self, request: web.Request, account: Account, client_id: str, chain_id: str) -> None:
        """End a chain with its access tokens; one that is over already is no fault."""

    async def end_tokens(self, request: web.Request, account: Account, client_id: str) -> None:
        """End all tokens of a client."""


class Desk(Protocol):
    """What the pages share with the endpoints, so that nothing is decided twice."""

    @property
    def clients(self) -> Accounts:
        """Accounts and clients."""

    @property
    def authorizations(self) -> AuthorizationStore:
        """Authorization codes and consents."""

    @property
    def consents(self) -> Consents:
        """Which clients may act for an account."""

    @property
    def resources(self) -> frozenset[str]:
        """What tokens can be for (RFC 8707)."""

    @property
    def ownership(self) -> Passwords:
        """Passwords."""

    @property
    def acts(self) -> AccountActs:
        """What is done to an account."""

    @property
    def holdings(self) -> Holdings:
        """Its clients."""

    @property
    def caught_up(self) -> Callable[[], Awaitable[None]]:
        """Awaited before an answer says that something has ended."""

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
