"""What routes may say beside each other, the upstreams and the gateway's own endpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from gateway.addresses import Network
from gateway.config.address import is_host
from gateway.config.draft import Draft
from gateway.config.faults import Fault
from gateway.config.model import OAuth, Route
from gateway.config.overrides import suggest
from gateway.config.route_path import path_fault

# What llhttp parses (house.md, "What is known about the parser"), CONNECT and TRACE apart, which the edge refuses.
METHODS = frozenset({
    "ACL", "BIND", "CHECKOUT", "COPY", "DELETE", "GET", "HEAD", "LINK", "LOCK", "MERGE", "MKACTIVITY", "MKCALENDAR",
    "MKCOL", "MOVE", "NOTIFY", "OPTIONS", "PATCH", "POST", "PROPFIND", "PROPPATCH", "PURGE", "PUT", "QUERY", "REBIND",
    "REPORT", "SEARCH", "SOURCE", "SUBSCRIBE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE",
})  # fmt: skip
"""Methods that a route can name."""
LONGEST_STALE = timedelta(days=1)
_RESERVED = "authority"
"""The upstream that `gateway.routing` keeps for the gateway's own endpoints."""


_ALWAYS_OWN = ("clients", "forward-auth")
"""Names below the prefix that stay the gateway's whatever ``registration_paths`` says: a client is managed there."""


def paths(draft: Draft) -> Iterator[Fault]:
    """Each path is its own canonical form, or no request could match it."""
    for number, route in draft.routes:
        message = path_fault(route.path, encoded_slash="encoded_slash" in route.allow)
        if message:
            yield draft.fault(message, "routes", number, "path")


def hosts(draft: Draft) -> Iterator[Fault]:
    """Each host is one that a Host header can name."""
    for number, route in draft.routes:
        for position, host in enumerate(route.hosts):
            if "*" in host:
                yield draft.fault("hosts have no wildcards: list them, or none for any", "routes", number, "hosts", position)
            elif not is_host(host):
                message = "write a host name without scheme, port and path, like api.example.com"
                yield draft.fault(message, "routes", number, "hosts", position)


def methods(draft: Draft) -> Iterator[Fault]:
    """A method can arrive, and scopes are asked for no other methods than the route's."""
    for number, route in draft.routes:
        for position, method in enumerate(route.methods):
            if method not in METHODS:
                message = "the gateway takes no requests of this method, so this could never match"
                yield draft.fault(message, "routes", number, "methods", position)
        if isinstance(route.scopes, Mapping) and number not in draft.partial:
            yield from _scopes_by_method(draft, number, route, route.scopes)


def _scopes_by_method(draft: Draft, number: int, route: Route, by_method: Mapping[str, tuple[str, ...]]) -> Iterator[Fault]:
    here = served(route.methods)
    for method in by_method:
        if method not in METHODS or (here and method not in here):
            message = f"{method} is not among the methods of this route: add it there or remove it here"
            yield draft.fault(message, "routes", number, "scopes", method, key=True)
    for method in route.methods:
        if method not in by_method and not (method == "HEAD" and "GET" in by_method):
            message = f"{method} has no scopes here; if a token alone is enough for it, write {method}: []"
            yield draft.fault(message, "routes", number, "scopes")


def streams(draft: Draft) -> Iterator[Fault]:
    """A WebSocket begins with a GET, and a token is passed where one is asked; and one limit of silence is enough."""
    for number, route in draft.routes:
        if route.streams is None:
            continue
        for place in (("timeouts", "between_bytes"), ("min_body_rate",)):
            if draft.is_set("routes", number, *place):
                yield draft.warning("on a route with streams its idle counts in place of this", "routes", number, *place)
        if not route.streams.subprotocol:
            continue
        methods = served(taken(route))
        if methods and "GET" not in methods:
            message = "a WebSocket begins with a GET, which this route does not take"
            yield draft.fault(message, "routes", number, "streams", "subprotocol")
        elif route.public:
            message = "a public route asks no token, so none can be passed: remove public or this"
            yield draft.fault(message, "routes", number, "streams", "subprotocol")


