"""
Counters, gauges and histograms of one process, and their sum over processes as Prometheus text.

Own code because the hot path may not pay for labels, locks or files: a child is bound once (per route, at start) and counting
is ``child.value += 1``.  A worker hands out a plain `snapshot`; whoever serves ``/metrics`` merges the snapshots of all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Any

Snapshot = dict[str, Any]
"""``{name: {"kind", "help", "bounds", "series": {label text: number | [counts..., sum]}}}``: JSON and pickle safe."""

LATENCY = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of latency buckets, seconds."""


class Counter:
    """A number that only rises; the hot path writes ``value`` itself."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def inc(self, by: int = 1) -> None:
        """Count ``by`` more."""
        self.value += by


class Gauge:
    """A number that rises and falls."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Histogram:
    """Observations in buckets."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add one observation, in the unit of the bounds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Registry:
    """All metrics of a process.  Asking twice for the same name and labels gives the same child."""

    def __init__(self) -> None:
        self._families: dict[str, tuple[str, str, dict[str, Any]]] = {}
        self._callbacks: list[tuple[str, str, Callable[[], float]]] = []

    def counter(self, name: str, help_text: str, **labels: str) -> Counter:
        """A counter; its ``name`` ends in ``_total``."""
        child: Counter = self._child("counter", name, help_text, labels, Counter)
        return child

    def gauge(self, name: str, help_text: str, **labels: str) -> Gauge:
        """A gauge that its owner sets."""
        child: Gauge = self._child("gauge", name, help_text, labels, Gauge)
        return child

    def histogram(self, name: str, help_text: str, bounds: tuple[float, ...] = LATENCY, **labels: str) -> Histogram:
        """A histogram with fixed bounds."""
        child: Histogram = self._child("histogram", name, help_text, labels, lambda: Histogram(bounds))
        return child

    def watch(self, name: str, help_text: str, read: Callable[[], float], **labels: str) -> None:
        """A gauge that is read when a snapshot is taken."""
        gauge = self.gauge(name, help_text, **labels)

        def refresh() -> float:
            gauge.value = read()
            return gauge.value

        self._callbacks.append((name, help_text, refresh))

    def snapshot(self) -> Snapshot:
        """All values now."""
        for _, _, refresh in self._callbacks:
            refresh()
        return {
            name: {
                "kind": kind,
                "help": help_text,
                "bounds": list(next(iter(children.values())).bounds) if kind == "histogram" else [],
                "series": {label: _value(child) for label, child in children.items()},
            }
            for name, (kind, help_text, children) in self._families.items()
        }

    def _child(self, kind: str, name: str, help_text: str, labels: dict[str, str], make: Callable[[], Any]) -> Any:
        known_kind, _, children = self._families.setdefault(name, (kind, help_text, {}))
        if known_kind != kind:
            raise ValueError(f"{name} is a {known_kind}")
        label = ",".join(f'{key}="{_escape(value)}"' for key, value in labels.items())
        if label not in children:
            children[label] = make()
        return children[label]


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """
    Add up the snapshots of several processes (gauges too: they count things that each process has some of).

    Of points in time, ``_timestamp_seconds``, the earliest counts.
    """
    total: Snapshot = {}
    for snapshot in snapshots:
        for name, family in snapshot.items():
            into = total.setdefault(name, {**family, "series": {}})["series"]
            for label, value in family["series"].items():
                if label not in into:
                    into[label] = list(value) if isinstance(value, list) else value
                elif isinstance(value, list):
                    into[label] = [a + b for a, b in zip(into[label], value, strict=True)]
                elif name.endswith("_timestamp_seconds"):
                    into[label] = min(into[label], value)
                else:
                    into[label] += value
    return total


def render(snapshot: Snapshot) -> bytes:
    """Write a snapshot in the Prometheus text format, version 0.0.4."""
    lines: list[str] = []
    for name, family in sorted(snapshot.items()):
        lines.append(f"# HELP {name} {family['help']}")
        lines.append(f"# TYPE {name} {family['kind']}")
        for label, value in sorted(family["series"].items()):
            if family["kind"] == "histogram":
                lines.extend(_histogram_lines(name, label, family["bounds"], value))
            else:
                lines.append(f"{name}{{{label}}} {_number(value)}" if label else f"{name} {_number(value)}")
    return ("\n".join(lines) + "\n").encode()


def _histogram_lines(name: str, label: str, bounds: list[float], value: list[float]) -> Iterable[str]:
    comma = "," if label else ""
    seen = 0.0
    for bound, count in zip([*bounds, float("inf")], value[:-1], strict=True):
        seen += count
        le = "+Inf" if bound == float("inf") else _number(bound)
        yield f'{name}_bucket{{{label}{comma}le="{le}"}} {_number(seen)}'
    braces = f"{{{label}}}" if label else ""
    yield f"{name}_sum{braces} {_number(value[-1])}"
    yield f"{name}_count{braces} {_number(seen)}"


def _value(child: Any) -> Any:
    return [*child.counts, child.total] if isinstance(child, Histogram) else child.value


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
