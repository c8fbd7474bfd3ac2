"""Charges and leases in one worker, on a store that answers when it is told to."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.model import Config
from gateway.errors import GatewayError, LimitReached, StoreUnavailable
from gateway.guard import limits as module
from gateway.guard.leases import QUOTA_LIFE, SLOTS_SAFE, Grant, Quota, Rate, Slots
from gateway.guard.limits import Charge, Limits, Told
from gateway.routing import Route, Router
from gateway.telemetry.metrics import Registry


class Paper:
    """Writes questions down; implements `gateway.guard.limits.LimitStore`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        """Kind, count, and what was owed."""
        self.returned: list[tuple[int, int]] = []
        """Count and period."""
        self._told: list[Told] = []

    def take_rate(self, key: str, rate: Rate, count: int, done: Told) -> None:
        """Note it."""
        self._note("rate", count, 0, done)

    def take_quota(self, key: str, quota: Quota, count: int, owed: int, done: Told) -> None:
        """Note it."""
        self._note("quota", count, owed, done)

    def return_quota(self, key: str, quota: Quota, count: int, period: int) -> None:
        """Note it."""
        self.returned.append((count, period))

    def hold_slots(self, key: str, slots: Slots, count: int, done: Told) -> None:
        """Note it."""
        self._note("slots", count, 0, done)

    def answer(self, grant: Grant | GatewayError | None = None) -> None:
        """What was asked first is granted, unless something else is said."""
        _, count, _ = self.asked[-len(self._told)]
        self._told.pop(0)(grant or Grant(count, 0.0, 100, 50.0, 1))

    def _note(self, kind: str, count: int, owed: int, done: Told) -> None:
        self.asked.append((kind, count, owed))
        self._told.append(done)


class Somebody:
    """Whose requests these are."""

    def __init__(self, source: bytes = b"192.0.2.1") -> None:
        self.source = source
        self.heard: list[GatewayError | None] = []

    def find_header(self, name: bytes) -> bytes | None:
        """None has any."""
        return None

    def charged(self, charge: Charge, refused: GatewayError | None) -> None:
        """Remember it."""
        self.heard.append(refused)


class Worker:
    """Limits of one route, and a clock that stands."""

    def __init__(self, *sections: dict[str, Any]) -> None:
        self.now = 1000.0
        self.paper = Paper()
        config = Config.model_validate({
            "upstreams": {"a": {"targets": ["http://127.0.0.1:1"]}},
            "routes": [{"upstream": "a", "path": "/", "limits": [{"by": "address", **section} for section in sections]}],
        })  # fmt: skip
        routes = Router(config).routes
        self.route: Route = routes[0]
        self.limits = Limits(config, routes, self.paper, clock=lambda: self.now, registry=Registry())

    def charge(self, asker: Somebody | None = None) -> tuple[Charge, bool]:
        """One more request, and whether it passed at once."""
        charge = self.limits.charge(self.route, None, asker or Somebody())
        assert charge is not None
        return charge, charge.take(self.now)

    def lease(self, position: int, source: bytes = b"192.0.2.1") -> Any:
        """What is held of a limit."""
        return self.limits._routes[self.route][position].leases[source]

    def lose(self, position: int) -> None:
        """One limit finds the store away."""
        self.limits._routes[self.route][position].away = True


def test_a_permit_that_was_taken_alone_is_given_back_as_one() -> None:
    """Also when the store is back before the request is refused by another limit."""
    worker, asker = Worker({"rate": "10/s", "on_store_failure": "local"}, {"quota": "5/day"}), Somebody()
    worker.lose(0)
    _, passed = worker.charge(asker)
    assert not passed  # the quota asks
    assert worker.lease(0).tat == worker.now + 0.1
    worker.limits._routes[worker.route][0].away = False
    worker.paper._told.pop(0)  # the rate's look whether the store is back, without an answer
    worker.paper.answer(Grant(0, 60.0, 0, 60.0, 1))
    assert isinstance(asker.heard[0], LimitReached)
    assert (worker.lease(0).left, worker.lease(0).tat) == (0, worker.now)


def test_a_permit_of_the_store_is_given_back_though_the_store_went_meanwhile() -> None:
    worker, asker = Worker({"rate": "10/s"}, {"quota": "5/day", "on_store_failure": "deny"}), Somebody()
    worker.charge(asker)
    worker.paper.answer()  # the rate's
    assert worker.lease(0).left == 0
    worker.lose(0)
    worker.paper.answer(StoreUnavailable("silent"))
    assert isinstance(asker.heard[0], StoreUnavailable)
    assert worker.lease(0).left == 1


