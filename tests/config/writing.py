"""How these tests write configurations down and read their faults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.load import Loaded, load_all
from gateway.errors import ConfigFault

SOUND = """\
listen: {host: 127.0.0.1, port: 8080}
upstreams:
  legacy:
    targets: [http://127.0.0.1:9000]
routes:
  - path: /v1/resource
    upstream: legacy
"""


def written(folder: Path, text: str | bytes) -> Path:
    """``config.yaml`` in ``folder``."""
    path = folder / "config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def loaded(
    folder: Path, text: str, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Loaded:
    """Load a text that is sound."""
    return load_all(written(folder, text), environ or {}, overrides)


def faults(folder: Path, text: str | bytes, environ: Mapping[str, str] | None = None, **overrides: Any) -> list[str]:
    """All faults of a text, with the path cut down to ``config.yaml``; none when it is sound."""
    path = written(folder, text)
    try:
        load_all(path, environ or {}, overrides)
    except ConfigFault as fault:
        return [line.replace(str(path), "config.yaml") for line in fault.faults]
    return []


def warnings(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """All warnings of a sound text, with the path cut down to ``config.yaml``."""
    path = written(folder, text)
    return [line.replace(str(path), "config.yaml") for line in load_all(path, environ or {}).warnings]
