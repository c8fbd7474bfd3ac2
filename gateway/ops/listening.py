"""Binding the gateway's ports, with an error that names what to change."""

from __future__ import annotations

import errno
import socket

from gateway.errors import Unavailable

_BACKLOG = 4096
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""An address family that this machine does not have; `localhost` often names one."""


def bind(host: str, port: int, *, section: str) -> list[socket.socket]:
    """
    Listen on every address that ``host`` stands for, with one port for all.

    Args:
        host: Address or name to bind.
        port: Port; 0 takes a free one.
        section: ``listen`` or ``admin``, to name the setting.

    Raises:
        Unavailable: The address can't be had; the message names the setting and its override.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as fault:
        raise _unavailable(host, port, section, fault) from None
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(_listen(family, (address[0], port, *address[2:])))
        except OSError as fault:
            if fault.errno not in _ABSENT:
                close_all(sockets)
                raise _unavailable(host, port, section, fault) from None
            absent = fault
            continue
        port = port_of(sockets)
    if absent is not None and not sockets:
        raise _unavailable(host, port, section, absent)
    return sockets


def port_of(sockets: list[socket.socket]) -> int:
    """The port that was really bound."""
    port: int = sockets[0].getsockname()[1]
    return port


def close_all(sockets: list[socket.socket]) -> None:
    """Give the ports back."""
    for sock in sockets:
        sock.close()


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)  # only now is a port known to be free: two unheard sockets may share an address
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _unavailable(host: str, port: int, section: str, fault: OSError) -> Unavailable:
    where = f"{host}:{port}"
    remedy = f"set {section}.port or GATEWAY_{section.upper()}__PORT"
    if fault.errno == errno.EADDRINUSE:
        return Unavailable(f"{where} is in use: {remedy} to another port (0 takes a free one)")
    if fault.errno == errno.EACCES:
        return Unavailable(f"{where} may not be bound by this user: {remedy} to a port above 1023")
    host_remedy = f"set {section}.host or GATEWAY_{section.upper()}__HOST"
    return Unavailable(f"{where} can't be bound ({fault.strerror or fault}): {host_remedy}")