def test_what_is_allowed_without_the_store_takes_nothing_and_gives_nothing_back() -> None:
    worker, asker = Worker({"rate": "10/s", "on_store_failure": "allow"}, {"quota": "5/day"}), Somebody()
    worker.lose(0)
    worker.charge(asker)
    worker.paper._told.pop(0)
    worker.paper.answer(Grant(0, 60.0, 0, 60.0, 1))
    assert (worker.lease(0).left, worker.lease(0).tat) == (0, 0.0)


def test_a_permit_of_yesterday_is_not_given_back_to_today() -> None:
    """A request took its day's permit and waits for the month's; it is midnight; the day's lease is another one now."""
    worker, first, second = Worker({"quota": "5/day"}, {"quota": "100/month"}), Somebody(), Somebody()
    worker.charge(first)
    worker.paper.answer(Grant(1, 1.0, 4, 1.0, 7))
    assert worker.paper.asked[-1][0] == "quota"  # the month's, open
    worker.now += 2.0
    worker.charge(second)  # the day's, anew
    month, day = worker.paper._told
    day(Grant(1, 86400.0, 4, 86400.0, 8))
    month(Grant(0, 60.0, 0, 60.0, 1))
    assert isinstance(first.heard[0], LimitReached)
    assert worker.lease(0).left == 1  # the second's, and not the first's too


def test_the_cap_holds_and_who_makes_room_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """X: a stranger with many addresses."""
    monkeypatch.setattr(module, "MOST_LEASES", 100)
    worker = Worker({"quota": "1000/day", "on_store_failure": "local"})
    for number in range(100):
        worker.charge(Somebody(b"%d" % number))
        worker.paper.answer(Grant(3, 0.0, 997, 50.0, 7))  # one is used, two are left
    worker.lease(0, b"1").owed = 5
    for number in range(100, 103):
        worker.charge(Somebody(b"%d" % number))
        worker.paper.answer(Grant(1, 0.0, 999, 50.0, 7))
    assert worker.paper.returned == [(2, 7), (-3, 7), (2, 7)]  # the second's: two left of five that passed uncounted
    for number in range(103, 1000):
        worker.charge(Somebody(b"%d" % number))
        worker.paper.answer(Grant(1, 0.0, 999, 50.0, 7))
    assert len(worker.limits._routes[worker.route][0].leases) == 100


def test_who_has_requests_under_way_keeps_the_slot_however_many_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LEASES", 50)
    worker = Worker({"concurrency": 2})
    running = [worker.charge(Somebody(b"%d" % number))[0] for number in range(40)]
    for _ in running:
        worker.paper.answer()
    for number in range(1000, 1500):
        charge, _ = worker.charge(Somebody(b"%d" % number))
        worker.paper.answer()
        charge.end()
        while worker.paper._told:
            worker.paper.answer()
    leases = worker.limits._routes[worker.route][0].leases
    assert all(leases[b"%d" % number].in_use == 1 for number in range(40))
    assert len(leases) <= 50


def test_after_the_end_nothing_is_asked_and_nothing_counted_twice() -> None:
    """The worker stops: slots go back at once, requests that end later have none."""
    worker = Worker({"concurrency": 10})
    charges = [worker.charge()[0] for _ in range(2)]
    while worker.paper._told:
        worker.paper.answer()
    worker.limits.close()
    assert worker.paper.asked[-1][:2] == ("slots", 0)
    asked = len(worker.paper.asked)
    worker.paper.answer()
    for charge in charges:
        charge.end()
    assert worker.lease(0).in_use == 0
    worker.limits.tick(worker.now + 60)
    assert len(worker.paper.asked) == asked


def test_what_passed_without_the_store_is_counted_when_it_is_back_though_its_client_is_gone() -> None:
    worker = Worker({"quota": "5/day", "on_store_failure": "local"})
    worker.charge()
    worker.paper.answer(StoreUnavailable("silent"))
    assert worker.lease(0).owed == 1
    worker.limits.tick(worker.now)
    assert len(worker.paper.asked) == 1  # it is away
    worker.limits._routes[worker.route][0].away = False
    worker.limits.tick(worker.now)
    assert worker.paper.asked[-1] == ("quota", 0, 1)
    worker.paper.answer(Grant(0, 50.0, 4, 50.0, 7))
    worker.now += QUOTA_LIFE
    worker.limits.tick(worker.now)
    assert worker.limits._count() == 0


def test_slots_are_ours_for_a_time_from_the_question_not_from_the_answer() -> None:
    """The store may have answered at once, and its answer been on its way for as long as there is."""
    worker, asker = Worker({"concurrency": 10}), Somebody()
    worker.charge(asker)
    began = worker.now
    worker.now += 1.9
    worker.paper.answer()
    assert asker.heard == [None]
    assert worker.lease(0).until == began + SLOTS_SAFE
