"""Load that wrk can't make, each a process on the load core: settings as JSON on stdin, results as JSON on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from benchmarks.bench import Bench, BenchError


def run_load(bench: Bench, module: str, *, within: float, **settings: Any) -> dict[str, Any]:
    """
    Run one of these modules on the load core.

    Raises:
        BenchError: It failed, said nothing, or took longer than ``within`` seconds.
    """
    command = ["taskset", "-c", str(bench.cores.load), sys.executable, "-m", f"benchmarks.loads.{module}"]
    try:
        done = subprocess.run(
            command, input=json.dumps(settings), capture_output=True, text=True, timeout=within, check=False,
        )  # fmt: skip
        return dict(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        raise BenchError(f"{module} did not end within {within:.0f} s") from None
    except ValueError:
        raise BenchError(f"{module}: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}") from None
