"""docs/openapi.yaml is what the gateway does: valid, complete, and nothing that schemathesis finds differs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openapi_spec_validator import validate

from tests.blackbox import Gateway, Origin
from tests.endpoints import served

FILE = Path(__file__).parent.parent / "docs/openapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
PASSWORD = "a-long-password"
ENDS = ("delete_account", "delete_client", "delete_described", "retire_key", "change_password")
"""Operations after which the credentials of a run are none."""

CREDENTIALS = """
[auth.openapi.account]
username = "{username}"
password = "{password}"
[auth.openapi.client]
username = "{client_key}"
password = "{client_secret}"
[auth.openapi.key]
username = "{client_key}"
password = "{client_secret}"
[auth.openapi.registration]
bearer = "{manager}"
[parameters]
client_id = "{client_id}"
[[operations]]
include-path = "/v1/oauth/register/{{client_id}}"
parameters.client_id = "{described}"
"""
# What JSON Schema can't tell: that a token lives, that a point lies on its curve, that a grant is on offer here.
UNTELLABLE = (
    "POST /v1/oauth/token", "POST /v1/clients/{client_id}/keys", "POST /v1/oauth/register",
    "PUT /v1/oauth/register/{client_id}",
)  # fmt: skip
# With an account a registration has no body, without one it has; JSON Schema knows nothing of credentials.
EITHER = ("POST /v1/register", "POST /v1/clients")


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    validate(DOCUMENT)


async def test_it_has_every_endpoint_and_no_other() -> None:
    """By method and path, as the router serves them by default."""
    assert {
        (method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item if method != "parameters"
    } == await served()


@pytest.fixture
def gateway(tmp_path: Path):  # type: ignore[no-untyped-def]
    with Origin().running() as origin:
        config = {
            "oauth": {"scopes": {"read": "Read."}, "default_scopes": ["read"], "sign_in": True},
            "upstreams": {"legacy": {"targets": [f"http://127.0.0.1:{origin.port}"]}},
            "routes": [{"path": "/v1/resource", "upstream": "legacy"}],
        }
        with Gateway(tmp_path, config).running() as gateway:
            yield gateway


def schemathesis(gateway: Gateway, directory: Path, settings: str, *options: str) -> None:
    """Run it; the test fails with what it finds."""
    (directory / "schemathesis.toml").write_text(settings)
    done = subprocess.run(
        [Path(sys.executable).parent / "schemathesis", "run", FILE, "--url", gateway.url, "--max-examples", "8", "--seed", "1",
         "--phases", "examples,coverage,fuzzing", "--no-color",
         "--exclude-path", "/v1/forward-auth",  # any method asks there; for a stranger all are 404
         *options],
        cwd=directory, capture_output=True, text=True, check=False, timeout=55,
    )  # fmt: skip
    if done.returncode:
        pytest.fail(done.stdout[-8000:] + done.stderr[-2000:], pytrace=False)


def lenient(operations: tuple[str, ...]) -> str:
    return "".join(
        f'[[operations]]\ninclude-name = "{name}"\nchecks.positive_data_acceptance.enabled = false\n' for name in operations
    )


def test_a_stranger_finds_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """Every operation, without credentials and with made-up ones: what comes is what the document says, and no 5xx."""
    schemathesis(gateway, tmp_path, lenient(UNTELLABLE + EITHER))


def test_a_client_and_its_account_find_nothing(gateway: Gateway, tmp_path: Path) -> None:
    """Every operation that leaves the credentials alive, with good and bad data."""
    credential = gateway.register("fuzz@example.com", PASSWORD)
    described = httpx.post(f"{gateway.url}/v1/oauth/register", json={}).json()
    settings = CREDENTIALS.format(
        username="fuzz@example.com", password=PASSWORD, described=described["client_id"],
        manager=described["registration_access_token"], **credential,
    )  # fmt: skip
    excluded = [option for name in ENDS for option in ("--exclude-operation-id", name)]
    schemathesis(gateway, tmp_path, settings + lenient(UNTELLABLE + EITHER), *excluded)
