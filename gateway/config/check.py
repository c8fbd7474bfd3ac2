"""``gateway check``: is this configuration sound?  Touches no network, no store and no port."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from gateway.config.load import load_all
from gateway.errors import ConfigFault

OK = 0
BAD_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h."""


def run(
    path: str | Path,
    *,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """
    Check a file; what is wrong, and what is only unwise, goes to ``err``, one line each.

    Returns:
        The exit code: 0, or 78 for a bad configuration.
    """
    out, err = out or sys.stdout, err or sys.stderr
    try:
        loaded = load_all(path, os.environ if environ is None else environ, overrides)
    except ConfigFault as fault:
        print("\n".join(fault.faults), file=err)
        return BAD_CONFIGURATION
    for warning in loaded.warnings:
        print(f"{warning} (warning)", file=err)
    routes, upstreams = len(loaded.config.routes), len(loaded.config.upstreams)
    print(f"{path}: OK ({_count(routes, 'route')}, {_count(upstreams, 'upstream')})", file=out)
    return OK


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
