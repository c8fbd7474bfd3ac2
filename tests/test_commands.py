"""`make run`, `make test` and `.ci/run`: what they promise, as far as text and a dry run can show it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
CI = ROOT / ".ci" / "run"


def _plan(*arguments: str) -> list[str]:
    """The commands that make would run if nothing was set up; it runs none of them."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "--no-print-directory", *arguments],
        cwd=ROOT, env={**os.environ, "MAKEFLAGS": ""}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line.lstrip("@") for line in done.stdout.splitlines()]


def _steps(script: str) -> list[str]:
    """The commands of a shell script, one a line, without comments and what only prepares the shell."""
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in script.splitlines()]
    return [line for line in lines if line and not line.startswith(("set ", "cd "))]


def test_ci_calls_make_test_and_nothing_else() -> None:
    """Whatever CI sets up is what the README's command sets up."""
    assert _steps(CI.read_text()) == ["make test"]


def test_ci_is_executable_and_stops_at_the_first_failure() -> None:
    assert os.access(CI, os.X_OK)
    assert re.search(r"^set -[a-z]*e", CI.read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", ["run", "test", "e2e", "demo", "lint", "bench", "mutants"])
def test_the_target_exists_and_is_no_file(target: str) -> None:
    """A file of that name would make it do nothing."""
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert target in phony.split()
    assert _plan(target)


def test_make_run_serves_the_shipped_configuration_with_its_own_store() -> None:
    """Set up first, then one process in make's place, so that Ctrl-C is its own."""
    *setup, last = _plan("run")
    assert last == "exec .venv/bin/gateway serve -c config.yaml --demo"
    assert "store: embedded:" in (ROOT / "config.yaml").read_text()
    assert any("requirements/run.lock" in line for line in setup)


def test_make_test_runs_every_test_after_style_types_and_imports() -> None:
    plan = "\n".join(_plan("test"))
    order = [plan.index(word) for word in ("requirements/dev.lock", "ruff check", "mypy", "lint-imports", "-m pytest")]
    assert order == sorted(order)
    assert re.search(r"-m pytest (-n \d+ )?(--dist \w+ )?tests$", plan, re.MULTILINE)


@pytest.mark.parametrize("target", ["test", "lint"])
def test_all_python_is_held_to_the_style(target: str) -> None:
    """Each folder of ours that holds Python is named."""
    (checked,) = re.findall(r"ruff check (.*)$", "\n".join(_plan(target)), re.MULTILINE)
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    folders = {name.partition("/")[0] for name in listed} or {"gateway", "tests", "benchmarks", "scripts"}
    assert folders <= set(checked.split())


@pytest.mark.parametrize("target", ["run", "test"])
def test_nothing_is_installed_but_by_hash(target: str) -> None:
    """Every pip install takes a lock file with hashes, or the project itself without dependencies."""
    installs = [line for line in _plan(target) if re.search(r"\bpip\b.* install\b", line)]
    assert len(installs) == 2
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)


def test_make_e2e_skips_nothing() -> None:
    """It installs npm's packages by their lock, and what is missing then is a failure."""
    plan = "\n".join(_plan("e2e"))
    assert plan.index("npm ci") < plan.index("E2E=required .venv/bin/python -m pytest")


def test_this_python_is_new_enough_for_the_makefile() -> None:
    """The floor of the Makefile and of pyproject.toml is one."""
    (major, minor) = re.findall(r"sys\.version_info < \((\d+), (\d+)\)", MAKEFILE)[0]
    assert f'requires-python = ">={major}.{minor}"' in (ROOT / "pyproject.toml").read_text()
    assert sys.version_info >= (int(major), int(minor))
