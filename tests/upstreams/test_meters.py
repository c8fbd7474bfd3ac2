"""docs/upstreams.md says what there is to see, and the code shows no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config.model import Ejection, Upstream
from gateway.config.upstream_rules import MAX_DNS_REFRESH
from gateway.upstreams import breaker, retry_budget, watch
from tests.edge.rig import Rig

ROOT = Path(__file__).parent.parent.parent
DOC = (ROOT / "docs" / "upstreams.md").read_text()
SOURCES = "".join(path.read_text() for path in (ROOT / "gateway" / "upstreams").glob("*.py"))


async def test_the_metrics_are_the_ones_that_are_described(rig: Rig) -> None:
    """Their names and their labels."""
    said = {name: labels or "" for name, labels in re.findall(r"^\| `(gateway_upstream_\w+)(?:\{([\w,]+)\})?` \|", DOC, re.M)}
    shown = {
        name: ",".join(re.findall(r"(\w+)=", next(iter(family["series"]))))
        for name, family in rig.registry.snapshot().items()
        if name.startswith("gateway_upstream_")
    }
    assert shown == said


def test_so_are_the_events_and_the_causes() -> None:
    noted = set(re.findall(r'"(upstream\.\w+)"', SOURCES))
    assert noted == set(re.findall(r"`(upstream\.\w+)`", DOC))
    for cause in (watch.UNREACHABLE, watch.HANGING, watch.RESET, watch.SILENT, watch.SERVER_ERROR):
        assert f"`{cause}`" in DOC


@pytest.mark.parametrize(
    "said",
    [
        f"({MAX_DNS_REFRESH.total_seconds():g} s, no more;",
        f"`retry_budget` ({Upstream(targets=('http://a',)).retry_budget}) is percent",
        "Five failures in a row" if Ejection().failures == 5 else "?",
        f"for {Ejection().shortest.total_seconds():g} s, then 2 s, 4 s … {Ejection().longest.total_seconds():g} s",
        f"within `ramp` ({Ejection().ramp.total_seconds():g} s)",
        "a tenth of its share" if breaker.FIRST_SHARE == 0.1 else "?",
        f"± {watch.JITTER * 100:g} %",
        "connect each second" if watch.PROBE_EVERY == 1 else "?",
        "one a\nsecond at the least, and a hundred saved" if (retry_budget.FLOOR, retry_budget.MOST) == (1, 100) else "?",
    ],
)
def test_the_numbers_are_the_code_s(said: str) -> None:
    assert said in DOC
