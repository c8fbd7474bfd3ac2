"""What is said on a fresh connection before the first command."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import hiredis

from gateway.store.resp import Connection, Reply

_CODE = re.compile(r"[A-Z]{2,20}")


class Refused(Exception):
    """The server won't serve us; the message is its error code, never its text (which may quote what we sent)."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to the server; the password has no place in any representation."""

    username: str = ""
    password: str = ""
    database: int = 0

    def __repr__(self) -> str:
        """Name nothing secret."""
        return f"Login(username={self.username!r}, database={self.database})"


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the server agreed to."""

    uncached: str
    """Why invalidations won't arrive; empty when they will."""
    asked: float
    """Event-loop seconds just before the server looked at its clock,"""
    store: float
    """which showed this, in seconds of the Unix epoch."""


async def log_in(connection: Connection, login: Login, name: str, *, replica: bool = False) -> str:
    """
    Speak RESP3, log in, choose the database; fall back to RESP2 where the server knows nothing newer.

    Args:
        connection: A fresh one.
        login: Who we are.
        name: What the server's ``CLIENT LIST`` shall call it.
        replica: Whether a replica will do.

    Returns:
        Why it is RESP2; empty when it is RESP3.

    Raises:
        Refused: Wrong credentials, no such database, a replica.
        ConnectionGone: The connection ended meanwhile.
    """
    older = await _hello(connection, login, replica=replica)
    await connection.call("CLIENT", "SETNAME", name)
    if login.database:
        _accept(await connection.call("SELECT", str(login.database)))
    return older


async def greet(connection: Connection, login: Login) -> Greeting:
    """
    Log the verdict link in, ask for invalidations and for the time.

    Raises:
        Refused: As `log_in`.
        ConnectionGone: The connection ended meanwhile.
    """
    uncached = await log_in(connection, login, "gateway-verdict-link")
    if not uncached:
        # Without RESP3 a server says OK to this and then has no way to send a push: so never there.
        tracking = await connection.call("CLIENT", "TRACKING", "ON")
        uncached = f"CLIENT TRACKING: {code(tracking)}" if isinstance(tracking, hiredis.ReplyError) else ""
    asked = asyncio.get_running_loop().time()
    return Greeting(uncached, asked, seconds(await connection.call("TIME")))


async def _hello(connection: Connection, login: Login, *, replica: bool = False) -> str:
    words = ["HELLO", "3"]
    if login.password:
        words += ["AUTH", login.username or "default", login.password]
    reply = await connection.call(*words)
    if isinstance(reply, dict):
        if not replica and reply.get(b"role", b"master") not in (b"master", b"primary"):
            raise Refused("the server is a replica")
        return "" if reply.get(b"proto") == 3 else "HELLO: another protocol"
    refusal = code(reply)
    if refusal == "WRONGPASS":
        raise Refused(refusal)
    if login.password:
        words = ["AUTH", login.username, login.password] if login.username else ["AUTH", login.password]
        _accept(await connection.call(*words))
    elif refusal == "NOAUTH":
        raise Refused(refusal)
    return f"HELLO: {refusal}"


def _accept(reply: Reply) -> None:
    if isinstance(reply, hiredis.ReplyError):
        raise Refused(code(reply))


def code(error: Reply) -> str:
    """The first word of an error reply, if it looks like a code.  The rest may quote arguments, passwords included."""
    found = _CODE.match(str(error)) if isinstance(error, hiredis.ReplyError) else None
    return found[0] if found else "unexpected reply"


def seconds(reply: Reply) -> float:
    """
    Read the reply to TIME, in seconds of the Unix epoch.

    Raises:
        Refused: If it is anything else.
    """
    try:
        whole, micros = reply
        return int(whole) + int(micros) / 1e6
    except (TypeError, ValueError):
        raise Refused(f"TIME: {code(reply)}") from None
