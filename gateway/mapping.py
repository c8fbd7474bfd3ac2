"""
What an answer says of the upstream's own addresses, said in the client's terms: ``Location``, ``Content-Location``, ``Refresh``
(URLs) and ``Set-Cookie`` (Domain, Path).  Pure.

An upstream that gets another Host or path than the client asked for answers with addresses that lead nowhere from outside.  What
names another host, or a path that no request through the route gets to, passes untouched; relative references keep their meaning.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from gateway.rewriting import Rewriting, without_dots

AUTHORITY = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?)(?::[0-9]{1,5})?")
"""A host name or address, with a port perhaps, as Host holds it (RFC 9110 section 7.2)."""
# RFC 3986 appendix B.
_URL = re.compile(rb"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(.*)", re.DOTALL)
_REFRESH = re.compile(rb"([ \t0-9.]*[;,][ \t]*(?:url[ \t]*=[ \t]*)?)(['\"]?)(.*)", re.IGNORECASE | re.DOTALL)
NAMES: Final = frozenset((b"location", b"content-location", b"refresh", b"set-cookie"))
"""Lower-case names of the headers that hold addresses."""
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
_PORT = re.compile(rb":[0-9]*$")


class Outward:
    """How an upstream and a client each call the same things.  Immutable."""

    __slots__ = ("_host", "_names", "_public", "_public_name", "_rewriting", "_target")

    def __init__(self, target: str, host: bytes, public: bytes, rewriting: Rewriting | None) -> None:
        """
        Say how both sides see it.

        Args:
            target: The upstream's address as configured.
            host: The Host that was sent.
            public: ``scheme://authority`` as the client sees the gateway; empty when it named no host.
            rewriting: What the route does to paths.
        """
        scheme, _, authority = target.encode("ascii", "replace").partition(b"://")
        self._target = _with_port(scheme, authority)
        self._host = host.lower()
        self._names = {_name(self._target), _name(self._host)}
        self._public = public
        self._public_name = _name(public.partition(b"://")[2])
        self._rewriting = rewriting

    def lines(self, lines: list[bytes], asked: bytes, sent: bytes) -> list[bytes]:
        """
        Header lines of an answer, those that hold addresses written anew.

        Args:
            lines: ``Name: value`` with CRLF.
            asked: The client's target; relative references start from there.
            sent: The target that the upstream got.
        """
        return [self._line(line, asked, sent) for line in lines]

    def _line(self, line: bytes, asked: bytes, sent: bytes) -> bytes:
        name, _, value = line.partition(b":")
        lower = name.lower()
        if lower not in NAMES:
            return line
        value = value.strip(b" \t\r\n")
        if lower == b"set-cookie":
            mapped = self.cookie(value)
        else:
            mapped = (self.refresh if lower == b"refresh" else self.url)(value, asked, sent)
        return line if mapped == value else b"%b: %b\r\n" % (name, mapped)

    def url(self, reference: bytes, asked: bytes, sent: bytes) -> bytes:
        """A URI reference (RFC 9110 sections 8.7 and 10.2.2)."""
        found = _URL.fullmatch(reference)
        if found is None:
            return reference
        scheme, authority, path, rest = found.groups()
        if authority is not None:
            if not self._is_upstream((scheme or b"http").lower(), authority):
                return reference
            path = self._back(path or b"/")
            # Without a host to name, the path alone; it may not begin like one.
            return self._public + path + rest if self._public else b"/" + path.lstrip(b"/\\") + rest
        if scheme is not None or self._rewriting is None or not path:
            return reference
        if path.startswith(b"/"):
            return self._back(path) + rest
        meant = self._back(_merge(sent, path))
        return reference if meant == _merge(asked, path) else meant + rest

    def refresh(self, value: bytes, asked: bytes, sent: bytes) -> bytes:
        """``Refresh: 5; url=…``, as the HTML standard reads it."""
        found = _REFRESH.fullmatch(value)
        if found is None:
            return value
        before, quote, url = found.groups()
        url, closing, after = url.partition(quote) if quote else (url, b"", b"")
        return before + quote + self.url(url, asked, sent) + closing + after

    def cookie(self, value: bytes) -> bytes:
        """A cookie (RFC 6265 section 4.1), whatever its name; a ``__Host-`` cookie is for the path / and stays so."""
        if self._rewriting is None and b"domain" not in value.lower():
            return value  # most cookies
        first, *attributes = value.split(b";")
        bound = first.lstrip().lower().startswith(b"__host-")
        kept = [first]
        for attribute in attributes:
            key, _, said = attribute.partition(b"=")
            word, said = key.strip().lower(), said.strip()
            if word == b"domain" and said.lower().lstrip(b".") in self._names:
                # A host that may have no subdomains gets the cookie for itself alone.
                if _is_domain(self._public_name):
                    kept.append(key + b"=" + self._public_name)
            elif word == b"path" and self._rewriting is not None and said.startswith(b"/") and not bound:
                kept.append(key + b"=" + self._rewriting.back_cookie(said))
            else:
                kept.append(attribute)
        return b";".join(kept)

    def _is_upstream(self, scheme: bytes, authority: bytes) -> bool:
        # Who is told of https by X-Forwarded-Proto writes it before its own host and port: the scheme says nothing.
        return scheme in _DEFAULT_PORTS and (
            authority.lower() == self._host or _with_port(scheme, authority) == self._target
        )

    def _back(self, path: bytes) -> bytes:
        return path if self._rewriting is None else self._rewriting.back(path)


outward = lru_cache(256)(Outward)
"""An `Outward` for these arguments, kept for the next answer like it; clients choose hosts, so not many."""


def public_origin(scheme: str, host: bytes, forwarding: dict[bytes, bytes]) -> bytes:
    """
    What the client calls the gateway: ``scheme://authority``; empty when it named no host.

    Args:
        scheme: Of the connection.
        host: The request's Host, validated.
        forwarding: What a trusted proxy said of them; it counts only where it says one sound thing.
    """
    if not forwarding:
        return b"%b://%b" % (scheme.encode("ascii"), host) if host else b""
    said = forwarding.get(b"x-forwarded-proto", b"").strip(b" \t").lower()
    front = forwarding.get(b"x-forwarded-host", b"").strip(b" \t")
    authority = front if AUTHORITY.fullmatch(front) else host
    return (said if said in _DEFAULT_PORTS else scheme.encode("ascii")) + b"://" + authority if authority else b""


def _with_port(scheme: bytes, authority: bytes) -> bytes:
    return authority.lower() if _PORT.search(authority) else authority.lower() + _DEFAULT_PORTS.get(scheme, b"")


def _name(authority: bytes) -> bytes:
    return _PORT.sub(b"", authority).lower()


def _is_domain(name: bytes) -> bool:
    """Whether a cookie can have it as its Domain: neither an address nor a single label."""
    return b"." in name and not name.rpartition(b".")[2].isdigit() and not name.startswith(b"[")


def _merge(base: bytes, path: bytes) -> bytes:
    """RFC 3986 section 5.2.3; of the base, the path counts."""
    base = base.partition(b"?")[0]
    return without_dots(base[: base.rfind(b"/") + 1] + path)
