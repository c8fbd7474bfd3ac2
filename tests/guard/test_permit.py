"""Who may pass: scopes, all or one of them, by method, and until the instant of expiry."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.model import Config
from gateway.errors import InsufficientScope, InvalidToken, StoreUnavailable, TokenMissing
from gateway.guard.permit import permit, permit_public, permit_reported, permit_stale
from gateway.guard.verdict import ForeignVerdict, Verdict
from gateway.oauth.foreign import Holder
from gateway.oauth.records import AccessToken
from gateway.routing import Match, Router

NOW = 100.0


def a_match(method: str = "GET", **route: Any) -> Match:
    config = Config.model_validate({
        "upstreams": {"a": {"targets": ["http://127.0.0.1:1"]}}, "routes": [{"path": "/x", "upstream": "a", **route}],
    })  # fmt: skip
    return Router(config).match("gw", method, "/x")


def a_verdict(*scopes: str, deadline: float = NOW + 1) -> Verdict:
    return Verdict(AccessToken("gwc_me", "gwk_x", "chain", frozenset(), 0, 0, 0), frozenset(scopes), deadline)


@pytest.mark.parametrize(("audience", "passes"), [
    ([], True), (["http://127.0.0.1:8080/x"], True), (["http://127.0.0.1:8080"], True),
    (["http://127.0.0.1:8080/y", "http://127.0.0.1:8080/x"], True), (["http://127.0.0.1:8080/y"], False),
    (["http://127.0.0.1:8080/x/"], False), (["http://127.0.0.1:8080/"], False),
])  # fmt: skip
def test_rfc8707_2_a_token_for_other_resources_is_invalid_here(audience: list[str], *, passes: bool) -> None:
    """One for the whole host, or for all, is good; scopes are looked at only then."""
    token = AccessToken("gwc_me", "gwk_x", "chain", frozenset(), 0, 0, 0, audience=frozenset(audience))
    verdict = Verdict(token, frozenset(("a",)), NOW + 1)
    if passes:
        assert permit(a_match(scopes=["a"]), verdict, NOW).client_id == "gwc_me"
    for scopes in (["a"], ["b"]):
        if not passes:
            with pytest.raises(InvalidToken):
                permit(a_match(scopes=scopes), verdict, NOW)


def test_rfc8707_2_a_route_with_hosts_is_a_resource_at_each() -> None:
    """And not at the issuer's."""
    match = a_match(hosts=["gw", "other.example"])
    assert match.route.resources == {
        "http://gw:8080/x", "http://other.example:8080/x", "http://gw:8080", "http://other.example:8080",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("route", "method", "has", "passes"),
    [
        ({}, "GET", [], True),
        ({"scopes": ["a"]}, "GET", ["a"], True),
        ({"scopes": ["a"]}, "GET", ["a", "b"], True),
        ({"scopes": ["a"]}, "GET", [], False),
        ({"scopes": ["a"]}, "GET", ["A"], False),
        ({"scopes": ["a"]}, "GET", ["ab"], False),
        ({"scopes": ["a", "b"]}, "GET", ["a"], False),
        ({"scopes": ["a", "b"]}, "GET", ["b", "a"], True),
        ({"scopes_any": ["a", "b"]}, "GET", ["b"], True),
        ({"scopes_any": ["a", "b"]}, "GET", ["c"], False),
        ({"scopes": ["a"], "scopes_any": ["b", "c"]}, "GET", ["a"], False),
        ({"scopes": ["a"], "scopes_any": ["b", "c"]}, "GET", ["a", "c"], True),
        ({"scopes": {"GET": ["r"], "POST": ["w"]}}, "GET", ["r"], True),
        ({"scopes": {"GET": ["r"], "POST": ["w"]}}, "HEAD", ["w"], False),
        ({"scopes": {"GET": ["r"], "POST": ["w"]}}, "HEAD", ["r"], True),
        ({"scopes": {"GET": ["r"], "HEAD": ["h"]}}, "HEAD", ["r"], False),
        ({"scopes": {"GET": ["r"], "POST": ["w"]}}, "POST", ["r"], False),
    ],
)
def test_rfc6750_3_1_scopes(route: dict[str, Any], method: str, has: list[str], *, passes: bool) -> None:
    """Compared whole and case-sensitively (RFC 6749 section 3.3)."""
    match = a_match(method, **route)
    if passes:
        granted = permit(match, a_verdict(*has), NOW)
        assert (granted.client_id, granted.identity) == ("gwc_me", a_verdict(*has).identity)
    else:
        with pytest.raises(InsufficientScope):
            permit(match, a_verdict(*has), NOW)


