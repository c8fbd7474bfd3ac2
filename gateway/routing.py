"""
Which route a request belongs to: (host, method, canonical path) → `Match`.

A look-up walks from the whole path upwards, one dict access per segment end, so that its cost does not depend on how many
routes there are.  It fails closed: an unmatched path is 404, a wrong method is 405 and never a shorter route, a path that
would reach a *more* specific route if it were decoded or its case folded reaches none (a back end may do so; CVE-2026-27587).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from gateway.addresses import AddressRules
from gateway.config.model import OWN, Config
from gateway.config.model import Route as RouteSection
from gateway.config.reach import believed, kept_out, sent_path
from gateway.cookies import session_cookie
from gateway.cors import Cors
from gateway.errors import MethodNotAllowed, RouteNotFound
from gateway.header_edits import HeaderEdits, withheld
from gateway.oauth.resources import WELL_KNOWN, metadata_url, resource
from gateway.rewriting import rewriting

AUTHORITY = "authority"
"""Name of the upstream that serves the gateway's own endpoints; no configured upstream can have a route to it."""
FORWARD_AUTH = "/forward-auth"
"""Where other proxies ask, below the prefix."""
OWN_MAX_BODY = 64 * 1024
"""Largest body at one of the own endpoints, bytes."""
_KEPT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"})
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class Route:
    """One entry of ``routes``, or the gateway's own endpoints, ready for the hot path."""

    __slots__ = (
        "_matches", "allow", "between_bytes", "connect", "cors", "first_byte", "forward_authorization", "hosts", "is_oauth",
        "max_body", "methods", "min_body_rate", "name", "own", "path", "public", "scopes", "scopes_any",
        "scopes_by_method",
        "addresses", "max_stale", "session_cookie", "streams", "total", "upstream",
        "_metadata", "kept_out", "limited", "limits", "open", "preserve_host", "reports", "request_headers", "resources",
        "response_headers", "rewriting", "asks", "introduces", "withheld", "issuers", "foreign",
    )  # fmt: skip

    def __init__(
        self, section: RouteSection, issuer: str, *, own: bool = False, session_cookie: bytes = b"", planned: bool = False
    ) -> None:
        """``planned``: there are plans, which count wherever a token is asked."""
        self.path = section.path
        self.name = section.path if not section.hosts else f"{section.hosts[0]}{section.path}"
        """What logs and metrics call it."""
        self.upstream = section.upstream
        self._matches: dict[str, Match] = {}
        self.hosts = frozenset(host.lower() for host in section.hosts)
        # A map of scopes by method is the list of methods too: a method that nobody thought of is refused, not open.
        self.methods = _with_head(section.methods or (section.scopes if isinstance(section.scopes, Mapping) else ()))
        """Empty: any."""
        self.public = section.public or own
        self.reports = section.enforce == "report"
        """Whether it only says what it would refuse."""
        self.open = self.public or self.reports
        """Whether requests pass without a token."""
        self.limits = section.limits
        self.limited = bool(section.limits) or (planned and not self.open)
        """Whether anything may limit its requests."""
        self.max_stale = section.max_stale.total_seconds() if section.on_store_failure == "cached" else 0.0
        """Seconds for which tokens that were known pass while the store can't be asked; 0: none does."""
        self.own = own
        self.session_cookie = session_cookie
        """The cookie that stays between the browser and the pages; empty where there are none, and for their own route."""
        self.asks = own and section.path.rstrip("/").endswith(FORWARD_AUTH)
        """Whether other proxies ask here whether a request may pass."""
        self.is_oauth = own and section.path.endswith("/oauth/")
        """Whether it is the OAuth endpoints, which refuse in RFC 6749's JSON."""
        self.scopes = frozenset() if isinstance(section.scopes, Mapping) else frozenset(section.scopes)
        self.scopes_by_method = _scopes_by_method(section.scopes) if isinstance(section.scopes, Mapping) else {}
        self.scopes_any = frozenset(section.scopes_any)
        self.issuers = frozenset(section.issuers)
        """Whose tokens are good here: ``own``, and names of ``issuers``."""
        self.foreign = tuple(name for name in section.issuers if name != OWN)
        """Those of them that are not the gateway."""
        self.allow = frozenset(section.allow)
        self.forward_authorization = section.forward_authorization or own
        self.max_body = -1 if section.max_body is None else section.max_body
        """Bytes; -1: unlimited."""
        self.min_body_rate = section.min_body_rate if section.streams is None else 0
        """Bytes per second; 0: none."""
        self.connect = section.timeouts.connect.total_seconds()
        self.first_byte = section.timeouts.first_byte.total_seconds()
        self.cors = Cors(section.cors, self.methods) if section.cors is not None else None
        self.streams = section.streams
        """None where no upgrade is allowed."""
        silence = section.streams.idle if section.streams is not None else section.timeouts.between_bytes
        self.between_bytes = silence.total_seconds()
        self.rewriting = rewriting(section.path, section.strip_prefix, section.rewrite)
        """How the upstream's paths differ from the clients'; None: not at all."""
        self.preserve_host = section.preserve_host
        self.request_headers = HeaderEdits(section.request_headers) if section.request_headers is not None else None
        self.response_headers = HeaderEdits(section.response_headers) if section.response_headers is not None else None
        self.introduces = section.credential is not None or section.identity is not None
        """Whether its upstream is told other things than who calls, or in another way: `gateway.upstreams.introduction`."""
        self.withheld: HeaderEdits | None = None
        """Names that its upstream believes and no client may send; None: no more than everywhere.  `Router` fills it in."""
        self.kept_out: tuple[str, ...] | None = None
        """Paths at the upstream, read leniently, that other routes ask more for; `Router` fills it in."""
        self.addresses = AddressRules(section.ip_allow, section.ip_deny) if section.ip_allow or section.ip_deny else None
        """Which clients may come; None: any."""
        self.total = section.timeouts.total.total_seconds()
        """Seconds; 0: no end."""
        self.resources = _resources(issuer, self.path, self.hosts)
        """What a token may be for that comes here: the route, at each of its hosts, or all of such a host."""
        self._metadata = {host: metadata_url(issuer, self.path, host) for host in self.hosts or ("",)}

    def metadata_url(self, host: str) -> str:
        """Where the resource's metadata lies for who asked this host (RFC 9728 section 5.1); empty where no token is asked."""
        return "" if self.public else self._metadata[host if self.hosts else ""]

    def match(self, method: str) -> Match:
        """The match of this route for a method that it takes; kept for the methods that everybody uses."""
        known = self._matches.get(method)
        if known is None:
            known = Match(self, method)
            if method in _KEPT:
                self._matches[method] = known
        return known


