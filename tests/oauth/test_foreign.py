"""JWT access tokens of others, as they are read: pure (RFC 9068 section 4, RFC 8725)."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import orjson
import pytest

from gateway.errors import InvalidToken
from gateway.oauth.foreign import MAX_NAME, MAX_SCOPES, Rules, claimed_issuer, find_holder, read

NOW = 1_000_000.0
RULES = Rules("https://idp.example", frozenset(("api", "api2")), frozenset(("ES256",)), leeway=10)
GOOD: dict[str, Any] = {"iss": "https://idp.example", "aud": ["x", "api"], "exp": NOW + 60, "client_id": "app", "scope": "a b"}
HEADER: dict[str, Any] = {"alg": "ES256", "typ": "at+jwt"}


def jwt(claims: Any, header: Any = HEADER) -> bytes:
    """With no signature: none of these tests gets there."""
    parts = (urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in (header, claims))
    return b".".join((*parts, b"c2ln"))


def said(claims: dict[str, Any], rules: Rules = RULES) -> Any:
    whole = {name: value for name, value in {**GOOD, **claims}.items() if value is not None}
    return find_holder(whole, rules, NOW, late=rules.leeway)


@pytest.mark.parametrize(("token", "issuer"), [
    (jwt(GOOD), "https://idp.example"), (jwt({}), ""), (jwt({"iss": 7}), ""), (jwt([]), ""), (jwt(GOOD, []), None),
    (b"opaque", None), (b"a.b.c", None), (b"", None), (b"..", None), (b"v4.public.e30", None),
    (jwt(GOOD).rpartition(b".")[0], ""), (jwt(GOOD) + b".x.y", ""), (b"e30.!!.x", ""),
])  # fmt: skip
def test_whose_jwt_it_claims_to_be(token: bytes, issuer: str | None) -> None:
    """What looks like a JWT and names nobody is nobody's: it is not taken for an opaque token."""
    assert claimed_issuer(token) == issuer


@pytest.mark.parametrize(("header", "reason"), [
    ({"alg": "none"}, "alg"), ({"alg": "HS256"}, "alg"), ({"alg": "RS256"}, "alg"),
    ({"alg": None}, "alg"), ({"alg": ["ES256"]}, "alg"),
    ({"typ": "JWT"}, "typ"), ({"typ": "at+jwt+x"}, "typ"), ({"typ": 7}, "typ"), ({"typ": "logout+jwt"}, "typ"),
    ({"crit": ["exp"]}, "crit"), ({"crit": []}, "crit"), ({"b64": True}, "crit"), ({"kid": 7}, "kid"),
])  # fmt: skip
def test_rfc9068_4_what_a_header_may_say(header: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        read(jwt(GOOD, {**HEADER, **header}), RULES, NOW)
    assert refused.value.reason == reason


@pytest.mark.parametrize("kind", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_rfc9068_4_both_spellings_of_the_type_count(kind: str) -> None:
    assert read(jwt(GOOD, {"alg": "ES256", "typ": kind, "kid": "k", "x5t": "thumb"}), RULES, NOW).kid == "k"


@pytest.mark.parametrize(("when", "alive"), [(NOW - 10.5, False), (NOW - 10, False), (NOW - 9.5, True), (NOW + 1, True)])
def test_a_token_ends_at_exp_and_the_leeway(when: float, alive: bool) -> None:
    """Which its verdict knows."""
    if alive:
        assert said({"exp": when}).expires_at == when + 10
    else:
        with pytest.raises(InvalidToken):
            said({"exp": when})


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_of_the_future_is_none_yet_but_for_the_leeway(name: str) -> None:
    said({name: NOW + 10})
    for value in (NOW + 10.5, -1, True, "1", 2.0**53):
        with pytest.raises(InvalidToken):
            said({name: value})


@pytest.mark.parametrize(("aud", "passes"), [
    ("api", True), (["y", "api2"], True),
    ("api3", False), (["api3"], False), ([["api"]], False), ({"api": 1}, False), (None, False),
])  # fmt: skip
def test_one_of_the_audiences_is_named(aud: Any, passes: bool) -> None:
    if passes:
        assert said({"aud": aud}).client == "app"
        return
    with pytest.raises(InvalidToken):
        said({"aud": aud})


@pytest.mark.parametrize(("claims", "scopes"), [
    ({"scope": "a  b"}, "a b"), ({"scope": None}, ""), ({"scope": ""}, ""), ({"scope": ["a", "a b", 'c"', "ü", ""]}, "a"),
    ({"scope": None, "roles": ["r1", "r2"]}, ""), ({"scp": "x"}, "a b"),
])  # fmt: skip
def test_scopes_are_words_or_a_list(claims: dict[str, Any], scopes: str) -> None:
    """An entry with a space is not two scopes."""
    assert said(claims).scopes == frozenset(scopes.split())


def test_scopes_of_several_claims_count_together() -> None:
    rules = Rules("https://idp.example", frozenset(), scope_claims=("scp", "roles"))
    assert said({"scp": "a b", "roles": ["c"], "scope": "d"}, rules).scopes == {"a", "b", "c"}


@pytest.mark.parametrize("claims", [
    {"scope": {"a": 1}}, {"scope": [1]}, {"scope": 'a"b'}, {"scope": "a\tb"},
    {"scope": [f"{n:0200}" for n in range(MAX_SCOPES // 200 + 1)]},
    {"client_id": ""}, {"client_id": " a"}, {"client_id": "a "}, {"client_id": "a" * (MAX_NAME + 1)}, {"client_id": "a\n"},
    {"client_id": 1}, {"client_id": None}, {"sub": ""}, {"sub": "a\0"}, {"sub": "é"}, {"cnf": {}},
])  # fmt: skip
def test_what_no_header_can_hold_is_no_token(claims: dict[str, Any]) -> None:
    """H08: nothing that somebody else's server says breaks a line of ours."""
    with pytest.raises(InvalidToken):
        said(claims)


def test_names_may_be_what_servers_call_people() -> None:
    for name in ("auth0|5f7c", "CN=Ann Example,O=X", "ann@example.com", "a" * MAX_NAME):
        assert said({"sub": name, "client_id": name}).subject == name


@pytest.mark.parametrize("claims", [
    {"nonce": "n"}, {"at_hash": "h"}, {"events": {}}, {"typ": "ID"}, {"typ": "Refresh"}, {"token_use": "id"}, {"token_use": 7},
])  # fmt: skip
def test_rfc9068_4_id_tokens_are_refused_however_they_are_marked(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        read(jwt({**GOOD, **claims}), RULES, NOW)


def test_access_tokens_that_say_so_pass() -> None:
    """As Keycloak and Cognito do."""
    for claims in ({"typ": "Bearer"}, {"token_use": "access"}):
        read(jwt({**GOOD, **claims}), RULES, NOW)


@pytest.mark.parametrize("iss", ["https://idp.example/", "https://IDP.example", "", None, ["https://idp.example"]])
def test_the_issuer_is_compared_letter_by_letter(iss: Any) -> None:
    with pytest.raises(InvalidToken) as refused:
        read(jwt({**GOOD, "iss": iss}), RULES, NOW)
    assert refused.value.reason == "iss"
