"""npm's authorization servers with what they issue in their own memory, to compare the OAuth endpoints with."""

from __future__ import annotations

import base64
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench, BenchError, free_port
from benchmarks.stage import Running

BASIC = base64.b64encode(b"bench:bench-secret-bench-secret-bench").decode()
"""The one client of each."""


@dataclass(frozen=True, slots=True)
class NodeServer:
    """
    A server of npm's; besides its endpoints it answers ``GET /seed?N`` with N fresh refresh tokens, one a line.

    Attributes:
        name: In the table.
        package: As npm installs it.
        script: Starts it: ``node SCRIPT PORT``.
        introspects: Whether it has an introspection endpoint.
    """

    name: str
    package: str
    script: str
    introspects: bool

    def missing(self) -> str | None:
        """Why it can't be run here, with the remedy; None when it can."""
        if shutil.which("node") and shutil.which("npm"):
            return None
        return "node and npm are not installed (Node 20 or newer)"

    def start(self, bench: Bench) -> Running:
        """
        Start it on the proxy core; fetched once from npm into the work folder.

        Raises:
            BenchError: If npm can't install it or it does not start.
        """
        folder, port = bench.folder(f"node/{self.name}"), free_port()
        if not (folder / "node_modules").exists():
            command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), self.package]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                raise BenchError(f"npm install {self.package} failed: {(done.stderr or done.stdout).strip()[-200:]}")
        script = shutil.copy(Path(__file__).parent / self.script, folder)
        process = bench.start(
            ["node", str(script), str(port)], core=bench.cores.proxy, log=f"{self.name}.log",
            environ={"NODE_ENV": "production"}, cwd=folder,
        )  # fmt: skip
        bench.wait_for_port(port, process)
        return Running(self.name, port, process)


OIDC = NodeServer("oidc-provider", "oidc-provider@9.13.3", "oidc_server.mjs", introspects=True)
OAUTH2 = NodeServer("@node-oauth", "@node-oauth/oauth2-server@5.3.0", "oauth2_server.mjs", introspects=False)


def seed(running: Running, count: int) -> list[str]:
    """Fresh refresh tokens of the one client."""
    with urllib.request.urlopen(f"{running.url}/seed?{count}", timeout=20) as answer:
        lines: list[str] = answer.read().decode().split()
    if len(lines) != count:
        raise BenchError(f"{running.name}: {len(lines)} of {count} refresh tokens were made")
    return lines
