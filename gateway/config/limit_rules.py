"""What limits may say beside routes and plans."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.draft import Draft
from gateway.config.faults import Fault
from gateway.header_names import bars_request_edit

_NOT_READ = frozenset((
    "host", "authorization", "proxy-authorization", "connection", "keep-alive", "te", "trailer", "upgrade", "expect",
    "transfer-encoding", "content-length", "proxy-connection", "http2-settings",
))  # fmt: skip
_BY_TOKEN = ("client", "credential")


def limits(draft: Draft) -> Iterator[Fault]:
    """There is somebody whose requests can be counted."""
    for number, route in draft.routes:
        for position, limit in enumerate(route.limits):
            place = ("routes", number, "limits", position, "by")
            if route.public and limit.by in _BY_TOKEN:
                message = "a public route asks no token, so it knows no client: write by: address, route or header:NAME"
                yield draft.fault(message, *(place if draft.is_set(*place) else place[:-1]))
            yield from _header(draft, limit.by, *place)


def plans(draft: Draft) -> Iterator[Fault]:
    """Each client has one, and it is the client that is counted."""
    named = draft.plans
    if named and "default" not in named:
        yield draft.fault('name one "default", for clients that have no plan; {} for no limits', "plans")
    for name, plan in named.items():
        for position, limit in enumerate(plan.limits):
            if limit.by not in _BY_TOKEN:
                message = "a plan counts a client's requests: write by: client or credential, or put the limit at a route"
                yield draft.fault(message, "plans", name, "limits", position, "by")


def _header(draft: Draft, by: str, *place: str | int) -> Iterator[Fault]:
    name = by.partition(":")[2].lower()
    if name and (name in _NOT_READ or bars_request_edit(name)):
        yield draft.fault("no client can send this header for itself: take another one", *place)
    elif "_" in name:
        yield draft.fault("headers with _ in their names are dropped: take another one", *place)
