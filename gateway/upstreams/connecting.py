"""How the address of a target is connected to."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast
from urllib.parse import urlsplit

from gateway.upstreams.ports import Connect


def connector(target: str) -> tuple[bytes, Connect]:
    """The Host value of a target and how to connect to it."""
    if target.startswith("unix:"):
        path = target.removeprefix("unix:")
        return b"localhost", lambda factory: asyncio.get_running_loop().create_unix_connection(factory, path)
    url = urlsplit(target)
    host = cast(str, url.hostname)
    context = ssl.create_default_context() if url.scheme == "https" else None
    port = url.port or (443 if context else 80)
    return url.netloc.encode("ascii"), lambda factory: asyncio.get_running_loop().create_connection(
        factory, host, port, ssl=context
    )
