"""
Every key that config.yaml may hold.  The docstrings are the manual; an unknown key is refused.

Paths in a loaded `Config` are absolute.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from gateway.config.limits import BY_PATTERN, QUOTA_PATTERN, RATE_PATTERN, check_quota, check_rate
from gateway.config.values import (
    AS_WHOLE,
    AUDIENCE_PATTERN,
    BEGINNING_PATTERN,
    CHECK_PATH_PATTERN,
    CLIENT_ID_PATTERN,
    HASH_ON_PATTERN,
    KEY_PREFIX_PATTERN,
    NAME_PATTERN,
    PATH_PREFIX_PATTERN,
    SEGMENT_PATTERN,
    AllowWord,
    BasicPassword,
    BasicUsername,
    ClientSecret,
    Duration,
    Flag,
    HeaderName,
    HeaderValue,
    Host,
    IssuerAlgorithm,
    Method,
    Network,
    Port,
    Scope,
    SealingSecret,
    Secret,
    ShownValue,
    Size,
    SomeTime,
    StripPrefix,
)


def _scopes_kind(value: object) -> str:
    return "by method" if isinstance(value, Mapping) else "list"


RouteScopes = Annotated[
    Annotated[tuple[Scope, ...], Tag("list")] | Annotated[Mapping[Method, tuple[Scope, ...]], Tag("by method")],
    Discriminator(_scopes_kind),
]
"""One list for all methods, or a list by method."""


class Section(BaseModel):
    """A frozen part of the configuration that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Certificate(Section):
    """A certificate of the public listener."""

    cert_file: Path
    """The certificate and the chain that leads to its authority, PEM."""
    key_file: Path
    """Its private key, PEM without a passphrase, readable for the gateway alone."""


class Listen(Section):
    """The public listener."""

    host: Host = "127.0.0.1"
    """Address to bind; 0.0.0.0 for all IPv4 interfaces, :: for IPv6."""
    port: Port = 8080
    """Port to bind; 0 takes a free one, which is printed."""
    max_connections: Annotated[int, Field(ge=1), AS_WHOLE] = 10_000
    """Client connections per worker; above it, accepting pauses.  The admin listener is apart: health can always be asked."""
    head_timeout: SomeTime = timedelta(seconds=10)
    """
    Longest time for a whole request head, counted from its first byte and not prolonged by the next ones; then 408.  A new
    connection has as long until its first byte, its TLS handshake included; a body at the gateway's own endpoints too.
    """
    keepalive: SomeTime = timedelta(seconds=75)
    """How long an idle connection is kept after an answer; best above that of a balancer in front."""
    max_connections_per_address: Annotated[int, Field(ge=1), AS_WHOLE] | None = None
    """
    Connections per worker that one address, or one /64 of IPv6, may have; one more is 429 and closed.  A number counts for all
    but ``trusted_proxies``.  Default: half of max_connections, and any number from loopback.
    """
    bad_tokens: Annotated[int, Field(ge=0), AS_WHOLE] = 100
    """
    Look-ups per second, worker and client address (/64 of IPv6) that may find no living token, twice as many at once; beyond,
    its tokens that are not in the cache are 429 before the store is asked.  0: any number.  Name the proxies in front in
    ``trusted_proxies``, or all their clients are one address.
    """
    tls: tuple[Certificate, ...] = ()
    """TLS 1.2 and 1.3 with these, chosen by the name that a client asks for, the first if none fits; renewed files are read."""
    client_ca_file: Path | None = None
    """Authorities of client certificates, PEM: one that is shown must be theirs; the token endpoint learns of it."""
    require_client_cert: Flag = False
    """Whether a client without a certificate is turned away."""


class Admin(Section):
    """The operator's listener: health, readiness, metrics."""

    host: Host = "127.0.0.1"
    """Address to bind; off loopback the operator's API needs a token."""
    port: Port = 8081
    """Port to bind; 0 takes a free one."""
    token: Secret | None = None
    """Bearer token of the operator's API (yet to come, but asked for off loopback already); best a ${file:…}."""


