"""What a route changes about headers."""

from __future__ import annotations

from typing import Any

from gateway.config.model import HeaderEdits as Section
from gateway.header_edits import HeaderEdits

LINES = [b"X-A: 1\r\n", b"x-a: 2\r\n", b"X-B:3\r\n", b"X-Ab: 4\r\n"]


def edits(**section: Any) -> HeaderEdits:
    return HeaderEdits(Section.model_validate(section))


def test_set_replaces_all_lines_of_a_name() -> None:
    """In any letters; the new one comes last."""
    assert edits(set={"X-a": "new"}).apply(LINES) == [b"X-B:3\r\n", b"X-Ab: 4\r\n", b"X-a: new\r\n"]


def test_add_appends_a_line() -> None:
    """Beside those that are there, and behind one that is set."""
    assert edits(add={"X-A": "3"}).apply(LINES) == [*LINES, b"X-A: 3\r\n"]
    assert edits(set={"X-A": "s"}, add={"x-a": "t"}).apply(LINES)[-2:] == [b"X-A: s\r\n", b"x-a: t\r\n"]


def test_remove_drops_all_lines_of_a_name() -> None:
    """And no longer name that begins like it."""
    assert edits(remove=["X-A", "x-b"]).apply(LINES) == [b"X-Ab: 4\r\n"]


def test_values_are_latin_1_and_may_be_empty() -> None:
    """RFC 9110 section 5.5: obs-text is opaque."""
    assert edits(set={"X": "é", "Y": ""}).apply([]) == [b"X: \xe9\r\n", b"Y: \r\n"]


def test_the_lines_given_stay_as_they_are() -> None:
    """They are another request's too."""
    before = list(LINES)
    edits(set={"X-A": "n"}, remove=["X-B"]).apply(LINES)
    assert before == LINES


def test_h03_a_name_is_meant_however_it_is_spelt() -> None:
    """With ``_`` or ``.`` for ``-``, as back ends read it."""
    lines = [b"X_A: 1\r\n", b"x.a: 2\r\n", b"XA: 3\r\n"]
    assert edits(remove=["X-A"]).apply(lines) == edits(remove=["X_A"]).apply(lines) == lines[2:]
