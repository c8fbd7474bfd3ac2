"""Signs who calls, for upstreams that want proof of it, with the keys that sign JWT access tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from gateway.authority.signing import KEPT, SigningKeys
from gateway.errors import GatewayError, StoreUnavailable
from gateway.oauth.identity_assertion import LIFE, TYPE, identity_claims
from gateway.oauth.signing_keys import Signer
from gateway.oauth.tokens import text
from gateway.upstreams.introduction import Done
from gateway.upstreams.single_flight import SingleFlight

SHOWN = 30.0
"""Seconds for which an assertion is shown again; as much of its life is left then."""
PAUSE = 1.0
"""Seconds after a failure in which the store is not asked for the key."""

_log = logging.getLogger("gateway.authority")


class IdentityAssertions:
    """
    The assertions of one worker; whoever asks remembers them.

    The key is looked after once a minute, while requests come; the store may go away meanwhile, and the last key signs on.
    """

    def __init__(
        self, keys: SigningKeys, issuer: str, *, clock: Callable[[], float], entropy: Callable[[int], bytes]
    ) -> None:
        """``clock`` gives the seconds that `write` gets as ``now``; ``entropy`` random bytes."""
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._entropy = entropy
        self._signer: Signer | None = None
        self._ahead_ms = 0.0
        """By how much the store's clock is ahead of ours."""
        self._due = float("-inf")
        self._flight = SingleFlight(self._renew)

    def write(self, audience: str, claims: Mapping[str, bytes], now: float) -> tuple[bytes, float]:
        """
        An assertion and until when it may be shown; empty: `wait` for the key.

        Args:
            audience: The upstream.
            claims: ``client_id`` and what else is known, as `gateway.upstreams.introduction` reads it.
            now: Event-loop seconds.

        Raises:
            StoreUnavailable: There is no key, and none could be had just now.
        """
        if now >= self._due and self._signer is not None:
            self._flight.begin()
        if self._signer is None:
            if now < self._due:
                raise StoreUnavailable("identity assertion: no key to sign with")
            return b"", now
        token = self._signer.sign(identity_claims(
            issuer=self._issuer, audience=audience, client_id=claims["client_id"].decode("ascii"),
            subject=claims.get("subject", b"").decode("ascii"), scope=claims.get("scope", b"").decode("ascii"),
            now_ms=round(now * 1000 + self._ahead_ms), jti=text(self._entropy(16)),
        ), TYPE)  # fmt: skip
        return token.encode("ascii"), now + SHOWN

    def wait(self, done: Done) -> None:
        """Have the key read; ``done`` is called later, once."""
        self._flight.begin(done)

    def close(self) -> None:
        """Give up what is under way."""
        self._flight.close()

    async def _renew(self) -> GatewayError | None:
        try:
            now_ms = await self._keys.now()
            self._ahead_ms = now_ms - self._clock() * 1000
            # For as long as what is signed until the next look may live.
            self._signer = await self._keys.signer(now_ms, round((LIFE + KEPT) * 1000))
        except StoreUnavailable as error:
            self._due = self._clock() + PAUSE
            return error
        self._due = self._clock() + KEPT
        return None
