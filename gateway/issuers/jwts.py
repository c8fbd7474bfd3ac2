"""JWTs of one issuer: its `gateway.guard.issuers.Verifier` (RFC 9068 section 4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from gateway.errors import GatewayError, InvalidToken, IssuerUnavailable
from gateway.guard.issuers import Checked
from gateway.guard.ports import ForeignRef
from gateway.issuers.key_ring import KeyRing
from gateway.oauth.foreign import Rules, read

_log = logging.getLogger("gateway.issuers")

Done = Callable[[Checked | GatewayError], None]


class JwtVerifier:
    """Verifies with the keys that are here; for one that is not, the keys are fetched once more."""

    def __init__(self, rules: Rules, ring: KeyRing, keep: float, *, wall: Callable[[], float]) -> None:
        """
        Args:
            rules: What a token must say.
            ring: The keys.
            keep: Seconds for which a token that is good may be believed.
            wall: Seconds since 1970.
        """
        self._rules = rules
        self._ring = ring
        self._keep = keep
        self._wall = wall

    def check(self, ref: ForeignRef, done: Done) -> None:
        """Verify; ``done`` is called later."""
        asyncio.get_running_loop().call_soon(self._check, ref.token, done, True)

    def _check(self, token: bytes, done: Done, may_wait: bool) -> None:
        now = asyncio.get_running_loop().time()
        try:
            said = read(token, self._rules, self._wall())
            key = self._ring.find(said.kid, said.algorithm, now)
            if key is None:
                if not (may_wait and self._ring.wait(partial(self._check, token, done, False), now)):
                    done(self._ring.refusal(now))
                return
            holder = said.verified_by(key, token)
        except InvalidToken as refused:
            done(refused)
        except Exception:  # an answer is owed, and a bug of ours is no fault of the token
            _log.exception("issuer.verifier_failed")
            done(IssuerUnavailable("a fault of the gateway"))
        else:
            done(Checked(holder, self._keep))
