"""
Every key that config.yaml may hold.  The docstrings are the manual; an unknown key is refused.

Paths in a loaded `Config` are absolute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr, model_validator

_DURATION = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def parse_duration(value: object) -> timedelta:
    """Read ``250ms``, ``30s``, ``10m``, ``1h`` or ``30d``; a bare number is refused because it has no unit."""
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"([0-9]{1,9})(ms|s|m|h|d)", str(value))
    if found is None:
        raise ValueError("write a duration with its unit, like 250ms, 30s, 10m, 1h or 30d")
    return timedelta(milliseconds=int(found[1]) * _DURATION[found[2]])


def parse_size(value: object) -> int:
    """Read ``64KiB``, ``10MiB``, ``1GiB`` or ``512B``; a bare number is refused because it has no unit."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        raise ValueError("write a size with its unit, like 64KiB or 10MiB")
    found = re.fullmatch(r"([0-9]{1,12})(B|KiB|MiB|GiB)", str(value))
    if found is None:
        raise ValueError("write a size with its unit, like 64KiB or 10MiB")
    return int(found[1]) * _SIZE[found[2]]


def _write_duration(value: timedelta) -> str:
    milliseconds = round(value / timedelta(milliseconds=1))
    unit = next((u for u in ("d", "h", "m", "s") if milliseconds and milliseconds % _DURATION[u] == 0), "ms")
    return f"{milliseconds // _DURATION[unit]}{unit}"


Duration = Annotated[timedelta, BeforeValidator(parse_duration, json_schema_input_type=str), PlainSerializer(_write_duration, str)]
Size = Annotated[int, BeforeValidator(parse_size, json_schema_input_type=str)]
Port = Annotated[int, Field(ge=0, le=65535)]
Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5B\x5D-\x7E]+$", max_length=128)]
"""RFC 6749 section 3.3 scope-token."""
Method = Annotated[str, Field(pattern=r"^[A-Z]+$", max_length=32)]
AllowWord = Literal["semicolon", "encoded_slash", "double_slash", "underscore_headers"]


class Section(BaseModel):
    """A frozen part of the configuration that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Listen(Section):
    """The public listener."""

    host: str = "127.0.0.1"
    """Address to bind; 0.0.0.0 for all IPv4 interfaces, :: for IPv6."""
    port: Port = 8080
    """Port to bind; 0 takes a free one, which is printed."""
    max_connections: Annotated[int, Field(ge=1)] = 10_000
    """Client connections per worker; above it, accepting pauses."""


class Admin(Section):
    """The operator's listener: health, readiness, metrics."""

    host: str = "127.0.0.1"
    """Address to bind; off loopback the operator's API needs a token."""
    port: Port = 8081
    """Port to bind; 0 takes a free one."""
    token: SecretStr | None = None
    """Bearer token of the operator's API, best as ${file:/run/secrets/admin_token}."""


