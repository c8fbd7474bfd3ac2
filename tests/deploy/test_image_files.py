"""The Dockerfile and its neighbours keep their promises, as far as text can show it; `make container-check` shows the rest."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.cli import find_config
from gateway.config.load import load, load_all
from gateway.errors import ConfigFault

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "deploy" / "container"
BAKED = CONTAINER / "config.yaml"
COMPOSE_CONFIG = ROOT / "deploy" / "compose-config.yaml"
UPSTREAM = {"UPSTREAM_URL": "http://legacy:9000"}
SCRIPTS = sorted(CONTAINER.glob("*.sh"))


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (keyword, rest) pairs, comments gone and lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [(keyword, rest.strip()) for keyword, _, rest in (line.partition(" ") for line in lines)]


def last(keyword: str) -> str:
    """The instruction that holds, of all with this keyword."""
    return [rest for found, rest in instructions() if found == keyword][-1]


def runtime() -> list[tuple[str, str]]:
    """The instructions of the last stage."""
    steps = instructions()
    return steps[max(i for i, (keyword, _) in enumerate(steps) if keyword == "FROM") :]


def compose() -> dict[str, Any]:
    """deploy/compose.yaml, anchors resolved."""
    document: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    return document


SERVICES = sorted(compose()["services"])


# --- the Dockerfile


def test_two_stages_on_one_pinned_base() -> None:
    """What builds does not run; a release pins the base by digest through BASE."""
    stages = [rest for keyword, rest in instructions() if keyword == "FROM"]
    assert stages == ["${BASE} AS build", "${BASE}"]
    base = next(rest for keyword, rest in instructions() if keyword == "ARG")
    assert re.fullmatch(r"BASE=docker\.io/library/python:3\.12-slim-bookworm(@sha256:[0-9a-f]{64})?", base)


def test_dependencies_come_from_the_lock_with_hashes() -> None:
    """Nothing is resolved while building, and nothing is compiled."""
    installs = [command for _, rest in instructions() for command in re.findall(r"pip install [^&]*", rest)]
    assert len(installs) == 2
    assert {"--require-hashes", "--only-binary=:all:", "requirements/run.lock"} <= set(installs[0].split())
    assert {"--no-deps", "--no-build-isolation"} <= set(installs[1].split())


def test_runs_as_a_numeric_user_without_root() -> None:
    """The kubelet can check a number, never a name."""
    keywords = [keyword for keyword, _ in runtime()]
    assert last("USER") == "10001:10001"
    assert "RUN" not in keywords[keywords.index("USER") :]


def test_process_1_is_the_gateway() -> None:
    """Exec form: a shell in between would swallow SIGTERM."""
    assert json.loads(last("ENTRYPOINT")) == ["gateway"]
    assert json.loads(last("CMD")) == ["serve"]
    assert last("STOPSIGNAL") == "SIGTERM"
    assert json.loads(last("HEALTHCHECK").partition("CMD ")[2]) == ["gateway", "healthcheck"]


def test_labels_of_the_oci() -> None:
    """Who looks at a stray image learns what it is."""
    names = re.findall(r"org\.opencontainers\.image\.(\w+)=", last("LABEL"))
    assert set(names) == {"title", "description", "licenses", "version", "revision"}


def test_the_version_is_the_packages() -> None:
    """One number, in two places that can't read each other."""
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert ("ARG", f"VERSION={version[1]}") in instructions()


def test_no_secret_goes_in() -> None:
    """Neither by name in ENV or ARG, nor by a COPY of more than is named."""
    for keyword, rest in instructions():
        if keyword in ("ENV", "ARG"):
            assert not re.search(r"secret|password|token|key", rest, re.IGNORECASE), rest
        if keyword in ("COPY", "ADD"):
            assert keyword == "COPY"
            assert " . " not in f" {rest} "


