"""
What the OAuth rules need of a store; `gateway.store` is the adapter.

Every method raises `gateway.errors.StoreUnavailable` when the store does not answer in time or refuses the write: a caller
may never take an outage for an answer.  All multi-step changes are atomic (one Lua script each).  The clock is the store's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Protocol

from gateway.oauth.records import AccessToken, Account, Chain, Client, Code, Consent, Credential, Registration, SignIn, Use
from gateway.oauth.signing_keys import Ring
from gateway.oauth.tokens import AccessRef, CodeRef, InitialRef, RefreshRef, SecretRef

MAX_LIVE_TOKENS = 1_000_000
"""Access tokens of a client that have not expired, unless something else is said."""


class ClientStore(Protocol):
    """Accounts, clients and their credentials."""

    async def find_client(self, client_id: str) -> Client | None:
        """The client, or None (also for a string that is no client id)."""

    async def find_credential(self, client_key: str) -> tuple[Client, Credential] | None:
        """A live, unexpired credential with its client, in one round trip; None if either is missing."""

    async def find_credentials(self, client_id: str) -> tuple[Client, list[Credential]] | None:
        """A client with all its live, unexpired credentials, oldest first."""

    async def find_by_secret(self, ref: SecretRef) -> tuple[Client, Credential] | None:
        """The live credential with this secret, and its client."""

    async def find_account(self, username: str) -> Account | None:
        """The confirmed account of a (lower-cased) username."""

    async def claim_username(self, username: str, claim: str) -> bool:
        """Reserve a free username for 60 s under a random ``claim``; True again for the same claim, False when taken."""

    async def confirm_username(self, account: Account, claim: str, *, life_ms: int = 0) -> bool:
        """Turn a claim into the account, for a while or (0) for ever; repeatable; False when the claim was lost meanwhile."""

    async def release_username(self, username: str, claim: str) -> None:
        """Give a claim up.  Does nothing to a confirmed account or somebody else's claim."""

    async def change_password_hash(self, username: str, old: str, new: str) -> bool:
        """Replace the hash of an account's password; False when the account is gone or has another hash than ``old``."""

    async def delete_account(self, username: str) -> bool:
        """Delete an account that has no clients (any more), so that its username is free; False when it has some."""

    async def create_client(self, client: Client, credential: Credential, *, provisional: bool) -> None:
        """Write a new client with its first credential; a provisional one vanishes after 120 s unless kept."""

    async def keep_client(self, client_id: str, *, life_ms: int = 0) -> bool:
        """Keep a client and its credentials, for a while or (0) for ever; False when it has vanished."""

    async def save_registration(self, registration: Registration) -> bool:
        """
        Write what a client registered, in place of what it had; as provisional as the client.

        False when it is gone, or when its registration access token is another one by now (or ended).
        """

    async def find_registration(self, client_id: str) -> Registration | None:
        """What a client registered."""

    async def keep_account(self, username: str, client_id: str) -> bool:
        """Keep an account for ever, as this client of it is used; False when it is gone or has no such client."""

    async def link_client(self, username: str, client_id: str, *, at_most: int, life_ms: int = 0) -> bool:
        """
        Add a client to its account, which lives as long as the client then (0: for ever) or longer.

        False when the account is gone or already has ``at_most`` clients.
        """

    async def unlink_client(self, username: str, client_id: str) -> None:
        """Take a client off its account."""

    async def delete_client(self, client_id: str) -> bool:
        """Delete a client and its credentials: all its tokens are dead at once.  False when there was none."""

    async def change_client(
        self, client_id: str, *, enabled: bool | None = None, scopes: frozenset[str] | None = None,
        permissions: frozenset[str] | None = None, grants: frozenset[str] | None = None,
        redirect_uris: tuple[str, ...] | None = None, name: str | None = None, access_ttl_ms: int | None = None,
        refresh_ttl_ms: int | None = None, max_live_chains: int | None = None, max_live_tokens: int | None = None,
        access_token_format: str | None = None, plan: str | None = None,
        fixed: frozenset[str] | None = None, end_tokens: bool = False, own: bool = False,
    ) -> Client | None:
        """
        Change what is given, atomically; ``end_tokens`` raises the epoch.  The client as it is now, or None.

        ``own``: it is the client that asks, so what the operator has ``fixed`` stays.
        """

    async def add_credential(self, credential: Credential, *, at_most: int) -> bool:
        """Add a credential to its client; False when the client is gone, has ``at_most``, or retired too many of late."""

    async def retire_credential(self, client_id: str, client_key: str, *, end_tokens: bool) -> bool:
        """
        End a credential, and with ``end_tokens`` whatever was issued with it, of one that is retired already too.

        False when it was not the client's, or was retired and there is nothing left to end.
        """

    async def expire_credential(self, client_id: str, client_key: str, *, after_ms: int) -> Credential | None:
        """Have a credential end by itself ``after_ms`` from now (0: never); as it is then, None when it is not the client's."""

    async def last_used(self, client_keys: list[str]) -> list[Use]:
        """When each credential last got a token, and from how many places."""

    async def note_use(self, client_key: str, source: bytes) -> None:
        """Note that a credential is used, from a source (two bytes; empty where it is not known)."""

    async def use_once(self, client_id: str, jti: str, life_ms: int) -> bool:
        """Note that a client used a ``jti``, for as long as it could be used again; False when it did so before."""

    async def now_ms(self) -> int:
        """The store's clock."""


