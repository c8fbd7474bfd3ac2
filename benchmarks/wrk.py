"""wrk: how it is run and what its report says."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, BenchError

SCRIPTS = Path(__file__).parent / "wrk_scripts"
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES = {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}


@dataclass(frozen=True, slots=True)
class Load:
    """
    What one run of wrk saw.

    Attributes:
        requests: Answers received whole; up to one more a connection was in flight when the time was over.
        seconds: How long it ran.
        p50: Median latency in seconds.
        p99: 99th percentile in seconds.
        refused: Answers with a status above 399.
        failed: Socket errors and time-outs.
        received: Bytes read.
        asked: What the script counted as sent, or 0.
    """

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int = 0
    failed: int = 0
    received: int = 0
    asked: int = 0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def missing() -> str | None:
    """Why wrk can't be run, with the remedy; None when it can."""
    return None if shutil.which("wrk") else "wrk is not installed: apt-get install -y --no-install-recommends wrk"


def parse(report: str) -> Load:
    """
    Read wrk's report (``--latency``).

    Raises:
        BenchError: If it is no such report.
    """
    total = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m|h), ([\d.]+)([KMG]?B) read", report)
    if total is None:
        raise BenchError(f"wrk said: {report.strip()[-400:] or 'nothing'}")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", report)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    asked = re.search(r"^asked (\d+)$", report, re.MULTILINE)
    return Load(
        requests=int(total[1]),
        seconds=float(total[2]) * _UNITS[total[3]],
        p50=_percentile(report, "50"),
        p99=_percentile(report, "99"),
        refused=int(refused[1]) if refused else 0,
        failed=sum(map(int, errors.groups())) if errors else 0,
        received=int(float(total[4]) * _SIZES[total[5]]),
        asked=int(asked[1]) if asked else 0,
    )


def run(
    bench: Bench, url: str, *, connections: int, seconds: float | None = None, headers: Mapping[str, str] | None = None,
    script: str | None = None, arguments: Sequence[str] = (), core: int | None = None,
) -> Load:
    """
    Load a URL from the load core (or ``core``; -1: any), with one thread.

    Raises:
        BenchError: If wrk fails or outlives its time by 20 seconds.
    """
    time_asked = bench.seconds if seconds is None else seconds
    cores = {None: f"{bench.cores.load}", -1: f"{bench.cores.load},{bench.cores.proxy}"}.get(core, f"{core}")
    command = ["taskset", "-c", cores, "wrk", "--latency", "-t1", f"-c{connections}"]
    command += [f"-d{max(1, round(time_asked))}s", "--timeout", "10s"]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    if script is not None:
        command += ["-s", str(SCRIPTS / script)]
    command += [url, *(["--", *arguments] if arguments else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=time_asked + 20, check=False)
    except subprocess.TimeoutExpired:
        raise BenchError(f"wrk did not end within {time_asked + 20:.0f} s") from None
    return parse(done.stdout + done.stderr)


def _percentile(report: str, which: str) -> float:
    found = re.search(rf"^\s+{which}%\s+([\d.]+)(us|ms|s|m|h) *$", report, re.MULTILINE)  # "1.05s " is padded
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
