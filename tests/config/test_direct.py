"""``gateway serve --to URL``."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.direct import for_target
from gateway.errors import ConfigFault


def test_everything_below_the_root_needs_a_token_and_goes_there(tmp_path: Path) -> None:
    """Registration is open, the store is the embedded one in the working directory."""
    found = for_target("http://localhost:9000/", {}, directory=tmp_path)
    config = found.config
    assert found.warnings == []
    assert [(route.path, route.public, route.upstream) for route in config.routes] == [("/", False, "target")]
    assert config.upstreams["target"].targets == ("http://localhost:9000",)
    assert (config.oauth.registration, config.oauth.issuer) == ("open", "http://127.0.0.1:8080")
    assert config.store.url == f"embedded:{tmp_path}/var/store"


def test_environment_and_flags_apply(tmp_path: Path) -> None:
    """In their order."""
    environ = {"GATEWAY_LISTEN__PORT": "8443", "GATEWAY_ADMIN__PORT": "9443", "GATEWAY_STORE": "redis://h"}
    config = for_target("https://api.example.com", environ, {"admin.port": 0}, directory=tmp_path).config
    assert (config.listen.port, config.admin.port, config.store.url) == (8443, 0, "redis://h")
    assert config.oauth.issuer == "http://127.0.0.1:8443"


def test_off_loopback_open_registration_warns(tmp_path: Path) -> None:
    """As with a file."""
    found = for_target("http://h", {"GATEWAY_LISTEN__HOST": "0.0.0.0"}, directory=tmp_path)
    assert [warning for warning in found.warnings if "anybody who reaches the gateway may register" in warning]


@pytest.mark.parametrize("url", ["localhost:9000", "http://h/api", "http://u:p@h", "", "http://127.0.0.1:8080", "${HOME}"])
def test_a_wrong_url_is_a_fault_of_the_flag(tmp_path: Path, url: str) -> None:
    """It names --to."""
    with pytest.raises(ConfigFault) as caught:
        for_target(url, {}, directory=tmp_path)
    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith("--to: upstreams.target.targets[0]: ")