class Store(Section):
    """Where clients and tokens live: a Redis-compatible server."""

    url: str = "embedded:var/store"
    """
    embedded:DIR for a Valkey server of our own, or redis://host:6379/0, rediss://…, unix:///run/redis.sock,
    redis+sentinel://h1,h2/mymaster/0, redis+cluster://h1,h2.
    """
    username: str | None = None
    """ACL user."""
    password: Secret | None = None
    """Password of that user, best as ${file:/run/secrets/redis}."""
    sentinel_password: Secret | None = None
    """What the sentinels of a redis+sentinel:// URL ask, if they do; ``password`` is the master's."""
    ca_file: Path | None = None
    """Certificates to verify a rediss:// server against; default: the system's."""
    timeout: SomeTime = timedelta(milliseconds=500)
    """Longest wait for one answer of the store before the request is refused with 503; 2s at most."""
    durability: Literal["local", "replicated"] = "local"
    """
    local: a change is acknowledged once the server has it.  replicated: once a replica has it too (WAIT), so that no failover
    undoes a revocation; without a replica that answers within half the ``timeout``, 503.
    """
    canary: Duration = timedelta(minutes=1)
    """How often each worker revokes a token of its own, to see how long it takes (gateway_revocation_lag_seconds); 0s: never."""
    prefix: Annotated[str, Field(pattern=KEY_PREFIX_PATTERN)] = "gw"
    """First part of every key, so that several gateways can share a server without sharing tokens."""
    allow_eviction: Flag = False
    """
    Start although the server's ``maxmemory-policy`` is not ``noeviction``: when its memory is full it then drops tokens and
    clients, which are invalid from there on.  Otherwise that is exit code 69.
    """


