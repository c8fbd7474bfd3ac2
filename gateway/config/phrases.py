"""Pydantic's errors, said for whoever writes config.yaml.  None repeats a value: it may be a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

from gateway.config import fields, limits, values
from gateway.config.elsewhere import known_as
from gateway.config.nodes import Node as Root
from gateway.config.nodes import Path, Scalar, find, present
from gateway.config.overrides import closest, suggest

_PATTERNS = {
    values.HOST_PATTERN: "write a host name or an IP address, without port and without brackets",
    values.SCOPE_PATTERN: 'a scope is printable ASCII without space, " and \\ (RFC 6749 section 3.3)',
    values.METHOD_PATTERN: "write methods in capitals, like GET",
    values.HEADER_PATTERN: "write the name of a header, like X-Total-Count",
    values.KEY_PREFIX_PATTERN: "write 1 to 32 letters, digits, dots, dashes or underscores",
    values.PATH_PREFIX_PATTERN: 'write a path like /v1, without a slash at its end; "" for none',
    values.SEGMENT_PATTERN: "write one path segment: letters, digits, dashes and underscores, no slash",
    values.HASH_ON_PATTERN: "write client or header:NAME, like header:X-Session",
    limits.BY_PATTERN: "write client, credential, address, route or header:NAME, like header:X-Tenant",
    values.CHECK_PATH_PATTERN: "write a path with an optional query, like /healthz; percent-encode what is not plain",
    values.BASIC_USERNAME_PATTERN: "write a name without colon and without control characters (RFC 7617 section 2)",
    values.AUDIENCE_PATTERN: "write a URI like https://legacy.internal, or another name without spaces",
    values.CLIENT_ID_PATTERN: "write printable ASCII (RFC 6749 appendix A.1)",
    values.BEGINNING_PATTERN: "write how the tokens begin, 2 to 64 characters, like ory_at_",
    values.NAME_PATTERN: "write letters, digits, dots, dashes and underscores only",
}
_LIST = "write a list, like [a, b]"
_MAPPING = "write a mapping, like {key: value}"
_TYPES = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "mapping_type": _MAPPING,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "string_type": "write text",
    "string_unicode": "write valid Unicode text",
    "path_type": "write a path",
    "string_too_short": "it is empty: write a value or remove the key",
}


def phrase(error: ErrorDetails, root: Root) -> str:
    """What is wrong and how to mend it, without the place."""
    kind, context = error["type"], error.get("ctx", {})
    place = tuple(present(root, error["loc"]))
    node = find(root, place)
    if kind == "extra_forbidden":
        section = fields.section_of(fields.type_at(place[:-1]))
        return "unknown key" + (_hint(str(place[-1]), section.model_fields) if section else "")
    if kind == "missing":
        return f'"{error["loc"][-1]}" is missing{_meaning(place[:-1], str(error["loc"][-1]))}'
    if isinstance(node, Scalar) and node.value() is None and kind not in ("value_error",):
        return "there is no value: write one or remove the key"
    if kind in _TYPES:
        return _TYPES[kind]
    return _constraint(kind, context, node) or error["msg"].removeprefix("Value error, ")


def _hint(written: str, known: Mapping[str, Any]) -> str:
    return known_as(written, known) or suggest(written, known)


def _constraint(kind: str, context: dict[str, Any], node: Root | None) -> str:
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], "")
    if kind == "literal_error":
        known = {word.strip().strip("'"): None for word in context["expected"].replace(" or ", ", ").split(", ")}
        written = node.text if isinstance(node, Scalar) and not node.literal else ""
        close = closest(written, known)
        return f"write one of {', '.join(known)}" + (f'; did you mean "{close}"?' if close else "")
    if kind == "greater_than_equal":
        return f"write at least {context['ge']}"
    if kind == "less_than_equal":
        return f"write at most {context['le']}"
    if kind == "too_short":
        return _TYPES["string_too_short"] if isinstance(node, Scalar) else "write at least one entry"
    if kind == "string_too_long":
        return f"write at most {context['max_length']} characters"
    return ""


def _meaning(path: Path, key: str) -> str:
    section = fields.section_of(fields.type_at(path))
    described = section.model_fields.get(key) if section else None
    return f": {described.description}" if described and described.description else ""
