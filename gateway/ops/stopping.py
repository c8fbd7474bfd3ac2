"""Signals that end the gateway: the first asks to drain, the second to end at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine

TO_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP too: a terminal that closes, or a hand used to nginx; by itself it would kill, in the middle of answers."""


class Stop:
    """
    What the signals asked so far.

    Attributes:
        asked: Set by the first signal.
        forced: Set by the second.
    """

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.forced = asyncio.Event()

    def listen(self, loop: asyncio.AbstractEventLoop, *numbers: signal.Signals) -> None:
        """Hear these signals from now on, but for SIGHUP under nohup, which has it ignored."""
        for number in numbers:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            loop.add_signal_handler(number, self.ask)

    def ask(self) -> None:
        """Count one signal."""
        if self.asked.is_set():
            self.forced.set()
        self.asked.set()

    async def unless_forced(self, work: Coroutine[None, None, None]) -> bool:
        """Do the work, or give it up as soon as a second signal comes.  Whether it was done."""
        doing = asyncio.ensure_future(work)
        forced = asyncio.ensure_future(self.forced.wait())
        await asyncio.wait([doing, forced], return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        if doing.done():
            doing.result()
            return True
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        return False
