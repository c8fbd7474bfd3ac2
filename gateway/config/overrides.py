"""
What stands above the file: ``GATEWAY_*`` variables, and above them the flags.

``GATEWAY_LISTEN__PORT=8443`` sets ``listen.port``; names are nested by two underscores, entries of a list by their number.
A list or a mapping is written as YAML in one line: ``GATEWAY_OAUTH__DEFAULT_SCOPES='[a, b]'``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from typing import Any

from gateway.config import fields
from gateway.config.faults import Fault, Mark, Unreadable
from gateway.config.model import Config
from gateway.config.nodes import Mapping, Node, Path, Scalar, Sequence, find, from_data, put, replace_scalars
from gateway.config.yaml_nodes import compose

PREFIX = "GATEWAY_"
_NOT_OURS = frozenset({"GATEWAY_CONFIG"})


@dataclass
class Layers:
    """A tree under its overrides, and what is wrong with them."""

    root: Node
    faults: list[Fault] = field(default_factory=list)

    def flags(self, values: MappingABC[str, Any]) -> None:
        """Lay flags over the tree, by dotted path: ``{"listen.port": 8443}``."""
        for name, value in values.items():
            path = tuple(int(part) if re.fullmatch(r"[0-9]{1,6}", part) else part for part in name.split("."))
            self._put(path, from_data(value, Mark(f"{name} (command line)")))

    def environment(self, environ: MappingABC[str, str]) -> None:
        """Lay the ``GATEWAY_*`` variables over the tree, shorter names first, so that longer ones add to them."""
        names = [name for name in environ if name.startswith(PREFIX) and name not in _NOT_OURS]
        for name in sorted(names, key=lambda name: (name.count("__"), name)):
            path = self._path(name)
            if path is None:
                continue
            try:
                node = _parse(environ[name], Mark(name), collection=fields.is_collection(fields.type_at(path)))
            except Unreadable as unreadable:
                self.faults.append(unreadable.fault)
            else:
                self._put(path, node)

    def _put(self, path: Path, node: Node) -> None:
        # The string is the store's URL and nothing else: password, prefix and durability of the file stay.
        if path == ("store",) and isinstance(node, Scalar):
            path = ("store", "url")
        self.root = put(self.root, path, node)

    def _path(self, name: str) -> Path | None:
        segments = name.removeprefix(PREFIX).split("__")
        if segments[0].lower() not in Config.model_fields:
            self._stranger(name, segments)
            return None
        path: Path = ()
        for segment in segments:
            part = self._part(path, segment)
            if part is None:
                self._unknown(name, path, segment)
                return None
            path = (*path, part)
        return path

    def _part(self, path: Path, segment: str) -> str | int | None:
        kind, present = fields.type_at(path), find(self.root, path)
        if isinstance(present, Sequence):
            number = int(segment) if re.fullmatch(r"[0-9]{1,6}", segment) else len(present.items)
            return number if number < len(present.items) else None
        section = fields.section_of(kind)
        if section is not None and segment.lower() in section.model_fields:
            return segment.lower()
        if section is None and segment and fields.is_mapping(kind):
            entries = present.entries if isinstance(present, Mapping) else {}
            return next((key for key in entries if _as_variable(key) == segment.upper()), segment.lower())
        return None

    def _unknown(self, name: str, path: Path, segment: str) -> None:
        present, section = find(self.root, path), fields.section_of(fields.type_at(path))
        if isinstance(present, Sequence):
            message = f'"{segment}" is no entry of the list, which has {len(present.items)}, counted from 0'
        elif section is None:
            message = f'"{segment}" names nothing: there are no keys below {"__".join(map(str, path))}'
        else:
            message = f'"{segment}" names no key{suggest(segment.lower(), section.model_fields)}'
        self.faults.append(Fault(Mark(name), message))

    def _stranger(self, name: str, segments: list[str]) -> None:
        # Kubernetes sets GATEWAY_PORT, GATEWAY_SERVICE_HOST and more beside a service named "gateway": none has two
        # underscores in a row, so those without are not refused.
        hint = suggest(segments[0].lower(), Config.model_fields)
        if len(segments) > 1:
            self.faults.append(Fault(Mark(name), f'"{segments[0]}" names no section{hint}'))
        elif closest(segments[0].lower(), Config.model_fields, cutoff=0.8):
            self.faults.append(Fault(Mark(name), f"ignored, as it names no key{hint}", fatal=False))


def closest(written: str, known: MappingABC[str, Any], cutoff: float = 0.6) -> str:
    """The known word that was most likely meant; empty when none is near."""
    return next(iter(difflib.get_close_matches(written, known, n=1, cutoff=cutoff)), "")


def suggest(written: str, known: MappingABC[str, Any]) -> str:
    """``; did you mean "x"?``, or the list of what is known."""
    close = closest(written, known)
    return f'; did you mean "{close}"?' if close else f"; known are {', '.join(known)}"


def _as_variable(key: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", key.upper())


def _parse(text: str, mark: Mark, *, collection: bool) -> Node:
    if not (collection and text.lstrip().startswith(("[", "{"))):
        return Scalar(text, mark, literal=True)
    node, faults = compose(text, mark.source)
    if faults:
        raise Unreadable(mark, faults[0].message)
    # The shell has replaced what it had to: a ``${`` here is meant as it stands.
    root = node or Scalar("", mark)
    return replace_scalars(root, lambda scalar: Scalar(scalar.text, mark, plain=scalar.plain, literal=True))
