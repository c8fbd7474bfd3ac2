"""What the upstream is told of a caller, and shown: as the route says it, one set of lines for each caller."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.model import Config, Credential
from gateway.errors import NoUpstreamCredential
from gateway.guard.permit import Permit
from gateway.guard.verdict import Verdict
from gateway.oauth.records import AccessToken
from gateway.routing import Router
from gateway.telemetry.metrics import Registry
from gateway.upstreams import introduction
from gateway.upstreams.introducing import introductions, line_of
from gateway.upstreams.introduction import Introduction

CREDENTIALS = {
    "basic": {"basic": {"username": "üser", "password": "pass:word"}},
    "key": {"header": {"name": "X-Api-Key", "value": "s3cret"}},
}


def of(**route: Any) -> Introduction:
    config = Config.model_validate({
        "upstreams": {"u": {"targets": ["http://127.0.0.1:9"]}}, "credentials": CREDENTIALS,
        "routes": [{"path": "/", "upstream": "u"}, {"path": "/a/", "upstream": "u", **route}],
    })  # fmt: skip
    (found,) = introductions(config, Router(config).routes, Registry()).values()
    return found


def permit(client_id: str = "gwc_me", scopes: str = "b a", subject: str = "") -> Permit:
    record = AccessToken(client_id, "gwk_x", "", frozenset(), 0, 0, 0, subject=subject)
    verdict = Verdict(record, frozenset(scopes.split()), 1.0)
    return Permit(client_id, verdict.identity, 1.0)


USUAL = b"X-Client-Id: gwc_me\r\nX-Client-Scopes: a b\r\n"
NOBODY = Permit("", b"", 1.0)


def test_rfc7617_2_basic_is_user_id_and_password_in_utf_8() -> None:
    assert line_of(Credential.model_validate(CREDENTIALS["basic"])) == b"Authorization: Basic w7xzZXI6cGFzczp3b3Jk\r\n"


def test_a_credential_stands_behind_what_tells_who_calls() -> None:
    """On a public route it stands alone."""
    assert of(credential="key").lines(permit(), 0.0) == USUAL + b"X-Api-Key: s3cret\r\n"
    assert of(credential="key").lines(NOBODY, 0.0) == b"X-Api-Key: s3cret\r\n"


def test_a_client_gets_its_own_credential_or_the_default_or_none() -> None:
    """Never another's, whoever came before."""
    by_client = {"gwc_a": "key", "gwc_b": "basic"}
    chosen = of(credential={"by_client": by_client})
    for _ in range(2):
        assert chosen.lines(permit("gwc_a"), 0.0).endswith(b"X-Api-Key: s3cret\r\n")
        assert chosen.lines(permit("gwc_b"), 0.0).endswith(b"Authorization: Basic w7xzZXI6cGFzczp3b3Jk\r\n")
        for stranger in (permit("gwc_c"), permit("gwc_a2"), permit("gwc_"), NOBODY):
            with pytest.raises(NoUpstreamCredential):
                chosen.lines(stranger, 0.0)
    assert of(credential={"by_client": {"gwc_b": "basic"}, "default": "key"}).lines(permit("gwc_c"), 0.0).endswith(b"s3cret\r\n")


@pytest.mark.parametrize(("headers", "subject", "lines"), [
    ({}, "", b""),
    ({"X-User": "client_id", "X-Roles": "scope"}, "", b"X-User: gwc_me\r\nX-Roles: a b\r\n"),
    ({"X-User": "subject"}, "", b""),
    ({"X-User": "subject"}, "gwu_1", b"X-User: gwu_1\r\n"),
    ({"X-User": "sub"}, "", b"X-User: gwc_me\r\n"),
    ({"X-User": "sub", "X-App": "client_id"}, "gwu_1", b"X-User: gwu_1\r\nX-App: gwc_me\r\n"),
])  # fmt: skip
def test_identity_headers_stand_in_place_of_ours(headers: dict[str, str], subject: str, lines: bytes) -> None:
    """A claim that is not there has no line; ``sub`` always is."""
    assert of(identity={"headers": headers}).lines(permit(subject=subject), 0.0) == lines


def test_a_route_that_is_told_nothing_of_headers_keeps_ours() -> None:
    assert of(identity={}).lines(permit(subject="gwu_1"), 0.0) == USUAL + b"X-Token-Subject: gwu_1\r\n"


def test_no_scopes_are_an_empty_value() -> None:
    """As in X-Client-Scopes: there, and empty."""
    assert of(identity={"headers": {"X-Roles": "scope"}}).lines(permit(scopes=""), 0.0) == b"X-Roles: \r\n"


def test_the_same_caller_gets_the_same_object() -> None:
    """The outgoing head is kept by it."""
    route = of(credential="key", identity={"headers": {"X-User": "sub"}})
    one = permit()
    assert route.lines(one, 0.0) is route.lines(Permit(one.client_id, one.identity, 2.0), 0.0)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callers there are."""
    monkeypatch.setattr(introduction, "MAX_KNOWN", 3)
    route = of(credential="key")
    for number in range(20):
        assert f"gwc_{number}\r\n".encode() in route.lines(permit(f"gwc_{number}"), 0.0)
        assert len(route._known) <= 3


def test_who_is_refused_is_not_remembered() -> None:
    route = of(credential={"by_client": {"gwc_a": "key"}})
    with pytest.raises(NoUpstreamCredential):
        route.lines(permit("gwc_b"), 0.0)
    assert route._known == {}
