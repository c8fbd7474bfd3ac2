"""The smallest scopes that clients need, by what they did on routes that only report.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from gateway.guard.reports import Finding
from gateway.routing import Route

_EXACT = 12
"""So many scopes to choose among are tried in all combinations; of more, whichever helps most is taken each time."""


@dataclass(slots=True)
class Need:
    """What one client did, and what it takes."""

    requests: int = 0
    scopes: frozenset[str] = frozenset()
    """The fewest that would have let all of it pass."""
    lacks: frozenset[str] = frozenset()
    """Those of them that it may not be granted yet."""


@dataclass(slots=True)
class Learned:
    """What all findings say."""

    clients: dict[str, Need] = field(default_factory=dict)
    strangers: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """Route, method and code -> requests that no client is known of."""
    gone: int = 0
    """Requests on routes that the configuration does not have any more, or not under this name."""


def learn(findings: Mapping[Finding, int], routes: Iterable[Route], granted: Mapping[str, frozenset[str]]) -> Learned:
    """
    Work out what each client needs.

    Args:
        findings: How often each was seen.
        routes: Those of the configuration, whose scopes count as they are now.
        granted: Client id -> what it may be granted; a client that is missing is no more, and left out.
    """
    by_name = {route.name: route for route in routes}
    learned = Learned()
    asked: dict[str, set[frozenset[str]]] = {}
    for finding, count in findings.items():
        route = by_name.get(finding.route)
        if route is None:
            learned.gone += count
        elif not finding.client_id:
            place = (finding.route, finding.method, finding.code)
            learned.strangers[place] = learned.strangers.get(place, 0) + count
        elif finding.client_id in granted:
            need = learned.clients.setdefault(finding.client_id, Need())
            need.requests += count
            match = route.match(finding.method)
            groups = asked.setdefault(finding.client_id, set())
            groups.update(frozenset((scope,)) for scope in match.scopes)
            if match.scopes_any:
                groups.add(match.scopes_any)
    for client_id, need in learned.clients.items():
        need.scopes = fewest(asked[client_id], granted[client_id])
        need.lacks = need.scopes - granted[client_id]
    return learned


def fewest(groups: Iterable[frozenset[str]], preferred: frozenset[str]) -> frozenset[str]:
    """
    The fewest scopes of which each group has one; among as few, those with most of ``preferred``, then by name.

    Exact up to `_EXACT` scopes to choose among.
    """
    wanted = set(groups)
    chosen = frozenset(scope for group in wanted if len(group) == 1 for scope in group)
    left = [group for group in wanted if chosen.isdisjoint(group)]
    choices = sorted(frozenset().union(*left), key=lambda scope: (scope not in preferred, scope))
    if len(choices) <= _EXACT:
        for size in range(len(choices) + 1):
            fitting = [some for some in map(frozenset, combinations(choices, size)) if all(some & group for group in left)]
            if fitting:
                return chosen | min(fitting, key=lambda some: (-len(some & preferred), sorted(some)))
    while left:
        best = min(choices, key=lambda scope: (-sum(scope in group for group in left), scope not in preferred, scope))
        chosen |= {best}
        left = [group for group in left if best not in group]
    return chosen
