"""What a route changes about headers, ``request_headers`` and ``response_headers``: written once, at start.  Pure."""

from __future__ import annotations

from gateway.config.model import HeaderEdits as Section


class HeaderEdits:
    """One set of changes to header lines."""

    __slots__ = ("_added", "_dropped")

    def __init__(self, section: Section) -> None:
        self._dropped = frozenset(name.lower().encode("ascii") for name in (*section.set, *section.remove))
        self._added = [
            f"{name}: {value.get_secret_value()}\r\n".encode("latin-1")
            for name, value in (*section.set.items(), *section.add.items())
        ]

    def apply(self, lines: list[bytes]) -> list[bytes]:
        """These lines (``Name: value`` with CRLF) without what is set or removed, then what is set and added."""
        return [*self.prune(lines), *self._added]

    def prune(self, lines: list[bytes]) -> list[bytes]:
        """Without what is set or removed."""
        return [line for line in lines if line[: line.index(b":")].lower() not in self._dropped]
