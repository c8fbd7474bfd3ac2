"""What the upstream is told of a caller, and shown: as the route says it, one set of lines for each caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gateway.config.model import Config, Credential
from gateway.config.model import Route as RouteSection
from gateway.errors import GatewayError, NoUpstreamCredential
from gateway.guard.permit import Permit
from gateway.guard.verdict import ForeignVerdict, Verdict
from gateway.oauth.foreign import Holder
from gateway.oauth.records import AccessToken
from gateway.routing import Router
from gateway.telemetry.metrics import Registry
from gateway.upstreams import introduction
from gateway.upstreams.introducing import introductions, line_of
from gateway.upstreams.introduction import Assertions, Done, Introduction

CREDENTIALS = {
    "basic": {"basic": {"username": "üser", "password": "pass:word"}},
    "key": {"header": {"name": "X-Api-Key", "value": "s3cret"}},
}


def of(signing: Assertions | None = None, /, **route: Any) -> Introduction:
    config = Config.model_validate({
        "upstreams": {"u": {"targets": ["http://127.0.0.1:9"]}}, "credentials": CREDENTIALS,
        "routes": [{"path": "/", "upstream": "u"}, {"path": "/a/", "upstream": "u", **route}],
    })  # fmt: skip
    (found,) = introductions(config, Router(config).routes, Registry(), signing).values()
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


class Signing:
    """Signs nothing, and says so."""

    def __init__(self) -> None:
        self.ready = True
        self.written: list[tuple[str, Mapping[str, bytes]]] = []
        self.waiting: list[Done] = []

    def write(self, audience: str, claims: Mapping[str, bytes], now: float) -> tuple[bytes, float]:
        if not self.ready:
            return b"", now
        self.written.append((audience, claims))
        return b"signed-%d" % len(self.written), now + 30

    def wait(self, done: Done) -> None:
        self.waiting.append(done)

    def close(self) -> None:
        """Nothing is under way."""


def asserting(signing: Signing, **route: Any) -> Introduction:
    return of(signing, identity={"assertion": {"audience": "https://legacy"}}, **route)


def test_an_assertion_is_signed_once_for_each_caller_and_half_a_minute() -> None:
    """It stands beside what tells the same unsigned; a look-up is all that a request costs meanwhile."""
    signing = Signing()
    route = asserting(signing, credential="key")
    lines = USUAL + b"X-Identity-Assertion: signed-1\r\nX-Api-Key: s3cret\r\n"
    assert [route.lines(permit(), now) for now in (0.0, 10.0, 29.9)] == [lines] * 3
    assert b"signed-2\r\n" in (route.lines(permit("gwc_other"), 0.0) or b"")
    assert b"signed-3\r\n" in (route.lines(permit(), 30.0) or b"")
    assert b"signed-4\r\n" in (route.lines(permit(subject="gwu_1"), 30.0) or b"")
    assert signing.written[0] == ("https://legacy", {"client_id": b"gwc_me", "scope": b"a b", "sub": b"gwc_me"})
    assert signing.written[3][1]["subject"] == b"gwu_1"


def test_who_has_no_token_has_no_assertion() -> None:
    """Where a route reports only."""
    assert asserting(Signing(), enforce="report").lines(NOBODY, 0.0) == b""


def test_a_missing_key_is_waited_for() -> None:
    """By whoever needs it; a credential that is there already does not matter."""
    signing = Signing()
    signing.ready = False
    route = asserting(signing, credential="key")
    assert route.lines(permit(), 0.0) is None
    told: list[GatewayError | None] = []
    route.wait(permit(), 0.0, told.append)
    (done,) = signing.waiting
    assert route._known == {}
    signing.ready = True
    done(None)
    assert told == [None]
    assert b"signed-1" in (route.lines(permit(), 0.0) or b"")


def test_what_is_missing_is_fetched_one_after_the_other() -> None:
    """First the credential, then the key."""
    signing, source = Signing(), Fetched()
    signing.ready = False
    section = RouteSection.model_validate({
        "path": "/", "upstream": "u", "credential": "token", "identity": {"assertion": {"audience": "https://legacy"}},
    })  # fmt: skip
    route = Introduction(section, {"token": source}, signing)
    assert route.lines(permit(), 0.0) is None
    route.wait(permit(), 0.0, lambda _: None)
    assert (len(source.waiting), len(signing.waiting)) == (1, 0)
    source.found = b"Authorization: Bearer x\r\n"
    assert route.lines(permit(), 0.0) is None
    route.wait(permit(), 0.0, lambda _: None)
    assert (len(source.waiting), len(signing.waiting)) == (1, 1)
    signing.ready = True
    assert route.lines(permit(), 0.0) == USUAL + b"X-Identity-Assertion: signed-1\r\nAuthorization: Bearer x\r\n"


class Fetched:
    """A credential that comes when a test says so."""

    def __init__(self) -> None:
        self.watchers: list[Callable[[], None]] = []
        self.found = b""
        self.waiting: list[Done] = []

    def line(self, now: float) -> tuple[bytes, float]:
        return self.found, now + 10

    def wait(self, done: Done) -> None:
        self.waiting.append(done)

    def refused(self, head: bytes, now: float) -> None:
        """No matter."""

    def close(self) -> None:
        """Nothing is under way."""


def test_a_new_token_is_shown_at_once_and_the_same_lines_stay_the_same_object() -> None:
    source = Fetched()
    source.found = b"Authorization: Bearer x\r\n"
    section = RouteSection.model_validate({"path": "/", "upstream": "u", "credential": "token"})
    route = Introduction(section, {"token": source})
    before = route.lines(permit(), 0.0)
    source.found = b"Authorization: Bearer y\r\n"
    assert route.lines(permit(), 9.9) is before
    for forget in source.watchers:
        forget()
    assert b"Bearer y" in (route.lines(permit(), 9.9) or b"")
    after = route.lines(permit(), 9.9)
    assert route.lines(permit(), 500.0) is after


def test_a_client_of_another_issuer_is_never_one_of_ours() -> None:
    """It is known by that issuer's name before its own, and shows what is written for that."""
    holder = Holder("gwc_a", "ann", frozenset({"a"}), 1.0)
    verdict = ForeignVerdict("corp", "https://idp.example", holder, 1.0, 1.0)
    foreign = Permit(verdict.client_id, verdict.identity, 1.0)
    with pytest.raises(NoUpstreamCredential):
        of(credential={"by_client": {"gwc_a": "key"}}).lines(foreign, 0.0)
    headers = {"X-User": "sub", "X-Idp": "issuer"}
    lines = of(credential={"by_client": {"corp:gwc_a": "key"}}, identity={"headers": headers}).lines(foreign, 0.0)
    assert lines == b"X-User: corp:ann\r\nX-Idp: https://idp.example\r\nX-Api-Key: s3cret\r\n"
    assert of(identity={"headers": {"X-Idp": "issuer"}}).lines(permit(), 0.0) == b""


def test_routes_that_say_the_same_share_what_is_remembered() -> None:
    """So that many routes cost the memory, and the signatures, of one."""
    said: dict[str, Any] = {"upstream": "u", "credential": "key", "identity": {"assertion": {"audience": "https://legacy"}}}
    config = Config.model_validate({
        "upstreams": {"u": {"targets": ["http://127.0.0.1:9"]}}, "credentials": CREDENTIALS,
        "routes": [
            {"path": "/a/", **said}, {"path": "/b/", **said}, {"path": "/c/", **said, "credential": "basic"},
            {"path": "/d/", **said, "identity": {"assertion": {"audience": "https://other"}}},
        ],
    })  # fmt: skip
    one, same, basic, other = introductions(config, Router(config).routes, Registry(), Signing()).values()
    assert one is same
    assert len({one, basic, other}) == 3
