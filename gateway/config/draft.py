"""
A tree checked against the model, as far as it can be.

So that all faults are reported at once, what the model refuses is left out and the rest is still there for the rules: what is
left out counts as `broken`, and rules that read it stand back, or they would judge defaults that nobody wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config import fields
from gateway.config.faults import Fault, Mark, show_path
from gateway.config.model import Config, Plan, Route, Upstream
from gateway.config.nodes import Mapping, Node, Path, Scalar, find, mark_at, present, to_data
from gateway.config.overrides import closest
from gateway.config.phrases import phrase


@dataclass
class Draft:
    """What the rules look at."""

    root: Node
    config: Config
    """Without what is broken."""
    faults: list[Fault] = field(default_factory=list)
    broken: frozenset[str] = frozenset()
    """Dotted paths of which nothing is known."""
    routes: list[tuple[int, Route]] = field(default_factory=list)
    """Those routes whose path and upstream are text, each with its number in the file."""
    partial: frozenset[int] = frozenset()
    """Numbers of the routes of which something was left out."""

    def at(self, *path: str | int, key: bool = False) -> Mark:
        """Where something is written, or the nearest thing around it."""
        return mark_at(self.root, path, key=key)

    def fault(self, message: str, *path: str | int, key: bool = False) -> Fault:
        """A fault at ``path``."""
        return Fault(self.at(*path, key=key), f"{show_path(path)}: {message}")

    def warning(self, message: str, *path: str | int, key: bool = False) -> Fault:
        """A warning at ``path``."""
        return Fault(self.at(*path, key=key), f"{show_path(path)}: {message}", fatal=False)

    def is_set(self, *path: str | int) -> bool:
        """Whether the file or an override says something at ``path``."""
        return find(self.root, path) is not None

    def knows(self, place: str) -> bool:
        """Whether nothing was left out at, above or below ``place``."""
        return not any(f"{place}.".startswith(f"{path}.") or f"{path}.".startswith(f"{place}.") for path in self.broken)

    @property
    def whole_routes(self) -> list[tuple[int, Route]]:
        """The routes of which nothing was left out."""
        return [(number, route) for number, route in self.routes if number not in self.partial]

    @property
    def upstreams(self) -> dict[str, Upstream]:
        """The sound upstreams."""
        return dict(self.config.upstreams)

    @property
    def plans(self) -> dict[str, Plan]:
        """The plans."""
        return dict(self.config.plans)

    @property
    def upstream_names(self) -> list[str]:
        """The names of all upstreams, unsound ones included."""
        return self.names("upstreams")

    def names(self, section: str) -> list[str]:
        """The names in a section that has some, unsound ones included."""
        node = find(self.root, (section,))
        return list(node.entries) if isinstance(node, Mapping) else []


def validate(root: Mapping) -> Draft:
    """Check a tree against the model; what is wrong stands in the draft's ``faults``."""
    data = to_data(root)
    config, errors = _try(data)
    if config is None and _take_as_text(root, data, errors):
        config, errors = _try(data)
    if config is not None:
        return Draft(root, config, routes=list(enumerate(config.routes)))
    faults = [_fault(root, error) for error in errors]
    pruned = _Pruned(data)
    for error in errors:
        pruned.leave_out(error)
    numbers = pruned.finish()
    sound, _ = _try(data)
    if sound is None:
        return Draft(root, Config(), faults, broken=frozenset(Config.model_fields))
    routes = list(zip(numbers, sound.routes, strict=True))
    return Draft(root, sound, faults, frozenset(pruned.broken), routes, frozenset(pruned.partial))


def _try(data: Any) -> tuple[Config | None, list[ErrorDetails]]:
    try:
        return Config.model_validate(data), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _take_as_text(root: Node, data: Any, errors: list[ErrorDetails]) -> bool:
    """Where text is wanted, ``12345`` and ``0x1f`` are text as they stand, not numbers: a password may look like one."""
    changed = False
    for error in errors:
        path = tuple(present(root, error["loc"]))
        node = find(root, path)
        if error["type"] != "string_type" or not isinstance(node, Scalar) or not (node.literal or node.value() is not None):
            continue
        holder = data
        for part in path[:-1]:
            holder = holder[part]
        holder[path[-1]] = node.text
        changed = True
    return changed


def _fault(root: Node, error: ErrorDetails) -> Fault:
    loc = error["loc"]
    path: Path = tuple(present(root, loc))
    message = phrase(error, root)
    if error["type"] == "missing":
        path = path[:-1] if path[-1:] == loc[-1:] else path
        return Fault(mark_at(root, path), f"{show_path(path)}: {message}" if path else message)
    key = error["type"] == "extra_forbidden" or loc[-1] == "[key]"
    return Fault(mark_at(root, path, key=key), f"{show_path(path)}: {message}")


class _Pruned:
    """Takes out of the data what is wrong, as little as possible."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.broken: set[str] = set()
        self.partial: set[int] = set()
        self._data = data
        self._dropped: set[int] = set()

    def leave_out(self, error: ErrorDetails) -> None:
        """Take out the key, the upstream or the route that an error is about."""
        top, *rest = error["loc"]
        if top == "routes" and rest and isinstance(rest[0], int):
            self._leave_out_of_route(rest[0], rest[1:])
        elif rest and isinstance(self._data.get(str(top)), dict):
            self._data[str(top)].pop(str(rest[0]), None)
            self._break(error, str(top), str(rest[0]))
        else:
            self._data.pop(str(top), None)
            self.broken.add(str(top))

    def finish(self) -> list[int]:
        """Drop the routes that can't be kept; returns the numbers of the others."""
        listed = self._data.get("routes")
        if not isinstance(listed, list):
            return []
        numbers = [number for number in range(len(listed)) if number not in self._dropped]
        self._data["routes"] = [listed[number] for number in numbers]
        return numbers

    def _leave_out_of_route(self, number: int, keys: list[int | str]) -> None:
        self.partial.add(number)
        route = self._data["routes"][number]
        if not keys or keys[0] in ("path", "upstream") or not isinstance(route, dict):
            self._dropped.add(number)
        else:
            route.pop(keys[0], None)

    def _break(self, error: ErrorDetails, top: str, key: str) -> None:
        section = fields.section_of(fields.type_at((top,)))
        if top in ("upstreams", "credentials"):
            return  # `Draft.names` knows them all the same
        if error["type"] == "extra_forbidden" and section is not None:
            # What was meant is unknown too, then.
            key = closest(key, section.model_fields)
        if key:
            self.broken.add(f"{top}.{key}")
