"""``gateway schema``: the JSON Schema (2020-12) of config.yaml, for editors."""

from __future__ import annotations

import json
from typing import Any

from gateway.config.fields import section_of
from gateway.config.model import Config, Section

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {"type": "string", "pattern": r"\$\{"}
"""``${VAR}`` may stand for any value."""
_NARROW = ("pattern", "enum", "const")
_ANNOTATIONS = ("title", "description", "default")


def text() -> str:
    """The schema as JSON, indented."""
    return json.dumps(build(), indent=2) + "\n"


def build() -> dict[str, Any]:
    """The schema of what the file may hold; the environment and the rules across sections are beyond it."""
    schema = Config.model_json_schema()
    sections = schema.pop("$defs")
    described = {name: _section(sections[name], kind) for name, kind in _sections(Config).items()}
    root = _section(schema, Config)
    return {"$schema": DIALECT, **root, "title": "config.yaml of the OAuth2 gateway", "$defs": described}


def _sections(section: type[Section]) -> dict[str, type[Section]]:
    found: dict[str, type[Section]] = {}
    for field in section.model_fields.values():
        for kind in _nested(field.annotation):
            found |= {kind.__name__: kind} | _sections(kind)
    return found


def _nested(annotation: Any) -> list[type[Section]]:
    own = section_of(annotation)
    inner = [kind for argument in getattr(annotation, "__args__", ()) for kind in _nested(argument)]
    return [own, *inner] if own else inner


def _section(schema: dict[str, Any], section: type[Section]) -> dict[str, Any]:
    defaults = section.model_construct().model_dump(mode="json") if section.model_fields else {}
    properties = {}
    for key, value in schema["properties"].items():
        changed = _allow_references({name: part for name, part in value.items() if name not in ("title", "default")})
        # A default that is nothing, or a whole section, says less than the description.
        if defaults.get(key) not in (None, {}) and "$ref" not in json.dumps(value):
            changed["default"] = defaults[key]
        properties[key] = changed
    return {**schema, "properties": properties}


def _allow_references(schema: dict[str, Any]) -> dict[str, Any]:
    """Wherever less than any text is allowed, allow a reference too."""
    changed = {key: _descend(key, value) for key, value in schema.items()}
    if "patternProperties" in changed:
        changed["additionalProperties"] = False
    if schema.get("type") not in ("integer", "boolean", "number") and not any(key in schema for key in _NARROW):
        return changed
    kept = {key: changed.pop(key) for key in _ANNOTATIONS if key in changed}
    return {**kept, "anyOf": [changed, _REFERENCE]}


def _descend(key: str, value: Any) -> Any:
    if key in ("items", "additionalProperties") and isinstance(value, dict):
        return _allow_references(value)
    if key in ("anyOf", "oneOf"):
        return [_allow_references(arm) for arm in value]
    if key == "patternProperties":
        return {pattern: _allow_references(inner) for pattern, inner in value.items()}
    return value
