"""A real gateway process for tests: started on free ports in a folder of its own, and ended with all that it started."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from tests.servers import wait_for

CONFIG = """\
listen: {host: 127.0.0.1, port: 0}
admin: {host: 127.0.0.1, port: 0}
oauth: {registration: open}
upstreams:
  legacy: {targets: [http://127.0.0.1:9]}
routes:
  - {path: /v1/resource, upstream: legacy}
  - {path: /public/, upstream: legacy, public: true}
"""


class Gateway:
    """
    ``python -m gateway serve``.

    Attributes:
        directory: Where its config.yaml, its output and its store are; short, because of the store's socket.
        port, admin_port: Where it listens, once it runs.
        program: What Python runs; a wrapper may stand here.
        command: Its arguments; may be changed before a start.
    """

    program: tuple[str, ...] = ("-m", "gateway")

    def __init__(self, directory: Path, *, arguments: tuple[str, ...] = (), **environ: str) -> None:
        self.directory = directory
        self.port = self.admin_port = 0
        self.command = ("serve", "-c", str(directory / "config.yaml"), *arguments)
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        config = directory / "config.yaml"
        if not config.exists():
            config.write_text(CONFIG)

    def start(self) -> Gateway:
        """Start it and wait until it serves."""
        self.launch()
        wait_for(lambda: self.ended or self.events("gateway.started"))
        self.note_ports()
        return self

    def note_ports(self) -> None:
        """Read from its log where it serves."""
        assert not self.ended, self.stderr
        started = self.events("gateway.started")[-1]
        self.port, self.admin_port = started["port"], started["admin_port"]

    def launch(self) -> None:
        """Start it without waiting."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_")}
        with (self.directory / "out").open("wb") as out, (self.directory / "err").open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, *self.program, *self.command],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**inherited, **self._environ}, cwd=self.directory,
                start_new_session=True,
            )  # fmt: skip

    def end(self, number: int = signal.SIGTERM, seconds: float = 15) -> int:
        """Send a signal and wait for the end.  Returns the exit code."""
        self.signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 15) -> int:
        """Wait for the end by itself.  Returns the exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def signal(self, number: int) -> None:
        """Send a signal to the process that was started."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill_all(self) -> None:
        """kill -9 of everything that it started, children first noted so that none escapes."""
        if self._process is None:
            return
        family = self.family()
        for process in family:
            _kill(process)
        self._process.wait(10)
        psutil.wait_procs(family, 10)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants."""
        try:
            top = psutil.Process(self.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def workers(self) -> list[int]:
        """Process ids of the present workers."""
        started = {event["worker"]: event["pid"] for event in self.events("worker.started")}
        return [started[number] for number in sorted(started)]

    @property
    def stdout(self) -> str:
        return (self.directory / "out").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return (self.directory / "err").read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of that name so far."""
        complete = self.stderr.rpartition("\n")[0].splitlines()
        parsed = [json.loads(line) for line in complete if line.startswith("{")]
        return [event for event in parsed if event["event"] == name]

    # --- over HTTP ------------------------------------------------------------------------------------------------

    def ask(
        self, method: str, path: str, *, body: str | None = None, admin: bool = False, **headers: str
    ) -> tuple[int, str]:
        """One request on a connection of its own; header names with ``_`` for ``-``."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port if admin else self.port, timeout=10)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def register(self, username: str = "someone@example.com") -> dict[str, str]:
        """A new client's id, key and secret."""
        body = json.dumps({"username": username, "password": "client-password"})
        status, text = self.ask("POST", "/v1/register", body=body, Content_Type="application/json")
        assert status == 201, text
        return dict(json.loads(text))

    def token(self, client: dict[str, str]) -> dict[str, Any]:
        """A new pair of tokens."""
        status, text = self.ask(
            "POST", "/v1/oauth/token", body="grant_type=client_credentials", Authorization=basic(client),
            Content_Type="application/x-www-form-urlencoded",
        )  # fmt: skip
        assert status == 200, text
        return dict(json.loads(text))

    def form(self, client: dict[str, str], path: str, body: str) -> int:
        """The status of a client's request to an OAuth endpoint."""
        return self.ask(
            "POST", path, body=body, Authorization=basic(client), Content_Type="application/x-www-form-urlencoded"
        )[0]  # fmt: skip

    def introspect(self, client: dict[str, str], token: str) -> bool:
        """Whether the token is active."""
        status, text = self.ask(
            "POST", "/v1/oauth/introspect", body=f"token={token}", Authorization=basic(client),
            Content_Type="application/x-www-form-urlencoded",
        )  # fmt: skip
        assert status == 200, text
        return bool(json.loads(text)["active"])

    def ready(self) -> int:
        """The status of /readyz."""
        return self.ask("GET", "/readyz", admin=True)[0]

    def metric(self, line: str) -> float:
        """The value of the metric whose name and labels are ``line``; 0 when it is not there yet."""
        page = self.ask("GET", "/metrics", admin=True)[1]
        found = [row.rpartition(" ")[2] for row in page.splitlines() if row.rpartition(" ")[0] == line]
        return float(found[0]) if found else 0.0


def basic(client: dict[str, str]) -> str:
    """The Authorization header of a client."""
    pair = f"{client['client_key']}:{client['client_secret']}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has ended too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def seconds_since(before: float) -> float:
    """How long ago a ``time.monotonic()`` was."""
    return time.monotonic() - before


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass
