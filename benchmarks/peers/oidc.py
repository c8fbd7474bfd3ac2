"""npm's oidc-provider with its in-memory adapter: an authorization server to compare the token endpoint with."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path

from benchmarks.bench import Bench, BenchError, free_port
from benchmarks.stage import Running

NAME = "oidc-provider"
PACKAGE = "oidc-provider@9.13.3"
BASIC = base64.b64encode(b"bench:bench-secret-bench-secret-bench").decode()
_SERVER = Path(__file__).parent / "oidc_server.mjs"


def missing() -> str | None:
    """Why it can't be run here, with the remedy; None when it can."""
    if shutil.which("node") and shutil.which("npm"):
        return None
    return "node and npm are not installed (Node 20 or newer)"


def start(bench: Bench) -> Running:
    """
    Start it on the proxy core; fetched once from npm into the work folder.

    Raises:
        BenchError: If npm can't install it or it does not start.
    """
    folder, port = bench.folder("oidc"), free_port()
    if not (folder / "node_modules/oidc-provider").exists():
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise BenchError(f"npm install {PACKAGE} failed: {(done.stderr or done.stdout).strip()[-200:]}")
    script = shutil.copy(_SERVER, folder / "server.mjs")
    process = bench.start(
        ["node", str(script), str(port)], core=bench.cores.proxy, log="oidc.log", environ={"NODE_ENV": "production"}, cwd=folder,
    )  # fmt: skip
    bench.wait_for_port(port, process)
    return Running(NAME, port, process)
