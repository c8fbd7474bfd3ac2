"""What ``routes[].cors`` may say: origins that a browser can send, and nothing that the Fetch standard takes back."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.config.address import is_host
from gateway.config.draft import Draft
from gateway.config.faults import Fault
from gateway.config.model import Cors, Route
from gateway.config.route_rules import METHODS, served, taken

_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\[\]:/?#@\s]+)(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_EXAMPLE = "write an origin as browsers send it, like https://app.example.com or http://localhost:3000"


def cors(draft: Draft) -> Iterator[Fault]:
    """Each origin could match, and credentials never meet a wildcard (Fetch standard section 3.2.5)."""
    for number, route in draft.routes:
        if route.cors is not None and number not in draft.partial:
            yield from _origins(draft, number, route.cors)
            yield from _wildcards(draft, number, route.cors)
            yield from _methods(draft, number, route, route.cors)


def _origins(draft: Draft, number: int, section: Cors) -> Iterator[Fault]:
    for position, origin in enumerate(section.origins):
        message = origin_fault(origin)
        if origin == "*" and len(section.origins) > 1:
            message = '"*" is any origin: remove it or the others'
        if message:
            yield draft.fault(message, "routes", number, "cors", "origins", position)


def origin_fault(origin: str) -> str:
    """What is wrong with an origin; empty when nothing is."""
    if origin == "*":
        return ""
    if origin == "null":
        return "null is the origin of every sandboxed page and local file, so it would be no limit: it is never allowed"
    if "*" in origin:
        return 'origins have no wildcards: list them, or "*" alone for any'
    found = _ORIGIN.fullmatch(origin)
    if origin != origin.lower():
        return "browsers send origins in lower case: write it so"
    if found is None or not is_host(found[2]) or int(found[3] or 1) > 65535:
        return f"{_EXAMPLE}, without path and without a slash at its end"
    if found[3] and found[3] == _DEFAULT_PORTS.get(found[1]):
        return f"browsers leave the default port out: remove :{found[3]}"
    return ""


def _wildcards(draft: Draft, number: int, section: Cors) -> Iterator[Fault]:
    if not section.credentials:
        return
    for key, values in (("origins", section.origins), ("headers", section.headers), ("expose_headers", section.expose_headers)):
        if "*" in values:
            message = 'with credentials "*" would let any page act as its visitor, and browsers refuse it: list what you mean'
            yield draft.fault(message, "routes", number, "cors", key, values.index("*"))


def _methods(draft: Draft, number: int, route: Route, section: Cors) -> Iterator[Fault]:
    here = served(taken(route))
    for position, method in enumerate(section.methods):
        if method not in METHODS or (here and method not in here):
            message = f"{method} is not among the methods of this route: add it there or remove it here"
            yield draft.fault(message, "routes", number, "cors", "methods", position)
