"""A real browser (Debian's Chromium, headless) that signs in, consents and says where it came out: `node/browse.mjs`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Page:
    """One page that was shown: its kind (``sign-in``, ``consent`` or ``page``), and what axe-core has against it."""

    kind: str
    title: str
    text: str
    violations: list[str]


@dataclass(frozen=True, slots=True)
class Visit:
    """
    What came of an order.

    Attributes:
        landed: The last URL.
        pages: What was shown on the way, in order; the page that only leads on is none.
        console: What the browser complained about, such as what a Content-Security-Policy forbade.
        hosts: Whom it asked for anything.
    """

    landed: str
    pages: list[Page]
    console: list[str]
    hosts: list[str]


class Browser:
    """A running browser; each visit has cookies of its own unless it keeps a profile."""

    def __init__(self, node: Path, chromium: str) -> None:
        self._driver = subprocess.Popen(
            ["node", "browse.mjs", chromium], cwd=node, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version = str(self._read()["version"])

    def visit(
        self, url: str, *, until: str, username: str = "", password: str | None = None, answer: str | None = "allow",
        keep: str = "", script: bool = True,
    ) -> Visit:  # fmt: skip
        """
        Open a URL and do what the pages ask for.

        Args:
            url: Where to begin.
            until: Beginning of the URL to stop at.
            username: For the sign-in page.
            password: None: stop there.
            answer: ``allow`` or ``deny`` for the consent page; None: stop there.
            keep: Name of a profile that lasts.
            script: Whether pages may run JavaScript; without it axe-core does not look at them.
        """
        order = {"url": url, "until": until, "username": username, "keep": keep, "script": script}
        given = {name: value for name, value in (("password", password), ("answer", answer)) if value is not None}
        assert self._driver.stdin is not None
        self._driver.stdin.write(json.dumps({**order, **given}) + "\n")
        self._driver.stdin.flush()
        seen = self._read()
        assert "error" not in seen, seen["error"]
        return Visit(seen["landed"], [Page(**page) for page in seen["pages"]], seen["console"], seen["hosts"])

    def close(self) -> None:
        """End it."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.close()
        try:
            self._driver.wait(10)
        except subprocess.TimeoutExpired:
            self._driver.kill()
            self._driver.wait()
        self._driver.stdout.close()

    def _read(self) -> dict[str, Any]:
        assert self._driver.stdout is not None
        line = self._driver.stdout.readline()
        assert line, f"the browser's driver ended with {self._driver.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def callback() -> Iterator[str]:
    """A client's own server: the redirect URI that it answers at."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><title>back</title><link rel=icon href=data:,>back at the application"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/callback"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
