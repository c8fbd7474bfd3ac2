"""What ``issuers`` may say, and routes of them: each fault where it is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from gateway.config.load import load_all
from tests.config.writing import faults, loaded, warnings, written

ENTRY = "issuer: https://idp.example, audience: [api]"


def text(entry: str = ENTRY, route: str = "issuers: [own, idp]", more: str = "") -> str:
    """The entry on line 2, the route's own on line 9."""
    return (
        f"issuers:\n  idp: {{{entry}}}\n{more}upstreams:\n  legacy: {{targets: ['http://127.0.0.1:9000']}}\n"
        f"routes:\n  - path: /a\n    upstream: legacy\n    {route}\n"
    )


@pytest.mark.parametrize("entry", [
    ENTRY, f"{ENTRY}, jwks_uri: 'https://www.example/keys?v=1'", "issuer: 'http://127.0.0.1:9/t', audience: [a]",
    "issuer: https://idp.example/, audience: [a, b], algorithms: [PS256, Ed25519], token_types: [JWT, at+jwt], client_claim: azp,"
    " scope_claims: [scp, roles], leeway: 0s, refresh: 1m, max_stale: 1m",
])  # fmt: skip
def test_what_is_sound_passes(tmp_path: Path, entry: str) -> None:
    assert faults(tmp_path, text(entry)) == []
    assert warnings(tmp_path, text(entry)) == []


@pytest.mark.parametrize(("entry", "place", "said"), [
    ("audience: [a]", "2:8", '"issuer" is missing'), ("issuer: https://idp.example", "2:8", "add audience"),
    ("issuer: idp.example, audience: [a]", "2:17", "write a URL"),
    ("issuer: 'http://idp.example', audience: [a]", "2:17", "https"),
    ("issuer: 'https://u:p@idp.example', audience: [a]", "2:17", "user or a password"),
    ("issuer: 'https://idp.example?x', audience: [a]", "2:17", "as its tokens do"),
    ("issuer: 'https://idp.example#x', audience: [a]", "2:17", "no fragment"),
    ("issuer: \"https://idp.example/\\r\\nX: y\", audience: [a]", "2:17", "write a URL"),
    ("issuer: 'https://idp.example/ä', audience: [a]", "2:17", "write a URL"),
    ("issuer: 'http://127.0.0.1:8080', audience: [a]", "2:17", "this is the gateway itself"),
    (f"{ENTRY}, jwks_uri: 'http://idp.example/k'", "2:65", "https"),
    (f"{ENTRY}, jwks_uri: 'ftp://idp.example/k'", "2:65", "write a URL"),
    (f"{ENTRY}, jwks_uri: 'https://x/k', jwks_file: k.json", "2:91", "jwks_file: "),
    (f"{ENTRY}, jwks_file: missing.json", "2:66", "No such file"), (f"{ENTRY}, ca_file: missing.pem", "2:64", "ca_file"),
    (f"{ENTRY}, algorithms: [HS256]", "2:68", "algorithms"), (f"{ENTRY}, algorithms: [none]", "2:68", "algorithms"),
    (f"{ENTRY}, algorithms: []", "2:67", "algorithms"), ("issuer: https://idp.example, audience: ['']", "2:49", "audience"),
    (f"{ENTRY}, token_types: [id]", "2:69", "token_types"), (f"{ENTRY}, leeway: 6m", "2:63", "at most 5m"),
    (f"{ENTRY}, refresh: 30s", "2:64", "1m to 1d"), (f"{ENTRY}, refresh: 2d", "2:64", "1m to 1d"),
    (f"{ENTRY}, max_stale: 5m", "2:66", "at least what refresh says"), (f"{ENTRY}, max_stale: 8d", "2:66", "at most 7d"),
    (f"{ENTRY}, audiense: [a]", "2:55", "unknown key"),
])  # fmt: skip
def test_what_an_entry_can_not_say(tmp_path: Path, entry: str, place: str, said: str) -> None:
    found = faults(tmp_path, text(entry))
    assert found
    assert said in found[0]
    assert found[0].startswith(f"config.yaml:{place}: ")


@pytest.mark.parametrize(("route", "more", "place", "said"), [
    ("issuers: [own, ipd]", "", "8:20", 'did you mean "idp"'), ("issuers: []", "", "8:14", "issuers"),
    ("issuers: [idp, idp]", "", "8:20", "idp is the same issuer"), ("issuers: [own, own]", "", "8:20", "own is the same issuer"),
    ("issuers: [idp, two]", f"  two: {{{ENTRY}}}\n", "9:20", "idp is the same issuer"),
    ("{public: true, issuers: [idp]}", "", "8:14", "a public route asks no token"),
])  # fmt: skip
def test_what_a_route_can_not_trust(tmp_path: Path, route: str, more: str, place: str, said: str) -> None:
    lines = route.strip("{}").split(", ", 1) if route.startswith("{") else [route]
    found = faults(tmp_path, text(route="\n    ".join(reversed(lines)), more=more))
    assert found
    assert found[0].startswith(f"config.yaml:{place}: ")
    assert said in found[0]


