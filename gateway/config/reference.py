"""``python -m gateway.config.reference > docs/config.md``: the manual of config.yaml, made of the model's docstrings."""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.config import fields, values
from gateway.config.model import Config, Section, Store
from gateway.config.overrides import PREFIX

_INTRODUCTION = """\
# config.yaml

<!-- Generated from the docstrings of gateway/config/model.py: `python -m gateway.config.reference > docs/config.md`. -->

`gateway check -c config.yaml` prints every fault as `config.yaml:LINE:COL: what and how to mend it` and exits with 78, or
exits with 0.  `gateway schema` prints a JSON Schema for editors.  Unknown and duplicate keys are refused.

**Precedence**: a flag, then the environment, then the file.  **Environment**: `GATEWAY_LISTEN__PORT=8443` sets `listen.port`;
names are nested by `__`, entries of a list by their number from 0, and a list or mapping is written in one line:
`GATEWAY_OAUTH__DEFAULT_SCOPES='[a, b]'`.  `GATEWAY_STORE` sets the store's URL and leaves its other keys as they are.

**References** in any value, replaced after parsing, so that a value can't inject YAML:

| written | becomes |
|---|---|
| `${VAR}` | the variable; a fault when it is not set |
| `${VAR:-default}` | the variable, or the default when it is unset or empty |
| `${VAR:?message}` | the variable, or a fault with the message when it is unset or empty |
| `${file:/run/secrets/x}` | the file without its last line break; best for secrets |
| `$$` | a dollar sign |

Within `{ }` and `[ ]` a reference needs quotes: `{port: "${PORT}"}`.

**YAML** is 1.2: `true` and `false` are the only booleans (`on` and `yes` are text), `0777` is 777.
**Durations**: `250ms` `30s` `10m` `1h` `30d`.  **Sizes**: `512B` `64KiB` `10MiB` `1GiB`.  **Paths** start at the folder of the
file, wherever they are written.
"""


def text() -> str:
    """The whole manual, as Markdown."""
    return "\n".join([_INTRODUCTION, *_section("Top level", Config, ""), *_nested(Config, "")])


def _nested(section: type[Section], path: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        kind, place = _section_in(field.annotation)
        if kind is not None:
            below = f"{path}{name}{place}"
            yield from _section(f"`{below}`", kind, f"{below}.")
            yield from _nested(kind, f"{below}.")


def _section_in(annotation: Any) -> tuple[type[Section] | None, str]:
    if (own := fields.section_of(annotation)) is not None:
        return own, ""
    arguments = typing.get_args(annotation)
    if fields.is_list(annotation):
        return fields.section_of(arguments[0]), "[]"
    if fields.is_mapping(annotation):
        return fields.section_of(arguments[1]), ".NAME"
    return None, ""


def _section(title: str, section: type[Section], path: str) -> Iterator[str]:
    yield f"## {title}\n\n{inspect.getdoc(section)}\n"
    yield "| key | value | default | meaning |\n|---|---|---|---|"
    for name, field in section.model_fields.items():
        yield f"| `{name}` | {_kind(field)} | {_default(field)} | {_cell(field.description or '')} |"
    if path and "[]" not in path and "NAME" not in path:
        yield f"\nEnvironment: `{PREFIX}{path.upper().replace('.', '__')}` and the key in capitals.\n"
    else:
        yield ""


def _kind(field: FieldInfo) -> str:
    annotation = field.annotation
    if fields.is_list(annotation) and fields.is_mapping(annotation):
        return "list, or lists by method"
    if fields.is_list(annotation):
        return "list"
    if (section := fields.section_of(annotation)) is not None:
        return "URL or section" if section is Store else "section"
    if fields.is_mapping(annotation):
        return "mapping"
    return _scalar_kind(annotation, [*field.metadata])


def _scalar_kind(annotation: Any, metadata: list[Any]) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(f"`{word}`" for word in typing.get_args(annotation))
    arms = [annotation, *typing.get_args(annotation)]
    names = {timedelta: "duration", bool: "`true` or `false`", int: "number", SecretStr: "secret"}
    shown = repr(annotation) + repr(metadata)
    if values.parse_size.__name__ in shown:
        return "size"
    if values.parse_strip_prefix.__name__ in shown:
        return "`true` or path"
    if SecretStr in arms or "SecretStr" in shown:
        return "secret"
    return next((name for kind, name in names.items() if kind in arms), "path" if "Path" in shown else "text")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return "below"
    if value is None or value in ("", (), {}):
        return "none"
    return f"`{values.write_size(value) if _kind(field) == 'size' else _written(value)}`"


def _written(value: Any) -> str:
    if isinstance(value, timedelta):
        return values.write_duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)


def _cell(description: str) -> str:
    return re.sub(r"\s+", " ", description).replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(text())
