"""Caddy, plain proxy with an access log."""

from __future__ import annotations

import shutil

from benchmarks.bench import free_port
from benchmarks.stage import Running, Stage


class Caddy:
    """One processor for Go (``GOMAXPROCS=1``)."""

    name = "caddy"
    authorizes = False
    scopes = False

    def missing(self) -> str | None:
        return None if shutil.which("caddy") else "apt-get install -y --no-install-recommends caddy"

    def start(self, stage: Stage) -> Running:
        folder, port = stage.bench.folder(self.name), free_port()
        path = folder / "Caddyfile"
        path.write_text(_CONFIG.format(folder=folder, port=port, upstream=stage.upstream_port))
        process = stage.bench.start(
            ["caddy", "run", "--config", str(path), "--adapter", "caddyfile"], core=stage.bench.cores.proxy, log="caddy.log",
            environ={"GOMAXPROCS": "1", "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        )  # fmt: skip
        stage.bench.wait_for_port(port, process)
        return Running(self.name, port, process)


_CONFIG = """{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  bind 127.0.0.1
  log {{
    output file {folder}/access.log
  }}
  reverse_proxy 127.0.0.1:{upstream} {{
    transport http {{
      keepalive_idle_conns_per_host 256
    }}
  }}
}}
"""
