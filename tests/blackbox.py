"""A whole gateway as users run it, with an upstream that remembers: for tests that only speak HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

ANSWER = b'{"legacy": "answer"}'


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@dataclass
class Seen:
    """One request as the upstream saw it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        """All values under a name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Origin:
    """A legacy API on a thread: answers `ANSWER` to everything and remembers what it saw."""

    seen: list[Seen] = field(default_factory=list)
    port: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[Origin]:
        """Serve until the block ends."""
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen.append(Seen(self.command, self.path, self.headers.items(), body))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(ANSWER)))
                self.send_header("X-Legacy", "yes")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(ANSWER)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = answer

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class Gateway:
    """A `gateway serve` process on free ports."""

    def __init__(self, directory: Path, config: dict[str, Any]) -> None:
        self.directory = directory
        self.port = free_port()
        self.admin_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = {
            "listen": {"port": self.port},
            "admin": {"port": self.admin_port},
            "store": "embedded:store",
            **config,
            "oauth": {"issuer": self.url, "registration": "open", **config.get("oauth", {})},
        }
        self.log = directory / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        path = self.directory / "config.yaml"
        path.write_text(json.dumps(self.config))  # JSON is YAML
        environ = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve", "-c", str(path)],
                cwd=self.directory, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.wait_ready()

    def wait_ready(self) -> None:
        """Return once /readyz is 200; fail with the log when the process ends or takes longer than 15 s."""
        assert self.process is not None
        end = time.monotonic() + 15
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{self.admin_port}/readyz").status_code == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"the gateway did not come up:\n{self.log.read_text()}")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    @contextlib.contextmanager
    def running(self) -> Iterator[Gateway]:
        """Run for as long as the block does."""
        try:
            self.start()
            yield self
        finally:
            if self.process is not None and self.process.poll() is None:
                self.stop()

    # --- what clients do ------------------------------------------------------------------------------------------

    def register(self, username: str, password: str = "a-long-password") -> dict[str, str]:
        """Register an account and give its first credential."""
        answer = httpx.post(f"{self.url}/v1/register", json={"username": username, "password": password})
        assert answer.status_code == 201, answer.text
        credential: dict[str, str] = answer.json()
        return credential

    def token(self, credential: dict[str, str], **form: str) -> httpx.Response:
        """Ask the token endpoint."""
        return httpx.post(
            f"{self.url}/v1/oauth/token",
            auth=(credential["client_key"], credential["client_secret"]),
            data={"grant_type": "client_credentials", **form},
        )

    def introspect(self, credential: dict[str, str], token: str, **form: str) -> httpx.Response:
        """Ask the introspection endpoint."""
        return self._post("introspect", credential, token=token, **form)

    def revoke(self, credential: dict[str, str], token: str, **form: str) -> httpx.Response:
        """Ask the revocation endpoint."""
        return self._post("revoke", credential, token=token, **form)

    def resource(self, token: str, path: str = "/v1/resource", **headers: str) -> httpx.Response:
        """Use an access token."""
        return httpx.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {token}", **headers})

    def _post(self, endpoint: str, credential: dict[str, str], **form: str) -> httpx.Response:
        return httpx.post(
            f"{self.url}/v1/oauth/{endpoint}", auth=(credential["client_key"], credential["client_secret"]), data=form
        )
