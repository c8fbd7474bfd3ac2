"""The tree of a YAML document: what is written, and where.  Immutable, so that aliases may share parts of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from gateway.config.faults import Mark
from gateway.config.scalars import Value, resolve

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value."""

    text: str
    mark: Mark
    plain: bool = True
    """Unquoted: its value follows from its text."""
    literal: bool = False
    """Not of the file: a ``${`` in it means nothing."""
    secret: bool = False
    """Read from a secret's file: never nothing, and never shown."""

    def value(self) -> Value:
        """What the scalar stands for."""
        if not self.plain:
            return self.text
        found = resolve(self.text)
        return self.text if found is None and self.secret else found


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys with values; ``keys`` says where each key stands."""

    entries: dict[str, Node]
    keys: dict[str, Mark]
    mark: Mark


Node = Scalar | Sequence | Mapping


def to_data(node: Node) -> Any:
    """The Python value of a tree, fresh: dict, list, str, int, float, bool, None."""
    if isinstance(node, Scalar):
        return node.value()
    if isinstance(node, Sequence):
        return [to_data(item) for item in node.items]
    return {key: to_data(child) for key, child in node.entries.items()}


def from_data(value: Any, mark: Mark) -> Node:
    """The tree of a Python value that a flag gave."""
    if isinstance(value, dict):
        return Mapping({str(key): from_data(child, mark) for key, child in value.items()}, {}, mark)
    if isinstance(value, list | tuple):
        return Sequence(tuple(from_data(item, mark) for item in value), mark)
    if isinstance(value, bool):
        return Scalar("true" if value else "false", mark, literal=True)
    return Scalar("" if value is None else str(value), mark, literal=True)


def replace_scalars(node: Node, change: Callable[[Scalar], Scalar]) -> Node:
    """The same tree with each scalar changed; the structure can't change."""
    if isinstance(node, Scalar):
        return change(node)
    if isinstance(node, Sequence):
        return Sequence(tuple(replace_scalars(item, change) for item in node.items), node.mark)
    return Mapping({key: replace_scalars(child, change) for key, child in node.entries.items()}, node.keys, node.mark)


def put(node: Node | None, path: Path, new: Node) -> Node:
    """The same tree with ``new`` at ``path``; what is missing on the way, or is no mapping, becomes a mapping."""
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(node, Sequence) and isinstance(head, int) and head < len(node.items):
        items = list(node.items)
        items[head] = put(items[head], rest, new)
        return Sequence(tuple(items), node.mark)
    old = node if isinstance(node, Mapping) else Mapping({}, {}, new.mark)
    key = str(head)
    entries = {**old.entries, key: put(old.entries.get(key), rest, new)}
    return Mapping(entries, {**old.keys, key: old.keys.get(key, new.mark)}, old.mark)


def find(node: Node | None, path: Path) -> Node | None:
    """What stands at ``path``; None when there is nothing."""
    for part in path:
        node = _child(node, part)
    return node


def mark_at(root: Node, path: Path, *, key: bool = False) -> Mark:
    """Where ``path`` is written, or the nearest thing around it; ``key``: where its last key is, not the value."""
    node, mark = root, root.mark
    for part in path:
        child = _child(node, part)
        if child is None:
            return mark
        mark = node.keys.get(str(part), child.mark) if key and isinstance(node, Mapping) else child.mark
        node = child
    return mark


def present(root: Node, loc: Path) -> Iterator[str | int]:
    """Those parts of pydantic's ``loc`` that are places of the document, not names of union branches."""
    node: Node | None = root
    for position, part in enumerate(loc):
        child = _child(node, part)
        if child is not None:
            node = child
            yield part
        elif position == len(loc) - 1 and isinstance(node, Mapping) and part != "[key]":
            yield part


def _child(node: Node | None, part: str | int) -> Node | None:
    if isinstance(node, Mapping):
        return node.entries.get(str(part))
    if isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
        return node.items[part]
    return None
