"""`python -m benchmarks`: start everything on loopback, measure, print, and end everything."""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from benchmarks import wrk
from benchmarks.bench import Bench, BenchError, Cores
from benchmarks.peers import all_peers
from benchmarks.peers.peer import Peer
from benchmarks.report import Report, render
from benchmarks.stage import Running, Stage
from benchmarks.workloads import WORKLOADS

WORK = Path(__file__).parent / ".work"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    only: tuple[str, ...]
    peers: tuple[str, ...]
    rounds: int
    seconds: float
    markdown: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the benchmark.

    Returns:
        0; 1 when a figure can't be trusted (a fault is printed), 69 when a needed program is missing, 130 after Ctrl-C.
    """
    options = parse(arguments)
    reason = wrk.missing()
    if reason:
        print(reason, file=sys.stderr)
        return 69
    signal.signal(signal.SIGTERM, _interrupt)
    cores = Cores.choose()
    report = Report(_machine(cores, options))
    begin = time.monotonic()
    try:
        with Bench(WORK, cores, options.seconds, options.rounds, _say) as bench:
            _measure(bench, options, report)
    except BenchError as exc:
        print(exc, file=sys.stderr)
        return 69
    except KeyboardInterrupt:
        print("interrupted; every process was ended", file=sys.stderr)
        return 130
    (WORK / "last.json").write_text(json.dumps(report.as_json(), indent=1) + "\n")
    print(report.as_text(markdown=True) if options.markdown else report.end())
    _say(f"{time.monotonic() - begin:.0f} s; all samples are in {WORK / 'last.json'}")
    return 1 if report.faults else 0


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Ours beside its peers, in one run, as ratios.")
    parser.add_argument("--only", default="", help=f"workloads, separated by commas: {', '.join(WORKLOADS)}")
    parser.add_argument("--peers", default="", help=f"peers, separated by commas: {', '.join(p.name for p in all_peers())}")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds, 1 to 20 (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one run of wrk, 1 to 60 (4)")
    parser.add_argument("--quick", action="store_true", help="one round of one second: does everything work?")
    parser.add_argument("--markdown", action="store_true", help="print Markdown, for docs/benchmarks.md")
    found = parser.parse_args(arguments)
    only, peers = _words(found.only), _words(found.peers)
    if unknown := set(only) - set(WORKLOADS):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    if unknown := set(peers) - {peer.name for peer in all_peers()}:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    rounds, seconds = (1, 1.0) if found.quick else (min(max(found.rounds, 1), 20), min(max(found.seconds, 1.0), 60.0))
    return Options(only or tuple(WORKLOADS), peers, rounds, seconds, found.markdown)


def _measure(bench: Bench, options: Options, report: Report) -> None:
    stage = Stage.open(bench)
    running: list[tuple[Peer, Running]] = []
    for peer in all_peers():
        if options.peers and peer.name not in options.peers:
            continue
        try:
            reason = peer.missing()
            if reason is None:
                running.append((peer, peer.start(stage)))
        except BenchError as exc:
            reason = str(exc)
        if reason is not None:
            report.skipped.append(f"{peer.name}: {reason}")
            _say(report.skipped[-1])
    for name in options.only:
        _say(f"{name} …")
        before = len(report.tables)
        try:
            WORKLOADS[name](stage, running, report)
        except BenchError as exc:
            report.faults.append(f"{name}: {exc}")
        if not options.markdown:
            print(*(f"\n{render(table)}\n" for table in report.tables[before:]), sep="", flush=True)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _machine(cores: Cores, options: Options) -> str:
    processors = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in processors if line.startswith("model name")), platform.machine())
    shared = " (the same one: these figures are distorted)" if cores.proxy == cores.load else ""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {model}, Linux {platform.release()}, Python {platform.python_version()}; "
        f"proxy on core {cores.proxy}, wrk, upstream and store on core {cores.load}{shared}; "
        f"medians of {options.rounds} rounds of {options.seconds:.0f} s"
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
