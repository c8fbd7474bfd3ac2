"""GATEWAY_* and flags over the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.writing import SOUND, faults, loaded, warnings


def test_a_flag_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    """Each layer alone, and all together."""
    environ = {"GATEWAY_LISTEN__PORT": "8443"}
    assert loaded(tmp_path, SOUND).config.listen.port == 8080
    assert loaded(tmp_path, SOUND, environ).config.listen.port == 8443
    assert loaded(tmp_path, SOUND, environ, {"listen.port": 9443}).config.listen.port == 9443
    assert loaded(tmp_path, SOUND, None, {"listen.port": "9443"}).config.listen.port == 9443


def test_what_the_file_does_not_say_can_be_added(tmp_path: Path) -> None:
    """Sections that are absent, mappings and lists in one line, entries of lists by number."""
    environ = {
        "GATEWAY_ADMIN__PORT": "0",
        "GATEWAY_OAUTH__SCOPES": "{orders: Orders, 'x:y': X}",
        "GATEWAY_OAUTH__DEFAULT_SCOPES": "[orders]",
        "GATEWAY_UPSTREAMS__LEGACY__KEEPALIVE": "5s",
        "GATEWAY_UPSTREAMS__SECOND": '{targets: ["unix:/run/second.sock"]}',
        "GATEWAY_ROUTES__0__UPSTREAM": "second",
        "GATEWAY_WORKERS": "3",
    }
    config = loaded(tmp_path, SOUND, environ).config
    assert config.admin.port == 0
    assert config.oauth.scopes == {"orders": "Orders", "x:y": "X"}
    assert config.oauth.default_scopes == ("orders",)
    assert config.upstreams["legacy"].keepalive.total_seconds() == 5
    assert config.upstreams["second"].targets == ("unix:/run/second.sock",)
    assert config.routes[0].upstream == "second"
    assert config.workers == 3


@pytest.mark.parametrize("store", ["store: redis://old:6379/0", "store: {url: 'redis://old:6379/0'}"])
def test_a_store_url_leaves_the_other_keys(tmp_path: Path, store: str) -> None:
    """GATEWAY_STORE is the URL; the key prefix must not get lost, or tokens of two gateways would mix."""
    text = f"{SOUND}{store}\n"
    environ = {"GATEWAY_STORE": "redis://new:6379/1", "GATEWAY_STORE__PREFIX": "other", "GATEWAY_STORE__PASSWORD": "{[0777"}
    config = loaded(tmp_path, text, environ).config
    assert (config.store.url, config.store.prefix) == ("redis://new:6379/1", "other")
    assert config.store.password is not None
    assert config.store.password.get_secret_value() == "{[0777"


@pytest.mark.parametrize("value", ["true", "null", "0x1f", "1e3", "${HOME}", "~", "a: b # c", "'q'", "*x", "9" * 30])
def test_a_password_of_the_environment_stands_for_itself(tmp_path: Path, value: str) -> None:
    """Whatever YAML would make of it."""
    secret = loaded(tmp_path, f"{SOUND}store: redis://h\n", {"GATEWAY_STORE__PASSWORD": value}).config.store.password
    if value in ("null", "~"):
        assert secret is None  # nothing is what YAML says, and the server will say so too
    else:
        assert secret is not None
        assert secret.get_secret_value() == value


def test_an_override_makes_the_reference_below_it_moot(tmp_path: Path) -> None:
    """Nobody sets LEGACY_HOST just to override what holds it."""
    text = SOUND.replace("host: 127.0.0.1,", "host: '${LEGACY_HOST}',")
    assert faults(tmp_path, text)
    assert loaded(tmp_path, text, {"GATEWAY_LISTEN__HOST": "127.0.0.1"}).config.listen.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("GATEWAY_LISTEN__PROT", "1", 'GATEWAY_LISTEN__PROT: "PROT" names no key; did you mean "port"?'),
        ("GATEWAY_LISTN__PORT", "1", 'GATEWAY_LISTN__PORT: "LISTN" names no section; did you mean "listen"?'),
        ("GATEWAY_LISTEN__PORT__X", "1", 'GATEWAY_LISTEN__PORT__X: "X" names nothing: there are no keys below listen__port'),
        ("GATEWAY_ROUTES__1__PATH", "/x", 'GATEWAY_ROUTES__1__PATH: "1" is no entry of the list, which has 1, counted from 0'),
        ("GATEWAY_LISTEN__PORT", "http", "GATEWAY_LISTEN__PORT: listen.port: write a whole number"),
        ("GATEWAY_LISTEN__PORT", "", "GATEWAY_LISTEN__PORT: listen.port: write a whole number"),
        ("GATEWAY_OAUTH__DEFAULT_SCOPES", "[a", "GATEWAY_OAUTH__DEFAULT_SCOPES: not YAML here"),
        ("GATEWAY_OAUTH__SCOPES", "{a: 1, a: 2}", 'GATEWAY_OAUTH__SCOPES: the key "a" stands here twice'),
        ("GATEWAY_OAUTH", "x", "GATEWAY_OAUTH: oauth: write a mapping, like {key: value}"),
        ("GATEWAY_ROUTES__0__PATH", "x", "GATEWAY_ROUTES__0__PATH: routes[0].path: a path begins with /"),
    ],
)
def test_a_wrong_variable_is_a_fault_that_names_it(tmp_path: Path, name: str, value: str, fault: str) -> None:
    """Not the file, which is sound."""
    found = faults(tmp_path, SOUND, {name: value})
    assert len(found) == 1, found
    assert found[0].startswith(fault), found[0]


def test_a_wrong_flag_is_a_fault_that_names_it(tmp_path: Path) -> None:
    """By its dotted path."""
    found = faults(tmp_path, SOUND, {}, **{"listen.port": 70000})
    assert found == ["listen.port (command line): listen.port: write at most 65535"]


def test_what_kubernetes_sets_beside_a_service_named_gateway_is_ignored(tmp_path: Path) -> None:
    """And GATEWAY_CONFIG names the file."""
    environ = {"GATEWAY_PORT": "tcp://10.0.0.1:80", "GATEWAY_SERVICE_HOST": "10.0.0.1", "GATEWAY_CONFIG": "x", "GATEWAY_": "x"}
    assert faults(tmp_path, SOUND, environ) == []
    assert warnings(tmp_path, SOUND, environ) == []


def test_a_misspelt_variable_without_underscores_is_a_warning(tmp_path: Path) -> None:
    """It may be somebody else's, but looks like ours."""
    found = warnings(tmp_path, SOUND, {"GATEWAY_WORKRES": "2"})
    assert found == ['GATEWAY_WORKRES: ignored, as it names no key; did you mean "workers"?']
