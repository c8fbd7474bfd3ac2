"""
The request target: one canonical form, which is matched *and* forwarded, or a refusal.

What is ambiguous is refused, so that no reading a back end may have of a path (decoded once or twice, ``\\`` as ``/``, ``;``
cut off, empty segments merged) is another path than the one the guard saw.  What a route may opt in to (``allow:``) is
reported in ``Target.needs`` and still never hides a dot-segment.
"""

from __future__ import annotations

import re

from gateway.errors import AmbiguousTarget, BadRequest, MethodNotAllowed, UriTooLong
from gateway.mapping import AUTHORITY
from gateway.rewriting import Rewriting

MAX_TARGET = 8 * 1024
"""Longest request target, bytes."""

# Every byte stands for itself and no dot begins or ends a segment: most requests end here, and only the four checks in
# `canonical` are left to do.
_PLAIN = re.compile(rb"/[A-Za-z0-9._~$&'()*+,=:@!/-]*(?:\?[A-Za-z0-9._~$&'()*+,=:@!/?%;\[\]-]*)?")
_PATH = re.compile(rb"(?:[A-Za-z0-9._~$&'()*+,=:@!/;-]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*")  # no controls, no space, no "#", nothing above ASCII
_QUERY_ENCODE = re.compile(rb"[\"<>\\^`{|}]")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# An escape that decodes to one of these escapes would be another path for whoever decodes twice.
_DOUBLE = re.compile(rb"%25(?:2[EeFf5]|5[Cc]|3[Bb]|[01][0-9A-Fa-f]|7[Ff])")
# Cut first and decoded then, it is part of the parameter; decoded first, it ends it.
_PARAMETER_SLASH = re.compile(rb"(?:;|%3B)[^/]*(?:%2F|%5C)")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*)([^#]*)")

_NOTHING: frozenset[str] = frozenset()


class Target:
    """
    A canonical target.

    Attributes:
        path: What is matched: the canonical path with path parameters cut off.
        asked: The canonical path and the query.
        forward: What is sent: the same, but for a route that rewrites paths.
        needs: The ``allow:`` words without which the route must refuse it.
        names_token: Whether its query may hold a token (RFC 6750 section 2.3).
        mark: What the log says of a request for it; empty for one that is to be forwarded from here.
    """

    mark = ""
    __slots__ = ("asked", "forward", "names_token", "needs", "path")

    def __init__(self, path: str, asked: bytes, needs: frozenset[str] = _NOTHING) -> None:
        self.path = path
        self.asked = asked
        self.forward = asked
        self.needs = needs
        self.names_token = b"access_token=" in asked


def canonical(raw: bytes) -> Target:
    """
    Bring an origin-form target (RFC 9112 section 3.2.1) into its one form.

    Percent-escapes of unreserved characters are decoded and the others written in upper case (RFC 3986 section 6.2.2).

    Raises:
        AmbiguousTarget: The path has several readings; ``rule`` says which rule it breaks.
        BadRequest: It is no origin-form.
        UriTooLong: It is longer than 8 KiB.
    """
    if len(raw) > MAX_TARGET:
        raise UriTooLong
    path, mark, query = raw.partition(b"?")
    if (
        _PLAIN.fullmatch(raw)
        and b"//" not in path
        and b"/." not in path
        and b"./" not in path
        and not path.endswith(b".")
    ):
        return Target(path.decode("ascii"), raw)
    if not path.startswith(b"/"):
        raise BadRequest("The request target must begin with a slash")
    if not _QUERY.fullmatch(query):
        raise AmbiguousTarget("The query holds a character that must be percent-encoded", rule="query_character")
    query = _QUERY_ENCODE.sub(lambda found: b"%%%02X" % found[0][0], query)
    path, needs = _canonical_path(path)
    match_path = _without_parameters(path) if b";" in path or b"%3B" in path else path
    return Target(match_path.decode("ascii"), path + mark + query, needs)


def rewritten(target: Target, rewriting: Rewriting) -> Target:
    """
    The same target with another path to send; its dot-segments are none, since what was asked for has none.

    Raises:
        AmbiguousTarget: The new path begins with an encoded slash, which a back end may take for ``//host``.
    """
    path, mark, query = target.asked.partition(b"?")
    sent = rewriting.forward(path)
    if sent.startswith((b"/%2F", b"/%5C")):
        raise AmbiguousTarget("The path that would be sent begins with an encoded slash", rule="leading_slash")
    changed = Target(target.path, target.asked, target.needs)
    changed.forward = sent + mark + query
    return changed


def origin_form(raw: bytes, host: bytes) -> bytes:
    """
    Turn an absolute-form target into origin-form; its authority must be the ``Host`` (RFC 9112 section 3.2.2).

    Raises:
        BadRequest: Another authority, or neither form.
    """
    found = _ABSOLUTE.fullmatch(raw)
    if found is None:
        raise BadRequest("The request target must be a path")
    if not host or found[1].lower() != host.lower():
        raise BadRequest("The request target names another authority than Host")
    rest: bytes = found[2]
    return rest if rest.startswith(b"/") else b"/" + rest


def check_method(method: bytes) -> None:
    """
    Refuse the methods that a reverse proxy has no use for (CONNECT tunnels, TRACE echoes credentials).

    Raises:
        MethodNotAllowed: CONNECT, TRACE or TRACK.
    """
    if method in (b"CONNECT", b"TRACE", b"TRACK"):
        raise MethodNotAllowed(frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}))


