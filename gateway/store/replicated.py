"""
``durability: replicated``: a change is acknowledged once a replica has it.

Behind each change the same connection writes a mark and WAITs: the mark, because a change that was made before, and whose answer
was lost with its connection, may have nothing left to write; WAIT goes by what its connection wrote last.  Such a connection
waits with each command, so reads and what may be lost have another one.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from gateway.store.caller import Caller
from gateway.store.keys import Keys
from gateway.store.resp import Reply, Word
from gateway.store.script import Script

_READS = frozenset({"GET", "MGET", "HGETALL", "ZRANGE", "TIME", "PING", "INFO", "EXISTS"})
_READING = ("find_chains", "find_credentials", "find_with_client")
"""Scripts that write nothing."""


class Changer(Protocol):
    """Whoever can wait for replicas."""

    def change(self, words: tuple[Word, ...], mark: bytes, wait_ms: int) -> Awaitable[Reply]:
        """
        One command that writes.

        Raises:
            StoreUnavailable: As `Caller.call`; or no replica had it in ``wait_ms``: it is made, and may be lost.
        """


class Replicated:
    """A `gateway.store.caller.Caller` for what must not be lost."""

    def __init__(self, reads: Caller, changes: Changer, *, prefix: str, timeout: float) -> None:
        """``timeout``: seconds, the store's; half of it is for replicas."""
        self._reads = reads
        self._changes = changes
        self._keys = Keys(prefix)
        self._wait_ms = max(1, int(timeout * 500))
        scripts = [Script(name) for name in _READING]
        self._reading = frozenset(word for script in scripts for word in (script.digest, script.text))

    def call(self, *words: Word) -> Awaitable[Reply]:
        """As `Caller.call`."""
        if words[0] in _READS or (words[0] in ("EVALSHA", "EVAL") and words[1] in self._reading):
            return self._reads.call(*words)
        key = words[3] if words[0] in ("EVALSHA", "EVAL") else words[1]
        mark = self._keys.mark(key if isinstance(key, bytes) else str(key).encode())
        return self._changes.change(words, mark, self._wait_ms)
