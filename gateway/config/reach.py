"""
What a rewritten path, or another Host, may reach: another route's resources behind its back.

With ``/pub/ → /`` a request for ``/pub/admin/x`` arrives as ``/admin/x``, past the route for ``/admin/`` and what that one asks.
So does one for ``/admin/x`` at a host that the route for ``/admin/`` does not list, where ``/`` takes it; the upstream is told
its own Host and can't know.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from gateway.config.model import Config, Route, Upstream
from gateway.rewriting import rewriting


def sent_path(route: Route) -> str:
    """The path that the upstream gets for the route's own; with a slash at its end it stands for everything below."""
    change = rewriting(route.path, route.strip_prefix, route.rewrite)
    return change.forward(route.path.encode("ascii")).decode("ascii") if change else route.path


def kept_out(route: Route, others: Iterable[Route], upstreams: Mapping[str, Upstream]) -> Iterator[Route]:
    """
    The routes that ask more than ``route`` does, and whose resources it would reach by a rewritten path.

    Only what lies *below* the path that ``route`` sends counts: who writes the very path of another route means it.
    """
    sent = sent_path(route)
    if not sent.endswith("/") or not route.path.endswith("/"):
        return
    for other in others:
        theirs = sent_path(other)
        if (
            theirs.casefold() != sent.casefold()
            and theirs.casefold().startswith(sent.casefold())
            and not _is_preferred(other, route, sent, theirs)
            and _meet(route, other, upstreams)
            and (_lets_fewer_in(other, route) or _asks_more(other, route))
        ):
            yield other


def _is_preferred(other: Route, route: Route, sent: str, theirs: str) -> bool:
    """Whether the router gives a request for what is ``other``'s to that, or compares the two, whichever Host it names."""
    if not _takes_hosts_of(other, route):
        return False
    return (sent == route.path and theirs == other.path) or f"{route.path}{theirs[len(sent):]}" == other.path


def _takes_hosts_of(other: Route, route: Route) -> bool:
    """A route without ``hosts`` takes any, so a client may name one that ``other`` does not."""
    return not other.hosts or (bool(route.hosts) and _hosts(route) <= _hosts(other))


def _hosts(route: Route) -> set[str]:
    return {host.lower() for host in route.hosts}


def _meet(one: Route, other: Route, upstreams: Mapping[str, Upstream]) -> bool:
    """Whether both lead to the same resources: the same targets, unless these are told another host by each."""
    if one.preserve_host and other.preserve_host and one.hosts and other.hosts and _hosts(one).isdisjoint(_hosts(other)):
        return False

    def targets(route: Route) -> Collection[str]:
        return upstreams[route.upstream].targets if route.upstream in upstreams else ()

    return one.upstream == other.upstream or not set(targets(one)).isdisjoint(targets(other))


def believed(route: Route, config: Config) -> frozenset[str]:
    """
    Names of headers that the upstream of a route believes, and a client may therefore not send.

    Those that tell it who calls are believed whichever route a request takes, so every route to its targets keeps them back; that
    of a credential its own route alone, since elsewhere a client may have one of its own.  ``Authorization`` has its own rules.
    """
    targets = _targets(route, config.upstreams)
    names = {
        name
        for other in config.routes if other.identity is not None
        if other.upstream == route.upstream or not targets.isdisjoint(_targets(other, config.upstreams))
        for name in other.identity.names
    }  # fmt: skip
    for shown in (config.credentials.get(name) for name in shown_names(route)):
        if shown is not None and shown.header is not None and shown.header.name.lower() != "authorization":
            names.add(shown.header.name)
    return frozenset(names)


def shown_names(route: Route) -> list[str]:
    """The credentials that a route may show."""
    credential = route.credential
    if credential is None:
        return []
    return [*dict.fromkeys((*([credential.default] if credential.default else []), *credential.by_client.values()))]


def _targets(route: Route, upstreams: Mapping[str, Upstream]) -> frozenset[str]:
    return frozenset(upstreams[route.upstream].targets) if route.upstream in upstreams else frozenset()


def _lets_fewer_in(other: Route, than: Route) -> bool:
    """By address; networks are compared as they are written."""
    if not set(other.ip_deny) <= set(than.ip_deny):
        return True
    return bool(other.ip_allow) and not (than.ip_allow and set(than.ip_allow) <= set(other.ip_allow))


def _asks_more(other: Route, than: Route) -> bool:
    if other.open or than.open:
        return than.open and not other.open
    certain = _certain(than)
    if not _needed(other) <= certain:
        return True
    any_of = set(other.scopes_any)
    sure = not any_of.isdisjoint(certain) or (than.scopes_any and set(than.scopes_any) <= any_of)
    return bool(any_of) and not sure


def _needed(route: Route) -> set[str]:
    """What a token needs for some method."""
    lists = route.scopes.values() if isinstance(route.scopes, Mapping) else [route.scopes]
    return {scope for scopes in lists for scope in scopes}


def _certain(route: Route) -> set[str]:
    """What every token has that passes, whatever the method."""
    lists = list(route.scopes.values()) if isinstance(route.scopes, Mapping) else [route.scopes]
    return set(lists[0]).intersection(*lists[1:]) if lists else set()