def duplicates(draft: Draft) -> Iterator[Fault]:
    """No two routes take the same request: the later one could never match."""
    by_path: dict[str, list[tuple[int, Route]]] = {}
    for number, route in draft.whole_routes:
        earlier = by_path.setdefault(route.path, [])
        for other_number, other in earlier:
            if _hosts_meet(route, other) and _methods_meet(route, other):
                line = draft.at("routes", other_number, "path").line
                message = f"routes[{other_number}] on line {line} has the same path, host and method: merge them"
                yield draft.fault(message, "routes", number, "path")
                break
        earlier.append((number, route))


def _hosts_meet(one: Route, other: Route) -> bool:
    # A route for a host comes before one for any host, so these two can stand beside each other.
    if not one.hosts or not other.hosts:
        return not one.hosts and not other.hosts
    return not {host.lower() for host in one.hosts}.isdisjoint(host.lower() for host in other.hosts)


def _methods_meet(one: Route, other: Route) -> bool:
    ours, theirs = taken(one), taken(other)
    return not ours or not theirs or not served(ours).isdisjoint(served(theirs))


def taken(route: Route) -> tuple[str, ...]:
    """The methods of a route, empty for any; a map of scopes by method names them too."""
    return route.methods or (tuple(route.scopes) if isinstance(route.scopes, Mapping) else ())


def served(methods: tuple[str, ...]) -> frozenset[str]:
    """All that a list of methods takes."""
    return frozenset(methods) | ({"HEAD"} if "GET" in methods else set())


def addresses(draft: Draft) -> Iterator[Fault]:
    """Who is allowed by name is not denied as well, and who names nobody does not mean everybody."""
    for number, route in draft.routes:
        for key in ("ip_allow", "scopes_any"):
            if key in route.model_fields_set and not getattr(route, key):
                yield draft.fault("an empty list keeps nobody out: list some, or remove the key", "routes", number, key)
        for position, allowed in enumerate(route.ip_allow):
            if any(_covers(denied, allowed) for denied in route.ip_deny):
                message = "ip_deny names these addresses too, and wins: remove one of the two"
                yield draft.fault(message, "routes", number, "ip_allow", position)


def _covers(wide: Network, narrow: Network) -> bool:
    return wide.version == narrow.version and wide.prefixlen <= narrow.prefixlen and narrow.network_address in wide


def upstreams_known(draft: Draft) -> Iterator[Fault]:
    """A route names an upstream that exists, and each upstream has a route."""
    names = draft.upstream_names
    if _RESERVED in names:
        yield draft.fault("the gateway calls its own endpoints so: take another name", "upstreams", _RESERVED, key=True)
    for number, route in draft.routes:
        if route.upstream not in names:
            hint = suggest(route.upstream, dict.fromkeys(names)) if names else "; there are none"
            yield draft.fault(f"no such upstream{hint}", "routes", number, "upstream")


def upstreams_used(draft: Draft) -> Iterator[Fault]:
    """What nothing leads to is most likely a mistake."""
    used = {route.upstream for _, route in draft.routes}
    for name in draft.upstreams:
        if name not in used:
            yield draft.warning("no route leads to this upstream", "upstreams", name, key=True)
    if not draft.routes:
        mark = draft.at("routes")
        yield Fault(mark, "routes: there are none, so all but the gateway's own endpoints is 404", fatal=False)


def own_endpoints(draft: Draft) -> Iterator[Fault]:
    """No route is at or below one of the gateway's own endpoints, which would win over it."""
    for number, route in draft.routes:
        own = _own_endpoint(route.path, draft.config.oauth)
        if own:
            message = f"{own} is the gateway's own, so this could never match: take a broader path, or change {_way_out(own)}"
            yield draft.fault(message, "routes", number, "path")


