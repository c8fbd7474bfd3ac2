"""How a client's transport ends: what it has not read or given yet, as far as the kernel knows, and how it is cut for good."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios

_RESET = struct.pack("ii", 1, 0)


def unread(transport: asyncio.Transport) -> int:
    """Bytes of the peer's that nobody has read yet (tcp(7) SIOCINQ)."""
    return _ask_kernel(transport, termios.FIONREAD)


def owed(transport: asyncio.Transport) -> int:
    """Bytes that the peer has not taken yet: what waits here, and in the kernel until it is acknowledged (tcp(7) SIOCOUTQ)."""
    return transport.get_write_buffer_size() + _ask_kernel(transport, termios.TIOCOUTQ)


def forget_at_end(transport: asyncio.Transport) -> None:
    """Have the connection end by a reset, which is no orderly end, and for which the kernel keeps nothing."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _ask_kernel(transport: asyncio.Transport, question: int) -> int:
    sock = transport.get_extra_info("socket")
    try:
        answer = fcntl.ioctl(sock.fileno(), question, b"\0\0\0\0")
    except (AttributeError, OSError):
        return 0
    size: int = struct.unpack("i", answer)[0]
    return size
