"""A gateway with the shipped kind of configuration (no scopes in use), a client of each test's own, and npm's packages."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.blackbox import Gateway, Origin
from tests.e2e.browser import Browser

SCRIPTS = Path(__file__).parent / "node"
PACKAGES = Path(sys.prefix) / "node" / "node_modules"
_count = itertools.count()


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    """The upstream."""
    with Origin().running() as origin:
        yield origin


@pytest.fixture(scope="session")
def gateway(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway."""
    config = {
        "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
        "routes": [{"path": "/v1/resource", "upstream": "legacy"}],
    }
    with Gateway(tmp_path_factory.mktemp("gateway"), config).running() as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> dict[str, str]:
    """A client of this test's own: ``client_id``, ``client_key``, ``client_secret``."""
    return gateway.register(f"client-{next(_count)}@example.com")


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts with npm's packages beside them; without those a test is skipped, and under E2E=required it fails."""
    if shutil.which("node") is None:
        _missing("no Node.js here (apt-get install nodejs npm), then `make e2e`")
    if not (PACKAGES / ".package-lock.json").exists():
        _missing("npm's packages are not installed: `make e2e` installs them")
    folder = tmp_path_factory.mktemp("node")
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(PACKAGES)
    return folder


@pytest.fixture(scope="session")
def browser(node: Path) -> Iterator[Browser]:
    """Debian's Chromium; without it a test is skipped, and under E2E=required it fails."""
    chromium = shutil.which("chromium")
    if chromium is None:
        _missing("no browser here (apt-get install --no-install-recommends chromium)")
    browser = Browser(node, chromium)
    yield browser
    browser.close()


def _missing(what: str) -> NoReturn:
    if os.environ.get("E2E") == "required":
        pytest.fail(what)
    pytest.skip(what)