def open_beside(draft: Draft) -> Iterator[Fault]:
    """A path that needs a token while the same one with, or without, a slash at its end is public: back ends take both alike."""
    public = {route.path for _, route in draft.whole_routes if route.open}
    closed = {route.path for _, route in draft.whole_routes if not route.open}
    for number, route in draft.whole_routes:
        other = route.path.removesuffix("/") if route.path.endswith("/") else f"{route.path}/"
        if route.open or not other or _most_specific(other, public | closed) not in public - closed:
            continue
        message = f"{other} is public, and many back ends take it for the same: add a route for it, or a token to that one"
        yield draft.warning(message, "routes", number, "path")


def outages(draft: Draft) -> Iterator[Fault]:
    """What is said of outages means something."""
    for number, route in draft.whole_routes:
        if route.on_store_failure == "cached" and route.open:
            message = "requests pass here without asking the store: remove this"
            yield draft.fault(message, "routes", number, "on_store_failure")
        if route.max_stale > LONGEST_STALE:
            yield draft.fault("write at most 1d: nobody can be kept out so long", "routes", number, "max_stale")
        elif draft.is_set("routes", number, "max_stale") and route.on_store_failure != "cached":
            message = "it counts with on_store_failure: cached only"
            yield draft.warning(message, "routes", number, "max_stale")


def reporting(draft: Draft) -> Iterator[Fault]:
    """Nobody forgets a route that lets everybody through."""
    for number, route in draft.whole_routes:
        if route.enforce == "report":
            message = "report lets every request through, token or not: write always once gateway learn finds nothing new"
            yield draft.warning(message, "routes", number, "enforce")


def _most_specific(path: str, paths: set[str]) -> str:
    below = [candidate for candidate in paths if candidate == path or (candidate.endswith("/") and path.startswith(candidate))]
    return max(below, key=len, default="")


def _own_endpoint(path: str, oauth: OAuth) -> str:
    pages = ("account",) if oauth.sign_in else ()
    names = [f"{oauth.prefix}/{name}" for name in (*oauth.registration_paths, *_ALWAYS_OWN, *pages)]
    path = path.casefold()  # the router lets no path pass for another one in other letters: both would be 404
    for name in names:
        if path == name.casefold() or path.startswith(f"{name}/".casefold()):
            return name
    trees = (f"{oauth.prefix}/oauth/", "/.well-known/oauth-")
    return next((tree for tree in trees if path.startswith(tree.casefold())), "")


def _way_out(own: str) -> str:
    if own.endswith("/account"):
        return "oauth.sign_in"
    return "oauth.prefix" if own.endswith(("/oauth/", "/clients", "/forward-auth", "oauth-")) else "oauth.registration_paths"


def scopes_declared(draft: Draft) -> Iterator[Fault]:
    """A scope that is asked for is declared, or no token could have it."""
    declared = draft.config.oauth.scopes
    for number, route in draft.routes:
        for path in _scope_places(route):
            yield from _undeclared(draft, declared, path[-1], "routes", number, *path[:-1])
    for position, scope in enumerate(draft.config.oauth.default_scopes):
        yield from _undeclared(draft, declared, scope, "oauth", "default_scopes", position)


def _scope_places(route: Route) -> Iterator[tuple[str | int, ...]]:
    """The path to each scope, followed by the scope."""
    if isinstance(route.scopes, Mapping):
        for method, scopes in route.scopes.items():
            yield from (("scopes", method, position, scope) for position, scope in enumerate(scopes))
    else:
        yield from (("scopes", position, scope) for position, scope in enumerate(route.scopes))
    yield from (("scopes_any", position, scope) for position, scope in enumerate(route.scopes_any))


def _undeclared(draft: Draft, declared: Mapping[str, str], scope: str | int, *path: str | int) -> Iterator[Fault]:
    if scope not in declared:
        hint = suggest(str(scope), declared) if declared else ""
        yield draft.fault(f"the scope is not declared: add it to oauth.scopes{hint}", *path)
