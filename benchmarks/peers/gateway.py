"""Ours: ``gateway serve`` with one worker, access log and metrics on."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, BenchError, free_port
from benchmarks.stage import Running, Stage
from benchmarks.tokens import SCOPES

_HERE = Path(__file__).parents[2]


class Gateway:
    """On the same store as the peers, over TCP."""

    name = "gateway"
    authorizes = True
    scopes = True

    def missing(self) -> str | None:
        return None

    def start(self, stage: Stage) -> Running:
        return start_gateway(stage.bench, stage.upstream_port, store=stage.store_url, name=self.name)


def start_gateway(
    bench: Bench, upstream: int, *, store: str, name: str, more: Mapping[str, Any] | None = None, core: int | None = None,
    checkout: Path = _HERE,
) -> Running:  # fmt: skip
    """
    Start the gateway of a checkout (this one) and wait until it listens.

    Args:
        bench: Starts processes.
        upstream: The port behind its routes.
        store: URL of its store.
        name: Of its folder and its row.
        more: Sections of the configuration that are added, or changed where they are there already.
        core: Where it runs; default: the proxy core; -1: any.
        checkout: Where its source is.

    Raises:
        BenchError: If it does not listen; the message carries the end of its output.
    """
    folder, port, admin = bench.folder(name), free_port(), free_port()
    path = folder / "config.yaml"
    path.write_text(json.dumps(_merged(config(port, admin, upstream, store), more or {}), indent=1))  # JSON is YAML
    process = bench.start(
        [sys.executable, "-m", "gateway", "serve", "-c", str(path)], core=bench.cores.proxy if core is None else core,
        log=f"{name}.log", cwd=folder, environ={"PYTHONPATH": str(checkout)},
    )  # fmt: skip
    try:
        bench.wait_for_port(port, process)
    except BenchError as exc:
        raise BenchError(f"{exc}: {(bench.work / f'{name}.log').read_text(errors='replace').strip()[-300:]}") from None
    return Running(name, port, process, admin)


def _merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged, lists joined, anything else replaced."""
    merged = dict(base)
    for key, value in more.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(old, value)
        else:
            merged[key] = [*old, *value] if isinstance(old, list) and isinstance(value, list) else value
    return merged


def config(port: int, admin: int, upstream: int, store: str) -> dict[str, Any]:
    """A configuration with ``/v1/resource``, ``/files/`` and the 100 routes with a scope each."""
    routes: list[dict[str, Any]] = [{"path": "/v1/resource", "upstream": "legacy"}, {"path": "/files/", "upstream": "legacy"}]
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