class AdmissionStore(Protocol):
    """Who may register, by initial access tokens (RFC 7591 section 3), and who waits for the operator."""

    async def add_initial(self, ref: InitialRef, *, uses: int, life_ms: int) -> None:
        """Make an initial access token good for ``uses`` registrations within ``life_ms``."""

    async def find_initial(self, ref: InitialRef) -> bool:
        """Whether an initial access token has a use left."""

    async def spend_initial(self, ref: InitialRef) -> bool:
        """Take one use; False when there is none (any more)."""

    async def return_initial(self, ref: InitialRef) -> None:
        """Give a use back that came to nothing."""

    async def end_initial(self, ref: InitialRef) -> bool:
        """End an initial access token; False when it was over."""

    async def add_pending(self, client_id: str, *, life_ms: int) -> bool:
        """Note who waits for the operator, for ``life_ms`` at most (0: for ever); False when too many do."""

    async def pending(self) -> list[str]:
        """The client ids that may wait, who came first first; some may have been decided on or be gone."""

    async def count_client(self, client_id: str, *, at_most: int, life_ms: int) -> bool:
        """
        Count a client that registers itself, for ``life_ms`` unless `ClientStore.keep_client` says more.

        False when ``at_most`` are there already; those that have vanished or were deleted are not counted.
        """

    async def forget_pending(self, client_id: str) -> None:
        """Take a client off that list."""

    async def decide(self, client_id: str, *, approved: bool) -> bool:
        """Enable a client that waits, or disable it; False when it does not wait (any more)."""


class SessionStore(Protocol):
    """Who is signed in to the pages.  Each of these can be repeated."""

    async def begin_session(self, session: SignIn, *, idle_ms: int, life_ms: int, at_most: int) -> None:
        """Write a new session; an account that has ``at_most`` loses its oldest one."""

    async def use_session(self, digest: bytes, *, idle_ms: int, life_ms: int) -> SignIn | None:
        """The session with this digest, which was used now; None when there is none, or its time has come."""

    async def end_session(self, session: SignIn) -> None:
        """End a session."""

    async def end_sessions(self, username: str) -> None:
        """End all sessions of an account."""

    async def sessions_of(self, username: str) -> list[SignIn]:
        """The sessions of an account that live, oldest first."""


@dataclass(frozen=True, slots=True)
class NewTokens:
    """What was minted for an answer: references and digests only, and the sealed successor for an idempotent retry."""

    access: AccessRef
    refresh: RefreshRef | None
    sealed: bytes = b""
    """AEAD blob of the successor pair under a key derived from the presented refresh token; empty when issuing."""


class Issued(IntEnum):
    """What became of new tokens; false when they were not stored."""

    REFUSED = 0
    """The client is gone or disabled, or the credential was retired meanwhile."""
    STORED = 1
    UNKEPT = 2
    """Stored, and the client is one that vanishes by itself unless it is kept."""


class RefreshOutcome(Enum):
    """What became of a presented refresh token."""

    ROTATED = "rotated"
    """It was current: the new pair stands."""
    REPEATED = "repeated"
    """It was spent within the grace and its successor not presented yet: the sealed successor is handed out again."""
    UNKNOWN = "unknown"
    """Unknown, expired, another client's, or its client/credential is no more: nothing was changed."""
    REPLAYED = "replayed"
    """It was spent: the chain and its access tokens are dead now."""
    MISDIRECTED = "misdirected"
    """A resource asked for is none of the chain's: nothing was changed."""
    WIDENED = "widened"
    """The scope asked for exceeds the chain's: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The store's answer to a refresh."""

    outcome: RefreshOutcome
    scopes: frozenset[str] = frozenset()
    """Scopes of the new access token."""
    expires_in: int = 0
    """Whole seconds that the access token has left (rounded down)."""
    sealed: bytes = b""
    """REPEATED only."""