class Store(Section):
    """Where clients and tokens live: a Redis-compatible server."""

    url: str = "embedded:var/store"
    """embedded:DIR for a Valkey server of our own, or redis://host:6379/0, rediss://…, unix:///run/redis.sock."""
    username: str | None = None
    """ACL user."""
    password: SecretStr | None = None
    """Password of that user, best as ${file:/run/secrets/redis}."""
    ca_file: Path | None = None
    """Certificates to verify a rediss:// server against; default: the system's."""
    timeout: Duration = timedelta(milliseconds=500)
    """Longest wait for one answer of the store before the request is refused with 503."""
    durability: Literal["local", "replicated"] = "local"
    """``replicated`` waits for one replica before a change is acknowledged."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")] = "gw"
    """First part of every key, so that several gateways can share a server without sharing tokens."""


class OAuth(Section):
    """The authorization server."""

    issuer: str = "http://127.0.0.1:8080"
    """Public origin as clients see it; https unless on loopback."""
    prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$|^$")] = "/v1"
    """Where the gateway's own endpoints live."""
    registration_paths: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], ...] = ("register", "clients")
    """Names below the prefix that take a plain registration; a legacy API that owns one of them can take it back."""
    registration: Literal["open", "approval", "token", "closed"] = "closed"
    """Who may register: open: anybody; closed: only the operator, with ``gateway clients add``."""
    access_token_ttl: Duration = timedelta(hours=1)
    """Life of an access token."""
    refresh_token_ttl: Duration = timedelta(hours=24)
    """Life of a chain of refresh tokens begun by client_credentials; refreshing does not prolong it."""
    refresh_for_client_credentials: bool = True
    """Whether client_credentials gets a refresh token (RFC 6749 section 4.4.3 advises against it)."""
    refresh_grace: Duration = timedelta(seconds=30)
    """How long a spent refresh token still gets the same successor, for answers lost on the network; 0s: never."""
    client_secret_post: bool = False
    """Whether client_id and client_secret may stand in the form instead of HTTP Basic (RFC 6749 section 2.3.1)."""
    max_live_chains: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Chains of refresh tokens per client; over it the oldest loses its refresh token, never its access token."""
    scopes: Mapping[Scope, str] = Field(default_factory=dict)
    """Scope: description.  Empty: no scopes in use."""
    default_scopes: tuple[Scope, ...] = ()
    """All that a self-registered client may be granted; more only by the operator."""


class Upstream(Section):
    """A legacy API."""

    targets: Annotated[tuple[str, ...], Field(min_length=1)]
    """http://host:port, https://host:port or unix:/path; several are balanced."""
    max_connections: Annotated[int, Field(ge=1)] = 1_000
    """Connections per target and worker; a request above it waits up to timeouts.connect for one."""
    keepalive: Duration = timedelta(seconds=60)
    """How long an idle connection is kept; best below the upstream's own limit."""


class Timeouts(Section):
    """How long we wait for an upstream, phase by phase."""

    connect: Duration = timedelta(seconds=5)
    """Longest wait for a connection, the queue for one included."""
    first_byte: Duration = timedelta(seconds=60)
    """Longest wait for the answer's head after the request was sent."""
    between_bytes: Duration = timedelta(seconds=60)
    """Longest silence within a body, in either direction."""


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
    scopes: tuple[Scope, ...] | Mapping[Method, tuple[Scope, ...]] = ()
    """Scopes that a token needs, all of them; or by method: {GET: [...], POST: [...]}."""
    scopes_any: tuple[Scope, ...] = ()
    """Scopes of which a token needs one."""
    public: bool = False
    """No token is asked.  A route is public only by saying so."""
    allow: tuple[AllowWord, ...] = ()
    """What this back end needs although it is ambiguous."""
    forward_authorization: bool = False
    """Whether the client's Authorization header is passed on."""
    max_body: Size | None = None
    """Largest request body; more is 413.  Default: unlimited, as bodies are streamed."""
    timeouts: Timeouts = Timeouts()
    """How long we wait for the upstream."""

    @model_validator(mode="after")
    def _public_needs_no_scopes(self) -> Route:
        if self.public and (self.scopes or self.scopes_any):
            raise ValueError("a public route asks no token, so it can't ask scopes: remove public or the scopes")
        return self


class Config(Section):
    """The whole of config.yaml."""

    listen: Listen = Listen()
    """The public listener."""
    admin: Admin = Admin()
    """The operator's listener."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that share the port."""
    store: Store = Store()
    """A URL, or a mapping with url, username, password, ca_file, timeout, durability, prefix."""
    oauth: OAuth = OAuth()
    """The authorization server."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks whose X-Forwarded-* and Forwarded headers are believed."""
    drain_delay: Duration = timedelta(0)
    """Readiness is off this long before the listener closes."""
    drain_timeout: Duration = timedelta(seconds=25)
    """Longest wait at stop for requests in flight."""
    upstreams: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")], Upstream] = Field(default_factory=dict)
    """Name: where it is."""
    routes: tuple[Route, ...] = ()
    """Which requests go where; an unmatched request is 404."""

    @model_validator(mode="before")
    @classmethod
    def _store_url(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("store"), str):
            return {**data, "store": {"url": data["store"]}}
        return data
