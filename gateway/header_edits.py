"""What a route changes about headers, ``request_headers`` and ``response_headers``: written once, at start.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config.model import HeaderEdits as Section

_DASHED = bytes(byte if bytes((byte,)).isalnum() else ord("-") for byte in range(256))


class HeaderEdits:
    """One set of changes to header lines."""

    __slots__ = ("_added", "_dropped")

    def __init__(self, section: Section) -> None:
        self._dropped = frozenset(_folded(name.encode("ascii")) for name in (*section.set, *section.remove))
        self._added = [
            f"{name}: {value.get_secret_value()}\r\n".encode("latin-1")
            for name, value in (*section.set.items(), *section.add.items())
        ]

    def apply(self, lines: list[bytes]) -> list[bytes]:
        """These lines (``Name: value`` with CRLF) without what is set or removed, then what is set and added."""
        return [*self.prune(lines), *self._added]

    def prune(self, lines: list[bytes]) -> list[bytes]:
        """Without what is set or removed."""
        return [line for line in lines if _folded(line[: line.index(b":")]) not in self._dropped]


def withheld(names: Iterable[str]) -> HeaderEdits | None:
    """The removal of these names; None where there are none."""
    listed = tuple(sorted(names))
    return HeaderEdits(Section(remove=listed)) if listed else None


def _folded(name: bytes) -> bytes:
    """A name as back ends compare it that take ``_``, ``.`` and ``-`` for the same (CGI, WSGI, PHP)."""
    return name.lower().translate(_DASHED)
