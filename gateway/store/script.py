"""Running the Lua scripts, and what becomes of a store's errors."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.store.caller import Caller, NoScript
from gateway.store.codec import CorruptRecord
from gateway.store.resp import Reply, Word

_FOLDER = Path(__file__).with_name("scripts")


class Script:
    """One Lua script of the folder, sent by its digest and in full only to a server that does not have it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (_FOLDER / "prelude.lua").read_text("ascii") + (_FOLDER / f"{name}.lua").read_text("ascii")
        self.digest = sha1(self.text.encode("ascii"), usedforsecurity=False).hexdigest()

    async def __call__(self, caller: Caller, keys: list[bytes], args: list[Word]) -> Reply:
        """
        Run it.

        Raises:
            StoreUnavailable: If the store does not answer, refuses, or holds a corrupt record.
        """
        try:
            try:
                return await caller.call("EVALSHA", self.digest, len(keys), *keys, *args)
            except NoScript:
                return await caller.call("EVAL", self.text, len(keys), *keys, *args)
        except StoreUnavailable as error:
            raise StoreUnavailable(f"{self.name}: {error.reason}") from None


def done(answer: Reply) -> bool:
    """Whether a script that returns 1 or 0 returned 1."""
    return bool(answer == 1)


class answering:
    """
    Name the operation in whatever goes wrong between us and the store, or with what it holds.

    Raises:
        StoreUnavailable: Its reason names the operation and the kind of failure, never a key or a value.
    """

    __slots__ = ("_operation",)

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Translate."""
        if isinstance(error, CorruptRecord):
            raise StoreUnavailable(f"{self._operation}: {error}") from None
        if isinstance(error, StoreUnavailable):
            raise StoreUnavailable(f"{self._operation}: {error.reason}") from None
