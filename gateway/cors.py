"""
Which web origins a browser lets read a route's answers: the gateway's side of the CORS protocol (Fetch standard section 3.2).

Pure.  The header lines of a route are written once, at start; an answer only chooses between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.config.model import Cors as CorsSection

_DEFAULT_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""What a route that takes any method says it takes."""
_REFUSALS_SHOW = ("WWW-Authenticate", "Retry-After")
"""Headers of the gateway's own refusals that a program has to read."""
_REQUESTED = re.compile(rb"[A-Z]{1,32}")


class Cors:
    """The ``cors`` of one route, as header lines."""

    __slots__ = ("_answer", "_any", "_foreign", "_origins", "_preflight", "_refusal")

    def __init__(self, section: CorsSection, methods: Iterable[str]) -> None:
        """``methods`` are the route's; empty: any."""
        self._any = "*" in section.origins
        self._origins = frozenset(origin.encode("ascii") for origin in section.origins)
        credentials = b"Access-Control-Allow-Credentials: true\r\n" if section.credentials else b""
        self._foreign = b"" if self._any else b"Vary: Origin\r\n"
        common = credentials + self._foreign
        self._answer = common + _line("Expose-Headers", section.expose_headers)
        self._refusal = common + _line("Expose-Headers", dict.fromkeys((*section.expose_headers, *_REFUSALS_SHOW)))
        # The wildcard does not stand for Authorization (Fetch standard section 4.9, step 8), so that has to be named.
        headers = ("*", "Authorization") if "*" in section.headers else section.headers
        self._preflight = b"".join((
            common,
            _line("Allow-Methods", section.methods or sorted(methods) or _DEFAULT_METHODS),
            _line("Allow-Headers", headers),
            b"Access-Control-Max-Age: %d\r\n" % section.max_age.total_seconds(),
        ))  # fmt: skip

    def allows(self, origin: bytes | None) -> bool:
        """Whether this origin may read answers; compared to the byte, as browsers write it."""
        return self._any or origin in self._origins

    def preflight(self, origin: bytes) -> bytes:
        """The lines of the answer to an allowed origin's preflight; that browser then compares method and headers itself."""
        return self._allow(origin) + self._preflight

    def answer(self, origin: bytes | None) -> bytes:
        """The lines of an upstream's answer."""
        return self._allow(origin) + self._answer if self.allows(origin) else self._foreign

    def refusal(self, origin: bytes | None) -> bytes:
        """The lines of an answer of the gateway's own."""
        return self._allow(origin) + self._refusal if self.allows(origin) else self._foreign

    def _allow(self, origin: bytes | None) -> bytes:
        # A wildcard is the same for everybody, so that caches may share the answer.
        return b"Access-Control-Allow-Origin: %b\r\n" % (b"*" if self._any else origin or b"")


def requested_method(value: bytes | None) -> bytes | None:
    """The method in Access-Control-Request-Method; None when it is none that a route could take."""
    return value if value is not None and _REQUESTED.fullmatch(value) else None


def without_cors(lines: list[bytes]) -> list[bytes]:
    """Header lines without those of the CORS protocol: on a route with ``cors`` the upstream has no say."""
    return [line for line in lines if line[:15].lower() != b"access-control-"]


def _line(name: str, values: Iterable[str]) -> bytes:
    listed = ", ".join(values)
    return f"Access-Control-{name}: {listed}\r\n".encode("ascii") if listed else b""
