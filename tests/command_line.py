"""
``gateway …`` for tests: as a process of its own, or in this one.

A process costs most of a second, nearly all of it the start.  So each command runs as one at least once, and what it makes of
further arguments is asked of `here`: the same function on the same arguments, standard streams and environment.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from gateway.cli import run

Done = subprocess.CompletedProcess[str]


def process(*arguments: str, cwd: Path, stdin: str = "", **environ: str) -> Done:
    """One command in a folder, without any GATEWAY_ variable of the surroundings."""
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=cwd, env={**_inherited(), **environ}, input=stdin, capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def here(*arguments: str, cwd: Path, stdin: str = "", **environ: str) -> Done:
    """The same without a process; not where a loop runs."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd), mock.patch.dict(os.environ, {**_inherited(), **environ}, clear=True),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
    ):  # fmt: skip
        try:
            code = run(list(arguments))
        except SystemExit as wrong_usage:
            code = int(wrong_usage.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def _inherited() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
