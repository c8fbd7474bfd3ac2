"""
``${VAR}``, ``${VAR:-default}``, ``${VAR:?message}``, ``${file:/run/secrets/x}`` and ``$$`` in the scalars of a tree.

Replaced after parsing, so that a value can't inject YAML.  An unquoted scalar is then resolved like any other, so that
``port: ${PORT}`` is a number.  A ``$`` before anything else stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gateway.config.exposure import is_open_to_all
from gateway.config.faults import Fault, Mark
from gateway.config.nodes import Node, Scalar, replace_scalars

MAX_SECRET = 64 * 1024
"""Largest file that ``${file:…}`` reads, bytes."""
_REFERENCE = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)(.*))?", re.DOTALL)
_GRAMMAR = "write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:PATH}, and $$ for a dollar sign"


class _Missing(Exception):
    """A reference that can't be replaced; the message says why."""


class Interpolation:
    """Replaces the references of one load and gathers what is wrong with them."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self.faults: list[Fault] = []
        self._environ = environ
        self._directory = directory
        self._read: dict[Path, str] = {}

    def replace(self, root: Node) -> Node:
        """The same tree with all references replaced; one that can't be is left and becomes a fault."""
        return replace_scalars(root, self._scalar)

    def _scalar(self, scalar: Scalar) -> Scalar:
        if scalar.literal or "$" not in scalar.text:
            return scalar
        try:
            text = _REFERENCE.sub(lambda found: self._value(found, scalar.mark), scalar.text)
        except _Missing as missing:
            self.faults.append(Fault(scalar.mark, str(missing)))
            return scalar
        return Scalar(text, scalar.mark, plain=scalar.plain, secret="${file:" in scalar.text)

    def _value(self, found: re.Match[str], mark: Mark) -> str:
        if found[0] == "$$":
            return "$"
        body = found[1]
        if body is None:
            raise _Missing(f"a ${{ is not closed or holds another: {_GRAMMAR}")
        if body.startswith("file:"):
            return self._file(body.removeprefix("file:"), mark)
        return self._variable(body)

    def _variable(self, body: str) -> str:
        parts = _VARIABLE.fullmatch(body)
        if parts is None:
            raise _Missing(f"not a reference: {_GRAMMAR}")
        name, operator, argument = parts[1], parts[2], parts[3]
        value = self._environ.get(name)
        if value or (value is not None and not operator):
            return value
        if operator == ":-":
            return argument
        state = "is not set" if value is None else "is empty"
        if operator == ":?" and argument:
            raise _Missing(f"the environment variable {name} {state}: {argument}")
        raise _Missing(f"the environment variable {name} {state}: set it, or write ${{{name}:-default}}")

    def _file(self, name: str, mark: Mark) -> str:
        if not name:
            raise _Missing("name a file: ${file:/run/secrets/x}")
        path = self._directory / name
        if path not in self._read:
            self._read[path] = _read_secret(path)
            if is_open_to_all(path):
                self.faults.append(Fault(mark, f"everybody on this machine may read {path}: chmod o-r it", fatal=False))
        return self._read[path]


def _read_secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise _Missing(f"can't read {path}: {reason}") from None
    if len(raw) > MAX_SECRET:
        raise _Missing(f"{path} is larger than {MAX_SECRET // 1024} KiB: is it the right file?")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _Missing(f"{path} is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")
