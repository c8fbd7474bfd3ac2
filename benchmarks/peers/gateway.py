"""Ours: ``gateway serve`` with one worker, access log and metrics on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.bench import Bench, BenchError, free_port
from benchmarks.stage import Running, Stage
from benchmarks.tokens import SCOPES

_COMMAND = Path(sys.executable).with_name("gateway")


class Gateway:
    """On the same store as the peers, over TCP."""

    name = "gateway"
    authorizes = True
    scopes = True

    def missing(self) -> str | None:
        return None if _COMMAND.exists() else f"{_COMMAND} is not there: make test sets the environment up"

    def start(self, stage: Stage) -> Running:
        return start_gateway(stage.bench, stage.upstream_port, store=stage.store_url, name=self.name)


def start_gateway(bench: Bench, upstream: int, *, store: str, name: str) -> Running:
    """
    Start the gateway on the proxy core and wait until it listens.

    Raises:
        BenchError: If it does not; the message carries the end of its output.
    """
    folder, port, admin = bench.folder(name), free_port(), free_port()
    path = folder / "config.yaml"
    path.write_text(json.dumps(config(port, admin, upstream, store), indent=1))  # JSON is YAML
    process = bench.start([str(_COMMAND), "serve", "-c", str(path)], core=bench.cores.proxy, log=f"{name}.log", cwd=folder)
    try:
        bench.wait_for_port(port, process)
    except BenchError as exc:
        raise BenchError(f"{exc}: {(bench.work / f'{name}.log').read_text(errors='replace').strip()[-300:]}") from None
    return Running(name, port, process, admin)


def config(port: int, admin: int, upstream: int, store: str) -> dict[str, object]:
    """A configuration with ``/v1/resource``, ``/files/`` and the 100 routes with a scope each."""
    routes: list[dict[str, object]] = [{"path": "/v1/resource", "upstream": "legacy"}, {"path": "/files/", "upstream": "legacy"}]
    routes += [{"path": f"/r{scope[1:]}/", "upstream": "legacy", "scopes": [scope]} for scope in SCOPES]
    return {
        "listen": {"host": "127.0.0.1", "port": port, "max_connections": 15_000},
        "admin": {"host": "127.0.0.1", "port": admin},
        "workers": 1,
        "store": store,
        "oauth": {
            "issuer": f"http://127.0.0.1:{port}", "registration": "open",
            "scopes": {scope: f"route {scope[1:]}" for scope in SCOPES}, "default_scopes": list(SCOPES),
        },
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{upstream}"]}},
        "routes": routes,
    }  # fmt: skip
