"""npm's clients, unchanged, against a running gateway; `make e2e` installs them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.blackbox import Gateway


@pytest.mark.parametrize("library", ["oauth4webapi", "openid-client", "simple-oauth2"])
def test_the_whole_life_of_a_token(gateway: Gateway, client: dict[str, str], node: Path, library: str) -> None:
    """
    Discovery, token, refresh, resource, introspection, revocation.

    simple-oauth2 has no discovery and no introspection (plain fetch there), the certified two have all.
    """
    run = subprocess.run(
        ["node", f"{library}.mjs"], cwd=node, capture_output=True, text=True, timeout=30,
        env={**os.environ, "ISSUER": gateway.url, "CLIENT_ID": client["client_id"], "CLIENT_SECRET": client["client_secret"]},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {"library": library, "ok": True}
