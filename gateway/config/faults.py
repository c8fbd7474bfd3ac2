"""What is wrong with a configuration, and where it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """Where a value is written: line and column of the file, both from 1, or the name of what overrode the file."""

    source: str = ""
    line: int = 1
    column: int = 1

    def show(self, name: str) -> str:
        """``config.yaml:3:7``, or the variable or flag alone."""
        return self.source or f"{name}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong, or (not ``fatal``) only unwise; the message says how to mend it and holds no secret."""

    mark: Mark
    message: str
    fatal: bool = True

    def show(self, name: str) -> str:
        """``config.yaml:3:7: message``."""
        return f"{self.mark.show(name)}: {self.message}"


class Unreadable(Exception):
    """The document can't be read any further; holds the one fault."""

    def __init__(self, mark: Mark, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(mark, message)


def show_all(faults: Iterable[Fault], name: str) -> list[str]:
    """Each fault once, in the order of the file."""
    return [fault.show(name) for fault in sorted(set(faults))]


def show_path(parts: Iterable[str | int]) -> str:
    """``routes[0].upstream``."""
    shown = ""
    for part in parts:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    return shown
