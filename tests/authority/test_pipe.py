"""Two protocols, connected in memory: as with sockets, bytes come in order, later, and not faster than they are read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.authority.pipe import HIGH_WATER, End, join


class Reader(asyncio.Protocol):
    """Notes what happens to it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.keep_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, End)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if data == b"bug":
            raise RuntimeError("bug")
        self.events.append(data)

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append(("lost", type(exc)))

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


LOST = ("lost", type(None))


@pytest.fixture
async def ends() -> tuple[Reader, Reader]:
    """Two connected protocols."""
    one, other = Reader(), Reader()
    transport = join(asyncio.get_running_loop(), one, other)
    assert transport is one.transport
    assert transport.get_protocol() is one
    return one, other


async def passed() -> None:
    """Until all that was called soon has run, and what that called soon."""
    for _ in range(4):
        await asyncio.sleep(0)


async def test_bytes_come_later_and_together(ends: tuple[Reader, Reader]) -> None:
    """Head and body of one tick are one read; a buffer that is used again does no harm."""
    one, other = ends
    buffer = bytearray(b"head ")
    one.transport.write(buffer)
    buffer[:] = b"XXXXX"
    one.transport.writelines([b"bo", memoryview(b"dy")])
    one.transport.write(b"")
    assert other.events == []
    assert one.transport.get_write_buffer_size() == 9
    await passed()
    assert other.events == [b"head body"]
    assert one.transport.get_write_buffer_size() == 0
    other.transport.write(b"answer")
    await passed()
    assert one.events == [b"answer"]


async def test_a_paused_reader_gets_nothing_and_pauses_its_writer(ends: tuple[Reader, Reader]) -> None:
    one, other = ends
    other.transport.pause_reading()
    assert not other.transport.is_reading()
    one.transport.write(b"x" * HIGH_WATER)
    assert one.events == []
    one.transport.write(b"y")
    one.transport.write(b"z")
    assert one.events == ["pause"]
    await passed()
    assert other.events == []
    other.transport.resume_reading()
    assert other.transport.is_reading()
    await passed()
    assert other.events == [b"x" * HIGH_WATER + b"yz"]
    assert one.events == ["pause", "resume"]


async def test_a_writer_may_ask_to_be_paused_earlier(ends: tuple[Reader, Reader]) -> None:
    """As the data plane does on both its sides."""
    one, other = ends
    other.transport.pause_reading()
    one.transport.set_write_buffer_limits(high=2)
    one.transport.write(b"xy")
    assert one.events == []
    one.transport.write(b"z")
    assert one.events == ["pause"]



async def test_paused_between_a_write_and_its_arrival(ends: tuple[Reader, Reader]) -> None:
    one, other = ends
    one.transport.write(b"data")
    other.transport.pause_reading()
    await passed()
    assert other.events == []
    other.transport.resume_reading()
    await passed()
    assert other.events == [b"data"]


async def test_close_lets_what_was_written_arrive(ends: tuple[Reader, Reader]) -> None:
    """And ends the other end as well, once."""
    one, other = ends
    one.transport.write(b"last")
    one.transport.close()
    one.transport.close()
    one.transport.write(b"late")
    assert one.transport.is_closing()
    assert one.events == []
    await passed()
    assert one.events == [LOST]
    assert other.events == [b"last", "eof", LOST]
    other.transport.write(b"nobody reads")
    await passed()
    assert one.events == [LOST]


async def test_the_end_waits_for_a_paused_reader(ends: tuple[Reader, Reader]) -> None:
    one, other = ends
    other.transport.pause_reading()
    one.transport.write(b"last")
    one.transport.close()
    await passed()
    assert other.events == []
    other.transport.resume_reading()
    await passed()
    assert other.events == [b"last", "eof", LOST]


async def test_an_end_may_stay_open_for_itself(ends: tuple[Reader, Reader]) -> None:
    one, other = ends
    other.keep_open = True
    one.transport.close()
    await passed()
    assert other.events == ["eof"]
    other.transport.close()
    await passed()
    assert other.events == ["eof", LOST]


async def test_abort_ends_both_at_once(ends: tuple[Reader, Reader]) -> None:
    """What was on its way is gone: half a request must not become a whole one."""
    one, other = ends
    one.transport.write(b"half")
    one.transport.abort()
    one.transport.abort()
    await passed()
    assert one.events == [LOST]
    assert other.events == [("lost", ConnectionResetError)]


async def test_a_reader_that_fails_is_cut(ends: tuple[Reader, Reader]) -> None:
    """As asyncio does it: reported, and the connection ended."""
    one, other = ends
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    one.transport.write(b"bug")
    await passed()
    assert [type(context["exception"]) for context in reported] == [RuntimeError]
    assert other.events == [LOST]
    assert one.events == [("lost", ConnectionResetError)]


async def test_what_it_does_not_have(ends: tuple[Reader, Reader]) -> None:
    """No addresses, no half-close."""
    one, _ = ends
    assert one.transport.get_extra_info("peername") is None
    assert not one.transport.can_write_eof()
    other = Reader()
    one.transport.set_protocol(other)
    assert one.transport.get_protocol() is other
