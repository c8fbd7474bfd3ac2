"""
Where the master is: asked of sentinels before each connection, and every second while one stands.

Of several answers the one of the newest configuration counts, and none that is older than one heard before: a sentinel that was
cut off may still name a master that lost its place.  Only sentinels that were set up anew count from zero again: then most of
them say the same for longer than news needs to reach them all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import hiredis

from gateway.store.dial import Address, dial
from gateway.store.handshake import Login, Refused, code, log_in
from gateway.store.resp import Connection, ConnectionGone, Reply

PATIENCE = 0.5
"""Seconds that sentinels have to answer; with one answer after that, the others are not waited for."""
STRAGGLERS = 0.05
"""Seconds that the others have once most of them answered."""
STARTED_OVER = 10.0
"""Seconds for which most sentinels have to name one older configuration; they tell each other of a new one every two."""

_log = logging.getLogger("gateway.store")


class Belief:
    """
    Which configuration is believed of those that sentinels named.  Pure.

    Attributes:
        epoch: Its number.
        master: Where the master is by it; None before the first answer.
    """

    def __init__(self, sentinels: int) -> None:
        """``sentinels``: how many are configured."""
        self.epoch = -1
        self.master: Address | None = None
        self._most = sentinels // 2 + 1
        self._older: tuple[int, Address] | None = None
        self._since = 0.0

    def hear(self, answers: Sequence[tuple[int, Address]], now: float) -> bool:
        """
        Take what was answered to one question: epochs and addresses.

        Args:
            answers: One at least.
            now: Seconds of a clock that never goes back.

        Returns:
            Whether an older configuration than the one heard before is believed from here on.
        """
        newest = max(answers, key=lambda answer: answer[0])
        older = newest[0] < self.epoch
        if older and answers.count(newest) < self._most:
            self._older = None
            return False
        if older and newest != self._older:
            self._older, self._since = newest, now
        if older and now - self._since < STARTED_OVER:
            return False
        self._older = None
        self.epoch, self.master = newest
        return older


class Sentinels:
    """The sentinels, for one connection; implements `gateway.store.dial.Place`."""

    def __init__(self, sentinels: list[Address], master: str, password: str = "") -> None:
        """``master``: the name that they know it by, and it speaks TLS if they do; ``password`` is theirs."""
        self._login = Login(password=password)
        self._sentinels = sentinels
        self._master = master
        self._given: Address | None = None
        self._belief = Belief(len(sentinels))
        self._looking: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        """For logs."""
        return f"{self._master} at {self._given}" if self._given is not None else self._master

    async def address(self) -> Address:
        """
        Where the master is.

        Raises:
            Refused: No sentinel knows one of that name.
            OSError: None answers.
        """
        await self._ask()
        self._given = self._belief.master
        assert self._given is not None
        return self._given

    def moved(self) -> bool:
        """Whether the master is elsewhere by now, as far as is known; looks again in the background."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())
        return self._belief.master != self._given

    async def close(self) -> None:
        """End the look that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))

    async def _look(self) -> None:
        try:
            await self._ask()
        except (OSError, Refused):
            _log.warning("sentinel.silent", extra={"facts": {"master": self._master}})

    async def _ask(self) -> None:
        asking = [asyncio.ensure_future(self._ask_one(sentinel)) for sentinel in self._sentinels]
        try:
            await self._wait(asking)
        finally:
            for one in asking:
                one.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        answers = [one.result() for one in asking if not one.cancelled() and one.exception() is None]
        found = [answer for answer in answers if answer is not None]
        if found and self._belief.hear(found, asyncio.get_running_loop().time()):
            _log.warning("sentinel.started_over", extra={"facts": {"master": self._master, "epoch": self._belief.epoch}})
        if not found and answers:
            raise Refused("no sentinel knows the master")
        if not found:
            raise ConnectionError("no sentinel answers")

    async def _wait(self, asking: Sequence[asyncio.Future[tuple[int, Address] | None]]) -> None:
        """For all of them; not for long once most of them answered, as one that hangs would delay each connection."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        pending = set(asking)
        while pending and (left := end - loop.time()) > 0:
            _, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            answered = sum(one.done() and one.exception() is None and one.result() is not None for one in asking)
            if answered > len(asking) // 2:
                end = min(end, loop.time() + STRAGGLERS)

    async def _ask_one(self, sentinel: Address) -> tuple[int, Address] | None:
        async def greet(connection: Connection) -> Reply:
            await log_in(connection, self._login, "gateway-sentinel", replica=True)
            return await connection.call("SENTINEL", "MASTER", self._master)

        try:
            connection, reply = await dial(sentinel, greet)
            await connection.ended()
        except ConnectionGone as gone:
            raise ConnectionError(str(gone)) from None
        return read_master(reply, sentinel)


def read_master(reply: Reply, asked: Address) -> tuple[int, Address] | None:
    """
    Read the reply to SENTINEL MASTER: the epoch of the configuration, and where it is; None when there is no such master.

    Raises:
        Refused: It is anything else.
    """
    if isinstance(reply, hiredis.ReplyError):
        if "No such master" in str(reply):
            return None
        raise Refused(code(reply))
    try:
        fields = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
        return int(fields[b"config-epoch"]), Address(str(fields[b"ip"], "ascii"), int(fields[b"port"]), tls=asked.tls)
    except (TypeError, ValueError, KeyError) as error:
        raise Refused("unexpected reply") from error
