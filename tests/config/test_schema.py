"""The JSON Schema says of a file what loading it says, as far as a schema can."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.config.model import Config
from gateway.config.nodes import to_data
from gateway.config.schema import DIALECT, build, text
from gateway.config.yaml_nodes import compose
from tests.config.json_schema import complaints
from tests.config.test_load import REPOSITORY
from tests.config.writing import SOUND

SCHEMA = build()


def data_of(yaml: str) -> Any:
    """What an editor sees."""
    root, _ = compose(yaml)
    assert root is not None
    return to_data(root)


def check(yaml: str) -> list[str]:
    """What an editor would underline."""
    return complaints(SCHEMA, data_of(yaml), SCHEMA)


def test_it_is_draft_2020_12_and_covers_every_section() -> None:
    """Each key with its meaning."""
    assert json.loads(text()) == SCHEMA
    assert SCHEMA["$schema"] == DIALECT
    assert set(SCHEMA["properties"]) == set(Config.model_fields)
    assert set(SCHEMA["$defs"]) == {
        "Listen", "Admin", "Store", "OAuth", "Upstream", "UpstreamTls", "Health", "Ejection", "Route", "Timeouts", "Cors", "Streams",
        "HeaderEdits", "Certificate", "AttemptLimits", "Secrets", "Credential", "BasicCredential", "HeaderCredential", "RouteCredential", "RouteIdentity",
        "OAuthCredential", "IdentityAssertion", "Limit", "Plan", "Issuer", "Introspection",
    }  # fmt: skip
    for section in SCHEMA["$defs"].values():
        assert section["additionalProperties"] is False
        assert all(value.get("description") for value in section["properties"].values())


def test_the_shipped_config_passes() -> None:
    """And each line of it means something to the schema."""
    assert check((REPOSITORY / "config.yaml").read_text()) == []


@pytest.mark.parametrize(
    "yaml",
    [
        "store: redis://h",
        "store: {url: redis://h, timeout: 1s, password: x, ca_file: null}",
        "workers: ${WORKERS}",
        'listen: {port: "${PORT:-80}"}',
        "drain_delay: ${D}",
        "oauth: {registration: '${MODE:-closed}', scopes: {a: b}, default_scopes: [a], prefix: ''}",
        "trusted_proxies: [10.0.0.0/8]",
        "routes: [{path: /a, upstream: u, scopes: [a], max_body: 1MiB, public: false, timeouts: {connect: 1s}}]",
        "routes: [{path: /a, upstream: u, scopes: {GET: [a]}, allow: [semicolon]}]",
        "upstreams: {a.b-c_d: {targets: ['http://h']}}",
    ],
)
def test_what_may_be_written_passes(yaml: str) -> None:
    """Durations and sizes as they are spelt, a store as text or section, references anywhere."""
    assert check(yaml) == []


@pytest.mark.parametrize(
    "yaml",
    [
        "worker: 1", "workers: 0", "workers: x", "listen: {port: 70000}", "listen: {prot: 1}", "drain_delay: 30", "drain_delay: 30 s",
        "store: 1", "store: {timeout: 5}", "store: {durability: x}", "oauth: {registration: opne}", "oauth: {prefix: v1}",
        "oauth: {client_secret_post: 'on'}", "upstreams: {a: {targets: []}}", "upstreams: {a: {}}", "upstreams: {'a b': {targets: [x]}}",
        "routes: [{path: /a}]", "routes: [{path: /a, upstream: u, methods: [get]}]", "routes: [{path: /a, upstream: u, max_body: 10}]",
        "routes: [{path: /a, upstream: u, allow: [x]}]", "routes: {}", "routes: [{path: /a, upstream: u, scopes: {get: [a]}}]",
        "routes: [{path: /a, upstream: u, scopes: [a b]}]",
    ],
)  # fmt: skip
def test_what_loading_refuses_is_underlined(yaml: str) -> None:
    """Typos above all."""
    assert check(yaml)


def test_defaults_are_spelt_as_the_file_spells_them() -> None:
    """An editor fills them in."""
    stated: dict[str, Any] = {}
    for name, section in SCHEMA["$defs"].items():
        for key, value in section["properties"].items():
            if "default" in value:
                stated[f"{name}.{key}"] = value["default"]
                assert complaints(value, value["default"], SCHEMA) == []
    assert (stated["OAuth.access_token_ttl"], stated["Store.timeout"], stated["Listen.port"]) == ("1h", "500ms", 8080)


def test_the_copy_for_editors_is_fresh() -> None:
    """``gateway schema > docs/config.schema.json`` renews it."""
    assert (REPOSITORY / "docs" / "config.schema.json").read_text() == text()


def test_a_sound_file_of_these_tests_passes(tmp_path: Path) -> None:
    """The one that most tests begin with."""
    assert check(SOUND) == []