@pytest.mark.parametrize(("deadline", "lives"), [(NOW + 0.001, True), (NOW, False), (NOW - 0.001, False)])
def test_o21_a_token_is_dead_at_its_deadline(deadline: float, *, lives: bool) -> None:
    """The instant itself counts as dead; expiry is told before scope."""
    verdict = a_verdict(deadline=deadline)
    if lives:
        assert permit(a_match(), verdict, NOW)
    else:
        with pytest.raises(InvalidToken):
            permit(a_match(scopes=["a"]), verdict, NOW)


def test_only_a_public_route_has_a_public_permit() -> None:
    """And it names nobody."""
    granted = permit_public(a_match(public=True))
    assert (granted.client_id, granted.identity) == ("", b"")
    with pytest.raises(TokenMissing):
        permit_public(a_match())


@pytest.mark.parametrize(("found", "client", "code"), [
    (TokenMissing(), "", "token_missing"), (StoreUnavailable("x"), "", "store_unavailable"),
    (a_verdict(), "gwc_me", "insufficient_scope"), (a_verdict("a"), "gwc_me", ""),
    (a_verdict("a", deadline=NOW), "", "invalid_token"),
])  # fmt: skip
def test_a_route_that_only_reports_lets_everybody_in_and_says_who_it_is(found: Any, client: str, code: str) -> None:
    """As far as a live token says so; nothing ends with it."""
    granted, refused = permit_reported(a_match(scopes=["a"], enforce="report"), found, NOW)
    assert (granted.client_id, granted.deadline, refused.code if refused else "") == (client, float("inf"), code)
    assert (b"X-Client-Id" in granted.identity) == bool(client)


def test_a_route_that_enforces_is_never_only_reported() -> None:
    """One that is public has nothing to report."""
    for route in ({}, {"public": True}):
        with pytest.raises(TokenMissing):
            permit_reported(a_match(**route), a_verdict(), NOW)
    with pytest.raises(TokenMissing):
        permit_public(a_match(enforce="report"))


def test_what_was_known_lets_pass_only_where_the_route_says_so() -> None:
    """By the same rules, and the log is told."""
    match = a_match(scopes=["a"], on_store_failure="cached")
    granted = permit_stale(match, a_verdict("a"), NOW)
    assert (granted.client_id, granted.deadline, granted.mark) == ("gwc_me", NOW + 1, "stale")
    with pytest.raises(InsufficientScope):
        permit_stale(match, a_verdict(), NOW)
    with pytest.raises(InvalidToken):
        permit_stale(match, a_verdict("a", deadline=NOW), NOW)
    with pytest.raises(TokenMissing):
        permit_stale(a_match(scopes=["a"]), a_verdict("a"), NOW)


def test_a_verdict_is_good_only_on_routes_that_trust_its_issuer() -> None:
    """Whoever found it: the one place that lets requests pass looks."""
    known = {"issuers": {"idp": {"issuer": "https://idp.example", "audience": ["api"]}}}
    foreign = ForeignVerdict("idp", "https://idp.example", Holder("app", "", frozenset(), NOW + 1), NOW + 1, NOW + 1)
    for issuers, theirs, ours in ((["own"], False, True), (["own", "idp"], True, True), (["idp"], True, False)):
        match = Router(Config.model_validate({
            "upstreams": {"a": {"targets": ["http://127.0.0.1:1"]}}, **known,
            "routes": [{"path": "/x", "upstream": "a", "issuers": issuers}],
        })).match("gw", "GET", "/x")  # fmt: skip
        for verdict, passes in ((foreign, theirs), (a_verdict(), ours)):
            if passes:
                assert permit(match, verdict, NOW).client_id == verdict.client_id
            else:
                with pytest.raises(InvalidToken):
                    permit(match, verdict, NOW)
