"""``strip_prefix``, ``rewrite`` and ``preserve_host``: faults and warnings, each with its place (hardening.md P17, P18, H10)."""

# ruff: noqa: E501  # a table reads best with one case to a line

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_rules import check, config
from tests.config.writing import loaded, warnings


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        ("path: /api/, strip_prefix: true", ""),
        ("path: /api/, strip_prefix: 'true'", ""),
        ("path: /api/, strip_prefix: false", ""),
        ("path: /api/v1/, strip_prefix: /api", ""),
        ("path: /api/v1/, strip_prefix: /api/", ""),
        ("path: /api/v1, strip_prefix: /api/v1", ""),
        ("path: /api, strip_prefix: true", ""),
        ("path: /api/, rewrite: /", ""),
        ("path: /api/, rewrite: /new/prefix/", ""),
        ("path: /api, rewrite: /new", ""),
        ("path: /api, rewrite: /new/", ""),
        ("path: /, strip_prefix: true", "strip_prefix: the route's path is /: there is nothing to strip"),
        ("path: /api/, strip_prefix: /", "strip_prefix: / is the beginning of every path"),
        ("path: /api/, strip_prefix: ''", "strip_prefix: a path begins with /"),
        ("path: /api/, strip_prefix: api", "strip_prefix: a path begins with /"),
        ("path: /api/, strip_prefix: 1", "strip_prefix: write true, or the part of the path to remove"),
        ("path: /api/, strip_prefix: [x]", "strip_prefix: write true, or the part of the path to remove"),
        ("path: /api/, strip_prefix: /ap", "strip_prefix: the path of the route does not begin with this"),
        ("path: /api/, strip_prefix: /api/v1", "strip_prefix: the path of the route does not begin with this"),
        ("path: /api/, strip_prefix: /API", "strip_prefix: the path of the route does not begin with this"),
        ("path: /api/, strip_prefix: /../api", "strip_prefix: a path has no segment . or .."),
        ("path: /api/, strip_prefix: //", "strip_prefix: a path has no empty segment"),
        ("path: /api/, rewrite: new/", "rewrite: a path begins with /"),
        ("path: /api/, rewrite: ''", "rewrite: a path begins with /"),
        ("path: /api/, rewrite: 'http://evil/'", "rewrite: a path begins with /"),
        ("path: /api/, rewrite: //evil/", "rewrite: a path has no empty segment"),
        ("path: /api/, rewrite: /a/../b/", "rewrite: a path has no segment . or .."),
        ("path: /api/, rewrite: '/a?b=/'", "rewrite: a route matches the path alone"),
        ("path: /api/, rewrite: /a;b/", "rewrite: a path has no ;"),
        ("path: /api/, rewrite: /a%2fb/", "rewrite: %2f can be read in two ways"),
        ("path: /api/, rewrite: /a%2Fb/, allow: [encoded_slash]", ""),
        ("path: /api/, rewrite: /new", "rewrite: the route takes everything below its path, so end this with / too: /new/"),
        ("path: /api/, strip_prefix: true, rewrite: /new/", "rewrite: strip_prefix and rewrite exclude each other"),
        ("path: /api/, preserve_host: maybe", "preserve_host: write true or false"),
    ],
)
def test_p18_what_is_sent_is_a_canonical_path(tmp_path: Path, route: str, fault: str) -> None:
    """The fault stands where the value does."""
    key = fault.partition(":")[0]
    column = 5 + route.index(f"{key}: ") + len(key) + 3 if fault else 0
    check(tmp_path, config(f"  - {{{route}, upstream: legacy}}\n"), fault and f"7:{column}: routes[1].{fault}")


def test_a_faulty_path_is_blamed_alone(tmp_path: Path) -> None:
    """What is taken off it can't be judged."""
    check(tmp_path, config("  - {path: /a//b/, strip_prefix: /a, upstream: legacy}\n"), "7:12: routes[1].path: a path has no empty")


def test_a_reference_is_replaced_as_everywhere(tmp_path: Path) -> None:
    """``true`` out of the environment is no path."""
    text = config("  - {path: /api/, strip_prefix: '${S}', upstream: legacy}\n")
    assert loaded(tmp_path, text, {"S": "true"}).config.routes[1].strip_prefix is True
    assert loaded(tmp_path, text, {"S": "/api"}).config.routes[1].strip_prefix == "/api"


