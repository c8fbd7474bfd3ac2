"""Who may register, and who waits for the operator, on Redis; implements `gateway.oauth.ports.AdmissionStore`."""

from __future__ import annotations

from gateway.oauth.tokens import InitialRef, is_client_id
from gateway.store.caller import Caller
from gateway.store.keys import Keys
from gateway.store.script import Script, answering, done

MAX_PENDING = 10_000
"""Clients that may wait at once."""

COUNT_CLIENT = Script("count_client")
"""Of a set in a slot of its own; `gateway.store.clients` notes there how long a client stays."""
_ADD_PENDING = Script("add_pending")
_DECIDE_CLIENT = Script("decide_client")
_RETURN_INITIAL = Script("return_initial")
_SPEND_INITIAL = Script("spend_initial")


class RedisAdmissions:
    """Everything raises `StoreUnavailable` when the store does not answer, refuses, or holds a corrupt record."""

    def __init__(self, caller: Caller, prefix: str = "gw") -> None:
        self._caller = caller
        self._keys = Keys(prefix)

    async def add_initial(self, ref: InitialRef, *, uses: int, life_ms: int) -> None:
        """Make an initial access token good for ``uses`` registrations within ``life_ms``."""
        with answering("add_initial"):
            await self._caller.call("SET", self._keys.initial(ref), uses, "PX", life_ms)

    async def find_initial(self, ref: InitialRef) -> bool:
        """Whether an initial access token has a use left."""
        with answering("find_initial"):
            return int(await self._caller.call("GET", self._keys.initial(ref)) or 0) > 0

    async def spend_initial(self, ref: InitialRef) -> bool:
        """Take one use; False when there is none (any more)."""
        return done(await _SPEND_INITIAL(self._caller, [self._keys.initial(ref)], []))

    async def return_initial(self, ref: InitialRef) -> None:
        """Give a use back that came to nothing."""
        await _RETURN_INITIAL(self._caller, [self._keys.initial(ref)], [])

    async def end_initial(self, ref: InitialRef) -> bool:
        """End an initial access token; False when it was over."""
        with answering("end_initial"):
            return bool(await self._caller.call("DEL", self._keys.initial(ref)) == 1)

    async def add_pending(self, client_id: str, *, life_ms: int) -> bool:
        """Note who waits for the operator, for ``life_ms`` at most (0: for ever); False when `MAX_PENDING` do."""
        args: list[str | int | bytes] = [client_id, MAX_PENDING, life_ms]
        return done(await _ADD_PENDING(self._caller, [self._keys.pending()], args))

    async def pending(self) -> list[str]:
        """The client ids that may wait, who came first first; some may have been decided on or be gone."""
        with answering("pending"):
            found = await self._caller.call("ZRANGE", self._keys.pending(), 0, -1)
            return [str(client_id, "ascii") for client_id in found]

    async def count_client(self, client_id: str, *, at_most: int, life_ms: int) -> bool:
        """
        Count a client that registers itself, for ``life_ms`` unless `ClientStore.keep_client` says more.

        False when ``at_most`` are there already; those that have vanished or were deleted are not counted.
        """
        args: list[str | int | bytes] = [client_id, life_ms, at_most]
        return done(await COUNT_CLIENT(self._caller, [self._keys.registered()], args))

    async def forget_pending(self, client_id: str) -> None:
        """Take a client off that list."""
        with answering("forget_pending"):
            await self._caller.call("ZREM", self._keys.pending(), client_id)

    async def decide(self, client_id: str, *, approved: bool) -> bool:
        """Enable a client that waits, or disable it; False when it does not wait (any more)."""
        if not is_client_id(client_id):
            return False
        return done(await _DECIDE_CLIENT(self._caller, [self._keys.client(client_id)], [int(approved)]))
