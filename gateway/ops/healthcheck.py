"""``gateway healthcheck``: asks the admin listener, for the probes of containers."""

from __future__ import annotations

import http.client

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with, not bound
_TIMEOUT = 2.0
"""Seconds; container engines give a probe a few."""


def check(host: str, port: int, *, live: bool) -> str:
    """
    Ask /readyz, or /healthz when ``live``.

    Returns:
        An empty string when the answer was 200, else one line that says what was found.
    """
    path = "/healthz" if live else "/readyz"
    connection = http.client.HTTPConnection(_ANY.get(host, host), port, timeout=_TIMEOUT)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(1024).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as fault:
        return f"{host}:{port} does not answer {path} ({fault}): is admin.port / GATEWAY_ADMIN__PORT the gateway's?"
    finally:
        connection.close()
    return "" if answer.status == 200 else f"{path} is {answer.status}: {body!r}"
