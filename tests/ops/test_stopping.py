"""Signals: the first drains, the second ends at once."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from gateway.ops.stopping import Stop


async def test_work_is_done_when_nobody_forces() -> None:
    stop, done = Stop(), []

    async def work() -> None:
        done.append(1)

    stop.ask()
    assert await stop.unless_forced(work())
    assert done == [1]


async def test_the_second_signal_cuts_the_work() -> None:
    """The work is cancelled, not left running."""
    stop, cut = Stop(), asyncio.Event()
    stop.listen(asyncio.get_running_loop(), signal.SIGUSR1)

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cut.set()
            raise

    stop.ask()
    assert not await stop.unless_forced(work())
    assert cut.is_set()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGUSR1)


async def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise OSError("boom")

    with pytest.raises(OSError, match="boom"):
        await Stop().unless_forced(work())


async def test_nohup_stays_what_it_is() -> None:
    """A SIGHUP that is ignored from outside is not heard."""
    before, stop = signal.signal(signal.SIGHUP, signal.SIG_IGN), Stop()
    try:
        stop.listen(asyncio.get_running_loop(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
