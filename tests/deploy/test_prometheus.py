"""The alert rules: well formed, and of metrics that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.ops.conftest import folder
from tests.ops.running import CONFIG, Gateway

__all__ = ["folder"]

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"
ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


@pytest.fixture
def running(folder: Path) -> Iterator[Gateway]:
    """A gateway that nobody has asked anything."""
    (folder / "config.yaml").write_text(CONFIG)
    gateway = Gateway(folder).start()
    yield gateway
    gateway.kill_all()


def test_each_rule_is_whole() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS) >= 4
    for rule in ALERTS:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert {"summary", "description"} == set(rule["annotations"])
        assert re.fullmatch(r"[0-9]+m", rule.get("for", "1m"))
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_each_metric_of_a_rule_is_on_the_page_from_the_start(running: Gateway) -> None:
    """An alert on a name that nobody writes would never fire."""
    page = running.ask("GET", "/metrics", admin=True)[1]
    named = {name for rule in ALERTS for name in re.findall(r"gateway_[a-z_]+", rule["expr"])}
    assert named
    for name in named:
        assert re.search(rf"^{name}(\{{| )", page, re.MULTILINE), name
    for label in re.findall(r'outcome="[a-z]+"', RULES.read_text()):
        assert label in page


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_promtool_takes_them() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(RULES)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
