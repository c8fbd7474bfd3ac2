"""
Where the master is: asked of sentinels before each connection, and every second while one stands.

Of several answers the one of the newest configuration counts, and none that is older than one heard before: a sentinel that was
cut off may still name a master that lost its place.
"""

from __future__ import annotations

import asyncio
import logging

import hiredis

from gateway.store.dial import Address, dial
from gateway.store.handshake import Login, Refused, code, log_in
from gateway.store.resp import Connection, ConnectionGone, Reply

PATIENCE = 0.5
"""Seconds that sentinels have to answer; with one answer after that, the others are not waited for."""

_log = logging.getLogger("gateway.store")


class Sentinels:
    """The sentinels, for one connection; implements `gateway.store.dial.Place`."""

    def __init__(self, sentinels: list[Address], master: str, password: str = "") -> None:
        """``master``: the name that they know it by, and it speaks TLS if they do; ``password`` is theirs."""
        self._login = Login(password=password)
        self._sentinels = sentinels
        self._master = master
        self._given: Address | None = None
        self._known: Address | None = None
        self._epoch = -1
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
        self._given = self._known
        assert self._given is not None
        return self._given

    def moved(self) -> bool:
        """Whether the master is elsewhere by now, as far as is known; looks again in the background."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())
        return self._known != self._given

    async def _look(self) -> None:
        try:
            await self._ask()
        except (OSError, Refused):
            _log.warning("sentinel.silent", extra={"facts": {"master": self._master}})

    async def _ask(self) -> None:
        asking = [asyncio.ensure_future(self._ask_one(sentinel)) for sentinel in self._sentinels]
        try:
            await asyncio.wait(asking, timeout=PATIENCE)
        finally:
            for one in asking:
                one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        answers = [one.result() for one in asking if not one.cancelled() and one.exception() is None]
        found = [answer for answer in answers if answer is not None]
        for epoch, address in found:
            if epoch >= self._epoch:
                self._epoch, self._known = epoch, address
        if not found and answers:
            raise Refused("no sentinel knows the master")
        if not found:
            raise ConnectionError("no sentinel answers")

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
