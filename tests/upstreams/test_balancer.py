"""The order in which targets are tried, for each policy."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from random import Random

import pytest

from gateway.upstreams.balancer import MAX_KEY, MAX_KNOWN_KEYS, Balancer, Hash, LeastLoaded, RoundRobin


def firsts(balancer: Balancer[str], count: int, key: bytes = b"") -> str:
    """Who is first, so many times."""
    return "".join(next(balancer.candidates(key)) for _ in range(count))


def policies(weighted: list[tuple[str, float]]) -> list[Balancer[str]]:
    return [RoundRobin(weighted), LeastLoaded(weighted, lambda _: 0.0, Random(1)), Hash(weighted, str)]


@pytest.mark.parametrize("number", range(3), ids=["round_robin", "least_loaded", "hash"])
def test_each_candidate_is_given_once(number: int) -> None:
    """Whoever refuses all of them has seen all of them; with none there is none."""
    balancer = policies([("a", 1.0), ("b", 9.0), ("c", 0.5)])[number]
    for turn in range(50):
        assert sorted(balancer.candidates(b"%d" % turn)) == ["a", "b", "c"]
    assert list(policies([])[number].candidates(b"")) == []
    assert list(policies([("a", 1.0)])[number].candidates(b"")) == ["a"]


def test_equal_targets_take_turns_in_their_order() -> None:
    assert firsts(RoundRobin([("a", 1), ("b", 1), ("c", 1)]), 7) == "abcabca"


def test_weights_are_kept_exactly_and_smoothly() -> None:
    """Of 3:1 the lighter one gets each fourth turn; never more than three in a row for the heavier."""
    taken = firsts(RoundRobin([("a", 3), ("b", 1)]), 400)
    assert Counter(taken) == {"a": 300, "b": 100}
    assert "aaaa" not in taken
    assert "bb" not in taken
    assert firsts(RoundRobin([("a", 5), ("b", 1), ("c", 1)]), 14) == "aaabcaaaaabcaa"


def test_shared_weights_need_not_be_whole() -> None:
    """A name of weight 1 with two addresses beside a single target."""
    taken = firsts(RoundRobin([("a1", 0.5), ("a2", 0.5), ("b", 1.0)]), 400)
    assert taken.count("b") == 200
    assert taken.count("a1") == taken.count("a2") == 100


def test_the_turns_of_one_that_is_passed_over_are_spread() -> None:
    """They go to all others alike, and it does not come back to a flood."""
    balancer = RoundRobin([("a", 1), ("b", 1), ("c", 1)])

    def without_a() -> str:
        first, *rest = balancer.candidates()
        if first != "a":
            return first
        balancer.took(rest[0])
        return rest[0]

    assert Counter(without_a() for _ in range(600)) == {"b": 300, "c": 300}
    assert "aa" not in firsts(balancer, 30)


def test_when_all_are_passed_over_they_are_asked_in_turn() -> None:
    """So that none of them gets all the requests that go to the least bad one."""
    balancer = RoundRobin([("a", 1), ("b", 1), ("c", 1)])
    assert ["".join(balancer.candidates()) for _ in range(3)] == ["abc", "bca", "cab"]


def test_of_two_drawn_the_less_loaded_is_first() -> None:
    """With two targets both are always drawn."""
    load = {"a": 3.0, "b": 2.0}
    balancer = LeastLoaded([("a", 1), ("b", 1)], load.__getitem__, Random(7))
    assert firsts(balancer, 20) == "b" * 20
    load["b"] = 4.0
    assert firsts(balancer, 20) == "a" * 20


def test_load_is_measured_by_weight() -> None:
    """Three requests on a target of weight 4 are less than one on another."""
    balancer = LeastLoaded([("a", 4), ("b", 1)], {"a": 3.0, "b": 1.0}.__getitem__, Random(7))
    assert firsts(balancer, 20) == "a" * 20
    assert firsts(LeastLoaded([("a", 1), ("b", 4)], lambda _: 0.0, Random(7)), 20) == "b" * 20


def test_two_choices_spread_over_many() -> None:
    """The most loaded of ten is never first; no other one is left out."""
    load = dict.fromkeys("abcdefghij", 0.0) | {"j": 1.0}
    taken = Counter(firsts(LeastLoaded([(name, 1) for name in load], load.__getitem__, Random(3)), 1000))
    assert set(taken) == set("abcdefghi")


def test_the_same_key_has_the_same_target_everywhere() -> None:
    """In another process with the targets in another order, too: the vector would notice another hash."""
    one = Hash([("a", 1), ("b", 1), ("c", 1)], str)
    other = Hash([("c", 1), ("a", 1), ("b", 1)], str)
    keys = [b"gwc_%d" % number for number in range(100)]
    assert [list(one.candidates(key)) for key in keys] == [list(other.candidates(key)) for key in keys]
    assert "".join(next(one.candidates(key)) for key in keys[:12]) == "aabaacbacbbb"


def test_keys_are_spread_by_weight() -> None:
    balancer = Hash([("a", 3), ("b", 1)], str)
    taken = Counter(next(balancer.candidates(b"%d" % number)) for number in range(4000))
    assert 2850 < taken["a"] < 3150


def test_a_target_that_goes_moves_only_its_own_keys() -> None:
    """And they are spread over the others; when it is back, all is as before."""
    three = Hash([("a", 1), ("b", 1), ("c", 1)], str)
    two = Hash([("a", 1), ("b", 1)], str)
    moved = Counter()
    for number in range(3000):
        before, after = next(three.candidates(b"%d" % number)), next(two.candidates(b"%d" % number))
        if before == "c":
            moved[after] += 1
        else:
            assert after == before
    assert min(moved["a"], moved["b"]) > 400


def test_keys_of_strangers_take_no_memory_without_end() -> None:
    balancer = Hash([("a", 1), ("b", 1)], str)
    for number in range(MAX_KNOWN_KEYS + 10):
        next(balancer.candidates(b"%d" % number))
    assert len(balancer._known) <= MAX_KNOWN_KEYS
    assert len(list(islice(balancer.candidates(b"1"), 5))) == 2
    assert list(balancer.candidates(b"x" * 8000)) == list(balancer.candidates(b"x" * 8000))
    assert max(map(len, balancer._known)) <= MAX_KEY
