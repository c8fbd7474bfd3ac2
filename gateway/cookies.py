"""
The cookie of the pages: its name, reading it, and keeping it between the browser and us (C08).  Pure.

Browsers send ``name=value`` pairs with ``; `` between them (RFC 6265 section 4.2.1).
"""

from __future__ import annotations

from collections.abc import Iterable


def session_cookie(issuer: str) -> str:
    """
    The name of the session cookie.

    With ``__Host-`` no other host, subdomain or plain connection can set it (RFC 6265bis section 4.1.3.2); that needs https.
    """
    return "__Host-gateway" if issuer.startswith("https://") else "gateway"


def find_cookie(lines: Iterable[str], name: str) -> str | None:
    """The value of a cookie; None when it is absent, or there more than once: nobody could say which one is meant (C09)."""
    found = [
        value for line in lines for pair in line.split(";") for key, _, value in [pair.strip(" \t").partition("=")] if key == name
    ]
    return found[0] if len(found) == 1 else None


def without_cookie(lines: list[bytes], name: bytes) -> list[bytes]:
    """
    Header lines of a request without one cookie; all other bytes of them stay, and a line that held nothing else goes.

    Args:
        lines: ``Name: value`` with CRLF.
        name: The cookie's.
    """
    return [left for line in lines if (left := _cut(line, name) if line[:7].lower() == b"cookie:" else line)]


def _cut(line: bytes, name: bytes) -> bytes:
    """A line of ``Cookie`` without one; empty when nothing is left."""
    field, value = line[:8], line[8:-2]
    pairs = value.split(b";")
    left = [pair for pair in pairs if pair.partition(b"=")[0].strip(b" \t") != name]
    if len(left) == len(pairs):
        return line
    rest = b";".join(left).strip(b" \t")
    return b"%b%b\r\n" % (field, rest) if rest else b""


def without_set_cookie(lines: list[bytes], name: bytes) -> list[bytes]:
    """
    Header lines of an answer without those that set one cookie.

    A cookie without a name is sent back as its value alone (RFC 6265bis section 5.6), which may then look like ours: ``=a=b``.
    """
    return [line for line in lines if line[:11].lower() != b"set-cookie:" or _set_name(line[11:]) != name]


def _set_name(value: bytes) -> bytes:
    return value.partition(b";")[0].strip(b" \t\r\n=").partition(b"=")[0].strip(b" \t")