class TokenStore(Protocol):
    """Tokens and chains."""

    async def issue(
        self, client: Client, client_key: str, tokens: NewTokens, scopes: frozenset[str], *,
        access_ttl_ms: int, refresh_ttl_ms: int, max_live_chains: int, source: bytes = b"",
        audience: frozenset[str] = frozenset(), max_live_tokens: int = MAX_LIVE_TOKENS,
    ) -> Issued:
        """
        Store a new access token and, where ``tokens.refresh`` is given, its chain; note the use of the credential.

        A chain over ``max_live_chains`` takes the refresh token from the client's oldest one, never its access tokens.

        Raises:
            TooManyRequests: ``max_live_tokens`` access tokens of the client have not expired; so with the two below.
        """

    async def refresh(
        self, client_id: str, client_key: str, presented: RefreshRef, tokens: NewTokens, scopes: frozenset[str] | None, *,
        access_ttl_ms: int, grace_ms: int, source: bytes = b"",
        audience: frozenset[str] = frozenset(), max_live_tokens: int = MAX_LIVE_TOKENS,
    ) -> Refreshed:
        """
        Present a refresh token: one script decides, rotates and keeps or discards the minted successor.

        ``scopes`` None means the scope of the presented token, an empty ``audience`` its resources.
        ``tokens.refresh`` is of the presented token's chain.
        """

    async def find_access(self, ref: AccessRef) -> tuple[AccessToken, Client | None, int] | None:
        """The record of an access token with its client (None when the client is gone), and the store's time, ms."""

    async def find_refresh(self, ref: RefreshRef) -> tuple[Chain, Client | None, int] | None:
        """The chain whose *current* refresh token this is, with its client and the time; None for a spent or unknown one."""

    async def find_chain(self, ref: RefreshRef) -> Chain | None:
        """The chain of a refresh token, whether it is the current one or not."""

    async def revoke_access(self, client_id: str, ref: AccessRef) -> bool:
        """End an access token if it is the client's; False (and nothing done) otherwise."""

    async def revoke_refresh(self, client_id: str, ref: RefreshRef) -> bool:
        """End the chain and its access tokens if it is the client's, whichever token of the chain was presented."""

    async def revoke_chain(self, client_id: str, chain_id: str) -> bool:
        """The same by the chain's id; False also for a string that is none."""

    async def find_chains(self, client_id: str, *, at_most: int) -> list[Chain]:
        """Chains of a client that have a refresh token whose time has not come, those first that live longest."""

    async def end_leaked_chain(self, ref: RefreshRef) -> str | None:
        """
        End the chain and its access tokens, whoever's it is, if this is its present or its last refresh token.

        Returns the client id, or None when nothing was ended.
        """

    async def now_ms(self) -> int:
        """The store's clock."""


class SigningKeyStore(Protocol):
    """The keys that sign JWT access tokens."""

    async def find_ring(self) -> Ring:
        """The keys, oldest first."""

    async def replace_ring(self, old: Ring, new: Ring, *, life_ms: int) -> bool:
        """Put ``new`` in the place of ``old``, for ``life_ms``; False when something else is there by now."""


class RedeemOutcome(Enum):
    """What became of a presented authorization code."""

    ISSUED = "issued"
    """It was good: the pair stands."""
    BURNED = "burned"
    """Redirect URI or verifier were wrong: nobody can use it any more."""
    REPLAYED = "replayed"
    """It was used before: the chain that it began is dead now (RFC 6749 section 4.1.2)."""
    UNKNOWN = "unknown"
    """Unknown, over, another client's, or what it rests on is no more: nothing was changed."""


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The store's answer to an authorization code."""

    outcome: RedeemOutcome
    scopes: frozenset[str] = frozenset()
    unkept: bool = False
    """Issued, and the client is one that vanishes by itself unless it is kept."""


class AuthorizationStore(Protocol):
    """Authorization codes, and the consents that they rest on."""

    async def add_code(self, ref: CodeRef, code: Code, *, life_ms: int) -> None:
        """Keep what a new code stands for."""

    async def find_code(self, ref: CodeRef) -> Code | None:
        """What a code stands for, used or not; None when it is over."""

    async def redeem(
        self, ref: CodeRef, code: Code, client_key: str, tokens: NewTokens, *, sound: bool, refresh: bool,
        access_ttl_ms: int, idle_ms: int, longest_ms: int, max_live_chains: int, source: bytes = b"",
        audience: frozenset[str] = frozenset(), max_live_tokens: int = MAX_LIVE_TOKENS,
    ) -> Redeemed:
        """
        Exchange a code, once: one script decides.

        ``tokens.refresh`` names the chain in any case; only with ``refresh`` is there such a token.  ``sound``: whether
        redirect URI and verifier were right.  Over ``max_live_chains`` of this client and account the oldest one ends.
        """

    async def give_consent(self, account: Account, client_id: str, scopes: frozenset[str], *, at_most: int) -> Consent | None:
        """Remember a consent, beside what it allowed before; None when the account gave ``at_most`` to others, or is gone."""

    async def find_consent(self, client_id: str, subject: str) -> Consent | None:
        """What an account lets a client do."""

    async def consents(self, account: Account) -> list[tuple[Consent, int]]:
        """The consents that an account gave, with the time of the last one in ms, oldest first."""

    async def end_consent(self, account: Account, client_id: str, *, forget: bool) -> bool:
        """End all tokens and codes that rest on a consent, and with ``forget`` the consent; False when there was none."""
