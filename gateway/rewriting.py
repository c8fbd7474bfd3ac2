"""
The path that an upstream gets in place of the one that was asked for, and the way back for its answers.  Pure.

Made once a route from ``strip_prefix`` or ``rewrite``; both are one thing: a public path and what stands in its place.  Paths are
cut by counting segments, not by comparing them, because the forwarded path may carry parameters that the match did not see.
"""

from __future__ import annotations

import re

# What stands behind the name of the last segment: parameters, which belong to it.
_PARAMETERS = re.compile(rb"(?:;|%3B)[^/]*$")


class Rewriting:
    """
    ``public`` ↔ ``sent``.

    Both end with a slash and stand for everything below, or ``public`` does not and both are whole paths.
    """

    __slots__ = ("_exact", "_public", "_segments", "_sent")

    def __init__(self, public: str, sent: str) -> None:
        """
        Take canonical paths.

        Args:
            public: What the clients ask for: the route's path or a beginning of it.
            sent: What the upstream gets instead.
        """
        self._public = public.encode("ascii")
        self._sent = sent.encode("ascii")
        self._exact = not public.endswith("/")
        self._segments = public.count("/") - 1

    def forward(self, path: bytes) -> bytes:
        """The path to send for a canonical path, without query, that the route takes; begins with exactly one slash."""
        if self._exact:
            # A session id (`;jsessionid=…`) goes with the last segment, if there is one still.
            found = None if self._sent.endswith(b"/") else _PARAMETERS.search(path)
            return self._sent + found[0] if found else self._sent
        at = 0
        for _ in range(self._segments):
            at = path.find(b"/", at + 1)
        return self._sent + path[at + 1 :]

    def back(self, path: bytes) -> bytes:
        """What the clients call a path of the upstream; the same where no request through the route gets there."""
        if self._exact:
            found = _PARAMETERS.search(path)
            name = path[: found.start()] if found else path
            return self._public + path[len(name) :] if name == self._sent else path
        if b"/." in path:
            path = without_dots(path)  # or one would climb out of the other prefix
        if path + b"/" == self._sent:
            return self._public
        if not path.startswith(self._sent):
            return path
        # Not more than one slash, or backslash, at the beginning: that would be another host (RFC 3986 section 4.2).
        return b"/" + (self._public + path[len(self._sent) :]).lstrip(b"/\\")

    def back_cookie(self, path: bytes) -> bytes:
        """The same for the Path of a cookie, which stands for all below it, with or without a slash at its end."""
        below = path if path.endswith(b"/") else path + b"/"
        # Above all that the route reaches it holds for all of that.
        back = self._public if self._sent.startswith(below) and path != b"/" and not self._exact else self.back(path)
        return back[:-1] if not path.endswith(b"/") and back.endswith(b"/") and len(back) > 1 else back


def without_dots(path: bytes) -> bytes:
    """A path that begins with a slash, its dot-segments removed (RFC 3986 section 5.2.4); it begins like no other host."""
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept).lstrip(b"/\\")


def rewriting(path: str, strip_prefix: str | bool, rewrite: str | None) -> Rewriting | None:
    """
    What a route's configuration makes of its paths; None where it changes none.

    Args:
        path: Of the route; with a slash at its end it stands for everything below.
        strip_prefix: What to take off: True for all of ``path``, or a beginning of it that ends where a segment does.
        rewrite: What to put in the place of ``path``.
    """
    if rewrite is not None:
        public, sent = path, rewrite
    elif isinstance(strip_prefix, str):
        prefix = strip_prefix.rstrip("/")
        public, sent = (path if path == prefix else f"{prefix}/"), "/"
    elif strip_prefix:
        public, sent = path, "/"
    else:
        return None
    return Rewriting(public, sent) if public != sent else None
