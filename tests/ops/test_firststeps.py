"""The banner of `make run`."""

from __future__ import annotations

import subprocess

from gateway.config.model import Config
from gateway.ops.firststeps import banner, first_steps, route_table

SHIPPED = {
    "oauth": {"registration": "open"},
    "upstreams": {"legacy": {"targets": ["http://127.0.0.1:9000"]}},
    "routes": [
        {"path": "/public/", "upstream": "legacy", "public": True},
        {"path": "/v1/orders/", "upstream": "legacy", "methods": ["GET", "POST"], "scopes": ["orders:read"]},
        {"path": "/v1/resource", "upstream": "legacy"},
    ],
}


def a_config(**changes: object) -> Config:
    return Config.model_validate({**SHIPPED, **changes})


def test_the_table_says_what_each_route_needs() -> None:
    lines = route_table(a_config())
    public, orders, resource = (next(line for line in lines if path in line) for path in ("/public/", "/orders", "/resource"))
    assert "nothing (public)" in public
    assert orders.split() == ["GET", "POST", "/v1/orders/*", "token", "orders:read", "legacy", "(http://127.0.0.1:9000)"]
    assert resource.split()[:3] == ["any", "/v1/resource", "token"]


def test_the_banner_names_the_port_really_bound() -> None:
    """Also when all interfaces are bound, in a form that a client can use."""
    text = banner(a_config(listen={"host": "0.0.0.0", "port": 0}), port=4711, admin_port=4712)
    assert "http://127.0.0.1:4711" in text
    assert "http://127.0.0.1:4712" in text
    assert "G=http://127.0.0.1:4711" in text


def test_closed_registration_offers_the_operator_s_way() -> None:
    text = banner(a_config(oauth={"registration": "closed"}), port=1, admin_port=2)
    assert "gateway clients add" in text
    assert "register" not in text.split("GOES TO")[1].split("\n\n")[1]


def test_the_block_needs_curl_and_sh_only() -> None:
    """It is valid sh, and holds nothing that zsh or a plain Debian would trip over when it is pasted."""
    block = first_steps(a_config(), "http://127.0.0.1:8080")
    subprocess.run(["sh", "-n"], input=block, text=True, check=True)
    assert "/v1/resource" in block
    for absent in ("jq", "base64", "#", "python", "[[", "!"):
        assert absent not in block
