"""
How long a fetched token is shown, when it is fetched anew, and how often a token endpoint is asked that fails.  Pure: time is an
argument, in seconds.
"""

from __future__ import annotations

from gateway.errors import GatewayError, UpstreamCredentialFailed
from gateway.oauth.client_credentials import Granted

AHEAD = 0.8
"""Part of a token's life after which it is renewed while it is still shown."""
MARGIN = 5.0
"""Seconds before its end from which on a token is not shown any more, a tenth of its life at most."""
FIRST_PAUSE = 1.0
"""Seconds after a failure in which the endpoint is not asked; each further failure doubles them."""
LONGEST_PAUSE = 8.0
REST = 10.0
"""Seconds for which a new token is believed whatever the upstream answers: some say 401 and mean the request."""


class Keeping:
    """
    What is known of one credential that has to be fetched.

    Attributes:
        line: The header line to show, CRLF included; empty when there is none.
        renew_at: When it is due for renewal.
    """

    __slots__ = ("_dies", "_failure", "_failures", "_got", "_retry_at", "line", "renew_at")

    def __init__(self) -> None:
        self.line = b""
        self.renew_at = 0.0
        self._dies = 0.0
        self._got = 0.0
        self._failure: tuple[type[UpstreamCredentialFailed], str] = (UpstreamCredentialFailed, "")
        self._failures = 0
        self._retry_at = 0.0

    def find(self, now: float) -> bytes:
        """The line, as long as its token lives; else empty."""
        return self.line if now < self._dies else b""

    def is_due(self, now: float) -> bool:
        """Whether it is time to ask the token endpoint."""
        return now >= self.renew_at and now >= self._retry_at

    def refusal(self, now: float) -> GatewayError | None:
        """Why there is no token, as long as the endpoint is left alone after a failure."""
        kind, reason = self._failure
        return kind(reason=reason) if now < self._retry_at else None

    def got(self, granted: Granted, asked: float) -> None:
        """A token came; its life counts from ``asked``, when the request was sent."""
        usable = granted.life - min(MARGIN, granted.life / 10)
        self.line = b"Authorization: Bearer %b\r\n" % granted.token.encode("ascii")
        self._got = asked
        self._dies = asked + usable
        self.renew_at = asked + usable * AHEAD
        self._failures = 0
        self._retry_at = 0.0

    def failed(self, kind: type[UpstreamCredentialFailed], reason: str, now: float) -> float:
        """No token came; returns for how many seconds nobody asks again.  A token that lives is shown on."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(self._failures, 30))
        self._failure = (kind, reason)
        self._failures += 1
        self._retry_at = now + pause
        return pause

    def refused(self, shown: bytes, now: float) -> bool:
        """The upstream said 401 to a head that shows ``shown``; says whether the token was given up for it."""
        if not self.line or self.line not in shown or now < self._got + REST:
            return False
        self.line = b""
        self._dies = self.renew_at = 0.0
        return True
