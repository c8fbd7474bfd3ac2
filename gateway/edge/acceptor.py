"""
Accepting connections, with a limit: at it, and when the process is out of descriptors, accepting pauses instead of spinning.

The kernel's backlog then holds newcomers back; uvloop's own server has no way to do that.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable

RETRY = 1.0
"""Seconds until accepting is tried again after the process ran out of descriptors or memory."""
_BATCH = 64
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = logging.getLogger("gateway.edge")


class Acceptor:
    """Takes connections from listening sockets and gives each a protocol."""

    def __init__(self, sockets: list[socket.socket], factory: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._sockets = sockets
        self._factory = factory
        self._paused = True
        self._retry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        for sock in sockets:
            sock.setblocking(False)
        self.resume()

    def pause(self) -> None:
        """Leave newcomers to the backlog."""
        if not self._paused:
            self._paused = True
            for sock in self._sockets:
                self._loop.remove_reader(sock)

    def resume(self) -> None:
        """Accept again."""
        self._retry = None
        if self._paused and self._sockets:
            self._paused = False
            for sock in self._sockets:
                self._loop.add_reader(sock, self._accept, sock)

    def close(self) -> None:
        """Accept no more; the sockets are closed here (another process may hold them still)."""
        self.pause()
        if self._retry is not None:
            self._retry.cancel()
        for sock in self._sockets:
            sock.close()
        self._sockets = []

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(_BATCH):
            if self._paused:
                return
            try:
                connection, _ = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                _log.error("accept.exhausted", extra={"facts": {"error": errno.errorcode.get(error.errno or 0, "")}})
                self.pause()
                self._retry = self._loop.call_later(RETRY, self.resume)
                return
            connection.setblocking(False)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task: asyncio.Task[object] = self._loop.create_task(self._adopt(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _adopt(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, connection)
        except OSError:  # reset before we came to it
            connection.close()
