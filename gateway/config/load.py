"""
config.yaml → `Config`: flag over environment over file, and all faults at once, each with its place.

The order matters: overrides are laid over the tree first, so that a reference they replace need not resolve; references are
replaced in scalars only, after parsing; then the model, then the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import places
from gateway.config.draft import validate
from gateway.config.faults import Fault, Mark, Unreadable, show_all
from gateway.config.interpolate import Interpolation
from gateway.config.model import Config
from gateway.config.nodes import Mapping as MappingNode
from gateway.config.nodes import Node, Scalar, find, put
from gateway.config.overrides import Layers
from gateway.config.rules import judge
from gateway.config.yaml_nodes import compose
from gateway.errors import ConfigFault

MAX_FILE = 16 * 1024 * 1024
"""Largest config file, bytes."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sound configuration and what there is to say about it."""

    config: Config
    warnings: list[str]
    """``config.yaml:3:7: message`` each."""
    route_lines: tuple[int, ...]
    """The line of each route in the file, from 1."""


def load(path: str | Path, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Config:
    """
    Load a configuration; see `load_all`.

    Raises:
        ConfigFault: With all that is wrong.
    """
    return load_all(path, environ, overrides).config


def load_all(
    path: str | Path, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None, *, files: bool = True
) -> Loaded:
    """
    Load a configuration, its warnings and the lines of its routes.

    Args:
        path: The file; messages name it as it is given here, and relative paths in it start at its folder.
        environ: For ``${VAR}`` and ``GATEWAY_*``.
        overrides: Flags, by dotted path: ``{"listen.port": 8443}``.
        files: Whether to look into certificates; who does not serve with them needs no sound ones.

    Raises:
        ConfigFault: With all that is wrong.
    """
    name = str(path)
    try:
        root, faults = compose(_read(Path(path)))
    except Unreadable as unreadable:
        raise ConfigFault([unreadable.fault.show(name)]) from None
    if root is None:
        raise ConfigFault([f"{name}:1:1: the file is empty: begin with upstreams and routes"])
    if not isinstance(root, MappingNode):
        raise ConfigFault([f"{root.mark.show(name)}: the file must hold keys with values, like listen: {{port: 8080}}"])
    return build(root, Path(path).absolute().parent, name, environ, overrides or {}, faults, files=files)


def build(
    root: Node, directory: Path, name: str, environ: Mapping[str, str], overrides: Mapping[str, Any], known: list[Fault],
    *, files: bool = True,
) -> Loaded:  # fmt: skip
    """
    Make a configuration of a tree.

    Args:
        root: What the file says.
        directory: Where relative paths start.
        name: What messages call the file.
        environ: For ``${VAR}`` and ``GATEWAY_*``.
        overrides: Flags, by dotted path.
        known: Faults that were found before.
        files: As in `load_all`.

    Raises:
        ConfigFault: With all that is wrong.
    """
    layers = Layers(_spell_out_store(root))
    layers.environment(environ)
    layers.flags(overrides)
    interpolation = Interpolation(environ, directory)
    tree = interpolation.replace(layers.root)
    if not isinstance(tree, MappingNode):
        raise ConfigFault([f"{name}: an override replaces the whole file"])
    draft = validate(tree)
    draft.config = places.anchor(draft.config, directory)
    if not draft.is_set("oauth", "issuer"):
        draft.config = places.follow_listener(draft.config)
    unknown = {fault.mark for fault in interpolation.faults if fault.fatal}
    found = [*known, *layers.faults, *interpolation.faults]
    found += [fault for fault in judge(draft, files=files) if fault.mark not in unknown]
    fatal = show_all((fault for fault in found if fault.fatal), name)
    if fatal:
        raise ConfigFault(fatal)
    warnings = show_all((fault for fault in found if not fault.fatal), name)
    lines = tuple(draft.at("routes", number).line for number, _ in draft.routes)
    return Loaded(places.lift_credentials(draft.config), warnings, lines)


def _spell_out_store(root: Node) -> Node:
    """``store: URL`` is ``store: {url: URL}``, so that an override can add to it."""
    store = find(root, ("store",))
    if not isinstance(store, Scalar) or (store.value() is None):
        return root
    return put(root, ("store",), MappingNode({"url": store}, {"url": store.mark}, store.mark))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise Unreadable(Mark(), f"can't read the file: {reason}") from None
    if len(raw) > MAX_FILE:
        raise Unreadable(Mark(), f"the file is larger than {MAX_FILE // 1024**2} MiB")
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        before = raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start]
        raise Unreadable(Mark("", line, len(before.decode("utf-8", "replace")) + 1), "not UTF-8: save it as UTF-8") from None
