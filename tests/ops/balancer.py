"""A small balancer that follows /readyz, as in front of a rolling update: it retries nothing and hides nothing."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

LOOK = 0.05
"""Seconds between two looks at a gateway's readiness."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """
    One message with a Content-Length, or none.

    Raises:
        EOFError: The other side ended instead.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    found = _LENGTH.search(head)
    return head + (await reader.readexactly(int(found[1])) if found else b"")


@dataclass(eq=False)
class Member:
    """A gateway behind the balancer, with the connections that are kept to it."""

    port: int
    admin_port: int
    ready: bool = False
    idle: list[Streams] = field(default_factory=list)
    served: int = 0

    async def look(self) -> None:
        """Ask its readiness."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.admin_port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n")
            self.ready = (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
        except OSError:
            self.ready = False


class Balancer:
    """
    Gives requests, each whole, to the ready gateways in turn; on kept connections where there are some.

    Attributes:
        members: The gateways; a test adds and removes them.
        failures: What went wrong on the way to a gateway or back, each a failed request of some client.
    """

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.failures: list[str] = []
        self._turn = 0

    async def watch(self) -> None:
        """Follow the readiness of all members, for ever."""
        while True:
            await asyncio.gather(*(member.look() for member in self.members))
            await asyncio.sleep(LOOK)

    async def ask(self, request: bytes) -> bytes:
        """Have a request answered; empty when that failed."""
        ready = [member for member in self.members if member.ready]
        if not ready:
            self.failures.append("no gateway is ready")
            return b""
        self._turn += 1
        member = ready[self._turn % len(ready)]
        kept = False
        try:
            kept, streams = await self._connection(member)
            reader, writer = streams
            writer.write(request)
            answer = await read_message(reader)
        except (OSError, EOFError) as error:
            self.failures.append(f"{'kept' if kept else 'new'} connection: {error!r}")
            return b""
        member.served += 1
        if b"\r\nConnection: close\r\n" in answer:
            writer.close()
        else:
            member.idle.append(streams)
        return answer

    async def _connection(self, member: Member) -> tuple[bool, Streams]:
        while member.idle:
            reader, writer = member.idle.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return True, (reader, writer)
            writer.close()
        return False, await asyncio.open_connection("127.0.0.1", member.port)

    def close(self) -> None:
        """End all kept connections."""
        for member in self.members:
            for _, writer in member.idle:
                writer.transport.abort()
