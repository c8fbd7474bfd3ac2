"""Keys by the names that other proxies give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import fields
from gateway.config.elsewhere import PLACES
from tests.config.writing import SOUND, faults

ROUTE = "  - {path: /a, upstream: legacy, %s}\n"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (SOUND + ROUTE % "websocket: true", '8:34: routes[1].websocket: unknown key; did you mean "streams"?'),
        (SOUND + ROUTE % "allow_ips: [10.0.0.1]", '8:34: routes[1].allow_ips: unknown key; did you mean "ip_allow"?'),
        (SOUND + ROUTE % "retries: 3", "8:34: routes[1].retries: unknown key; look at upstreams.*.retry_budget"),
        (SOUND.replace("targets", "servers"), '4:5: upstreams.legacy.servers: unknown key; did you mean "targets"?'),
        (SOUND + "ssl: true\n", "8:1: ssl: unknown key; look at listen.tls"),
        (SOUND + "admin: {tls: []}\n", "8:9: admin.tls: unknown key; look at listen.tls"),
        (SOUND + "oauth: {bind: x}\n", "8:9: oauth.bind: unknown key; look at listen.host"),
    ],
)
def test_a_word_of_another_proxy_is_answered_with_ours(tmp_path: Path, text: str, hint: str) -> None:
    assert f"config.yaml:{hint}" in faults(tmp_path, text)


def test_every_place_that_a_hint_names_exists() -> None:
    for place in {place for places in PLACES.values() for place in places}:
        path = [part for name in place.replace("[]", ".0").split(".") for part in ([0] if name == "0" else [name])]
        assert fields.type_at(path) is not None, place
