"""The keys of one issuer, with a load that the test ends: who waits, and for how many it is once."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from gateway.errors import InvalidToken, IssuerUnavailable
from gateway.guard.refreshing import Refreshing
from gateway.issuers.fetching import FetchFailed
from gateway.issuers.key_ring import MAX_WAITING, KeyRing
from gateway.telemetry.metrics import Registry
from tests.issuers.idp import make_key, published

KEY = make_key()


class Rig:
    """A ring whose documents the test gives."""

    def __init__(self, *, pause: float = 0.0) -> None:
        self.answers: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.loads = 0
        self.removals = 0
        self.times = Refreshing(600, 3600, pause=pause)
        self.ring = KeyRing("idp", self._load, self.times, on_removal=self._removed, registry=Registry())

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def give(self, *kids: str) -> None:
        self.answers.put_nowait(orjson.dumps({"keys": [published(KEY, kid) for kid in kids]}))

    async def fetched(self) -> None:
        """Once a fetch is over."""
        while self.ring._fetching is not None:
            await asyncio.wait((self.ring._fetching,))

    async def _load(self) -> bytes:
        self.loads += 1
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _removed(self) -> None:
        self.removals += 1


async def test_all_who_wait_are_called_after_one_fetch() -> None:
    rig, called = Rig(), list[int]()
    for number in range(50):
        assert rig.ring.wait(lambda number=number: called.append(number), rig.now)
    rig.give("a")
    await rig.fetched()
    assert (rig.loads, called) == (1, list(range(50)))
    assert rig.ring.find("a", "ES256", rig.now) is not None


async def test_so_many_wait_and_no_more() -> None:
    """X12: a token whose client has gone still waits; 503 for the next, since nobody knows yet."""
    rig = Rig()
    assert all(rig.ring.wait(lambda: None, rig.now) for _ in range(MAX_WAITING))
    assert not rig.ring.wait(lambda: None, rig.now)
    assert isinstance(rig.ring.refusal(rig.now), IssuerUnavailable)
    await rig.ring.close()


@pytest.mark.parametrize("failure", [FetchFailed("status 500"), ValueError("no JWK set"), RuntimeError("a bug")])
async def test_whatever_goes_wrong_who_waits_is_called_and_what_was_there_stays(failure: Exception) -> None:
    rig, called = Rig(), list[bool]()
    rig.give("a")
    rig.ring.start(rig.now)
    await rig.fetched()
    rig.answers.put_nowait(failure)
    assert rig.ring.wait(lambda: called.append(True), rig.now)
    await rig.fetched()
    assert called == [True]
    assert rig.ring.find("a", "ES256", rig.now) is not None
    assert isinstance(rig.ring.refusal(rig.now), IssuerUnavailable)


async def test_an_empty_set_does_not_replace_the_keys() -> None:
    """A server's mishap, more likely than the end of all its keys."""
    rig = Rig()
    for kids in (("a",), ()):
        rig.give(*kids)
        rig.ring.wait(lambda: None, rig.now)
        await rig.fetched()
    assert rig.ring.find("a", "ES256", rig.now) is not None
    assert rig.removals == 0


async def test_a_key_that_is_gone_is_told_and_one_that_came_is_not() -> None:
    rig, seen = Rig(), list[int]()
    for kids in (("a",), ("a", "b"), ("b",)):
        rig.give(*kids)
        rig.ring.wait(lambda: None, rig.now)
        await rig.fetched()
        seen.append(rig.removals)
    assert seen == [0, 0, 1]
    assert isinstance(rig.ring.refusal(rig.now), InvalidToken)


async def test_old_keys_are_used_while_new_ones_are_fetched_and_not_for_ever() -> None:
    rig = Rig()
    rig.give("a")
    rig.ring.start(rig.now)
    await rig.fetched()
    assert rig.ring.find("a", "ES256", rig.now + 599) is not None
    assert rig.loads == 1
    assert rig.ring.find("a", "ES256", rig.now + 601) is not None
    await asyncio.sleep(0)
    assert rig.loads == 2
    assert rig.ring.find("a", "ES256", rig.now + 3601) is None
    await rig.ring.close()
