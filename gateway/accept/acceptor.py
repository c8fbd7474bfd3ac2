"""
Accepting connections, with a limit: at it, and when the process is out of descriptors, accepting pauses instead of spinning.

The kernel's backlog then holds newcomers back; uvloop's own server has no way to do that.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from gateway.accept.door import Door
from gateway.accept.turns import ASIDE, INSISTENCE, Turn
from gateway.upstreams.connecting import EXHAUSTED

RETRY = 1.0
"""Seconds until accepting is tried again after the process ran out of descriptors or memory."""
_BATCH = 64
_NEVER = 3600.0

_log = logging.getLogger("gateway.edge")


class Tls(NamedTuple):
    """How new connections are secured."""

    context: Callable[[], ssl.SSLContext]
    """Asked for each of them, since certificates are renewed."""
    handshake: float
    """Seconds that a handshake may take."""


class Acceptor:
    """
    Takes connections from listening sockets and gives each a protocol, after its TLS handshake where there is one.

    It pauses by itself when ``room()``, the number of connections that may still be opened, comes to nothing; whoever closes
    a connection calls `resume`.  With a ``turn`` it leaves newcomers to workers that have fewer connections.
    """

    def __init__(
        self, sockets: list[socket.socket], factory: Callable[[], asyncio.Protocol], room: Callable[[], int], door: Door,
        tls: Tls | None = None, turn: Turn | None = None,
    ) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._sockets = sockets
        self._factory = factory
        self._room = room
        self._door = door
        self._tls = tls
        self._turn = turn
        self._limit = room()
        self._aside: asyncio.TimerHandle | None = None
        self._insists = 0
        self._paused = True
        self._finishing = False
        self._latest = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        for sock in sockets:
            sock.setblocking(False)
        self.resume()

    @property
    def pending(self) -> int:
        """Connections that were accepted and are no protocol's yet."""
        return len(self._tasks)

    def pause(self) -> None:
        """Leave newcomers to the backlog."""
        if not self._paused:
            self._paused = True
            for sock in self._sockets:
                self._loop.remove_reader(sock)

    def resume(self) -> None:
        """Accept again; does nothing while accepting, or after `close`."""
        if self._turn is not None and self._sockets:
            self._turn.note(self._limit - self._room() + len(self._tasks))
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._paused and self._sockets and self._aside is None:
            self._paused = False
            for sock in list(self._sockets):
                self._loop.add_reader(sock, self._accept, sock)
                if self._finishing:  # its queue may be empty by now, and nothing would ever tell
                    self._accept(sock)

    def finish(self) -> None:
        """
        Accept who waits in the backlog already, as room allows, and stop listening.

        They have been told that they are connected, and to close a listener resets them all.
        """
        self._finishing = True
        self.pause()
        if self._turn is not None:
            self._turn.leave()
            self._turn = None  # the others may have finished already
        if self._aside is not None:
            self._aside.cancel()
            self._aside = None
        self.resume()

    def is_awaited(self, patience: float) -> bool:
        """After `finish`: whether somebody still waits in the backlog, or was taken from it at most ``patience`` seconds ago."""
        return bool(self._sockets) or (bool(self._tasks) and self._loop.time() - self._latest < patience)

    def close(self) -> None:
        """Accept no more, and give up who is not a protocol's yet; the sockets are closed here (others may hold them still)."""
        self.pause()
        for task in self._tasks:
            task.cancel()
        for timer in (self._retry, self._aside):
            if timer is not None:
                timer.cancel()
        for sock in self._sockets:
            sock.close()
        self._sockets = []
        if self._turn is not None:
            self._turn.leave()

    def _accept(self, sock: socket.socket) -> None:
        room = self._room() - len(self._tasks)
        if room <= 0:
            self.pause()
        for _ in range(room if self._finishing else min(_BATCH, room)):
            if self._turn is not None and self._turn.is_others and not self._may_insist():
                return
            try:
                connection, name = sock.accept()
            except BlockingIOError:
                if self._finishing:
                    self._loop.remove_reader(sock)
                    self._sockets.remove(sock)
                    sock.close()
                return
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    continue  # accept(2): an error that was pending on the newcomer; there is none to serve
                _log.error("accept.exhausted", extra={"facts": {"error": errno.errorcode.get(error.errno or 0, "")}})
                self.pause()
                self._retry = self._loop.call_later(RETRY, self.resume)
                return
            source = self._door.enter(connection, name)
            if source is None:
                continue
            connection.setblocking(False)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task: asyncio.Task[object] = self._loop.create_task(self._adopt(connection, source))
            self._tasks.add(task)
            self._latest = self._loop.time()
            task.add_done_callback(partial(self._adopted, connection))
            if self._turn is not None:
                self._turn.note(self._limit - self._room() + len(self._tasks))

    def _may_insist(self) -> bool:
        """It is the others' turn, so stand aside; but not all the time."""
        if self._insists:
            self._insists -= 1
            return True
        self.pause()
        self._aside = self._loop.call_later(ASIDE, self._step_back)
        return False

    def _step_back(self) -> None:
        self._aside = None
        self._insists = INSISTENCE
        if self._retry is None:
            self.resume()

    def _adopted(self, connection: socket.socket, task: asyncio.Task[object]) -> None:
        """A newcomer counts as a connection now, or has gone: either may have made room."""
        self._tasks.discard(task)
        if task.cancelled():  # by `close`, perhaps before its first step
            connection.close()
        if self._retry is None:
            self.resume()

    async def _adopt(self, connection: socket.socket, source: bytes) -> None:
        protocol = self._factory()
        self._door.hold(protocol, source)
        try:
            if self._tls is None:
                await self._loop.connect_accepted_socket(lambda: protocol, connection)
            else:
                # The edge has deadlines for what comes after, the end included.
                await self._loop.connect_accepted_socket(
                    lambda: protocol, connection, ssl=self._tls.context(), ssl_handshake_timeout=self._tls.handshake,
                    ssl_shutdown_timeout=_NEVER,
                )  # fmt: skip
        except BaseException as error:
            self._door.leave(protocol)
            if not isinstance(error, OSError):  # reset before we came to it, or no handshake: there is nobody to talk to
                raise
            connection.close()