def test_the_context_is_what_is_copied() -> None:
    """.dockerignore lets in what COPY names, and nothing else."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for keyword, rest in instructions()
        if keyword == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert allowed == copied
    assert all((ROOT / path).exists() for path in allowed)


# --- the configuration in it


def test_the_baked_config_listens_where_the_image_says() -> None:
    """All interfaces on the exposed port; the admin listener for the container alone; the store on the volume."""
    config = load(BAKED, UPSTREAM)
    assert (config.listen.host, str(config.listen.port)) == ("0.0.0.0", last("EXPOSE"))
    assert config.admin.host == "127.0.0.1"
    (volume,) = json.loads(last("VOLUME"))
    assert config.store.url == f"embedded:{volume}/store"
    assert config.upstreams["legacy"].targets == ("http://legacy:9000",)


def test_the_baked_config_opens_nothing() -> None:
    """Closed registration, and no route without a token."""
    config = load(BAKED, UPSTREAM)
    assert config.oauth.registration == "closed"
    assert not any(route.public for route in config.routes)


def test_without_an_upstream_the_image_says_what_it_needs() -> None:
    """Not a default that leads nowhere, but one line that names the variable."""
    with pytest.raises(ConfigFault) as refused:
        load(BAKED, {})
    assert "UPSTREAM_URL is not set: the API to protect" in "".join(refused.value.faults)


def test_all_commands_find_the_baked_config() -> None:
    """`serve`, `healthcheck` and `clients add` read one file, whatever lies in the working folder."""
    copied = next(rest for keyword, rest in instructions() if keyword == "COPY" and "config.yaml" in rest)
    place = copied.split()[1]
    variables = dict(item.split("=", 1) for keyword, rest in runtime() if keyword == "ENV" for item in rest.split())
    assert find_config(None, variables) == Path(place) == Path("/etc/gateway/config.yaml")


# --- compose.yaml


def test_compose_needs_no_version_key() -> None:
    """The key is obsolete, and warned about."""
    assert set(compose()) == {"name", "x-hardened", "services", "networks", "volumes"}
    assert SERVICES == ["demo", "gateway", "store"]


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_confined(service: str) -> None:
    """Read-only root, no capability, no new privileges, a bound on memory."""
    options = compose()["services"][service]
    assert options["read_only"] is True
    assert options["tmpfs"] == ["/tmp"]
    assert options["cap_drop"] == ["ALL"]
    assert options["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[0-9]+m", options["mem_limit"])
    assert not {"privileged", "cap_add", "network_mode", "environment", "env_file"} & set(options)


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_pinned_to_a_version(service: str) -> None:
    """Never `latest`."""
    _, _, tag = compose()["services"][service]["image"].rpartition("/")[2].partition(":")
    assert tag
    assert tag != "latest"


def test_only_the_gateway_is_published_and_on_loopback() -> None:
    """Open registration is the config's, so nobody else may reach it."""
    services = compose()["services"]
    port = load(COMPOSE_CONFIG, {}).listen.port
    assert {name: options.get("ports") for name, options in services.items()} == {
        "gateway": [f"127.0.0.1:{port}:{port}"],
        "store": None,
        "demo": None,
    }


def test_the_demo_can_not_reach_the_store() -> None:
    """They share no network, and neither sees the world."""
    document = compose()
    services = document["services"]
    assert not set(services["demo"]["networks"]) & set(services["store"]["networks"])
    for name in {*services["demo"]["networks"], *services["store"]["networks"]}:
        assert document["networks"][name] == {"internal": True}


def test_the_gateway_waits_for_the_others() -> None:
    """And all have a health check to wait for."""
    services = compose()["services"]
    assert services["gateway"]["depends_on"] == {name: {"condition": "service_healthy"} for name in ("store", "demo")}
    assert all("healthcheck" in services[name] for name in ("store", "demo"))


def test_the_gateway_gets_the_time_to_drain() -> None:
    """The engine kills later than the gateway gives up."""
    grace = compose()["services"]["gateway"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > load(COMPOSE_CONFIG, {}).drain_timeout.total_seconds()


def test_the_composed_config_names_the_composed_services() -> None:
    """Store and upstream are services; the config is mounted where the image looks for it."""
    services = compose()["services"]
    loaded = load_all(COMPOSE_CONFIG, {})
    assert loaded.config.store.url == "redis://store:6379/0"
    (target,) = loaded.config.upstreams["legacy"].targets
    command = services["demo"]["command"]
    assert target == f"http://demo:{command[command.index('--port') + 1]}"
    assert services["gateway"]["volumes"] == ["./compose-config.yaml:/etc/gateway/config.yaml:ro"]
    assert {fault.partition(": ")[2].partition(":")[0] for fault in loaded.warnings} == {"oauth.registration"}


# --- the scripts


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse_and_can_be_run(script: Path) -> None:
    """bash reads them to the end, and they stop at the first fault."""
    assert script.stat().st_mode & 0o111
    assert "\nset -euo pipefail\n" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True, timeout=10)


def test_the_check_skips_with_one_line_where_it_may_not_install(tmp_path: Path) -> None:
    """Exit 0, and the reason."""
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "INSTALL": "0", "WORK": str(tmp_path)}
    done = subprocess.run([CONTAINER / "check.sh"], env=environment, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "container-check SKIPPED: needs root, for overlay mounts and networks\n"