def _store_section(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


class AttemptLimits(Section):
    """
    Wrong secrets, and registrations, at the gateway's own endpoints: above a limit 429 with Retry-After, before anything is
    looked up.  By the minute and worker, as many at once; an address is a /64 of IPv6; 0: any number.  No limit locks anybody
    out who was right from the same address within a day.  Name the proxies in front in ``trusted_proxies``, or all their
    clients are one address.
    """

    per_credential: Annotated[int, Field(ge=0), AS_WHOLE] = 20
    """Wrong secrets of one account or client that an address may try."""
    per_source: Annotated[int, Field(ge=0), AS_WHOLE] = 60
    """Wrong passwords of any accounts that an address may try; ten times as many client secrets, as nobody guesses those."""
    per_account: Annotated[int, Field(ge=0), AS_WHOLE] = 100
    """Wrong secrets of one account or client from all addresses; above it each may try a fifth of per_credential, never none."""
    registrations: Annotated[int, Field(ge=0), AS_WHOLE] = 60
    """Registrations, refused names included, and changed passwords that come from an address; loopback has any number."""


class Secrets(Section):
    """What instances on one store share, to read what is kept there sealed: the keys that sign JWT access tokens."""

    current: SealingSecret
    """What is sealed from now on, 32 characters at least, like ``${file:/run/secrets/gateway}``; the same in every instance."""
    previous: tuple[SealingSecret, ...] = ()
    """What may have been sealed before; a key that one of these opens is sealed anew with the current one."""


class OAuth(Section):
    """The authorization server."""

    issuer: str = "http://127.0.0.1:8080"
    """Public origin as clients see it; https unless on loopback.  Unset on loopback: the address of ``listen``."""
    prefix: Annotated[str, Field(pattern=PATH_PREFIX_PATTERN)] = "/v1"
    """Where the gateway's own endpoints live."""
    registration_paths: tuple[Annotated[str, Field(pattern=SEGMENT_PATTERN)], ...] = ("register", "clients")
    """Names below the prefix that take a plain registration; without ``register`` a legacy API may own that path."""
    registration: Literal["open", "approval", "token", "closed"] = "closed"
    """
    Who may register.  open: anybody.  approval: anybody, but the client waits for the operator, with no token until then.
    token: who has an initial access token of the operator.  closed: the operator alone, with ``gateway clients add``.
    """
    unused_registration_ttl: Duration = timedelta(days=30)
    """
    How long a client that registered itself lives without ever getting a token, its account too, if that has no client that
    did; who waits for approval, waits so long at most.  0s: for ever.  What the operator makes stays.
    """
    idle_key_ttl: Duration = timedelta(0)
    """
    A key that is not used for so long retires by itself: it gets no more tokens, what it got lives on.  0s: none does, since a
    batch that runs once a year would find itself locked out.  Else an hour at least, 400 days at most.
    """
    max_clients: Annotated[int, Field(ge=1, le=10_000_000), AS_WHOLE] = 100_000
    """Clients that registered themselves, at once; one more is 503.  What the operator makes is not counted."""
    access_token_ttl: SomeTime = timedelta(hours=1)
    """Life of an access token."""
    access_token_format: Literal["opaque", "jwt"] = "opaque"  # noqa: S105
    """
    opaque: only the gateway can tell what an access token stands for.  jwt: signed JWTs (RFC 9068), which other resource
    servers can read and verify; here they end at once like any other, there when they expire.  A client may have another:
    ``gateway clients set``.
    """
    signing_key_life: SomeTime = timedelta(days=30)
    """How long a key signs JWT access tokens before the next one does, a day at least."""
    refresh_token_ttl: SomeTime = timedelta(hours=24)
    """Life of a chain of refresh tokens begun by client_credentials; refreshing does not prolong it."""
    refresh_for_client_credentials: Flag = True
    """Whether client_credentials gets a refresh token (RFC 6749 section 4.4.3 advises against it)."""
    refresh_grace: Duration = timedelta(seconds=30)
    """How long a spent refresh token still gets the same successor, for answers lost on the network; 0s: never."""
    client_secret_post: Flag = False
    """Whether client_id and client_secret may stand in the form instead of HTTP Basic (RFC 6749 section 2.3.1)."""
    assertion_for_token_endpoint: Flag = False
    """Whether the ``aud`` of a client's signed JWT may be the token endpoint, as older libraries write it; else the issuer."""
    code_ttl: SomeTime = timedelta(seconds=60)
    """Life of an authorization code, 10 minutes at most."""
    code_refresh_ttl: SomeTime = timedelta(days=90)
    """Longest life of a chain of refresh tokens begun by an authorization code; then its account is asked to sign in again."""
    code_refresh_idle_ttl: SomeTime = timedelta(days=14)
    """Such a chain ends when its refresh token is not used for so long."""
    max_live_chains: Annotated[int, Field(ge=1, le=100_000), AS_WHOLE] = 1_000
    """Chains of refresh tokens per client; over it the oldest loses its refresh token, never its access token."""
    max_live_tokens: Annotated[int, Field(ge=1, le=100_000_000), AS_WHOLE] = 1_000_000
    """
    Access tokens of a client that have not expired, those that were revoked included; one more is 429 until some have.  A client
    that fetches a token for each request instead of keeping one gets there: 280 a second for an hour.
    """
    attempts: AttemptLimits = AttemptLimits()
    """How often one may be wrong: brute force and floods of registrations."""
    sign_in: Flag = False
    """
    Pages for people: signing in with username and password at ``{prefix}/oauth/sign-in``, the account's own page at
    ``{prefix}/account``, and what needs somebody who is signed in, the authorization code grant.  They stand on the public port;
    their session cookie is ``__Host-gateway`` (``gateway`` where the issuer is http).
    """
    session_idle: SomeTime = timedelta(minutes=30)
    """How long a session at the pages lives without a request; noted once a minute."""
    session_life: SomeTime = timedelta(hours=12)
    """How long it lives at most."""
    scopes: Mapping[Scope, str] = Field(default_factory=dict)
    """Scope: description.  Empty: no scopes in use."""
    default_scopes: tuple[Scope, ...] = ()
    """All that a self-registered client may be granted; more only by the operator."""


class UpstreamTls(Section):
    """How https targets are spoken to."""

    ca_file: Path | None = None
    """Certificates (PEM) to verify the targets against; default: the system's."""
    cert_file: Path | None = None
    """The certificate (PEM, with its chain) that the gateway shows when a target asks for one."""
    key_file: Path | None = None
    """The key (PEM, without a password) of ``cert_file``; may stand in the same file."""
    server_name: str | None = None
    """The name that the certificates must hold and that is sent as SNI; default: the host of each target."""
    verify: Flag = True
    """Whether certificates and their names are verified.  Without, anybody on the way can read and change everything."""


class Health(Section):
    """Requests that the gateway makes by itself to see whether a target is well, from each worker."""

    path: Annotated[str, Field(pattern=CHECK_PATH_PATTERN)]
    """What is asked, with GET and the Host of the target, like /healthz."""
    interval: SomeTime = timedelta(seconds=10)
    """Time between two checks of a target, give or take 15 %."""
    timeout: SomeTime = timedelta(seconds=2)
    """Longest wait for the status of the answer, connecting included."""
    healthy: Annotated[int, Field(ge=1, le=100), AS_WHOLE] = 2
    """Checks in a row that bring a target back.  At start all are taken for healthy: nothing is known against them."""
    unhealthy: Annotated[int, Field(ge=1, le=100), AS_WHOLE] = 3
    """Checks in a row whose failure takes a target out of service."""
    status: tuple[Annotated[int, Field(ge=200, le=599), AS_WHOLE], ...] = (200, 204)
    """Statuses that count as well."""


class Ejection(Section):
    """Taking a target out of service for a while because of what it did to requests."""

    failures: Annotated[int, Field(ge=0, le=1000), AS_WHOLE] = 5
    """Failures in a row: no connection, an end before an answer, no answer within timeouts.first_byte.  0: never eject."""
    shortest: SomeTime = timedelta(seconds=1)
    """The first time out of service; each further one takes twice as long."""
    longest: SomeTime = timedelta(seconds=30)
    """The longest time out of service."""
    ramp: Duration = timedelta(seconds=10)
    """Over which a target that returns gets its whole share again; 0s: at once."""
    server_errors: Flag = False
    """Whether an answer with a status of 500 or above counts as a failure too."""


class Upstream(Section):
    """A legacy API."""

    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    """http://host:port, https://host:port or unix:/path; several are balanced, and so are all addresses of a name."""
    weights: tuple[Annotated[int, Field(ge=1, le=1000), AS_WHOLE], ...] = ()
    """One for each target, in their order; the addresses of a name share its weight.  Empty: all alike."""
    balance: Literal["round_robin", "least_loaded", "hash"] = "round_robin"
    """In turn; the less busy of two that are drawn; or the same target for the same ``hash_on``, as long as it is well."""
    hash_on: Annotated[str, Field(pattern=HASH_ON_PATTERN)] = "client"
    """client: the client id, on public routes the peer's address; or header:NAME, as the target sees it (client if absent)."""
    max_connections: Annotated[int, Field(ge=1), AS_WHOLE] = 1_000
    """Connections per address of a target and worker, so requests under way; more wait up to timeouts.connect for one."""
    max_queue: Annotated[int, Field(ge=0, le=100_000), AS_WHOLE] = 1_000
    """Requests that may wait for a connection to one address, per worker; more are 503 at once."""
    keepalive: Duration = timedelta(seconds=60)
    """How long an idle connection is kept; best below the upstream's own limit."""
    dns_refresh: SomeTime = timedelta(seconds=30)
    """How often names are looked up again, in the background."""
    tls: UpstreamTls | None = None
    """How https targets are spoken to; default: verified against the system's certificates."""
    health: Health | None = None
    """Checks of our own.  Default: none; what requests meet is watched in any case (``ejection``)."""
    ejection: Ejection = Ejection()
    """When a target is taken out of service because of what it did to requests.  One target always stays."""
    retry_budget: Annotated[int, Field(ge=0, le=100), AS_WHOLE] = 20
    """Percent of requests that may be sent to a second target when the first one broke off before it answered."""


class Timeouts(Section):
    """How long we wait for an upstream, phase by phase."""

    connect: SomeTime = timedelta(seconds=5)
    """Longest wait for a connection, the queue for one included."""
    first_byte: SomeTime = timedelta(seconds=60)
    """Longest wait for the answer's head after the request was sent."""
    between_bytes: SomeTime = timedelta(seconds=60)
    """Longest silence within a body, in either direction."""
    total: Duration = timedelta(0)
    """
    Longest time from the request's head to the last byte of its answer, retries included; 0s: none, since downloads of any
    length and event streams would be cut.  Then 504 (408 while it is the client's body that is missing), or a cut once the
    answer has begun.  A tunnel (WebSocket) is no answer any more: ``streams`` bounds it.
    """


class Cors(Section):
    """Which web pages of other origins may call a route and read its answers (the CORS protocol of the Fetch standard)."""

    origins: Annotated[tuple[str, ...], Field(min_length=1)]
    """Origins as browsers write them, like https://app.example.com, compared to the letter; or "*" alone for any."""
    methods: tuple[Method, ...] = ()
    """Methods that such a page may use; empty: those of the route."""
    headers: tuple[HeaderName, ...] = ("Authorization", "Content-Type")
    """Request headers that such a page may set, beside those that any page may; "*" for all."""
    expose_headers: tuple[HeaderName, ...] = ()
    """Headers of answers that such a page may read, beside those that any page may."""
    credentials: Flag = False
    """Whether cookies may come along.  A bearer token in Authorization needs no such thing."""
    max_age: Duration = timedelta(minutes=10)
    """How long a browser may remember what it was allowed."""


class HeaderEdits(Section):
    """What a route changes about headers, after everything that the gateway removes was removed; names in any letters."""

    set: Mapping[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Name: value, in place of all lines of that name.  A secret is best a ${file:…}."""
    add: Mapping[HeaderName, HeaderValue] = Field(default_factory=dict)
    """Name: value, one line more."""
    remove: tuple[HeaderName, ...] = ()
    """Names of which no line passes."""


class Streams(Section):
    """WebSocket and other long exchanges of a route: how long they last, and how many there may be."""

    until: Literal["token", "close"] = "token"
    """``token``: a stream ends when its token expires, is revoked or loses a scope; ``close``: only its begin is authorized."""
    max_per_client: Annotated[int, Field(ge=1), AS_WHOLE] = 100
    """Requests and tunnels that a client (on public routes: an address) may have under way here, per worker; above it 429."""
    idle: SomeTime = timedelta(minutes=5)
    """Longest silence, both ways together, of a tunnel; for answers and bodies in place of between_bytes and min_body_rate."""
    subprotocol: Flag = False
    """Whether a browser's WebSocket may pass its token as subprotocols: ``new WebSocket(url, ["bearer", TOKEN, "chat"])``."""


class BasicCredential(Section):
    """HTTP Basic (RFC 7617), in ``Authorization``."""

    username: BasicUsername
    """Who the upstream takes the gateway for."""
    password: BasicPassword
    """Best a ${file:…}."""


class HeaderCredential(Section):
    """One header that the upstream knows its callers by, like an API key."""

    name: HeaderName
    """Like X-Api-Key; ``Authorization`` for a scheme of its own.  What a client sends under this name never gets there."""
    value: ShownValue
    """The whole value, best a ${file:…}."""


class OAuthCredential(Section):
    """
    An access token of the upstream's own authorization server, by client_credentials (RFC 6749 section 4.4), shown as
    ``Authorization: Bearer``.  It is fetched when a request first needs it, once for all requests of a worker, kept until
    shortly before it expires, and renewed ahead of that while requests come.
    """

    token_endpoint: str
    """Its URL, https unless on loopback."""
    client_id: Annotated[str, Field(pattern=CLIENT_ID_PATTERN, max_length=1024)]
    """Who the gateway is there."""
    client_secret: ClientSecret
    """Best a ${file:…}."""
    auth: Literal["basic", "post"] = "basic"
    """How the gateway proves that: by HTTP Basic, or in the form, where a server knows nothing better."""
    scope: tuple[Scope, ...] = ()
    """Scopes to ask for; empty: none are named."""
    resource: tuple[str, ...] = ()
    """What the token is to be for (RFC 8707): absolute URIs."""
    audience: str | None = None
    """The same where a server wants it in a parameter of that name."""
    timeout: SomeTime = timedelta(seconds=5)
    """
    Longest wait for a token, 8s at most: then 504 ``upstream_credential_timeout``.  Without a token 502
    ``upstream_credential_failed``; either way the endpoint is asked again after 1s at the earliest, after more failures 8s.
    """
    ca_file: Path | None = None
    """Certificates to verify the endpoint against; default: the system's."""


class Credential(Section):
    """What an upstream knows a caller by, in place of what callers once had themselves; one of these."""

    basic: BasicCredential | None = None
    """A username and a password."""
    header: HeaderCredential | None = None
    """A header, like an API key."""
    oauth: OAuthCredential | None = None
    """A token that the gateway fetches."""

    @model_validator(mode="after")
    def _is_one(self) -> Credential:
        if [self.basic, self.header, self.oauth].count(None) != 2:
            raise ValueError("write one of basic, header and oauth")
        return self


CredentialName = Annotated[str, Field(pattern=NAME_PATTERN)]


class RouteCredential(Section):
    """Which of ``credentials`` the upstream is shown, by who calls."""

    default: CredentialName | None = None
    """
    A name from ``credentials``: what every request shows, or with ``by_client`` those of clients that it does not name.  Without
    it those are 403 ``no_upstream_credential``.
    """
    by_client: Mapping[str, CredentialName] = Field(default_factory=dict)
    """client_id, or NAME:… of another issuer's: a name from ``credentials``.  A client never gets what is written for another."""

    @model_validator(mode="after")
    def _names_one(self) -> RouteCredential:
        if self.default is None and not self.by_client:
            raise ValueError("name a credential: write its name alone, or default or by_client")
        return self


def _credential_section(value: Any) -> Any:
    return {"default": value} if isinstance(value, str) else value


Claim = Literal["client_id", "scope", "subject", "sub", "issuer"]


class IdentityAssertion(Section):
    """
    A JWT that says who calls, signed (ES256) with the keys that ``{prefix}/oauth/jwks.json`` publishes, so that the upstream
    need not trust its network: ``iss`` is oauth.issuer, ``sub``, ``client_id``, ``scope``, ``iat``, ``exp`` 60s later, ``jti``.
    The same one is shown for up to 30s.  Without an embedded store it needs ``secrets``.
    """

    audience: Annotated[str, Field(pattern=AUDIENCE_PATTERN, max_length=1024)]
    """Its ``aud``: what the upstream calls itself, like https://legacy.internal; for each upstream another one."""
    header: HeaderName = "X-Identity-Assertion"
    """The header that it stands in.  No client gets it past the gateway, on no route to the same targets."""


class RouteIdentity(Section):
    """How the upstream is told who calls."""

    headers: Mapping[HeaderName, Claim] | None = None
    """
    Header: what it tells, in place of X-Client-Id, X-Client-Scopes and X-Token-Subject.  ``client_id``; ``scope``, the token's
    scopes between single spaces; ``subject``, the account that the client acts for, and no line where it acts for itself;
    ``sub``, that account, or else the client_id; ``issuer``, whose token it is, and no line where it is the gateway's own.
    ``{}`` tells nothing.  No client gets these names past the gateway, on no route to the same targets.
    """
    assertion: IdentityAssertion | None = None
    """The same as a signed JWT, beside the headers; a request that has no token has none."""

    @property
    def names(self) -> tuple[str, ...]:
        """The headers that tell who calls, beside the usual ones."""
        return (*(self.headers or ()), *([self.assertion.header] if self.assertion is not None else []))

OWN = "own"
"""What ``issuers`` of a route calls the gateway itself."""


class Introspection(Section):
    """How an issuer is asked about its tokens (RFC 7662)."""

    endpoint: str
    """Its introspection endpoint, https unless on loopback."""
    client_id: Annotated[str, Field(pattern=CLIENT_ID_PATTERN, max_length=1024)]
    """Who the gateway is there."""
    client_secret: ClientSecret
    """Best a ${file:…}."""
    auth: Literal["basic", "post"] = "basic"
    """How the gateway proves that: by HTTP Basic, or in the form."""
    prefix: Annotated[str, Field(pattern=BEGINNING_PATTERN)] | None = None
    """
    How its tokens begin, like ory_at_.  Without one it is asked about every token of its routes that is no JWT, not the gateway's
    and begins like nobody else's: one such issuer a route.
    """
    jwts: Flag = True
    """Whether it is asked about its JWTs too, so that their revocation counts; false: these are verified by its keys."""
    cache: Duration = timedelta(seconds=30)
    """How long an answer is believed, never past the token's end: revocations count so much later.  10m at most; 0s: not kept."""
    timeout: SomeTime = timedelta(seconds=2)
    """Longest wait for a turn to ask, and as long again for the answer; 4s at most."""
    max_concurrent: Annotated[int, Field(ge=1, le=1_000), AS_WHOLE] = 16
    """Questions at a time, per worker."""
    require_token_type: Flag = True
    """Whether an answer must hold ``token_type: Bearer``; a server that leaves it out may call refresh tokens active too."""


class Issuer(Section):
    """
    Another authorization server whose access tokens routes may take: JWTs, verified by its published keys (RFC 9068), or whatever
    it says is active (``introspection``).  Its client C is NAME:C to upstreams, in logs and limits, its subject S is NAME:S, and
    X-Token-Issuer tells ``issuer``.
    """

    issuer: str
    """Its identifier, letter by letter as in the tokens' ``iss``, like https://idp.example.com; https unless on loopback."""
    jwks_uri: str | None = None
    """Where its keys are (a JWK set).  Default: where its metadata say (RFC 8414, else OpenID Connect Discovery)."""
    jwks_file: Path | None = None
    """A file with its keys instead, read anew with ``refresh``."""
    ca_file: Path | None = None
    """Certificates (PEM) to verify it against; default: the system's."""
    algorithms: tuple[IssuerAlgorithm, ...] = ("ES256", "RS256")
    """How its tokens may be signed; what a token says of itself counts for nothing else."""
    audience: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """What this API is called there: a token's ``aud`` must name one of these.  Required, unless the issuer is asked."""
    token_types: tuple[Literal["at+jwt", "JWT"], ...] = ("at+jwt",)
    """
    What ``typ`` may be.  at+jwt: access tokens of RFC 9068.  JWT: any, or none, for servers that do not mark them; ID tokens are
    then told by what they hold, so give this API an ``audience`` of its own that is no client's id.
    """
    scope_claims: tuple[Annotated[str, Field(min_length=1)], ...] = ("scope",)
    """Claims that hold scopes, as a text with spaces or a list, like [scp, roles]; all of them count together."""
    client_claim: Annotated[str, Field(min_length=1)] = "client_id"
    """The claim that names the client: client_id, azp, appid or sub.  A token without it is refused."""
    leeway: Duration = timedelta(seconds=10)
    """By how much its clock and ours may differ, for exp, nbf and iat; 5m at most."""
    refresh: SomeTime = timedelta(minutes=10)
    """How old its keys become before they are fetched again, and how long a verified token is not verified again; 1m to 1d."""
    max_stale: SomeTime = timedelta(days=1)
    """How long its keys go on while they can't be fetched; then its tokens are 503."""
    introspection: Introspection | None = None
    """Ask it about its tokens.  Default: they are JWTs, and its keys are enough."""


class Limit(Section):
    """
    How much may be asked: a ``rate``, or a ``quota``, or so many requests at a time (``concurrency``).  Counted exactly, for all
    workers and gateways on the store; beyond it 429.  A request that is refused for any other reason does not count.
    """

    rate: Annotated[str, AfterValidator(check_rate), Field(json_schema_extra={"pattern": RATE_PATTERN})] | None = None
    """Like 100/s, 30/m, 500/h or 1000/d: permits flow back evenly, and ``burst`` of them at most are saved up."""
    burst: Annotated[int, Field(ge=1, le=10_000_000), AS_WHOLE] | None = None
    """With ``rate``: how many may come at once.  Default: its number, so 30 for 30/m."""
    quota: Annotated[str, AfterValidator(check_quota), Field(json_schema_extra={"pattern": QUOTA_PATTERN})] | None = None
    """Like 10000/day or 200000/month: of the calendar, UTC, by the store's clock."""
    concurrency: Annotated[int, Field(ge=1, le=1_000_000), AS_WHOLE] | None = None
    """Requests that may be under way at once, until the end of their answers; WebSockets until they close."""
    by: Annotated[str, Field(pattern=BY_PATTERN)] = "client"
    """
    What is counted together: the requests of a client, of a ``credential`` of it (client_key), of an ``address`` (/64 of IPv6),
    with the same value of a header (``header:X-Tenant``; absent or twice: all these together), or all of the ``route``.
    """
    on_store_failure: Literal["local", "allow", "deny"] = "local"
    """
    While the store does not answer: local: each worker counts by itself, as if it were the only one, and adds it to quotas later.
    allow: no limit.  deny: 503.
    """

    @model_validator(mode="after")
    def _is_one(self) -> Limit:
        if [self.rate, self.quota, self.concurrency].count(None) != 2:
            raise ValueError("a limit is one of rate, quota and concurrency: write one of them, and another entry for another")
        if self.burst is not None and self.rate is None:
            raise ValueError("burst belongs to a rate: remove it or add rate")
        return self


class Plan(Section):
    """What clients may use that have this plan; on all routes together that ask a token."""

    limits: tuple[Limit, ...] = ()
    """All of them count, beside those of the route; none: no limit."""


class Route(Section):
    """Which requests go where, and what they need."""

    path: str
    """Exactly this path; with a trailing slash everything below it too.  The most specific path wins."""
    upstream: str
    """Name of an entry in ``upstreams``."""
    hosts: tuple[str, ...] = ()
    """Host names without port that this route is for; empty: any."""
    methods: tuple[Method, ...] = ()
    """Methods that this route is for; empty: any.  HEAD follows GET."""
    scopes: RouteScopes = ()
    """Scopes that a token needs, all of them; or by method: {GET: [...], POST: [...]}, and no other method is taken."""
    scopes_any: tuple[Scope, ...] = ()
    """Scopes of which a token needs one."""
    public: Flag = False
    """No token is asked.  A route is public only by saying so."""
    issuers: Annotated[tuple[str, ...], Field(min_length=1)] = (OWN,)
    """Whose tokens are good here: ``own``, the gateway's, and names of ``issuers``; [own, idp] takes both."""
    enforce: Literal["always", "report"] = "always"
    """
    report: every request passes, as if the route were public, and what would have been refused is counted, for ``gateway learn``.
    For an API that gets its gateway while it is in use; the gateway says at every start which routes are open so.
    """
    on_store_failure: Literal["deny", "cached"] = "deny"
    """
    What becomes of requests with a token while the store can't be asked.  deny: 503.  cached: tokens that were known when the
    connection to it was lost pass for ``max_stale``, or until they expire; whatever is revoked meanwhile passes too.
    """
    max_stale: SomeTime = timedelta(minutes=5)
    """How long, with ``on_store_failure: cached``; a day at most."""
    allow: tuple[AllowWord, ...] = ()
    """What this back end needs although it is ambiguous: semicolon, encoded_slash, double_slash, underscore_headers."""
    forward_authorization: Flag = False
    """Whether the client's Authorization header is passed on."""
    credential: (
        Annotated[RouteCredential, BeforeValidator(_credential_section, json_schema_input_type=str | RouteCredential)] | None
    ) = None
    """
    What the upstream knows the gateway's requests by: a name from ``credentials``, or a mapping with default and by_client.
    """
    identity: RouteIdentity | None = None
    """How the upstream is told who calls; default: by X-Client-Id, X-Client-Scopes and X-Token-Subject."""
    strip_prefix: StripPrefix = False
    """What the upstream does not know of the path: true for the route's own path, or a beginning of it, like /api."""
    rewrite: str | None = None
    """Path that the upstream gets in place of the route's own: /legacy/ for /api/; on an exact route the whole path."""
    preserve_host: Flag = False
    """Whether the upstream gets the client's Host; by default the target's own.  List ``hosts`` beside it."""
    request_headers: HeaderEdits | None = None
    """Headers that the upstream gets, or gets no more; not Host, framing, and what the gateway says of caller and connection."""
    response_headers: HeaderEdits | None = None
    """Headers of the upstream's answers; not of the gateway's own refusals, and not framing."""
    max_body: Size | None = None
    """Largest request body; more is 413.  Default: unlimited, as bodies are streamed."""
    ip_allow: tuple[Network, ...] = ()
    """
    Networks whose clients may use this route, all others get 403; without it any may.  A client's address is its connection's;
    behind one of ``trusted_proxies`` the rightmost in X-Forwarded-For that is none of them.  Where it can't be known, it is
    refused.
    """
    ip_deny: tuple[Network, ...] = ()
    """Networks whose clients get 403; this wins over ip_allow."""
    min_body_rate: Size = 240
    """
    Fewest bytes per second of a request's body, averaged from its sixth second on over the time in which we were ready to
    read, until the answer begins; slower is 408.  A client that reads its answer more slowly than this over
    timeouts.between_bytes is cut off, or over 5s where its target has no connection left for others.  0B turns it off, for
    what trickles by design; on a route with ``streams`` there is none.
    """
    timeouts: Timeouts = Timeouts()
    """How long we wait for the upstream."""
    limits: tuple[Limit, ...] = ()
    """How much may be asked here; all of them count, and those of the client's plan."""
    cors: Cors | None = None
    """Which web origins may call it from a browser; the gateway then answers preflights.  Default: the upstream's matter."""
    streams: Streams | None = None
    """Allow ``Upgrade: websocket`` here, and bound what streams; ``{}`` for the defaults.  Without it there are no upgrades."""

    @property
    def open(self) -> bool:
        """Whether it lets requests through without a token."""
        return self.public or self.enforce == "report"

    @model_validator(mode="after")
    def _public_needs_no_scopes(self) -> Route:
        if self.public and (self.scopes or self.scopes_any):
            raise ValueError("a public route asks no token, so it can't ask scopes: remove public or the scopes")
        if self.public and self.enforce == "report":
            raise ValueError("a public route refuses nobody, so there is nothing to report: remove public or enforce")
        return self


class Config(Section):
    """The whole of config.yaml."""

    listen: Listen = Listen()
    """The public listener."""
    admin: Admin = Admin()
    """The operator's listener."""
    workers: Annotated[int, Field(ge=1, le=256), AS_WHOLE] = 1
    """Processes that share the port."""
    store: Annotated[Store, BeforeValidator(_store_section, json_schema_input_type=str | Store)] = Store()
    """A URL, or a mapping with url, username, password, ca_file, timeout, durability and what else stands below."""
    oauth: OAuth = OAuth()
    """The authorization server."""
    secrets: Secrets | None = None
    """What seals keys in the store; an embedded store has one of its own, in its folder, and needs none here."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks whose X-Forwarded-* and Forwarded headers are passed on and appended to, and whose request ids are kept."""
    drain_delay: Duration = timedelta(0)
    """Readiness is off this long before the listener closes: long enough for a balancer to notice."""
    drain_timeout: Duration = timedelta(seconds=25)
    """Longest wait at stop for requests in flight."""
    issuers: Mapping[Annotated[str, Field(pattern=NAME_PATTERN)], Issuer] = Field(default_factory=dict)
    """Name: another authorization server; routes that take its tokens name it."""
    upstreams: Mapping[Annotated[str, Field(pattern=NAME_PATTERN)], Upstream] = Field(default_factory=dict)
    """Name: where it is."""
    credentials: Mapping[CredentialName, Credential] = Field(default_factory=dict)
    """Name: what upstreams know their callers by; routes say by name where it is shown (``routes[].credential``)."""
    plans: Mapping[Annotated[str, Field(pattern=NAME_PATTERN)], Plan] = Field(default_factory=dict)
    """
    Name: limits of a client on all routes that ask a token (``gateway clients set ID --plan NAME``).  ``default`` is for all that
    have none, so it has to be there; {} for no limits.
    """
    routes: tuple[Route, ...] = ()
    """Which requests go where; an unmatched request is 404."""
