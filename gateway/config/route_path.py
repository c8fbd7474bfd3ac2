"""Which paths a route may have: those that are their own canonical form (hardening.md, P18)."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

MAX_PATH = 2048
"""Longest path of a route, bytes."""
# RFC 3986 section 3.3 pchar, without ";", which the edge refuses or cuts off before it matches.
_PATH = re.compile(r"(/|[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# For whoever decodes twice this would be another path (hardening.md, P04).
_DOUBLE = re.compile(r"%25(?:2[EF5]|5C|3B|[01][0-9A-F]|7F)", re.IGNORECASE)
_WORDS = {";": "semicolon", "\\": "backslash", " ": "space", "%": "percent sign that begins no escape"}


def path_fault(path: str, *, encoded_slash: bool = False) -> str:
    """
    What is wrong with the path of a route; empty when nothing is.

    Args:
        path: As written.
        encoded_slash: Whether the route allows ``%2F`` as data.
    """
    if not path.startswith("/"):
        return "a path begins with /"
    if len(path) > MAX_PATH:
        return f"a path has at most {MAX_PATH} bytes"
    if "?" in path or "#" in path:
        return "a route matches the path alone: remove the ? or # and what follows"
    return _character_fault(path) or _escape_fault(path, encoded_slash=encoded_slash) or _segment_fault(path)


def _character_fault(path: str) -> str:
    rest = path[len(_PATH.match(path)[0]) :]  # type: ignore[index]  # the pattern matches the empty string at least
    if not rest:
        return ""
    odd = rest[0]
    if odd == ";":
        return "a path has no ;: parameters are cut off (allow: [semicolon]) or refused before a route is sought"
    if not odd.isascii() and odd.isprintable():
        return f"only ASCII can stand in a path: write {quote(odd)} for {odd}"
    return f"a {_WORDS.get(odd, f'character U+{ord(odd):04X}')} can't stand in a path: percent-encode it"


def _escape_fault(path: str, *, encoded_slash: bool) -> str:
    for found in _ESCAPE.finditer(path):
        byte = int(found[1], 16)
        if byte in _UNRESERVED:
            return f"{found[0]} means {chr(byte)}: write {chr(byte)}"
        if byte < 0x20 or byte in b"\x7f;" or (byte in b"/\\" and not encoded_slash):
            way_out = "; allow: [encoded_slash] on this route lets it pass" if byte in b"/\\" else ""
            return f"{found[0]} can be read in two ways, so such a request is refused before a route is sought{way_out}"
        if found[0] != found[0].upper():
            return f"write escapes in capitals: {found[0].upper()} for {found[0]}"
    if _DOUBLE.search(path):
        return "it is percent-encoded twice, so such a request is refused before a route is sought"
    try:
        unquote_to_bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        return "the escapes are not UTF-8, so such a request is refused before a route is sought"
    return ""


def _segment_fault(path: str) -> str:
    if "//" in path:
        return "a path has no empty segment: write one / for //"
    for segment in re.split(r"/|%2F|%5C", path):
        if segment in (".", ".."):
            return "a path has no segment . or ..: write the path it leads to"
        if segment.endswith((".", "%20")):
            return "no segment ends in a dot or a space: such a request is refused before a route is sought"
    return ""
