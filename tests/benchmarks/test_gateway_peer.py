"""How a configuration is varied."""

from __future__ import annotations

from benchmarks.peers.gateway import _merged
from benchmarks.workloads.workers import SHARE


def test_sections_are_merged_and_lists_joined() -> None:
    """Neither of the two is changed."""
    base = {"listen": {"port": 1, "host": "h"}, "routes": [1], "workers": 1}
    assert _merged(base, {"listen": {"port": 2}, "routes": [2], "workers": 2, "store": "s"}) == {
        "listen": {"port": 2, "host": "h"}, "routes": [1, 2], "workers": 2, "store": "s",
    }  # fmt: skip
    assert base == {"listen": {"port": 1, "host": "h"}, "routes": [1], "workers": 1}


def test_two_shares_leave_a_core_and_more_to_the_load() -> None:
    """Or the machine would be the bound again."""
    assert 2 * SHARE < 100
