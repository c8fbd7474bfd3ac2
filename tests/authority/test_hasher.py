"""Argon2id off the loop."""

import asyncio
import os
import threading

import pytest
from argon2 import PasswordHasher

from gateway.authority import hasher as module
from gateway.authority.hasher import SHARE, Hasher
from gateway.errors import Overloaded, TooManyRequests

PASSWORD = "correct horse battery"


async def test_a_hash_verifies_and_another_password_does_not(hasher: Hasher) -> None:
    """With OWASP's profile; a fresh salt each."""
    stored = await hasher.hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert stored != await hasher.hash(PASSWORD)
    assert await hasher.verify(stored, PASSWORD) == module.Verification(right=True)
    assert not (await hasher.verify(stored, PASSWORD + "x")).right


async def test_the_whole_password_counts(hasher: Hasher) -> None:
    """Beyond 72 bytes and behind a NUL (G04, CVE-2025-22228)."""
    stored = await hasher.hash("x" * 255 + "a")
    assert not (await hasher.verify(stored, "x" * 255 + "b")).right
    stored = await hasher.hash("secret\x00a")
    assert not (await hasher.verify(stored, "secret\x00b")).right


async def test_nobodys_hash_costs_the_same(hasher: Hasher) -> None:
    """The dummy has today's parameters, or an unknown name would show by time (O10)."""
    today = PasswordHasher(time_cost=module.PASSES, memory_cost=module.MEMORY_KIB, parallelism=module.LANES)
    assert not today.check_needs_rehash(module._DUMMY)
    for password in (PASSWORD, ""):
        assert not (await hasher.verify("", password)).right


@pytest.mark.parametrize("stored", [
    "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
    "$argon2id$v=19$m=19456,t=4000000,p=1$c2FsdHNhbHRzYWx0$" + "A" * 43,
    "$argon2id$v=19$m=19456,t=2,p=1000$c2FsdHNhbHRzYWx0$" + "A" * 43,
    "$2b$12$abcdefghijklmnopqrstuv", "garbage", "$argon2id$", "\x00",
])
async def test_absurd_and_damaged_hashes_are_never_right(
    hasher: Hasher, monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    """Nor computed at all (G09): they cost what the dummy costs, once."""
    computed: list[str] = []

    class Willing:
        def verify(self, stored: str, _password: str) -> bool:
            computed.append(stored)
            return True

    monkeypatch.setattr(hasher, "_argon2", Willing())
    assert not (await hasher.verify(stored, PASSWORD)).right
    assert computed == [module._DUMMY]


async def test_outdated_parameters_are_rehashed(hasher: Hasher) -> None:
    """When the password was right, and only then."""
    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    verified = await hasher.verify(weak, PASSWORD)
    assert verified.right
    assert verified.rehashed is not None
    assert (await hasher.verify(verified.rehashed, PASSWORD)) == module.Verification(right=True)
    assert (await hasher.verify(weak, "another password")).rehashed is None


async def test_a_full_pool_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One works, two wait, the fourth is 503; when the first is done there is room again (G01)."""
    hasher, go, started = Hasher(threads=1, queue=2), threading.Event(), threading.Event()

    class Stuck:
        def hash(self, _password: str) -> str:
            started.set()
            assert go.wait(10)
            return "hash"

    monkeypatch.setattr(hasher, "_argon2", Stuck())
    try:
        waiting = [asyncio.create_task(hasher.hash(PASSWORD)) for _ in range(3)]
        await asyncio.to_thread(started.wait, 10)
        with pytest.raises(Overloaded):
            await hasher.hash(PASSWORD)
        waiting[1].cancel()
        go.set()
        assert await asyncio.gather(*waiting, return_exceptions=True) != []
        assert await waiting[0] == "hash"
        async with asyncio.timeout(10):
            while hasher.pending:  # noqa: ASYNC110  (it has no event, and needs none but here)
                await asyncio.sleep(0.001)
        assert await hasher.hash(PASSWORD) == "hash"
    finally:
        go.set()
        hasher.close()


async def test_hashing_stands_back_behind_the_loop(hasher: Hasher) -> None:
    """Ten steps of niceness, whatever ours is, in its own threads alone (G01)."""
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    ours = niceness()
    assert await asyncio.wrap_future(hasher._pool.submit(niceness)) == min(ours + 10, 19)
    assert niceness() == ours


async def test_nobody_fills_the_queue_alone(hasher: Hasher) -> None:
    """One source has its share, others find room; and what ended is counted off (G01)."""
    ones = [asyncio.create_task(hasher.hash(PASSWORD, source=b"one")) for _ in range(SHARE)]
    await asyncio.sleep(0)
    for _ in range(20):
        with pytest.raises(TooManyRequests):
            await hasher.verify("", PASSWORD, source=b"one")
    other = asyncio.create_task(hasher.verify("", PASSWORD, source=b"other"))
    assert len({await one for one in ones}) == SHARE
    assert not (await other).right
    await hasher.hash(PASSWORD, source=b"one")
    async with asyncio.timeout(10):
        while hasher.pending:  # noqa: ASYNC110  (as above)
            await asyncio.sleep(0.001)
    assert not hasher._by_source


async def test_a_flood_is_answered_while_the_loop_keeps_running(hasher: Hasher) -> None:
    """200 at once: some hashes, the rest refused; the loop turned many times meanwhile."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    results = await asyncio.gather(*(hasher.hash(PASSWORD) for _ in range(200)), return_exceptions=True)
    turning.cancel()
    hashes = [result for result in results if isinstance(result, str)]
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(hashes) + len(refused) == 200
    assert 16 <= len(hashes) <= 18
    assert turns > 100


async def test_a_closed_pool_refuses() -> None:
    """While the process stops."""
    hasher = Hasher()
    hasher.close()
    with pytest.raises(Overloaded):
        await hasher.hash(PASSWORD)
    assert hasher.pending == 0