def _resources(issuer: str, path: str, hosts: Iterable[str]) -> frozenset[str]:
    return frozenset(resource(issuer, place, host) for host in hosts or ("",) for place in (path, "/"))


def known_resources(config: Config) -> frozenset[str]:
    """The identifiers of all protected resources (RFC 9728 section 1.2): what ``resource`` may name (RFC 8707 section 2)."""
    own = {resource(config.oauth.issuer)}
    for route in config.routes:
        if not route.public:
            own |= _resources(config.oauth.issuer, route.path, [host.lower() for host in route.hosts])
    return frozenset(own)


class Match:
    """What the router found: the route and what a token needs for this method.  Shared between requests; immutable."""

    __slots__ = ("method", "repeatable", "route", "scopes", "scopes_any")

    def __init__(self, route: Route, method: str) -> None:
        self.route = route
        self.method = method
        self.scopes = route.scopes_by_method.get(method, frozenset()) if route.scopes_by_method else route.scopes
        self.scopes_any = route.scopes_any
        self.repeatable = method in _IDEMPOTENT
        """Whether the method is idempotent (RFC 9110 section 9.2.2)."""


class Router:
    """
    All routes of a configuration, the gateway's own endpoints included.

    The own endpoints win over a broader route because they are more specific; `gateway.config` refuses routes at or below
    them.
    """

    def __init__(self, config: Config) -> None:
        issuer = config.oauth.issuer
        cookie = session_cookie(issuer).encode("ascii") if config.oauth.sign_in else b""
        self.routes = [Route(section, issuer, session_cookie=cookie, planned=bool(config.plans)) for section in config.routes]
        self.own = [Route(section, issuer, own=True) for section in _own_sections(config)]
        self._exact: dict[str, list[Route]] = {}
        for route in [*self.own, *self.routes]:
            self._exact.setdefault(route.path, []).append(route)
        for route, section in zip(self.routes, config.routes, strict=True):
            paths = [_lenient(sent_path(other)) for other in kept_out(section, config.routes, config.upstreams)]
            route.kept_out = tuple(paths) or None
            route.withheld = withheld(believed(section, config))
        self._folded = {_lenient(path): path for path in self._exact}
        self._plain = all(reading == path for reading, path in self._folded.items())
        for entries in self._exact.values():
            entries.sort(key=lambda route: not route.hosts)  # entries for a host before entries for any
        self._hosts = frozenset(host for route in self.routes for host in route.hosts)

    def match(self, host: str, method: str, path: str) -> Match:
        """
        Find the most specific route.

        Args:
            host: Lower-case host name without port.
            method: As the client sent it; methods are case-sensitive.
            path: Canonical path, as `gateway.edge.target` gives it.

        Raises:
            RouteNotFound: Nothing matches host and path.
            MethodNotAllowed: The path has routes, but none for the method.
        """
        key = host if host in self._hosts else ""
        found, at = self._find(key, path)
        if self._reads_deeper(path, at):
            raise RouteNotFound(reason="decoded, or with case folded, the path is one of a more specific route")
        for route in found:
            if not route.methods or method in route.methods:
                if route.kept_out is not None:
                    _keep_out(route.kept_out, route, path)
                return route.match(method)
        raise MethodNotAllowed(frozenset().union(*(route.methods for route in found)))

    def is_known_host(self, host: str) -> bool:
        """Whether some route names this host, so that matching depends on it."""
        return host in self._hosts

    def _find(self, host: str, path: str) -> tuple[list[Route], str]:
        # The loop of `_candidates`, without its generator: a path that was not seen before costs half as much.
        known, candidate, end = self._exact.get, path, len(path) - 1
        while True:
            found = known(candidate)
            if found is not None and self._hosts:
                found = [route for route in found if not route.hosts or host in route.hosts]
            if found:
                return found, candidate
            end = path.rfind("/", 0, end)
            if end < 0:
                raise RouteNotFound
            candidate = path[: end + 1]

    def _reads_deeper(self, path: str, at: str) -> bool:
        reading = _lenient(path)
        if reading == path and self._plain:
            return False
        length = len(_lenient(at))
        return any(len(candidate) > length for candidate in _candidates(reading) if candidate in self._folded)


