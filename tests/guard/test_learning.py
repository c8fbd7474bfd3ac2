"""The smallest scopes that would have let everything pass."""

from __future__ import annotations

from itertools import chain, combinations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.model import Config
from gateway.guard.learning import Need, fewest, learn
from gateway.guard.reports import Finding
from gateway.routing import Route, Router

NONE: frozenset[str] = frozenset()
GROUPS = st.lists(st.frozensets(st.sampled_from("abcdef"), min_size=1, max_size=3), max_size=6)


def routes(*sections: dict[str, Any]) -> list[Route]:
    config = {"upstreams": {"a": {"targets": ["http://127.0.0.1:1"]}}, "routes": [{"upstream": "a", **one} for one in sections]}
    return Router(Config.model_validate(config)).routes


@given(GROUPS, st.frozensets(st.sampled_from("abcdef")))
def test_there_are_no_fewer_scopes_that_would_do(groups: list[frozenset[str]], preferred: frozenset[str]) -> None:
    """Beside trying all; and of as few none has more of what is granted already."""
    found = fewest(groups, preferred)
    every = chain.from_iterable(combinations("abcdef", size) for size in range(7))
    fitting = [frozenset(some) for some in every if all(group & frozenset(some) for group in groups)]
    assert found in fitting
    assert len(found) == min(map(len, fitting))


def test_of_as_few_scopes_those_that_a_client_has_are_taken() -> None:
    assert fewest([frozenset("ab")], frozenset("b")) == frozenset("b")
    assert fewest([frozenset("ab")], NONE) == frozenset("a")


def test_among_very_many_scopes_something_that_does_is_found() -> None:
    groups = [frozenset((f"s{number}", f"s{number + 1}")) for number in range(0, 60, 2)]
    assert all(fewest(groups, NONE) & group for group in groups)


def test_a_client_needs_what_its_routes_and_methods_ask() -> None:
    """Whether it was refused or not: all of it would have to pass."""
    some = routes(
        {"path": "/orders/", "scopes": {"GET": ["read"], "POST": ["read", "write"]}}, {"path": "/any", "scopes_any": ["x", "y"]},
        {"path": "/plain"},
    )  # fmt: skip
    findings = {
        Finding("/orders/", "GET", "ann", ""): 5, Finding("/orders/", "POST", "ann", "insufficient_scope"): 2,
        Finding("/any", "GET", "ben", "insufficient_scope"): 1, Finding("/plain", "GET", "eve", ""): 7,
        Finding("/plain", "GET", "deleted", ""): 9,
    }  # fmt: skip
    learned = learn(findings, some, {"ann": frozenset(("read",)), "ben": frozenset(("y",)), "eve": NONE})
    assert learned.clients == {
        "ann": Need(7, frozenset(("read", "write")), frozenset(("write",))), "ben": Need(1, frozenset(("y",)), NONE),
        "eve": Need(7, NONE, NONE),
    }  # fmt: skip


def test_who_has_no_client_is_counted_by_what_would_have_refused_him() -> None:
    findings = {Finding("/plain", "GET", "", "token_missing"): 3, Finding("/gone", "GET", "ann", ""): 4}
    learned = learn(findings, routes({"path": "/plain"}), {"ann": NONE})
    assert (learned.strangers, learned.gone, learned.clients) == ({("/plain", "GET", "token_missing"): 3}, 4, {})