@pytest.mark.parametrize(
    ("one", "other", "warned"),
    [
        ("path: /pub/, public: true, strip_prefix: true", "path: /admin/", True),
        ("path: /pub/, public: true, strip_prefix: true", "path: /admin/, public: true", False),
        ("path: /pub/, public: true, rewrite: /legacy/", "path: /legacy/admin/", True),
        ("path: /pub/, public: true, rewrite: /Legacy/", "path: /legacy/admin", True),
        ("path: /pub/, public: true, rewrite: /admin/reports/", "path: /admin/", False),
        ("path: /pub/, public: true, rewrite: /admin/", "path: /admin/", False),
        ("path: /pub, public: true, rewrite: /", "path: /admin/", False),
        ("path: /legacy/, public: true", "path: /shop/, rewrite: /legacy/shop/", True),
        ("path: /pub/, public: true", "path: /pub/admin/", False),
        ("path: /pub/, public: true, strip_prefix: true", "path: /pub/admin/, strip_prefix: /pub", False),
        ("path: /pub/, public: true, strip_prefix: true", "path: /pub/admin/, strip_prefix: true", False),
        ("path: /a/, strip_prefix: true", "path: /admin/", False),
        ("path: /, public: true", "path: /admin/", False),
        ("path: /, public: true", "path: /admin/, hosts: [h.example]", True),
        ("path: /, public: true, hosts: [H.example]", "path: /admin/, hosts: [h.example]", False),
        ("path: /, public: true, hosts: [h.example, i.example]", "path: /admin/, hosts: [h.example]", True),
        ("path: /, public: true, hosts: [i.example]", "path: /admin/", False),
        ("path: /, public: true, hosts: [i.example]", "path: /, hosts: [h.example]", False),
        ("path: /, hosts: [i.example]", "path: /admin/, hosts: [h.example]", False),
        ("path: /, public: true, preserve_host: true", "path: /admin/, hosts: [h.example], preserve_host: true", True),
        ("path: /, public: true, hosts: [i.example], preserve_host: true",
         "path: /admin/, hosts: [h.example], preserve_host: true", False),
        ("path: /, public: true, hosts: [i.example], preserve_host: true", "path: /admin/, hosts: [h.example]", True),
        ("path: /a/, strip_prefix: true", "path: /admin/, scopes: [s]", True),
        ("path: /a/, strip_prefix: true, scopes: [s, t]", "path: /admin/, scopes: [s]", False),
        ("path: /a/, strip_prefix: true, scopes: {GET: [s, t], POST: [s]}", "path: /admin/, scopes: {GET: [s], PUT: [t]}", True),
        ("path: /a/, strip_prefix: true, scopes: {GET: [s, t], POST: [s]}", "path: /admin/, scopes: {GET: [s]}", False),
        ("path: /a/, strip_prefix: true, scopes: [s]", "path: /admin/, scopes_any: [s, t]", False),
        ("path: /a/, strip_prefix: true, scopes_any: [s]", "path: /admin/, scopes_any: [s, t]", False),
        ("path: /a/, strip_prefix: true, scopes_any: [s, t]", "path: /admin/, scopes_any: [s]", True),
        ("path: /a/, strip_prefix: true, scopes_any: [s, t]", "path: /admin/, scopes: [s]", True),
        ("path: /a/, strip_prefix: true", "path: /admin/, ip_deny: [10.0.0.0/8]", True),
        ("path: /a/, strip_prefix: true, ip_deny: [10.0.0.0/8, 11.0.0.0/8]", "path: /admin/, ip_deny: [10.0.0.0/8]", False),
        ("path: /a/, strip_prefix: true, public: true", "path: /admin/, public: true, ip_allow: [10.0.0.0/8]", True),
        ("path: /a/, strip_prefix: true, ip_allow: [11.0.0.0/8]", "path: /admin/, ip_allow: [10.0.0.0/8]", True),
        ("path: /a/, strip_prefix: true, ip_allow: [10.0.0.0/8]", "path: /admin/, ip_allow: [10.0.0.0/8, 11.0.0.0/8]", False),
    ],
)
def test_p17_a_way_around_another_route_is_warned_of(tmp_path: Path, one: str, other: str, warned: bool) -> None:
    """At the route that leads there."""
    routes = f"  - {{{one}, upstream: legacy}}\n  - {{{other}, upstream: legacy}}\n"
    text = config(routes, oauth="scopes: {s: x, t: y}").replace("  - {path: /v1/resource, upstream: legacy}\n", "")
    found = [line for line in warnings(tmp_path, text) if "which asks more" in line]
    assert len(found) == warned
    if warned:
        assert found[0].startswith("config.yaml:6:12: routes[0].path: this route could send requests to /")


def test_p17_another_name_for_the_same_target_is_the_same_upstream(tmp_path: Path) -> None:
    """And another target is another one."""
    routes = "  - {path: /pub/, public: true, strip_prefix: true, upstream: other}\n"
    for target, warned in (("http://127.0.0.1:9000", True), ("http://127.0.0.1:9001", False)):
        text = config(routes).replace("]}}", f"]}}, other: {{targets: ['{target}']}}}}")
        assert any("which asks more" in line for line in warnings(tmp_path, text)) == warned


@pytest.mark.parametrize(
    ("target", "more", "warned"),
    [
        ("http://127.0.0.1:9000", "", ["a client can name any virtual host"]),
        ("http://127.0.0.1:9000", ", hosts: [a.example]", []),
        ("https://127.0.0.1:9000", ", hosts: [a.example]", ["the upstream's TLS name (SNI) stays the target's"]),
    ],
)
def test_h10_a_preserved_host_is_warned_of_where_it_may_confuse(tmp_path: Path, target: str, more: str, warned: list[str]) -> None:
    """The two cases of host confusion."""
    route = f"  - {{path: /a, upstream: legacy, preserve_host: true{more}}}\n"
    found = warnings(tmp_path, config(route, target=target))
    assert len(found) == len(warned)
    assert all(f"routes[1].preserve_host: {part}" in line for line, part in zip(found, warned, strict=True))
