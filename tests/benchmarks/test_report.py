"""Tables and targets."""

from __future__ import annotations

import json

from benchmarks.report import Report, Table, Target, render, show

TABLE = Table("authorized", "GET", ["proxy", "µs", "÷ ours"], [["gateway", 41.26, 1.0], ["nginx", 1234.5, None]], ["a note"])


def test_figures_have_three_digits() -> None:
    """Enough to compare, not more than is known."""
    shown = [show(cell) for cell in (0.034, 9.876, 12.34, 99_999.9, None, "text")]
    assert shown == ["0.03", "9.88", "12.3", "100,000", "–", "text"]


def test_a_table_for_a_terminal_is_aligned() -> None:
    """Names to the left, figures to the right."""
    assert render(TABLE).splitlines() == [
        "GET",
        "  proxy       µs  ÷ ours",
        "  gateway   41.3    1.00",
        "  nginx    1,234       –",
        "  a note",
    ]


def test_a_table_as_markdown() -> None:
    """For docs/benchmarks.md."""
    assert render(TABLE, markdown=True).splitlines() == [
        "### GET", "", "| proxy | µs | ÷ ours |", "| --- | ---: | ---: |", "| gateway | 41.3 | 1.00 |", "| nginx | 1,234 | – |",
        "", "- a note",
    ]  # fmt: skip


def test_targets_say_whether_they_are_reached() -> None:
    """At most by default, at least where it says so; the limit itself counts."""
    assert Target("cpu", 1.0, 1.0).reached
    assert not Target("cpu", 1.01, 1.0).reached
    assert Target("rate", 2.0, 2.0, at_least=True).reached
    assert not Target("rate", 1.99, 2.0, at_least=True).reached


def test_faults_skips_and_missed_targets_stand_at_the_end() -> None:
    """Nothing that went wrong is hidden."""
    report = Report("here", [TABLE], [Target("cpu to nginx", 1.5, 1.0)], ["caddy: not installed"], ["nginx: 3 lost"])
    end = report.end()
    assert "1.50 ×  ≤ 1.00 ×  NOT reached" in end
    assert end.endswith("skipped: caddy: not installed\nFAULT: nginx: 3 lost")
    assert json.loads(json.dumps(report.as_json()))["targets"][0]["reached"] is False
    assert report.as_text(markdown=True).startswith("here\n\n### GET\n")
