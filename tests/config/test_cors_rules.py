"""``routes[].cors``: origins that a browser can send, and no wildcard beside credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.writing import SOUND, faults, loaded

APP = "https://app.example.com"


def with_cors(cors: str, more: str = "") -> str:
    return f"{SOUND}{more}    cors:\n      {cors}\n"


@pytest.mark.parametrize(
    ("origin", "fault"),
    [
        (APP, ""), ("http://localhost:3000", ""), ("https://[::1]:8443", ""), ("capacitor://localhost", ""), ("*", ""),
        ("http://10.0.0.7", ""), ("https://app.example.com:443", "browsers leave the default port out: remove :443"),
        ("http://app.example.com:80", "browsers leave the default port out: remove :80"), ("http://app.example.com:443", ""),
        ("https://App.example.com", "browsers send origins in lower case"),
        ("null", "null is the origin of every sandboxed page"),
        ("https://*.example.com", "origins have no wildcards"), ("app.example.com", "write an origin as browsers send it"),
        ("https://app.example.com/", "write an origin as browsers send it"), ("https://app.example.com:99999", "write an origin"),
        ("https://app.example.com/x", "write an origin"), ("https://u@app.example.com", "write an origin"),
        ("", "write an origin"),
    ],
)  # fmt: skip
def test_an_origin_is_one_that_a_browser_sends(tmp_path: Path, origin: str, fault: str) -> None:
    found = faults(tmp_path, with_cors(f"origins: ['{origin}']"))
    assert len(found) == bool(fault), found
    assert not fault or found[0].startswith(f"config.yaml:9:17: routes[0].cors.origins[0]: {fault}"), found


@pytest.mark.parametrize(
    ("cors", "fault"),
    [
        (f"origins: ['*', '{APP}']", '9:17: routes[0].cors.origins[0]: "*" is any origin: remove it or the others'),
        ("{origins: ['*'], credentials: true}", '9:18: routes[0].cors.origins[0]: with credentials "*" would let any page'),
        (f"{{origins: ['{APP}'], credentials: true, headers: ['*']}}", "9:75: routes[0].cors.headers[0]: with credentials"),
        ("origins: []", "9:16: routes[0].cors.origins: write at least one entry"),
        ("max_age: 10m", '9:7: routes[0].cors: "origins" is missing'),
        (f"{{origins: ['{APP}'], headers: ['a b']}}", "9:56: routes[0].cors.headers[0]: write the name of a header"),
        (f"{{origins: ['{APP}'], methods: [FETCH]}}", "9:56: routes[0].cors.methods[0]: FETCH is not among the methods"),
    ],
)
def test_what_could_never_work_or_would_open_too_much_is_refused(tmp_path: Path, cors: str, fault: str) -> None:
    found = faults(tmp_path, with_cors(cors))
    assert len(found) == 1, found
    assert found[0].startswith(f"config.yaml:{fault}"), found


@pytest.mark.parametrize(
    ("route", "refused"), [("methods: [GET, POST]", True), ("methods: [DELETE]", False), ("scopes: {GET: []}", True)]
)
def test_a_method_that_the_route_does_not_take_is_refused(tmp_path: Path, route: str, refused: bool) -> None:
    text = with_cors(f"{{origins: ['{APP}'], methods: [DELETE]}}", f"    {route}\n")
    assert [fault.partition(": ")[2] for fault in faults(tmp_path, text)] == [
        "routes[0].cors.methods[0]: DELETE is not among the methods of this route: add it there or remove it here"
    ] * refused


def test_the_defaults_suit_a_page_with_a_token(tmp_path: Path) -> None:
    (route,) = loaded(tmp_path, with_cors(f"origins: ['{APP}']")).config.routes
    assert route.cors is not None
    assert (route.cors.headers, route.cors.credentials) == (("Authorization", "Content-Type"), False)
