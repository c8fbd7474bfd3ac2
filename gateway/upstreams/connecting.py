"""How the addresses of a target are found and connected to."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from gateway.config.address import Target
from gateway.config.model import UpstreamTls
from gateway.upstreams.ports import Connect

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors that say that this machine, and not the other side, has nothing left for one more connection."""
CLOSING = 1.0
"""Seconds that the end of a TLS connection waits for the other side's close_notify."""


async def look_up(host: str) -> Sequence[str]:
    """The addresses of a name as the system knows them, in its order (RFC 6724); raises OSError when there are none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def host_of(text: str) -> bytes:
    """The Host value of a target as configured."""
    return b"localhost" if text.startswith("unix:") else urlsplit(text).netloc.encode("ascii")


def tls_context(tls: UpstreamTls) -> ssl.SSLContext:
    """
    What https targets are connected with: TLS 1.2 or later, certificates verified, ALPN ``http/1.1``.

    Raises:
        OSError, ssl.SSLError: A file can't be read or is none of certificates; `gateway check` finds that before.
    """
    context = ssl.create_default_context(cafile=tls.ca_file)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")  # never ask for one
    context.set_alpn_protocols(["http/1.1"])
    return context


def connector(target: Target, address: str, context: ssl.SSLContext | None, server_name: str | None) -> Connect:
    """
    How to connect to one address of a target.

    Args:
        target: As configured.
        address: Of its host; the path of its socket where it is one.
        context: For https.
        server_name: What its certificate must hold, if not the host.
    """
    if target.scheme == "unix":
        return lambda factory: asyncio.get_running_loop().create_unix_connection(factory, address)
    if target.scheme == "http" or context is None:
        return lambda factory: asyncio.get_running_loop().create_connection(factory, address, target.port)
    return lambda factory: asyncio.get_running_loop().create_connection(
        factory, address, target.port, ssl=context, server_hostname=server_name or target.host, ssl_shutdown_timeout=CLOSING
    )
