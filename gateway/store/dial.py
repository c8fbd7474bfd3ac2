"""Where the store is, and a connection to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from gateway.config.model import Store
from gateway.store.handshake import Login
from gateway.store.resp import Connection

DIAL_TIMEOUT = 1.0
"""Seconds that an attempt to connect, handshake included, may take."""

G = TypeVar("G")


@dataclass(frozen=True, slots=True)
class Address:
    """A unix socket when ``path`` is given, else host and port, with TLS when there is a context."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        """For logs."""
        return self.path or f"{self.host}:{self.port}"

    async def address(self) -> Address:
        """Here, always: it is a `Place`."""
        return self

    def moved(self) -> bool:
        """It never does."""
        return False

    async def close(self) -> None:
        """Nothing is open."""


class Place(Protocol):
    """Where a server is, or who knows."""

    async def address(self) -> Address:
        """
        Where it is now.

        Raises:
            OSError, Refused: Nobody knows.
        """

    def moved(self) -> bool:
        """Whether it is elsewhere than it was said to be last; asked once a second while a connection stands."""

    async def close(self) -> None:
        """Nobody asks any more."""


def find_address(store: Store, socket_path: Path | None = None) -> tuple[Address, Login]:
    """
    Read the store section; ``socket_path`` is where the embedded store listens.

    Credentials of their own fields win over those in the URL.

    Raises:
        OSError: If ``ca_file`` can't be read (`ssl.SSLError` when it holds no certificate).
    """
    url = urlsplit(store.url)
    password = store.password.get_secret_value() if store.password else unquote(url.password or "")
    username = store.username or unquote(url.username or "")
    if socket_path is not None:
        return Address(path=str(socket_path)), Login(username, password)
    path = "" if url.scheme == "unix" else url.path.strip("/")
    database = path or parse_qs(url.query).get("db", ["0"])[0]
    login = Login(username, password, int(database))
    if url.scheme == "unix":
        return Address(path=unquote(url.path)), login
    tls = None
    if url.scheme == "rediss":
        tls = ssl.create_default_context(cafile=store.ca_file)
    return Address(url.hostname or "127.0.0.1", url.port or 6379, tls=tls), login


async def dial(place: Place, greet: Callable[[Connection], Awaitable[G]]) -> tuple[Connection, G]:
    """
    Connect and greet; what ``greet`` learns is returned.

    Raises:
        OSError: No connection (`TimeoutError` when it takes too long, `ssl.SSLError` for TLS).
        Refused: The server won't serve us.
        ConnectionGone: The connection ended meanwhile.
    """
    address = await place.address()
    connection = Connection(asyncio.get_running_loop())
    try:
        async with asyncio.timeout(DIAL_TIMEOUT):
            await _connect(address, connection)
            return connection, await greet(connection)
    except BaseException:
        await connection.ended()
        raise


async def _connect(address: Address, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    if address.path:
        await loop.create_unix_connection(lambda: connection, address.path)
    else:
        await loop.create_connection(lambda: connection, address.host, address.port, ssl=address.tls)


def find_several(store: Store, *, port: int = 6379) -> tuple[list[Address], Login]:
    """
    Read a URL with several hosts, ``redis+cluster://[user:password@]host:port,host:port`` or ``redis+sentinel://…/master/0``.

    With ``rediss+`` all speak TLS; ``port`` is that of those which name none.

    Raises:
        OSError: If ``ca_file`` can't be read (`ssl.SSLError` when it holds no certificate).
    """
    scheme, _, rest = store.url.partition("://")
    said, _, hosts = rest.partition("/")[0].rpartition("@")
    username, _, password = said.partition(":")
    login = Login(
        store.username or unquote(username), store.password.get_secret_value() if store.password else unquote(password)
    )
    tls = ssl.create_default_context(cafile=store.ca_file) if scheme.startswith("rediss") else None
    places = [urlsplit(f"//{host}") for host in hosts.split(",")]
    return [Address(place.hostname or "127.0.0.1", place.port or port, tls=tls) for place in places], login


def find_master(store: Store) -> tuple[list[Address], str, Login]:
    """
    Read the URL of sentinels: who they are, the master's name, and who we are to it.

    Raises:
        OSError: If ``ca_file`` can't be read (`ssl.SSLError` when it holds no certificate).
    """
    sentinels, login = find_several(store, port=26379)
    name, _, database = store.url.partition("://")[2].partition("/")[2].partition("/")
    return sentinels, unquote(name), Login(login.username, login.password, int(database or 0))