def test_one_issuer_may_have_two_entries_on_two_routes(tmp_path: Path) -> None:
    """Of different audiences."""
    more = "  two: {issuer: https://idp.example, audience: [other]}\n"
    both = text(more=more) + "  - {path: /b, upstream: legacy, issuers: [two]}\n"
    assert faults(tmp_path, both) == []


def test_no_entry_is_called_as_the_gateway(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, text().replace("  idp:", "  own:").replace("[own, idp]", "[own]"))
    assert found.startswith("config.yaml:2:3: ")
    assert "take another name" in found


def test_an_entry_that_no_route_takes_is_pointed_out(tmp_path: Path) -> None:
    (told,) = warnings(tmp_path, text(route="methods: [GET]"))
    assert told.startswith("config.yaml:2:3: issuers.idp: no route takes its tokens")


def test_keys_in_a_file_are_looked_at_and_its_path_begins_at_the_config(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}))
    section = loaded(tmp_path, text(f"{ENTRY}, jwks_file: keys.json")).config.issuers["idp"]
    assert section.jwks_file == file
    for content, said in (("{}", "no JWK set"), ('{"keys": []}', "there is no key in it")):
        file.write_text(content)
        (found,) = faults(tmp_path, text(f"{ENTRY}, jwks_file: keys.json"))
        assert said in found
    load_all(written(tmp_path, text(f"{ENTRY}, jwks_file: keys.json")), {}, files=False)


ASKED = "endpoint: https://idp.example/introspect, client_id: gw, client_secret: s"


def asked(more: str = "", entry: str = "issuer: https://idp.example") -> str:
    """An entry that is asked, on line 2."""
    return f"{entry}, introspection: {{{ASKED}{more}}}"


@pytest.mark.parametrize("entry", [
    asked(), asked(", prefix: ory_at_, cache: 0s, timeout: 4s, max_concurrent: 1, auth: post, require_token_type: false"),
    asked(", jwts: false", f"{ENTRY}, jwks_uri: 'https://idp.example/k'"),
])  # fmt: skip
def test_what_may_be_said_of_introspection(tmp_path: Path, entry: str) -> None:
    assert faults(tmp_path, text(entry)) == []


@pytest.mark.parametrize(("entry", "place", "said"), [
    (asked().replace("https://idp.example/i", "http://idp.example/i"), "2:64", "off loopback this is https"),
    (asked(", cache: 11m"), "2:136", "at most 10m"), (asked(", timeout: 5s"), "2:138", "at most 4s"),
    (asked(", prefix: gwa_x"), "2:137", "begin so"), (asked(", prefix: eyJ"), "2:137", "begin so"),
    (asked(", prefix: x"), "2:137", "how the tokens begin"), (asked(", prefix: 'a b'"), "2:137", "how the tokens begin"),
    (asked(", max_concurrent: 0"), "2:145", "max_concurrent"), (asked(", jwts: false"), "2:8", "add audience"),
    (asked("", f"{ENTRY}, jwks_uri: 'https://idp.example/k'"), "2:65", "no key is ever used"),
    (asked().replace(", client_secret: s", ""), "2:53", '"client_secret" is missing'),
])  # fmt: skip
def test_what_can_not_be_said_of_introspection(tmp_path: Path, entry: str, place: str, said: str) -> None:
    found = faults(tmp_path, text(entry))
    assert found
    assert said in found[0]
    assert found[0].startswith(f"config.yaml:{place}: ")


@pytest.mark.parametrize(("one", "two", "place", "said"), [
    ("", "", "9:20", "idp is asked about every other token already"), (", prefix: aa", "", "", ""), ("", ", prefix: aa", "", ""),
    (", prefix: aa", ", prefix: ab", "", ""), (", prefix: aa", ", prefix: aab", "3:137", "tokens of idp begin so too"),
    (", prefix: aa", ", prefix: aa", "3:137", "tokens of idp begin so too"),
    (", prefix: aab", ", prefix: aa", "2:137", "tokens of two begin so too"),
])  # fmt: skip
def test_a_token_can_be_one_issuer_s_only(tmp_path: Path, one: str, two: str, place: str, said: str) -> None:
    more = f"  two: {{{asked(two, 'issuer: https://two.example')}}}\n"
    found = faults(tmp_path, text(asked(one), "issuers: [idp, two]", more))
    assert bool(found) is bool(said)
    if said:
        assert said in found[0]
        assert found[0].startswith(f"config.yaml:{place}: ")
    apart = text(asked(one), "issuers: [idp]", more) + "  - {path: /b, upstream: legacy, issuers: [two]}\n"
    assert bool(faults(tmp_path, apart)) is ("begin" in said)
