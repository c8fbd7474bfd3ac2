"""Argon2id off the event loop, in a pool that is full early rather than late (G01)."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import Overloaded, TooManyRequests

MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
"""OWASP's profile: 27 ms of a core, 19 MiB."""

SHARE = 4
"""Passwords of one source that are hashed or wait at a time: nobody fills the queue alone."""

_MOST_MEMORY_KIB = 131_072
_MOST_PASSES = 8
_MOST_LANES = 4
_NICE = 10

# A hash of bytes that nobody kept, with the parameters above: what an unknown username is verified against.
_DUMMY = "$argon2id$v=19$m=19456,t=2,p=1$0IDpVVvrMI5iOXfhs02l4w$zUmh1s1/42HAd9wbhGhLWHFMppCcKOdPE02vKbSspms"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a password was right, and its hash anew when the stored one has outdated parameters."""

    right: bool
    rehashed: str | None = None


class Hasher:
    """
    Hashes and verifies passwords in threads of low priority.

    Args:
        threads: Hashes at a time; default: the cores that we may use, two at most.
        queue: How many may wait beside those; the next one is refused.
    """

    def __init__(self, *, threads: int | None = None, queue: int = 16) -> None:
        threads = threads or min(2, len(os.sched_getaffinity(0)))
        self._argon2 = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2", initializer=_yield_to_the_loop)
        self._limit = threads + queue
        self._by_source: Counter[bytes] = Counter()
        self.pending = 0

    async def hash(self, password: str, *, source: bytes = b"") -> str:
        """
        Hash a password that passed `read_password`.

        Args:
            password: The password.
            source: Whose: each may have `SHARE` at a time; empty for nobody in particular.

        Raises:
            TooManyRequests: If the source has its share.
            Overloaded: If the pool and its queue are full.
        """
        return await self._run(lambda: self._argon2.hash(password), source)

    async def verify(self, stored: str, password: str, *, source: bytes = b"") -> Verification:
        """
        Verify a password against a stored hash; an empty one, or one with absurd parameters, is never right.

        It takes the same time for any hash that this class made and for the empty one.  ``source`` as in `hash`.

        Raises:
            TooManyRequests: If the source has its share.
            Overloaded: If the pool and its queue are full.
        """
        return await self._run(lambda: self._verify(stored, password), source)

    def close(self) -> None:
        """Finish what runs and end the threads."""
        self._pool.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], Result], source: bytes) -> Result:
        if source and self._by_source[source] >= SHARE:
            raise TooManyRequests("Too many passwords at a time", reason="argon2_share")
        if self.pending >= self._limit:
            raise Overloaded(reason="argon2_pool_full")
        try:
            future = self._pool.submit(work)
        except RuntimeError:
            raise Overloaded(reason="argon2_pool_closed") from None
        self.pending += 1
        self._by_source[source] += 1
        loop = asyncio.get_running_loop()
        # Counted off when the work ends, not when its caller gives up: an abandoned hash still occupies its thread.
        future.add_done_callback(lambda _: _call(loop, lambda: self._done(source)))
        return await asyncio.wrap_future(future)

    def _done(self, source: bytes) -> None:
        self.pending -= 1
        self._by_source[source] -= 1
        if not self._by_source[source]:
            del self._by_source[source]

    def _verify(self, stored: str, password: str) -> Verification:
        if not _sane(stored):
            self._matches(_DUMMY, password)
            return Verification(right=False)
        if not self._matches(stored, password):
            return Verification(right=False)
        outdated = self._argon2.check_needs_rehash(stored)
        return Verification(right=True, rehashed=self._argon2.hash(password) if outdated else None)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._argon2.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def _sane(stored: str) -> bool:
    """Whether a stored hash asks for no more than we are ready to spend (G09): a tampered store must not exhaust us."""
    try:
        parameters = extract_parameters(stored)
    except InvalidHashError:
        return False
    return (
        parameters.memory_cost <= _MOST_MEMORY_KIB
        and parameters.time_cost <= _MOST_PASSES
        and parameters.parallelism <= _MOST_LANES
    )


def _yield_to_the_loop() -> None:
    """Lower this thread's priority alone (Linux counts niceness by thread), so that proxying keeps its pace meanwhile."""
    try:
        mine = os.getpriority(os.PRIO_PROCESS, 0)  # as inherited: the loop's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(mine + _NICE, 19))
    except OSError:
        return  # a sandbox may forbid it; hashing works without


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        return  # the loop is closed, and with it everything that counts
