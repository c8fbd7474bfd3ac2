"""So much of JSON Schema 2020-12 as our own schema uses; an unknown keyword is an error, so that nothing goes unchecked."""

from __future__ import annotations

import re
from typing import Any

_SILENT = {"$schema", "$defs", "title", "description", "default", "format", "writeOnly"}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "integer": (int,), "boolean": (bool,), "null": (type(None),),
}  # fmt: skip


def complaints(schema: dict[str, Any], value: Any, root: dict[str, Any], at: str = "") -> list[str]:
    """Where ``value`` breaks ``schema``; empty when it does not."""
    found: list[str] = []
    for keyword, wanted in schema.items():
        if keyword not in _SILENT:
            found += _check(keyword, wanted, schema, value, root, at)
    return found


def _check(keyword: str, wanted: Any, schema: dict[str, Any], value: Any, root: dict[str, Any], at: str) -> list[str]:
    wrong = [f"{at}: {keyword} {wanted!r}"]
    match keyword:
        case "$ref":
            return complaints(root["$defs"][wanted.removeprefix("#/$defs/")], value, root, at)
        case "type":
            sound = isinstance(value, _TYPES[wanted]) and not (wanted == "integer" and isinstance(value, bool))
            return [] if sound else wrong
        case "anyOf" | "oneOf":
            passing = sum(not complaints(arm, value, root, at) for arm in wanted)
            return [] if passing == 1 or (passing and keyword == "anyOf") else wrong
        case "enum":
            return [] if value in wanted else wrong
        case "pattern":
            return [] if not isinstance(value, str) or re.search(wanted, value) else wrong
        case "minLength" | "maxLength" | "minItems":
            length = len(value) if isinstance(value, str | list) else 0
            sound = length <= wanted if keyword == "maxLength" else length >= wanted
            return [] if sound or not isinstance(value, str | list) else wrong
        case "minimum" | "maximum":
            sound = not isinstance(value, int) or (value >= wanted if keyword == "minimum" else value <= wanted)
            return [] if sound else wrong
        case "items":
            items = enumerate(value if isinstance(value, list) else [])
            return [line for number, item in items for line in complaints(wanted, item, root, f"{at}[{number}]")]
        case "required":
            return [f"{at}: {key} is missing" for key in wanted if isinstance(value, dict) and key not in value]
        case "properties" | "patternProperties" | "propertyNames":
            return _keys(keyword, wanted, value, root, at) if isinstance(value, dict) else []
        case "additionalProperties":
            if not isinstance(value, dict):
                return []
            patterns, known = schema.get("patternProperties", {}), schema.get("properties", {})
            extra = [key for key in value if key not in known and not any(re.search(pattern, key) for pattern in patterns)]
            if wanted is False:
                return [f"{at}.{key}: unknown" for key in extra]
            return [line for key in extra for line in complaints(wanted, value[key], root, f"{at}.{key}")]
    raise AssertionError(f"the schema uses {keyword}, which this check does not know")


def _keys(keyword: str, wanted: Any, value: dict[str, Any], root: dict[str, Any], at: str) -> list[str]:
    found: list[str] = []
    for key, inner in value.items():
        if keyword == "propertyNames":
            found += complaints(wanted, key, root, f"{at}.{key} (name)")
        elif keyword == "properties" and key in wanted:
            found += complaints(wanted[key], inner, root, f"{at}.{key}")
        elif keyword == "patternProperties":
            for pattern, schema in wanted.items():
                found += complaints(schema, inner, root, f"{at}.{key}") if re.search(pattern, key) else []
    return found
