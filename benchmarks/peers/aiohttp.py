"""The plain aiohttp proxy of `tests.reference`, on uvloop: without authorization, and with a look-up by redis-py."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.bench import free_port
from benchmarks.stage import Running, Stage

_ROOT = Path(__file__).resolve().parents[2]


class PlainAiohttp:
    """``web.Application`` and ``ClientSession``."""

    scopes = False

    def __init__(self, *, redis: bool = False) -> None:
        self.name = "aiohttp+redis" if redis else "aiohttp"
        self.authorizes = redis

    def missing(self) -> str | None:
        return None if (_ROOT / "tests/reference/proxy.py").exists() else "tests/reference/proxy.py is not here"

    def start(self, stage: Stage) -> Running:
        port = free_port()
        command = [sys.executable, "-m", "tests.reference.proxy", "--port", str(port)]
        command += ["--upstream", f"http://127.0.0.1:{stage.upstream_port}", "--access-log"]
        if self.authorizes:
            command += ["--redis", stage.store_url]
        process = stage.bench.start(command, core=stage.bench.cores.proxy, log=f"{self.name}.log", cwd=_ROOT)
        stage.bench.wait_for_port(port, process)
        return Running(self.name, port, process)
