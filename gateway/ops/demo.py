"""The demo legacy API as a child of the gateway, for ``serve --demo``."""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Callable
from urllib.parse import urlsplit

from gateway.config.model import Config
from gateway.errors import Unavailable
from gateway.ops import demo_upstream
from gateway.ops.listening import bind, close_all
from gateway.ops.process import fork


def start_demo(config: Config) -> Callable[[], None]:
    """
    Start the demo legacy API where the first upstream's first target says; one that already runs there is used.

    No thread and no event loop may exist in this process yet.

    Returns:
        What stops it.

    Raises:
        Unavailable: Something else listens there, or the target is not on this machine.
    """
    host, port, key = _target(config)
    try:
        sockets = bind(host, port, section="demo")
    except Unavailable:
        if _is_ours(host, port):
            return lambda: None
        raise Unavailable(
            f"the demo legacy API can't have {host}:{port}, something else listens there:"
            f" stop it, or set another port in {key} (GATEWAY_{key.upper().replace('.', '__')})"
        ) from None
    keep = {0, 1, 2, *(sock.fileno() for sock in sockets)}
    pid = fork(lambda: demo_upstream.serve(sockets), keep=keep)
    close_all(sockets)
    return lambda: _end(pid)


def _target(config: Config) -> tuple[str, int, str]:
    for name, upstream in config.upstreams.items():
        url = urlsplit(upstream.targets[0])
        if url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost", "::1"):
            return url.hostname, url.port or 80, f"upstreams.{name}.targets"
        break
    raise Unavailable("--demo needs a first upstream with a target like http://127.0.0.1:9000")


def _is_ours(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=0.5)
    try:
        connection.request("GET", "/v1/resource")
        return connection.getresponse().headers.get("Server") == demo_upstream.NAME
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
