"""Composing: marks, duplicates, bounds, and every kind of thing that is not one YAML document."""

from __future__ import annotations

import pytest
import yaml

from gateway.config import yaml_nodes
from gateway.config.faults import Mark, Unreadable
from gateway.config.nodes import mark_at, to_data
from gateway.config.yaml_nodes import MAX_DEPTH, compose


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def _each_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libyaml and the pure parser, which stands in where libyaml is missing."""
    monkeypatch.setattr(yaml_nodes, "LOADER", getattr(yaml, request.param))


def test_every_value_and_key_has_its_place() -> None:
    """Lines and columns from 1."""
    root, faults = compose('a: 1\nb: {c: "x", d: [y, z]}\n')
    assert root is not None
    assert not faults
    assert to_data(root) == {"a": 1, "b": {"c": "x", "d": ["y", "z"]}}
    assert mark_at(root, ("b", "d", 1)) == Mark("", 2, 20)
    assert mark_at(root, ("b", "d"), key=True) == Mark("", 2, 13)
    assert mark_at(root, ("b", "nothing")) == Mark("", 2, 4)


def test_columns_count_characters_not_bytes() -> None:
    """As an editor counts them."""
    root, _ = compose("ä: {é: x}\n")
    assert root is not None
    assert mark_at(root, ("ä", "é")) == Mark("", 1, 8)


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('a: "8080"', {"a": "8080"}),
        ("a: !!str 8080", {"a": "8080"}),
        ("a: |\n  1\n", {"a": "1\n"}),
        ("a: >-\n  true\n", {"a": "true"}),
        ("1: x\ntrue: y", {"1": "x", "true": "y"}),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ("---\na: 1\n...\n", {"a": 1}),
    ],
)
def test_what_yaml_can_say(text: str, data: object) -> None:
    """Quoted and block scalars are text, keys are text, aliases are copies."""
    root, faults = compose(text)
    assert root is not None
    assert (to_data(root), faults) == (data, [])


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n\n"])
def test_an_empty_document_has_no_root(text: str) -> None:
    """What to say about it is the caller's."""
    assert compose(text) == (None, [])


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        pytest.param("a: 1\n---\nb: 2\n", (2, 1), "second document", id="two documents"),
        pytest.param("a: b: c\n", (1, 5), "mapping values", id="two colons"),
        pytest.param("a:\n\tb: 1\n", (2, 1), "use spaces", id="tab"),
        pytest.param("a: 'x\n", (2, 1), "quoted scalar|end of stream", id="open quote"),
        pytest.param("a: {p: ${P}}\n", (1, 9), "in quotes", id="reference in a flow mapping"),
        pytest.param("a: *x\n", (1, 4), "no anchor &x", id="unknown alias"),
        pytest.param("a: &x [*x]\n", (1, 8), "within its own anchor", id="recursive alias"),
        pytest.param("? [a]\n: 1\n", (1, 3), "a key must be plain text", id="list as key"),
        pytest.param("&k [a]: 1\n", (1, 1), "a key must be plain text|not YAML|this is", id="anchored list as key"),
        pytest.param("a: &x [1]\n*x : 2\n", (2, 1), "a key must be plain text", id="alias of a list as key"),
        pytest.param("ab\ncd: a\x00b\n", (2, 6), "U+0000", id="NUL"),
        pytest.param("a: b\x1b[31m\n", (1, 5), "U+001B", id="escape character"),
        pytest.param("%YAML 9.9\n---\na: 1\n", (1, 1), "incompatible", id="version"),
        pytest.param("[" * 40 + "]" * 40, (1, MAX_DEPTH + 1), "levels deep", id="deep"),
    ],
)
def test_what_is_no_yaml_is_named_with_its_place(text: str, place: tuple[int, int], part: str) -> None:
    """One fault each, never another exception."""
    with pytest.raises(Unreadable) as caught:
        compose(text)
    fault = caught.value.fault
    assert (fault.mark.line, fault.mark.column) == place
    assert any(piece in fault.message for piece in part.split("|")), fault.message


def test_a_hundred_thousand_brackets_do_no_harm() -> None:
    """PyYAML's composer would recurse, in C."""
    with pytest.raises(Unreadable):
        compose("[" * 100_000)


def test_a_billion_laughs_are_counted_not_laughed() -> None:
    """Nine levels of ten aliases each."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(Unreadable, match="aliases stand for more than"):
        compose("\n".join(lines))


def test_duplicate_keys_are_all_named() -> None:
    """PyYAML would keep the last one without a word."""
    root, faults = compose("a: 1\nb: {c: 1, c: 2}\na: {x: [1]}\n")
    assert [(fault.mark.line, fault.mark.column) for fault in faults] == [(2, 11), (3, 1)]
    assert 'the key "a" stands here twice, first on line 1' in faults[1].message
    assert root is not None
    assert to_data(root) == {"a": 1, "b": {"c": 1}}


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        ("a: !foo x\n", (1, 4), "tags mean nothing"),
        ("a: !!python/object/apply:os.system [ls]\n", (1, 4), "tags mean nothing"),
        ("b: &b {x: 1}\na:\n  <<: *b\n", (3, 3), "merge keys"),
    ],
)
def test_tags_and_merge_keys_are_refused(text: str, place: tuple[int, int], part: str) -> None:
    """Nothing is ever built from a tag."""
    _, faults = compose(text)
    assert [(fault.mark.line, fault.mark.column) for fault in faults] == [place]
    assert part in faults[0].message
