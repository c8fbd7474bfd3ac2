"""Who else on this machine may read a file."""

from __future__ import annotations

import stat
from pathlib import Path

# Container runtimes mount secrets readable to all there, and nobody else lives in the container.
_MOUNTED = ("/run/secrets/", "/var/run/secrets/")


def is_open_to_all(path: Path) -> bool:
    """Whether everybody on this machine may read a file that holds a secret."""
    if str(path).startswith(_MOUNTED):
        return False
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)