def host_name(host: bytes) -> str:
    """
    The lower-case host name of a ``Host`` value, its port checked and cut off (RFC 9110 section 7.2).

    Raises:
        BadRequest: Empty, a list, user information, a path, a bad port or name.
    """
    if AUTHORITY.fullmatch(host) is None:
        raise BadRequest("The Host header is not a host name with an optional port")
    name, colon, port = host.rpartition(b":")
    if not colon or host.endswith(b"]"):
        return host.decode("ascii").lower().rstrip(".")
    if int(port) > 65535:
        raise BadRequest("The Host header is not a host name with an optional port")
    return name.decode("ascii").lower().rstrip(".")


def _canonical_path(path: bytes) -> tuple[bytes, frozenset[str]]:
    if b"\\" in path:
        raise AmbiguousTarget("The path holds a backslash", rule="backslash")
    if not _PATH.fullmatch(path):
        raise AmbiguousTarget("The path holds a character or escape that is not allowed", rule="path_character")
    path = _ESCAPE.sub(_normal_escape, path)
    if _DOUBLE.search(path):
        raise AmbiguousTarget("The path is percent-encoded twice", rule="double_encoding")
    needs = set()
    if b"//" in path:
        needs.add("double_slash")
        path = re.sub(rb"//+", b"/", path)
    if b"%2F" in path or b"%5C" in path:
        needs.add("encoded_slash")
    if b";" in path or b"%3B" in path:
        needs.add("semicolon")
        if _PARAMETER_SLASH.search(path):
            raise AmbiguousTarget("A path parameter holds an encoded slash", rule="parameter_slash")
    _refuse_dots(path)
    return path, frozenset(needs)


def _normal_escape(found: re.Match[bytes]) -> bytes:
    byte = int(found[1], 16)
    if byte < 0x20 or byte == 0x7F:
        raise AmbiguousTarget("The path holds an encoded control character", rule="encoded_control")
    return bytes((byte,)) if byte in _UNRESERVED else b"%" + found[1].upper()


def _refuse_dots(path: bytes) -> None:
    """Look at every segment that some reading may see: cut at slashes, encoded slashes, and before parameters."""
    try:
        _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode("ascii")), path).decode("utf-8")
    except UnicodeDecodeError:
        raise AmbiguousTarget("The path does not decode to UTF-8", rule="utf8") from None
    for segment in re.split(rb"/|%2F|%5C", path):
        name = re.split(rb";|%3B", segment, maxsplit=1)[0]
        for part in (segment, name):
            if part.endswith((b".", b"%20")):
                rule = "dot_segment" if part.strip(b".") == b"" else "trailing_dot"
                raise AmbiguousTarget("The path holds a dot-segment, or a segment that ends in a dot or space", rule=rule)
        if name == b"" and segment:
            raise AmbiguousTarget("The path holds a segment that is nothing but parameters", rule="empty_segment")


def _without_parameters(path: bytes) -> bytes:
    return re.sub(rb"(?:;|%3B)[^/]*", b"", path)
