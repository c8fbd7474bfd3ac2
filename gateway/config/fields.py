"""What the model says about a place of the configuration: its type, its keys, its meaning."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.config.model import Config, Section


def type_at(path: Iterable[str | int]) -> Any:
    """The annotation at ``path`` (``("routes", 0, "hosts")``); None when the model knows no such place."""
    found: Any = Config
    for part in path:
        found = next((inner for inner in (_inner(arm, part) for arm in _arms(found)) if inner is not None), None)
    return found


def section_of(annotation: Any) -> type[Section] | None:
    """The section that an annotation allows, if any."""
    return next((arm for arm in _arms(annotation) if isinstance(arm, type) and issubclass(arm, Section)), None)


def is_collection(annotation: Any) -> bool:
    """Whether the annotation allows a list or a mapping."""
    return section_of(annotation) is not None or any(typing.get_origin(arm) in (tuple, Mapping) for arm in _arms(annotation))


def is_list(annotation: Any) -> bool:
    """Whether the annotation allows a list."""
    return any(typing.get_origin(arm) is tuple for arm in _arms(annotation))


def is_mapping(annotation: Any) -> bool:
    """Whether the annotation allows keys of the user's own choice."""
    return any(typing.get_origin(arm) is Mapping for arm in _arms(annotation))


def _arms(annotation: Any) -> list[Any]:
    if annotation is None:
        return []
    if typing.get_origin(annotation) is typing.Annotated:
        return _arms(typing.get_args(annotation)[0])
    arguments = typing.get_args(annotation)
    # ``X | Y`` has no origin of its own that would tell it from tuple or Mapping, which have one.
    if typing.get_origin(annotation) in (tuple, Mapping) or not arguments:
        return [annotation]
    if typing.get_origin(annotation) is typing.Literal:
        return [annotation]
    return [arm for argument in arguments for arm in _arms(argument)]


def _inner(arm: Any, part: str | int) -> Any:
    arguments = typing.get_args(arm)
    if isinstance(arm, type) and issubclass(arm, Section):
        field = arm.model_fields.get(str(part))
        return field.annotation if field else None
    if typing.get_origin(arm) is Mapping:
        return arguments[1]
    if typing.get_origin(arm) is tuple and isinstance(part, int):
        return arguments[0]
    return None
