"""What the store keeps of accounts, clients, credentials and tokens, as values.  Times are the store's, in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

JWT = "jwt"
"""The format of access tokens that are JWTs (RFC 9068)."""
INTROSPECT_ANY = "introspect:any"
"""The client permission, granted by the operator, to introspect tokens of other clients."""
FIXABLE = frozenset({"scopes", "grants", "redirect_uris"})
"""Of what a client says of itself (RFC 7591), what bounds it."""


@dataclass(frozen=True, slots=True)
class Client:
    """
    Who is called; ``client_id`` names it for ever.

    A token is dead once its ``epoch`` is below the client's, or its credential stands in ``retired``: both are one write of
    this record, which every verdict cache hears of.
    """

    client_id: str
    account: str
    """Username of the owning account; empty for a client that the operator made without one."""
    enabled: bool = True
    scopes: frozenset[str] = frozenset()
    """All that it may be granted."""
    permissions: frozenset[str] = frozenset()
    epoch: int = 0
    keys: tuple[str, ...] = ()
    """Its live client_keys, oldest first."""
    retired: Mapping[str, int] = field(default_factory=dict)
    """client_key -> when it was retired together with its tokens; kept while such a token could still live."""
    issued_at: int = 0
    grants: frozenset[str] = frozenset()
    """Grant types that it may use; empty: all on offer."""
    pending: bool = False
    """It registered, and the operator has not decided; not enabled meanwhile."""
    redirect_uris: tuple[str, ...] = ()
    """Where authorization codes may go, to the letter."""
    public: bool = False
    """It can't keep a secret (RFC 6749 section 2.1): its one client_key stands in records, and nobody knows a secret of it."""
    name: str = ""
    """What people see; its own word, or its owner's.  Any characters that can be shown."""
    access_ttl_ms: int = 0
    """Life of its access tokens; 0: as configured."""
    refresh_ttl_ms: int = 0
    """Longest life of its chains; 0: as configured."""
    max_live_chains: int = 0
    """Chains that it may have at once; 0: as configured."""
    max_live_tokens: int = 0
    """Access tokens that it may have at once; 0: as configured."""
    access_token_format: str = ""
    """``opaque`` or ``jwt``; empty: as configured."""
    plan: str = ""
    """Which of the configured ``plans`` limits it; empty: the one for all."""
    fixed: frozenset[str] = frozenset()
    """What of `FIXABLE` the operator has set, and an update of its own (RFC 7592) does not change."""

    def may_use(self, grant: str) -> bool:
        """Whether a grant type is permitted to it."""
        return not self.grants or grant in self.grants


@dataclass(frozen=True, slots=True)
class Credential:
    """One client_key with the digest of its secret, or of its public key."""

    client_key: str
    client_id: str
    secret_digest: bytes
    issued_at: int = 0
    expires_at: int = 0
    """0: never."""
    jwk: bytes = b""
    """A public key in the place of a secret (private_key_jwt), as `gateway.oauth.assertions` writes it."""


@dataclass(frozen=True, slots=True)
class Use:
    """When a credential last got a token, and from how many places."""

    at_ms: int = 0
    """0: never."""
    sources: int = 0
    """Addresses (of IPv6: networks of /64) that differ, as far as two bytes tell; 64 at most are told apart."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a client said of itself (RFC 7591), and who may change that; apart from `Client`, which every verdict reads."""

    client_id: str
    manager_digest: bytes
    """Of its registration access token; empty when that was ended."""
    metadata: bytes = b"{}"
    """A JSON object."""


@dataclass(frozen=True, slots=True)
class Account:
    """A username with an argon2id hash and the clients that it owns."""

    username: str
    password_hash: str
    client_ids: tuple[str, ...] = ()
    issued_at: int = 0
    subject: str = ""
    """``sub``: what tokens call whoever signs in (RFC 9700 section 4.15: never a string that somebody chose)."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A session at the pages."""

    digest: bytes
    """Of the session id, which only the browser has; its key is this."""
    username: str
    proof: bytes
    """Of the password that it was begun with: with another one the account does not stand behind it any more."""
    began_at: int = 0
    seen_at: int = 0
    """Not older than it is by a minute."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The record of an access token; its key is the digest."""

    client_id: str
    client_key: str
    """The credential that it was issued with."""
    chain_id: str
    scopes: frozenset[str]
    epoch: int
    issued_at: int
    expires_at: int
    subject: str = ""
    """The account on whose behalf it acts; empty for a client's own."""
    audience: frozenset[str] = frozenset()
    """Resources that it is for (RFC 8707); empty: all."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The record of a chain of refresh tokens, as introspection sees it."""

    client_id: str
    client_key: str
    chain_id: str
    scopes: frozenset[str]
    epoch: int
    issued_at: int
    expires_at: int
    current: bytes
    """Digest of the one refresh token that may be presented next; empty when the chain has none (any more)."""
    subject: str = ""
    """The account on whose behalf it acts; empty for a client's own."""
    audience: frozenset[str] = frozenset()
    """Resources that it is for (RFC 8707); empty: all."""


@dataclass(frozen=True, slots=True)
class Code:
    """What an authorization code stands for (RFC 6749 section 4.1.2); its key is the digest."""

    client_id: str
    subject: str
    scopes: frozenset[str]
    redirect_uri: str
    """As the authorization request named it; empty when it named none."""
    challenge: str
    """``code_challenge`` (RFC 7636 section 4.2), always of S256."""
    consent: int
    """The mark of the consent that it rests on."""
    epoch: int
    """The client's when it was made."""
    audience: frozenset[str] = frozenset()
    """Resources that it is for (RFC 8707); empty: all."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What an account lets a client do on its behalf."""

    client_id: str
    subject: str
    scopes: frozenset[str]
    mark: int
    """Raised when all that rests on the consent is ended, and never the same again; only to be compared."""


def is_backed(token: AccessToken | Chain, client: Client | None) -> bool:
    """Whether a token's client still stands behind it, its time apart."""
    return (
        client is not None
        and client.enabled
        and token.client_id == client.client_id
        and token.epoch >= client.epoch
        and token.client_key not in client.retired
    )


def is_live(token: AccessToken | Chain, client: Client | None, now_ms: int) -> bool:
    """Whether a token's client still stands behind it and its time has not come (at ``expires_at`` it is dead)."""
    return now_ms < token.expires_at and is_backed(token, client)
