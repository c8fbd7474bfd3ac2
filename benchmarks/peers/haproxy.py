"""HAProxy with the token in a map that is read at start: it authorizes, but learns of a new token only by its runtime API."""

from __future__ import annotations

import shutil

from benchmarks.bench import free_port
from benchmarks.stage import Running, Stage


class HAProxy:
    """One thread, HTTP log."""

    name = "haproxy+map"
    authorizes = True
    scopes = False

    def missing(self) -> str | None:
        return None if shutil.which("haproxy") else "apt-get install -y --no-install-recommends haproxy"

    def start(self, stage: Stage) -> Running:
        folder, port = stage.bench.folder(self.name), free_port()
        (folder / "tokens.map").write_text(f"{stage.token} {stage.token_client}\n")
        path = folder / "haproxy.cfg"
        path.write_text(_CONFIG.format(folder=folder, port=port, upstream=stage.upstream_port))
        process = stage.bench.start(["haproxy", "-db", "-q", "-f", str(path)], core=stage.bench.cores.proxy, log="haproxy.log")
        stage.bench.wait_for_port(port, process)
        return Running(self.name, port, process)


_CONFIG = """global
  nbthread 1
  maxconn 9000
  log stdout format raw local0 info
defaults
  mode http
  option httplog
  log global
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  http-reuse always
frontend public
  bind 127.0.0.1:{port} backlog 4096
  http-request set-var(txn.client) req.hdr(authorization),word(2," "),map_str({folder}/tokens.map)
  http-request return status 401 hdr WWW-Authenticate Bearer unless {{ var(txn.client) -m found }}
  http-request del-header Authorization
  http-request set-header X-Client-Id %[var(txn.client)]
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  default_backend legacy
backend legacy
  server one 127.0.0.1:{upstream}
"""
