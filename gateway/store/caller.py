"""
How the adapters speak to the store: one command, one reply.

`gateway.store.wire.Wire` is what a worker uses; `RedisCaller`, over redis-py, serves the command line and emulated servers.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from typing import Protocol

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from gateway.errors import StoreUnavailable
from gateway.store.resp import Reply, Word
from gateway.store.slots import Elsewhere, read_elsewhere

_CORRUPT = re.compile(r"CORRUPT:([a-z]+)")
_CODE = re.compile(r"[A-Z]{2,20}\b")


class Caller(Protocol):
    """Runs commands."""

    def call(self, *words: Word) -> Awaitable[Reply]:
        """
        One command, never repeated by the caller's back.

        Raises:
            NoScript: The server does not have the script of an EVALSHA; it has done nothing.
            StoreUnavailable: No reply in time, or an error reply: the reason names its code, never its text.
        """


class NoScript(StoreUnavailable):
    """The server does not have this script."""


class Moved(StoreUnavailable):
    """Another server of the cluster has the slot (MOVED), or has this key of it already (ASK); nothing was done."""

    def __init__(self, there: Elsewhere) -> None:
        super().__init__("ASK" if there.once else "MOVED")
        self.host, self.port, self.once = there


def refusal(text: str) -> StoreUnavailable:
    """The error for an error reply.  Of its text, which may hold parts of a command, only what is known to be harmless."""
    found = _CODE.match(text)
    code = found[0] if found else "unexpected reply"
    if code == "NOSCRIPT":
        return NoScript(code)
    there = read_elsewhere(text)
    if there is not None:
        return Moved(there)
    corrupt = _CORRUPT.search(text)
    return StoreUnavailable(f"corrupt {corrupt[1]} record" if corrupt else code)


class RedisCaller:
    """A `Caller` over redis-py."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def call(self, *words: Word) -> Reply:
        """One command, on a connection of redis-py's pool."""
        try:
            return await self._redis.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py's
        except NoScriptError:
            raise NoScript("NOSCRIPT") from None
        except (RedisError, OSError) as error:
            raise _refusal(error) from None


def _refusal(error: Exception) -> StoreUnavailable:
    if isinstance(error.__cause__, RedisError):  # a refused login arrives wrapped
        error = error.__cause__
    if type(error) is ResponseError:
        return refusal(str(error))
    return StoreUnavailable(type(error).__name__)  # redis-py took the code off the text
