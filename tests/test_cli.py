"""The command line: exit codes and what stands on which stream."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import __version__
from gateway.cli import find_config
from gateway.errors import ConfigFault
from tests.command_line import here
from tests.command_line import process as run
from tests.servers import free_port

GOOD = "upstreams: {legacy: {targets: [http://127.0.0.1:9]}}\nroutes: [{path: /x, upstream: legacy}]\n"


def test_no_command_is_wrong_usage(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: gateway" in done.stderr


def test_version(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == f"gateway {__version__}\n"


def test_c_and_to_exclude_each_other(tmp_path: Path) -> None:
    assert run("serve", "-c", "x", "--to", "http://y", cwd=tmp_path).returncode == 2


def test_a_good_configuration_is_0(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(GOOD)
    done = run("check", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stdout


def test_a_bad_configuration_is_78_with_place_and_remedy(tmp_path: Path) -> None:
    """All faults at once, on stderr only."""
    (tmp_path / "config.yaml").write_text(GOOD + "workers: many\nlisten: {prot: 1}\n")
    done = run("check", "-c", "config.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (78, "")
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == ["config.yaml:3:10:", "config.yaml:4:10:"]


def test_no_configuration_at_all_says_where_it_looked(tmp_path: Path) -> None:
    done = run("serve", cwd=tmp_path)
    assert done.returncode == 78
    assert "config.yaml" in done.stderr
    assert "--to" in done.stderr


def test_a_file_that_is_not_there_is_78(tmp_path: Path) -> None:
    done = run("check", "-c", "missing.yaml", cwd=tmp_path)
    assert done.returncode == 78
    assert done.stderr.startswith("missing.yaml:")


def test_the_order_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag, then the variable, then the folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(GOOD)
    assert find_config(Path("a.yaml"), {"GATEWAY_CONFIG": "b.yaml"}) == Path("a.yaml")
    assert find_config(None, {"GATEWAY_CONFIG": "b.yaml"}) == Path("b.yaml")
    assert find_config(None, {}) == Path("config.yaml")


def test_an_empty_folder_has_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gateway.cli._SEARCHED", (Path("config.yaml"),))
    with pytest.raises(ConfigFault, match="GATEWAY_CONFIG"):
        find_config(None, {})


def test_the_schema_is_the_published_one(tmp_path: Path) -> None:
    """The one for editors, which lets a reference stand for any value."""
    published = Path(__file__).resolve().parent.parent / "docs" / "config.schema.json"
    assert run("schema", cwd=tmp_path).stdout == published.read_text()


@pytest.mark.parametrize("flag", [(), ("--live",)])
def test_a_healthcheck_of_nobody_is_1(tmp_path: Path, flag: tuple[str, ...]) -> None:
    (tmp_path / "config.yaml").write_text(GOOD)
    done = run("healthcheck", *flag, cwd=tmp_path, GATEWAY_ADMIN__PORT=str(free_port()))
    assert done.returncode == 1
    assert "GATEWAY_ADMIN__PORT" in done.stderr


@pytest.mark.parametrize("arguments", [("approve", "x"), ("set", "x"), ("add", "--scopes", "x"), ("no-such-command",)])
def test_a_process_says_what_the_function_says(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """So that tests may ask the function, which costs no start."""
    (tmp_path / "config.yaml").write_text(GOOD + "oauth: {registration: token}\n")
    alone, within = (by("clients", *arguments, cwd=tmp_path) for by in (run, here))
    assert alone.returncode in (1, 2)
    assert (alone.returncode, alone.stdout, alone.stderr) == (within.returncode, within.stdout, within.stderr)


def test_a_password_in_argv_is_wrong_usage(tmp_path: Path) -> None:
    """Everybody on the machine could read it."""
    done = run("clients", "add", "--username", "someone", "--password", "hunter2pw", cwd=tmp_path)
    assert done.returncode == 2
    assert "stdin" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        pytest.param(("--scopes", "nobody:knows"), "", "nobody:knows", id="a scope that is not defined"),
        pytest.param(("--username", "x"), "", "username", id="a username that is too short"),
        pytest.param(("--username", "someone", "--password", "-"), "short\n", "password", id="a password that is too short"),
    ],
)
def test_what_the_operator_may_not_ask_is_1_with_one_line(
    tmp_path: Path, arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    (tmp_path / "config.yaml").write_text(GOOD)
    done = here("clients", "add", *arguments, cwd=tmp_path, stdin=stdin)
    assert done.returncode == 1, done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("gateway: ")]) == 1
    assert said in done.stderr.lower()


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        pytest.param(("initial-access-token", "--uses", "0"), "", "uses must be", id="a token that is good for nothing"),
        pytest.param(("initial-access-token", "--ttl", "7"), "", "--ttl: write a duration", id="a time without a unit"),
        pytest.param(("initial-access-token", "--end", "-"), "x\n", "no such initial access token", id="a token that is none"),
        pytest.param(("approve", "x"), "", "no such client that waits", id="nobody to approve"),
        pytest.param(("delete", "x"), "", "no such client", id="nobody to delete"),
    ],
)
def test_what_the_operator_may_not_do_is_1_with_one_line(
    tmp_path: Path, arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    (tmp_path / "config.yaml").write_text(GOOD + "oauth: {registration: token}\n")
    done = here("clients", *arguments, cwd=tmp_path, stdin=stdin)
    assert done.returncode == 1, done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("gateway: ")]) == 1
    assert said in done.stderr.lower()


def test_an_initial_access_token_in_argv_is_wrong_usage(tmp_path: Path) -> None:
    """Everybody on the machine could read it."""
    done = run("clients", "initial-access-token", "--end", "gwi_x", cwd=tmp_path)
    assert done.returncode == 2
    assert "stdin" in done.stderr
