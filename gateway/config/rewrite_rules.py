"""What ``strip_prefix``, ``rewrite`` and ``preserve_host`` may say."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.draft import Draft
from gateway.config.faults import Fault
from gateway.config.model import Route
from gateway.config.reach import kept_out, sent_path
from gateway.config.route_path import path_fault


def paths(draft: Draft) -> Iterator[Fault]:
    """What is sent is a canonical path, as what is matched is (hardening.md, P17 and P18)."""
    for number, route in draft.routes:
        if _is_unsound(route):
            continue
        if route.rewrite is not None:
            message = _rewrite_fault(route, route.rewrite)
            if route.strip_prefix is not False:
                message = "strip_prefix and rewrite exclude each other: remove one"
            if message:
                yield draft.fault(message, "routes", number, "rewrite")
        elif route.strip_prefix is not False and (message := _strip_fault(route)):
            yield draft.fault(message, "routes", number, "strip_prefix")


def _is_unsound(route: Route) -> bool:
    return bool(path_fault(route.path, encoded_slash="encoded_slash" in route.allow))


def _rewrite_fault(route: Route, rewrite: str) -> str:
    if route.path.endswith("/") and rewrite.startswith("/") and not rewrite.endswith("/"):
        return f"the route takes everything below its path, so end this with / too: {rewrite}/"
    return path_fault(rewrite, encoded_slash="encoded_slash" in route.allow)


def _strip_fault(route: Route) -> str:
    strip = route.strip_prefix
    if isinstance(strip, bool):
        return "the route's path is /: there is nothing to strip" if route.path == "/" else ""
    message = path_fault(strip, encoded_slash="encoded_slash" in route.allow)
    prefix = strip.rstrip("/")
    if message or not prefix:
        return message or "/ is the beginning of every path: there is nothing to strip"
    if route.path not in (strip, prefix) and not route.path.startswith(f"{prefix}/"):
        return "the path of the route does not begin with this, whole segments taken: no request would"
    return ""


def reach(draft: Draft) -> Iterator[Fault]:
    """A rewritten path leads to what another route protects better: the router answers 404, and whoever runs it should know."""
    whole = [route for _, route in draft.whole_routes if _is_sound(route)]
    for number, route in draft.whole_routes:
        if not _is_sound(route):
            continue
        other = next(kept_out(route, whole, draft.upstreams), None)
        if other is not None:
            message = (
                f"this route could send requests to {sent_path(other)}, past the route {other.path}, which asks more: "
                "those are 404" + _at_other_hosts(route, other)
            )
            yield draft.warning(message, "routes", number, "path")


def _at_other_hosts(route: Route, other: Route) -> str:
    return " at hosts that are not listed there" if sent_path(route) == route.path and sent_path(other) == other.path else ""


def _is_sound(route: Route) -> bool:
    if _is_unsound(route) or (route.rewrite is not None and route.strip_prefix is not False):
        return False
    if route.rewrite is not None:
        return not _rewrite_fault(route, route.rewrite)
    return route.strip_prefix is False or not _strip_fault(route)


def preserved_hosts(draft: Draft) -> Iterator[Fault]:
    """The client's Host goes on to the upstream: which of its virtual hosts may it name (hardening.md, H10)?"""
    for number, route in draft.routes:
        if not route.preserve_host:
            continue
        if not route.hosts:
            message = "a client can name any virtual host of the upstream: list hosts on this route"
            yield draft.warning(message, "routes", number, "preserve_host")
        upstream = draft.upstreams.get(route.upstream)
        if upstream is None or not any(target.startswith("https://") for target in upstream.targets):
            continue
        if upstream.tls is None or upstream.tls.server_name not in route.hosts:
            message = "the upstream's TLS name (SNI) stays the target's, so a server that compares it with Host may refuse"
            yield draft.warning(message, "routes", number, "preserve_host")
