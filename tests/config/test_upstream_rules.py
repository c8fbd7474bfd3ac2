"""What an entry of ``upstreams`` may say: each fault where it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import load_all
from tests.config.certificates import Authority
from tests.config.writing import faults, loaded, warnings, written

BEFORE = "upstreams:\n  legacy:\n"
AFTER = "routes:\n  - path: /v1/resource\n    upstream: legacy\n"


def text(*lines: str, target: str = "http://127.0.0.1:9000") -> str:
    """A configuration with these lines, from line 4 on, in its upstream."""
    return BEFORE + f"    targets: ['{target}']\n" + "".join(f"    {line}\n" for line in lines) + AFTER


@pytest.mark.parametrize(
    "line",
    [
        "weights: [3]", "balance: least_loaded", "balance: round_robin", "max_queue: 0", "dns_refresh: 5s", "retry_budget: 0",
        "{balance: hash, hash_on: 'header:X-Session'}", "{balance: hash, hash_on: client}", "{balance: hash}",
        "health: {path: '/healthz?deep=1', status: [200, 301]}", "ejection: {failures: 0, ramp: 0s}",
        "health: {path: /a, interval: 1s, timeout: 1s, healthy: 1, unhealthy: 1}", "ejection: {shortest: 1s, longest: 1s}",
    ],
)  # fmt: skip
def test_what_is_sound_passes(tmp_path: Path, line: str) -> None:
    lines = [part.strip() for part in line.strip("{}").split(", ")] if line.startswith("{") else [line]
    assert faults(tmp_path, text(*lines)) == []


@pytest.mark.parametrize(
    ("line", "place", "said"),
    [
        ("weights: [3, 1]", "4:14", "2 weights for 1 targets: write one for each"),
        ("weights: [0]", "4:15", "weights"),
        ("balance: random", "4:14", "balance"),
        ("hash_on: client", "4:14", "nothing is hashed here"),
        ("hash_on: cookie:a", "4:14", "header:NAME"),
        ("balance: hash\n    hash_on: 'header:Host'", "5:14", "no request has this header"),
        ("balance: hash\n    hash_on: 'header:AUTHORIZATION'", "5:14", "no request has this header"),
        ("hash_on: 'header:a b'", "4:14", "header:NAME"),
        ("max_queue: -1", "4:16", "max_queue"),
        ("dns_refresh: 31s", "4:18", "30s or less"),
        ("dns_refresh: 0s", "4:18", "above zero"),
        ("retry_budget: 101", "4:19", "retry_budget"),
        ("health: {interval: 5s}", "4:13", '"path" is missing'),
        ("health: {path: healthz}", "4:20", "write a path"),
        ("health: {path: '/a b'}", "4:20", "write a path"),
        ("health: {path: \"/a\\r\\nX: y\"}", "4:20", "write a path"),
        ("health: {path: /a, timeout: 11s}", "4:33", "a check ends before the next"),
        ("health: {path: /a, status: []}", "4:32", "no check could ever pass"),
        ("health: {path: /a, status: [101]}", "4:33", "status"),
        ("ejection: {shortest: 31s}", "4:26", "longer than longest"),
        ("ejection: {failures: -1}", "4:26", "failures"),
        ("tls: {verify: true}", "4:5", "no target is https://"),
    ],
)  # fmt: skip
def test_a_fault_stands_where_it_is_written(tmp_path: Path, line: str, place: str, said: str) -> None:
    (fault,) = faults(tmp_path, text(line))
    assert fault.startswith(f"config.yaml:{place}: ")
    assert said in fault


def tls(line: str) -> str:
    return text(f"tls: {{{line}}}", target="https://api.internal")


def test_files_are_found_beside_the_configuration(tmp_path: Path) -> None:
    """Relative paths start there; all of them together are sound."""
    authority = Authority(tmp_path)
    authority.issue("gateway")
    config = loaded(tmp_path, tls("ca_file: ca.pem, cert_file: gateway.pem, key_file: gateway.key, server_name: api")).config
    section = config.upstreams["legacy"].tls
    assert section is not None
    assert (section.ca_file, section.cert_file) == (tmp_path / "ca.pem", tmp_path / "gateway.pem")


def test_a_key_may_stand_in_the_certificate_s_file(tmp_path: Path) -> None:
    cert_file, key_file = Authority(tmp_path).issue("gateway")
    (tmp_path / "both.pem").write_bytes(cert_file.read_bytes() + key_file.read_bytes())
    assert faults(tmp_path, tls("cert_file: both.pem")) == []
    (fault,) = faults(tmp_path, tls("cert_file: gateway.pem"))
    assert fault.startswith("config.yaml:4:22: upstreams.legacy.tls.cert_file: ")


def test_who_does_not_serve_needs_no_sound_files(tmp_path: Path) -> None:
    """``gateway clients`` on a machine, or as a user, without them."""
    path = written(tmp_path, tls("ca_file: none.pem, cert_file: none.pem"))
    assert load_all(path, {}, files=False).config.upstreams["legacy"].tls is not None


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ("ca_file: none.pem", 20, "the file can't be read (No such file or directory)"),
        ("ca_file: .", 20, "the file can't be read (Is a directory)"),
        ('ca_file: "a\\0b"', 20, "the file can't be read (no path)"),
        ("ca_file: gateway.key", 20, "there is no certificate in it"),
        ("ca_file: config.yaml", 20, "there is no certificate in it"),
        ("ca_file: torn.pem", 20, "there is no certificate in it"),
        ("cert_file: none.pem, key_file: gateway.key", 22, "the file can't be read"),
        ("cert_file: gateway.pem, key_file: none.key", 45, "the file can't be read"),
        ("cert_file: gateway.key, key_file: gateway.key", 22, "there is no certificate in it"),
        ("cert_file: gateway.pem, key_file: other.key", 45, "the key is another certificate's"),
        ("cert_file: gateway.pem, key_file: hidden.key", 45, "the key has a passphrase"),
        ("cert_file: gateway.pem, key_file: config.yaml", 45, "there is no key in it"),
        ("cert_file: gateway.pem", 22, "there is no key in it"),
        ("key_file: gateway.key", 21, "a key without a certificate"),
        ("server_name: 'https://api'", 24, "write a host name"),
        ("verify: false, ca_file: ca.pem", 35, "nothing is verified against this"),
    ],
)  # fmt: skip
def test_tls_files_are_tried(tmp_path: Path, line: str, column: int, said: str) -> None:
    """As the gateway will use them: readable, PEM, the key the certificate's own; nobody is asked for a password."""
    authority = Authority(tmp_path)
    authority.issue("gateway")
    authority.issue("other")
    authority.issue("hidden", password=b"secret")
    (tmp_path / "hidden.pem").replace(tmp_path / "spare.pem")
    (tmp_path / "torn.pem").write_bytes((tmp_path / "ca.pem").read_bytes()[:200])
    found = faults(tmp_path, tls(line))
    assert [fault.startswith(f"config.yaml:4:{column}: upstreams.legacy.tls.") for fault in found] == [True]
    assert said in found[0]


def test_going_without_verification_is_warned_of(tmp_path: Path) -> None:
    (warning,) = warnings(tmp_path, tls("verify: false"))
    assert warning.startswith("config.yaml:4:19: upstreams.legacy.tls.verify: certificates are not verified")