def _keep_out(kept_out: tuple[str, ...], route: Route, path: str) -> None:
    """Refuse what would reach, by the path that is sent, resources for which another route asks more."""
    sent = route.rewriting.forward(path.encode("ascii")).decode("ascii") if route.rewriting is not None else path
    reading = _lenient(sent).rstrip("/")  # many back ends take /admin and /admin/ for the same
    if any(f"{reading}/".startswith(other) if other.endswith("/") else reading == other for other in kept_out):
        raise RouteNotFound(reason="rewritten, the path is one of a route that asks more")


def _lenient(path: str) -> str:
    """How the most lenient back end reads a path: decoded twice, a backslash as slash, empty segments merged, case folded."""
    if "%" in path:
        path = re.sub("//+", "/", unquote(unquote(path)).replace("\\", "/"))
    return path.casefold()


def _candidates(path: str) -> Iterable[str]:
    yield path
    end = path.rfind("/")
    if end == len(path) - 1:
        end = path.rfind("/", 0, end)
    while end >= 0:
        yield path[: end + 1]
        end = path.rfind("/", 0, end)


def _with_head(methods: Iterable[str]) -> frozenset[str]:
    named = frozenset(methods)
    return named | {"HEAD"} if "GET" in named else named


def _scopes_by_method(scopes: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    by_method = {method: frozenset(names) for method, names in scopes.items()}
    if "GET" in by_method:
        by_method.setdefault("HEAD", by_method["GET"])
    return by_method


def _own_sections(config: Config) -> Iterable[RouteSection]:
    prefix = config.oauth.prefix
    paths = [f"{prefix}/oauth/", "/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/"]
    paths += [WELL_KNOWN, f"{WELL_KNOWN}/"]
    pages = ("account",) if config.oauth.sign_in else ()
    for name in dict.fromkeys((*config.oauth.registration_paths, "clients", *pages)):
        paths += [f"{prefix}/{name}", f"{prefix}/{name}/"]
    for path in (f"{prefix}{FORWARD_AUTH}", f"{prefix}{FORWARD_AUTH}/"):
        # What stands behind it is another request's target, for which its own route has the say.
        loose = RouteSection(path=path, upstream=AUTHORITY, allow=("semicolon", "encoded_slash", "double_slash"))
        yield loose.model_copy(update={"max_body": OWN_MAX_BODY})
    for path in paths:
        # The host decides which of two routes with one path is described.
        update = {"max_body": OWN_MAX_BODY, "preserve_host": path.startswith(WELL_KNOWN)}
        yield RouteSection(path=path, upstream=AUTHORITY).model_copy(update=update)
