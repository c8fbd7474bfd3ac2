"""Which headers ``request_headers`` and ``response_headers`` may change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from gateway.config.draft import Draft
from gateway.config.faults import Fault
from gateway.config.model import HeaderEdits
from gateway.header_names import bars_request_edit, bars_response_edit


def edits(draft: Draft) -> Iterator[Fault]:
    """Nothing that frames a message, or that only the gateway can say; and each name says one thing."""
    for number, route in draft.routes:
        if route.request_headers is not None:
            yield from _edits(draft, route.request_headers, bars_request_edit, "routes", number, "request_headers")
        if route.response_headers is not None:
            bars = _bars_beside_cors if route.cors is not None else bars_response_edit
            yield from _edits(draft, route.response_headers, bars, "routes", number, "response_headers")


def _bars_beside_cors(name: str) -> str:
    if name.lower().startswith("access-control-"):
        return "the route's cors says it"
    return bars_response_edit(name)


def _edits(draft: Draft, section: HeaderEdits, bars: Callable[[str], str], *place: str | int) -> Iterator[Fault]:
    places = [(name, ("set", name)) for name in section.set] + [(name, ("add", name)) for name in section.add]
    for name, where in places:
        if why := bars(name):
            yield draft.fault(f"this header can't be set: {why}", *place, *where, key=True)
    for position, name in enumerate(section.remove):
        if why := bars(name):
            yield draft.fault(f"this header can't be removed: {why}", *place, "remove", position)
        elif name.lower() in {other.lower() for other in (*section.set, *section.add)}:
            yield draft.fault("this header is set too: remove it here or there", *place, "remove", position)
    for kind, names in (("set", section.set), ("add", section.add)):
        twice = [name for name, count in Counter(name.lower() for name in names).items() if count > 1]
        for name in twice:
            last = [written for written in names if written.lower() == name][-1]
            message = "it stands here twice, in other letters" + ("" if kind == "set" else ": join the values by a comma")
            yield draft.fault(message, *place, kind, last, key=True)
