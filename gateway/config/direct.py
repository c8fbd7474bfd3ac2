"""``gateway serve --to URL``: a configuration without a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config.faults import Mark
from gateway.config.load import Loaded, build
from gateway.config.nodes import from_data


def for_target(
    url: str, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None, *, directory: Path | None = None
) -> Loaded:
    """
    Everything below / needs a token and goes to ``url``; registration is open, as the listener is on loopback.

    Args:
        url: ``http://host[:port]``, ``https://host[:port]`` or ``unix:/path``; one slash at the end is forgiven.
        environ: ``GATEWAY_*`` applies as with a file.
        overrides: Flags, by dotted path.
        directory: Where ``var/store`` is; default: the working directory.

    Raises:
        ConfigFault: With all that is wrong.
    """
    target = url if url.startswith("unix:") else url.removesuffix("/")
    said = {
        "store": {"url": "embedded:var/store"},
        "oauth": {"registration": "open"},
        "upstreams": {"target": {"targets": [target]}},
        "routes": [{"path": "/", "upstream": "target"}],
    }
    root = from_data(said, Mark("--to"))
    return build(root, (directory or Path.cwd()).absolute(), "--to", environ, overrides or {}, [])
