"""Tables, targets and faults of a run, as text, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

Cell = str | float | None


@dataclass(slots=True)
class Table:
    """
    One workload's figures.

    Attributes:
        name: As in ``--only``.
        columns: Headings; the first is the peer's.
        rows: One a peer; None is shown as a dash.
        notes: What a reader must know.
        raw: Every sample behind the medians, for the JSON.
    """

    name: str
    title: str
    columns: list[str]
    rows: list[list[Cell]]
    notes: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that is to be reached: at most ``limit``, or at least where ``at_least``."""

    what: str
    value: float
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether it is."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(slots=True)
class Report:
    """All of a run."""

    machine: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For machines; targets carry their verdict."""
        targets = [{**asdict(target), "reached": target.reached} for target in self.targets]
        return {**asdict(self), "targets": targets}

    def as_text(self, *, markdown: bool = False) -> str:
        """For people: the machine, all tables and the end."""
        tables = (render(table, markdown=markdown) for table in self.tables)
        return "\n\n".join([self.machine, *tables, self.end(markdown=markdown)])

    def end(self, *, markdown: bool = False) -> str:
        """What stands below the tables: targets, who was skipped and why, what can't be trusted."""
        parts = [_targets(self.targets, markdown=markdown)] if self.targets else []
        lines = [f"skipped: {line}" for line in self.skipped] + [f"FAULT: {line}" for line in self.faults]
        return "\n\n".join([*parts, *(["\n".join(lines)] if lines else [])])


def render(table: Table, *, markdown: bool = False) -> str:
    """One table with its title and notes."""
    body = _grid(table.columns, [[show(cell) for cell in row] for row in table.rows], markdown=markdown)
    title = f"### {table.title}\n" if markdown else f"{table.title}"
    notes = [f"{'- ' if markdown else '  '}{note}" for note in table.notes]
    return "\n".join([title, body, *([""] if markdown and notes else []), *notes])


def show(cell: Cell) -> str:
    """A figure with three significant digits, at most two of them behind the point."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}"


def _targets(targets: Sequence[Target], *, markdown: bool) -> str:
    rows = [
        [t.what, f"{show(t.value)} {t.unit}".strip(), f"{'≥' if t.at_least else '≤'} {show(t.limit)} {t.unit}".strip(),
         "reached" if t.reached else "NOT reached"]
        for t in targets
    ]  # fmt: skip
    title = "### Targets\n" if markdown else "Targets"
    return f"{title}\n{_grid(['what', 'here', 'target', ''], rows, markdown=markdown)}"


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    if markdown:
        lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    return "\n".join("  " + _line(row, widths) for row in [columns, *rows])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The first cell to the left, figures to the right."""
    figures = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([cells[0].ljust(widths[0]), *figures]).rstrip()
