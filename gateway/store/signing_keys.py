"""The keys that sign JWT access tokens, on Redis; implements `gateway.oauth.ports.SigningKeyStore`."""

from __future__ import annotations

from gateway.oauth.signing_keys import Ring
from gateway.store import codec
from gateway.store.caller import Caller
from gateway.store.keys import Keys
from gateway.store.resp import Word
from gateway.store.script import Script, answering

_REPLACE_RING = Script("replace_ring")


class RedisSigningKeys:
    """Everything raises `StoreUnavailable` when the store does not answer, refuses, or holds a corrupt record."""

    def __init__(self, caller: Caller, prefix: str = "gw") -> None:
        self._caller = caller
        self._keys = Keys(prefix)

    async def find_ring(self) -> Ring:
        """The keys, oldest first."""
        with answering("find_ring"):
            return codec.decode_ring(await self._caller.call("GET", self._keys.signing_keys()))

    async def replace_ring(self, old: Ring, new: Ring, *, life_ms: int) -> bool:
        """Put ``new`` in the place of ``old``, for ``life_ms``; False when something else is there by now."""
        args: list[Word] = [codec.encode_ring(old), codec.encode_ring(new), life_ms]
        return bool(await _REPLACE_RING(self._caller, [self._keys.signing_keys()], args) == 1)
