"""Running the Lua scripts, and what becomes of a store's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError

from gateway.errors import StoreUnavailable
from gateway.store.codec import CorruptRecord

_FOLDER = Path(__file__).with_name("scripts")
_CORRUPT = re.compile(r"CORRUPT:([a-z]+)")
_CODE = re.compile(r"[A-Z]{2,}\b")

Argument = bytes | str | int


class Script:
    """One Lua script of the folder, sent by its digest and in full only to a server that does not have it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._text = (_FOLDER / "prelude.lua").read_text("ascii") + (_FOLDER / f"{name}.lua").read_text("ascii")
        self._digest = sha1(self._text.encode("ascii"), usedforsecurity=False).hexdigest()

    async def __call__(self, redis: Redis, keys: list[bytes], args: list[Argument]) -> Any:
        """
        Run it.

        Raises:
            StoreUnavailable: If the store does not answer, refuses, or holds a corrupt record.
        """
        with answering(self.name):
            try:
                return await redis.evalsha(self._digest, len(keys), *keys, *args)
            except NoScriptError:
                return await redis.eval(self._text, len(keys), *keys, *args)


@contextmanager
def answering(operation: str) -> Iterator[None]:
    """
    Turn whatever goes wrong between us and the store, or with what it holds, into one error.

    Raises:
        StoreUnavailable: Its reason names the operation and the kind of failure, never a key or a value.
    """
    try:
        yield
    except CorruptRecord as error:
        raise StoreUnavailable(f"{operation}: {error}") from None
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"{operation}: {_explain(error)}") from None


def _explain(error: Exception) -> str:
    """Name an error of redis-py without repeating its text, which may hold parts of a command."""
    if isinstance(error.__cause__, RedisError):  # a refused login arrives wrapped
        error = error.__cause__
    text = str(error)
    corrupt = _CORRUPT.search(text)
    if corrupt:
        return str(CorruptRecord(corrupt[1]))
    code = _CODE.match(text) if isinstance(error, ResponseError) else None
    return f"{type(error).__name__} {code[0]}" if code else type(error).__name__
