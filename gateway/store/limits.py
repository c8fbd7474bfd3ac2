"""The limits of all workers and gateways on a store: what the scripts take, hold and give back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.guard.leases import SLOT_LIFE, Grant, Quota, Rate, Slots
from gateway.guard.limits import Told
from gateway.store.caller import Caller
from gateway.store.keys import Keys
from gateway.store.resp import Reply, Word
from gateway.store.script import Script, answering

_TAKE_RATE = Script("take_rate")
_TAKE_QUOTA = Script("take_quota")
_HOLD_SLOTS = Script("hold_slots")


class RedisLimits:
    """Implements `gateway.guard.limits.LimitStore`; each question is one script on one key."""

    def __init__(self, caller: Caller, worker: str, prefix: str = "gw") -> None:
        """``worker``: a name that no other worker has, of this gateway or another."""
        self._caller = caller
        self._worker = worker.encode("ascii")
        self._keys = Keys(prefix)
        self._under_way: set[asyncio.Task[None]] = set()

    def take_rate(self, key: str, rate: Rate, count: int, done: Told) -> None:
        """GCRA: as many of ``count`` permits as there are."""
        args: list[Word] = [f"{rate.interval * 1e6:.17g}", rate.burst, count]
        self._ask(_TAKE_RATE, self._keys.rate(key), args, 1e-6, done)

    def take_quota(self, key: str, quota: Quota, count: int, owed: int, done: Told) -> None:
        """As many of ``count`` as are left in the day or month, one by one near its end; ``owed`` are counted in any case."""
        args: list[Word] = [int(quota.by_month), quota.amount, count, owed]
        self._ask(_TAKE_QUOTA, self._keys.quota(key), args, 1e-3, done)

    def return_quota(self, key: str, quota: Quota, count: int, period: int) -> None:
        """Give back what was granted in a period; nothing when that is over, or the store does not answer."""
        args: list[Word] = [int(quota.by_month), quota.amount, 0, -count, period]
        self._ask(_TAKE_QUOTA, self._keys.quota(key), args, 1e-3, _nothing)

    def hold_slots(self, key: str, slots: Slots, count: int, done: Told) -> None:
        """Hold ``count`` slots in all, or as many as others leave, for `SLOT_LIFE` seconds."""
        args: list[Word] = [self._worker, slots.limit, count, int(SLOT_LIFE * 1000)]
        self._ask(_HOLD_SLOTS, self._keys.slots(key), args, 1.0, done)

    async def settle(self) -> None:
        """Wait for what is on its way, the store's timeout at most."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _ask(self, script: Script, key: bytes, args: list[Word], unit: float, done: Told) -> None:
        task = asyncio.ensure_future(self._told(script(self._caller, [key], args), unit, done))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _told(self, asking: Coroutine[Any, Any, Reply], unit: float, done: Told) -> None:
        answer: Grant | StoreUnavailable = StoreUnavailable("limits")
        try:
            reply = await asking
            with answering("limits"):
                answer = _grant(reply, unit)
        except StoreUnavailable as error:
            answer = error
        finally:
            done(answer)  # whatever happened: somebody waits for it


def _grant(reply: Reply, unit: float) -> Grant:
    """Granted, wait, remaining, reset, and of a quota its period; times in ``unit`` seconds."""
    if not isinstance(reply, list) or len(reply) < 4:
        raise StoreUnavailable("unexpected reply")
    granted, wait, remaining, reset, *period = (int(number) for number in reply)
    return Grant(granted, wait * unit, remaining, reset * unit, *period)


def _nothing(_grant: object) -> None:
    """Nobody waits."""
