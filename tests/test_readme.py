"""The README's blocks work as they stand, against a real gateway."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.running import Gateway
from tests.servers import free_port, wait_for

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """What `make run` starts, the shipped config.yaml included, on free ports and in a folder of its own."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "config.yaml").write_text((ROOT / "config.yaml").read_text())
    running = _launched(folder)
    while "something else listens there" in running.stderr:  # a port that was taken in the moment between
        running = _launched(folder)
    running.note_ports()
    yield running
    running.kill_all()


def _launched(folder: Path) -> Gateway:
    running = Gateway(
        folder, arguments=("--demo",), GATEWAY_LISTEN__PORT="0", GATEWAY_ADMIN__PORT="0",
        GATEWAY_UPSTREAMS__LEGACY__TARGETS=f'["http://127.0.0.1:{free_port()}"]',
    )  # fmt: skip
    running.launch()
    wait_for(lambda: running.ended or running.events("gateway.started"))
    return running


def _run(script: str, gateway: Gateway) -> str:
    environ = {**os.environ, "G": f"http://127.0.0.1:{gateway.port}"}
    done = subprocess.run(["sh", "-eu"], input=script, env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def _documents(text: str) -> list[dict[str, object]]:
    """All JSON objects of an output, one after the other."""
    decoder, found, at = json.JSONDecoder(), [], text.find("{")
    while at >= 0:
        document, end = decoder.raw_decode(text, at)
        found.append(document)
        at = text.find("{", end)
    return found


def _check_story(documents: list[dict[str, object]], keys: list[list[str]]) -> None:
    for document, expected in zip(documents, keys, strict=True):
        assert sorted(document) == sorted(expected)


CLIENT = ["client_id", "client_key", "client_secret"]
PAIR = ["access_token", "token_type", "expires_in", "refresh_token"]
ANSWER = ["message", "method", "path", "client_id"]
ACTIVE = ["active", "client_id", "sub", "iss", "iat", "exp", "token_type"]
REVOKED: list[str] = []
REFUSAL = ["type", "title", "status", "detail", "code", "request_id", "token_endpoint"]


def test_the_sh_blocks_run_verbatim(gateway: Gateway) -> None:
    """Register, token, call, refresh, introspect, revoke, refused: with exactly the promised fields."""
    script = "\n".join(body for language, body in BLOCKS if language == "sh")
    documents = _documents(_run(script, gateway))
    _check_story(documents, [CLIENT, PAIR, ANSWER, PAIR, ACTIVE, REVOKED, REFUSAL])
    assert documents[4]["active"] is True
    assert documents[6]["code"] == "invalid_token"


def test_the_printed_block_can_be_pasted_twice(gateway: Gateway) -> None:
    """What stands on the screen after `make run`, run as one paste."""
    wait_for(lambda: "G=http" in gateway.stdout)  # it is printed after the event that says that the gateway serves
    block = gateway.stdout[gateway.stdout.index("G=http") :]
    documents = _documents(_run(block + block, gateway))
    story = [CLIENT, PAIR, ANSWER, PAIR, ANSWER, ACTIVE, REVOKED, REFUSAL]
    _check_story(documents, story + story)


def test_make_demo_tells_the_story(gateway: Gateway) -> None:
    """With a running gateway; without one it says what to start."""
    told = _run((ROOT / "scripts" / "demo.sh").read_text(), gateway)
    assert told.count("HTTP/1.1 401") == 2
    assert told.count("Hello from the legacy API") == 1
    environ = {**os.environ, "G": f"http://127.0.0.1:{free_port()}"}
    alone = subprocess.run(["sh", str(ROOT / "scripts" / "demo.sh")], env=environ, capture_output=True, text=True, timeout=30)
    assert alone.returncode == 1
    assert "make run" in alone.stderr


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"run", "test", "demo"} <= named <= targets


def test_the_first_screen_has_both_commands() -> None:
    """Forty lines: what it is, make run, make test."""
    first = "\n".join(README.splitlines()[:40])
    assert "make run" in first
    assert "make test" in first


@pytest.mark.parametrize("page", ["README.md", *(str(page.relative_to(ROOT)) for page in PAGES)])
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    """And to a heading that is there."""
    for target, heading in re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", (ROOT / page).read_text()):
        found = (ROOT / page).parent / target if target else ROOT / page
        assert target.startswith("https://") or found.exists(), target
        headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in [re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings], heading


def test_where_next_leads_to_every_page() -> None:
    assert {f"docs/{page.name}" for page in PAGES} <= set(re.findall(r"\]\(([^)#]+)\)", README))


def test_coming_from_elsewhere_names_keys_that_exist() -> None:
    """Written with their place."""
    from gateway.config import fields

    page = (ROOT / "docs" / "coming-from.md").read_text()
    named = re.findall(r"`((?:routes\[\]|upstreams\.NAME|listen)\.[a-z_.\[\]]+)", page)
    assert len(named) > 20
    for place in named:
        path = [0 if part == "0" else part for part in place.replace("[]", ".0").split(".")]
        assert fields.type_at(path) is not None, place


def test_the_yaml_block_is_a_sound_configuration(tmp_path: Path) -> None:
    """As it stands."""
    from gateway.config.load import load

    (yaml,) = [body for language, body in BLOCKS if language == "yaml"]
    (tmp_path / "config.yaml").write_text(yaml)
    assert len(load(tmp_path / "config.yaml", {}).routes) == 3
